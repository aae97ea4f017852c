//! Where in an object a problem lies and what it is, in the words of upstream's `field.Error`.

use std::fmt;

use serde::Serialize;

/// A path to a field: `spec.template.spec.containers[0].image`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The path of a field of the object itself.
    pub fn root(field: &str) -> Self {
        Path(field.to_owned())
    }

    /// The path of a field below this one.
    #[must_use]
    pub fn child(&self, field: &str) -> Self {
        if self.0.is_empty() { Path::root(field) } else { Path(format!("{}.{field}", self.0)) }
    }

    /// The path of a list element.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Path(format!("{}[{index}]", self.0))
    }

    /// The path of a map entry.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Path(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Upstream prints a path without elements, as in `[]: Too long`, this way.
        if self.0.is_empty() { f.write_str("[]") } else { f.write_str(&self.0) }
    }
}

/// What kind of problem a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The value is missing.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value has the wrong JSON type.
    TypeInvalid,
    /// The value is not one of a list.
    NotSupported,
    /// The value may occur once only.
    Duplicate,
    /// The value refers to something that is not there.
    NotFound,
    /// The field may not be set or changed here.
    Forbidden,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many elements.
    TooMany,
}

impl ErrorType {
    /// The words in the message.
    pub fn words(self) -> &'static str {
        match self {
            ErrorType::Required => "Required value",
            ErrorType::Invalid | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::NotFound => "Not found",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
        }
    }

    /// The `reason` of the cause in a Status.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
        }
    }
}

/// One problem of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The kind of problem.
    pub kind: ErrorType,
    /// The field.
    pub field: Path,
    /// The offending value as JSON text; absent where it is not shown.
    pub value: Option<String>,
    /// The rule that was broken; may be empty.
    pub detail: String,
}

impl FieldError {
    /// The message without the field: `Invalid value: -1: must be greater than or equal to 0`.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        for part in
            self.value.as_deref().into_iter().chain(Some(self.detail.as_str()).filter(|d| !d.is_empty()))
        {
            text.push_str(": ");
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Problems found so far. Validation goes on after the first, so that all are reported at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// No problem yet.
    pub fn new() -> Self {
        FieldErrors::default()
    }

    /// Whether no problem was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, kind: ErrorType, field: &Path, value: Option<String>, detail: impl Into<String>) {
        self.0.push(FieldError { kind, field: field.clone(), value, detail: detail.into() });
    }

    /// The field must be set.
    pub fn required(&mut self, field: &Path, detail: impl Into<String>) {
        self.push(ErrorType::Required, field, None, detail);
    }

    /// The field's value breaks a rule.
    pub fn invalid(&mut self, field: &Path, value: impl Serialize, detail: impl Into<String>) {
        self.push(ErrorType::Invalid, field, Some(json(value)), detail);
    }

    /// The field's value breaks a rule, and is too large or too secret to be shown.
    pub fn invalid_unshown(&mut self, field: &Path, detail: impl Into<String>) {
        self.push(ErrorType::Invalid, field, None, detail);
    }

    /// The field's value is none of `supported`, which are listed in the order given.
    pub fn not_supported(&mut self, field: &Path, value: impl Serialize, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.push(ErrorType::NotSupported, field, Some(json(value)), detail);
    }

    /// The value occurs a second time.
    pub fn duplicate(&mut self, field: &Path, value: impl Serialize) {
        self.push(ErrorType::Duplicate, field, Some(json(value)), "");
    }

    /// The value names something that does not exist.
    pub fn not_found(&mut self, field: &Path, value: impl Serialize, detail: impl Into<String>) {
        self.push(ErrorType::NotFound, field, Some(json(value)), detail);
    }

    /// The field may not be set or changed.
    pub fn forbidden(&mut self, field: &Path, detail: impl Into<String>) {
        self.push(ErrorType::Forbidden, field, None, detail);
    }

    /// The value exceeds `bytes_max`.
    pub fn too_long(&mut self, field: &Path, bytes_max: usize) {
        self.push(ErrorType::TooLong, field, None, format!("may not be more than {bytes_max} bytes"));
    }

    /// The list of `actual` elements exceeds `items_max`.
    pub fn too_many(&mut self, field: &Path, actual: usize, items_max: usize) {
        let detail = format!("{actual}: must have at most {items_max} items");
        self.push(ErrorType::TooMany, field, None, detail);
    }
}

fn json(value: impl Serialize) -> String {
    serde_json::to_string(&value).expect("values of Kubernetes types serialise to JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_upstream_prints_them() {
        let spec = Path::root("spec");
        let mut errors = FieldErrors::new();
        errors.invalid(&spec.child("parallelism"), -1, "must be greater than or equal to 0");
        errors.not_supported(&spec.child("concurrencyPolicy"), "Foo", &["Allow", "Forbid", "Replace"]);
        errors.required(&spec.child("template").child("containers").index(0).child("image"), "");
        errors.invalid(&Path::root("data").key("a b"), "a b", "bad key");
        errors.too_long(&Path::default(), 1_048_576);
        let text: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.concurrencyPolicy: Unsupported value: \"Foo\": supported values: \"Allow\", \"Forbid\", \
                 \"Replace\"",
                "spec.template.containers[0].image: Required value",
                "data[a b]: Invalid value: \"a b\": bad key",
                "[]: Too long: may not be more than 1048576 bytes",
            ]
        );
    }
}
