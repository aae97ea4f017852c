//! The cases of `tests/data/job.yaml`: inputs and outcomes of upstream's controller.

use serde_json::Value;

/// One case.
pub(super) struct Case(Value);

/// The cases of one kind.
pub(super) fn cases(kind: &str) -> Vec<Case> {
    let text = include_str!("../../../tests/data/job.yaml");
    let file: Value = serde_saphyr::from_str(text).expect("the vectors are YAML");
    let cases = file["cases"].as_array().expect("the vectors are a list").clone();
    let cases: Vec<Case> = cases.into_iter().filter(|case| case["kind"] == kind).map(Case).collect();
    assert!(!cases.is_empty(), "no case of kind {kind}");
    cases
}

/// Plays every case of a kind and names all that fail.
pub(super) fn check(kind: &str, play: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = cases(kind)
        .iter()
        .filter_map(|case| play(case).err().map(|why| format!("{}: {why}", case.title())))
        .collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// An error if the two differ.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), String> {
    let [got, want] = &[got, want];
    if got == want { Ok(()) } else { Err(format!("{what}: got {got:?}, want {want:?}")) }
}

/// An error unless the conditions are the wanted ones, each as far as it is given.
pub(super) fn compare_conditions(got: &[Value], want: &[Value]) -> Result<(), String> {
    same("number of conditions", got.len(), want.len()).map_err(|why| format!("{why} in {got:?}"))?;
    for (got, want) in got.iter().zip(want) {
        for (field, want) in want.as_object().unwrap() {
            same(field, &got[field], want)?;
        }
    }
    Ok(())
}

impl Case {
    fn title(&self) -> String {
        format!("{} ({})", self.text("id").unwrap_or_default(), self.text("name").unwrap_or_default())
    }

    /// A field of the case; null if it is absent.
    pub(super) fn get(&self, field: &str) -> &Value {
        &self.0[field]
    }

    /// A field of the expectation.
    pub(super) fn expect(&self, field: &str) -> &Value {
        &self.0["expect"][field]
    }

    /// A field that is a text.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).as_str()
    }

    /// A field that is a number.
    pub(super) fn number(&self, field: &str) -> Option<i64> {
        self.get(field).as_i64()
    }

    /// A field that is a list; empty if it is absent.
    pub(super) fn list(&self, field: &str) -> &[Value] {
        items(self.get(field))
    }
}

/// The items of a list; none if it is not one.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
