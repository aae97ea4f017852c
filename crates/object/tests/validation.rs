//! Every case of `data/validation.yaml`: what Kubernetes 1.36 accepts and refuses, and for which fields.

use cronlet_object::{
    ApiError, Ids, Object, Resource, Typed,
    admit::{self, Admitted, Context, Subresource, Updated},
    api::{CronJob, Job},
    document,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

const NAMESPACE: &str = "default";

#[derive(Deserialize)]
struct Vectors {
    bases: serde_json::Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    base: String,
    op: Operation,
    #[serde(rename = "createPatch", default)]
    create_patch: Value,
    patch: Value,
    expect: Expectation,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Operation {
    Create,
    Update,
    UpdateStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expectation {
    code: u16,
    reason: Option<String>,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    exactly: bool,
    warning_contains: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Cause {
    field: String,
    reason: String,
}

/// What a client would be told: the code of the answer, and either warnings or an error.
struct Answer {
    code: u16,
    warnings: Vec<String>,
    error: Option<ApiError>,
}

impl Answer {
    fn refused(error: ApiError) -> Self {
        Answer { code: error.code(), warnings: Vec::new(), error: Some(error) }
    }
}

/// A store of one object.
struct Server {
    ids: Ids,
    now: Timestamp,
    revision: u64,
}

impl Server {
    fn context(&mut self) -> Context<'_> {
        Context { now: self.now, ids: &mut self.ids }
    }

    fn commit(&mut self, admitted: Admitted) -> Object {
        self.revision += 1;
        admitted.draft.seal(self.revision)
    }

    fn create(&mut self, value: &Value) -> Result<(Object, Vec<String>), ApiError> {
        let (mut object, mut warnings) = decode(value)?;
        admit::enter_namespace(&mut object, NAMESPACE)?;
        let admitted = admit::create(object, &mut self.context())?;
        warnings.extend(admitted.warnings.iter().cloned());
        Ok((self.commit(admitted), warnings))
    }

    fn update(&mut self, old: &Object, value: &Value, part: Subresource) -> Result<Object, ApiError> {
        let (object, _) = decode(value)?;
        match admit::update(old, object, part, &mut self.context())? {
            Updated::Unchanged => Ok(old.clone()),
            Updated::Replace(admitted) => Ok(self.commit(admitted)),
            Updated::Remove => panic!("nothing is deleted here"),
        }
    }

    fn run(&mut self, case: &Case, base: &Value) -> Answer {
        let answer = match case.op {
            Operation::Create => self.create(&merged(base, &case.patch)).map(|(_, warnings)| (201, warnings)),
            Operation::Update => self.change(case, base, Subresource::Main),
            Operation::UpdateStatus => self.change(case, base, Subresource::Status),
        };
        match answer {
            Ok((code, warnings)) => Answer { code, warnings, error: None },
            Err(error) => Answer::refused(error),
        }
    }

    fn change(
        &mut self,
        case: &Case,
        base: &Value,
        part: Subresource,
    ) -> Result<(u16, Vec<String>), ApiError> {
        let value = merged(base, &case.create_patch);
        let (mut object, _) = self.create(&value).expect("the object to be changed is valid");
        if let Some(status) = value.get("status") {
            let value = merged(&object.value(), &json!({ "status": status }));
            object = self.update(&object, &value, Subresource::Status).expect("its status is valid");
        }
        self.update(&object, &merged(&object.value(), &case.patch), part)?;
        Ok((200, Vec::new()))
    }
}

fn merged(base: &Value, patch: &Value) -> Value {
    let mut value = base.clone();
    if !patch.is_null() {
        json_patch::merge(&mut value, patch);
    }
    value
}

fn decode(value: &Value) -> Result<(Typed, Vec<String>), ApiError> {
    fn as_kind<T: Resource>(value: &Value) -> Result<(Typed, Vec<String>), ApiError> {
        match document::decode::<T>(value) {
            Ok(decoded) => {
                let warnings = decoded.unknown.iter().map(|field| format!("unknown field \"{field}\""));
                Ok((decoded.object.into(), warnings.collect()))
            }
            Err(error) => Err(ApiError::bad_request(error.to_string())),
        }
    }
    match value["kind"].as_str() {
        Some("Job") => as_kind::<Job>(value),
        Some("CronJob") => as_kind::<CronJob>(value),
        other => panic!("a vector of kind {other:?}"),
    }
}

/// What is wrong with an answer; absent if it is the expected one.
fn complaint(expect: &Expectation, answer: &Answer) -> Option<String> {
    let message = answer.error.as_ref().map_or("accepted", ApiError::message);
    if answer.code != expect.code {
        return Some(format!("{} instead of {}: {message}", answer.code, expect.code));
    }
    if let Some(text) = &expect.warning_contains
        && !answer.warnings.iter().any(|warning| warning.contains(text))
    {
        return Some(format!("no warning of {text:?} among {:?}", answer.warnings));
    }
    let error = answer.error.as_ref()?;
    if expect.reason.as_deref().is_some_and(|reason| reason != error.reason()) {
        return Some(format!("reason {} instead of {:?}", error.reason(), expect.reason));
    }
    let causes = error.status().details.iter().flat_map(|details| details.causes.iter().flatten());
    let causes: Vec<Cause> = causes
        .map(|cause| Cause {
            field: cause.field.clone().unwrap_or_default(),
            reason: cause.reason.clone().unwrap_or_default(),
        })
        .collect();
    let missing = expect.causes.iter().find(|cause| !causes.contains(cause));
    let surplus = causes.iter().find(|cause| expect.exactly && !expect.causes.contains(cause));
    let cause = missing.or(surplus)?;
    Some(format!("{cause:?} in the expectation or the answer, not in both: {message}"))
}

#[test]
fn kubernetes_answers_are_given() {
    let text = include_str!("data/validation.yaml");
    // As the vectors are written in YAML 1.2: a label value of `y` is a text.
    let options = serde_saphyr::options! { strict_booleans: true };
    let vectors: Vectors =
        serde_saphyr::from_str_with_options(text, options).expect("the vectors are readable");
    let mut server =
        Server { ids: Ids::seeded(1), now: "2026-11-23T03:00:00Z".parse().unwrap(), revision: 0 };
    let mut complaints = Vec::new();
    for case in &vectors.cases {
        let answer = server.run(case, &vectors.bases[&case.base]);
        complaints.extend(complaint(&case.expect, &answer).map(|text| format!("{}: {text}", case.id)));
    }
    assert!(
        complaints.is_empty(),
        "{} of {} cases:\n{}",
        complaints.len(),
        vectors.cases.len(),
        complaints.join("\n")
    );
}
