//! What went wrong with a request, as the Kubernetes `Status` that says so.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};

use crate::{FieldErrors, Kind};

/// A refused request: HTTP code, machine-readable reason, and a message for people. The texts are upstream's.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Status>);

impl ApiError {
    fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        ApiError(Box::new(Status {
            code: Some(i32::from(code)),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            message: Some(message.into()),
            status: Some("Failure".into()),
            ..Status::default()
        }))
    }

    fn about(mut self, kind: Kind, name: &str) -> Self {
        let d = kind.descriptor();
        self.set_details(d.group, d.plural, name);
        self
    }

    fn about_kind(mut self, kind: Kind, name: &str) -> Self {
        let d = kind.descriptor();
        self.set_details(d.group, d.kind, name);
        self
    }

    fn set_details(&mut self, group: &str, kind: &str, name: &str) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.0.details = Some(StatusDetails {
            group: some(group),
            kind: some(kind),
            name: some(name),
            ..Default::default()
        });
    }

    fn caused_by(mut self, reason: &str, message: &str, field: &str) -> Self {
        let cause = StatusCause {
            reason: Some(reason.into()),
            message: Some(message.into()),
            field: (!field.is_empty()).then(|| field.to_owned()),
        };
        self.0.details.get_or_insert_default().causes.get_or_insert_default().push(cause);
        self
    }

    /// 404: the object does not exist.
    pub fn not_found(kind: Kind, name: &str) -> Self {
        let resource = kind.descriptor().resource();
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(kind, name)
    }

    /// 404: what is known by a name of another resource than a kind's, such as `podmetrics`, is not there.
    pub fn not_found_as(group: &str, resource: &str, name: &str) -> Self {
        let mut error = Self::new(404, "NotFound", format!("{resource}.{group} \"{name}\" not found"));
        error.set_details(group, resource, name);
        error
    }

    /// 404: the path names no resource.
    pub fn unknown_resource() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.0.details = Some(StatusDetails::default());
        error
    }

    /// 409: an object of that name exists.
    pub fn already_exists(kind: Kind, name: &str) -> Self {
        let resource = kind.descriptor().resource();
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists")).about(kind, name)
    }

    /// 409: the object is not in the state that the request assumes.
    pub fn conflict(kind: Kind, name: &str) -> Self {
        Self::conflict_because(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 with a reason of its own.
    pub fn conflict_because(kind: Kind, name: &str, why: &str) -> Self {
        let resource = kind.descriptor().resource();
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// 409: a server-side apply would change what others own. Causes are messages and the fields that they are about.
    pub fn apply_conflict(message: String, causes: impl Iterator<Item = (String, String)>) -> Self {
        let error = Self::new(409, "Conflict", message);
        causes
            .fold(error, |error, (message, field)| error.caused_by("FieldManagerConflict", &message, &field))
    }

    /// 409: a precondition of a deletion does not hold.
    pub fn precondition_failed(kind: Kind, name: &str, why: &str) -> Self {
        let qualified = kind.descriptor().qualified_kind();
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about_kind(kind, name)
    }

    /// 422: fields of the object are not acceptable. Equal messages are shown once; the causes list all.
    pub fn invalid(kind: Kind, name: &str, errors: &FieldErrors) -> Self {
        let d = kind.descriptor();
        Self::invalid_named(d.group, d.kind, name, errors)
    }

    /// 422 for something that is not stored, such as `DeleteOptions`.
    pub fn invalid_named(group: &str, kind: &str, name: &str, errors: &FieldErrors) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for text in errors.0.iter().map(ToString::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let list = if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut error = Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {list}"));
        error.set_details(group, kind, name);
        for e in &errors.0 {
            error = error.caused_by(e.kind.reason(), &e.body(), &e.field.to_string());
        }
        error
    }

    /// 422 without the name of an object: a patch that cannot be applied.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// 400: the request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: the caller is not known.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: the request is not allowed on this object.
    pub fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        let resource = kind.descriptor().resource();
        let subject = if name.is_empty() { resource } else { format!("{resource} \"{name}\"") };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).about(kind, name)
    }

    /// 403 for what may not be a kind: the group and the plural of a resource, or nothing of both for a path.
    pub fn forbidden_as(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let point = if group.is_empty() { "" } else { "." };
        let subject = match (resource, name) {
            ("", _) => "forbidden".to_owned(),
            (_, "") => format!("{resource}{point}{group} is forbidden"),
            _ => format!("{resource}{point}{group} {name:?} is forbidden"),
        };
        let mut error = Self::new(403, "Forbidden", format!("{subject}: {why}"));
        error.set_details(group, resource, name);
        error
    }

    /// 403: the namespace is being deleted.
    pub fn namespace_terminating(kind: Kind, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = format!("namespace {namespace} is being terminated");
        Self::forbidden(kind, name, &why).caused_by("NamespaceTerminating", &cause, "metadata.namespace")
    }

    /// 405: the resource has no such verb.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut error = Self::new(405, "MethodNotAllowed", message);
        error.0.details = Some(StatusDetails::default());
        error
    }

    /// 406: none of the accepted media types can be produced.
    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// 410: the revision asked for has left the history.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413: the request body exceeds the limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415: the body's media type is not understood.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 429: the server is at a limit; the caller may try again after `seconds`.
    pub fn too_many_requests(message: impl Into<String>, seconds: i32) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.0.details = Some(StatusDetails { retry_after_seconds: Some(seconds), ..Default::default() });
        error
    }

    /// 500: the server failed. The message says at what.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// 504: a revision was asked for that does not exist yet.
    pub fn too_large_revision(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut error = Self::new(504, "Timeout", message);
        error = error.caused_by("ResourceVersionTooLarge", "Too large resource version", "");
        error.0.details.get_or_insert_default().retry_after_seconds = Some(1);
        error
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500)
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> &str {
        self.0.reason.as_deref().unwrap_or_default()
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or_default()
    }

    /// The body of the answer.
    pub fn status(&self) -> &Status {
        &self.0
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Path;

    #[test]
    fn several_errors_are_listed_and_equal_ones_shown_once() {
        let mut errors = FieldErrors::new();
        errors.required(&Path::root("spec"), "");
        let one = ApiError::invalid(Kind::Job, "x", &errors);
        assert_eq!(one.message(), "Job.batch \"x\" is invalid: spec: Required value");
        errors.required(&Path::root("spec"), "");
        errors.forbidden(&Path::root("status"), "no");
        let three = ApiError::invalid(Kind::Job, "x", &errors);
        assert_eq!(
            three.message(),
            "Job.batch \"x\" is invalid: [spec: Required value, status: Forbidden: no]"
        );
        let details = three.status().details.clone().unwrap();
        assert_eq!((details.group.as_deref(), details.kind.as_deref()), (Some("batch"), Some("Job")));
        assert_eq!(details.causes.unwrap().len(), 3);
    }

    #[test]
    fn a_terminating_namespace_is_named_as_the_cause() {
        let error = ApiError::namespace_terminating(Kind::ConfigMap, "zz", "rt");
        assert_eq!(
            error.message(),
            "configmaps \"zz\" is forbidden: unable to create new content in namespace rt because it is being \
             terminated"
        );
        assert_eq!(error.code(), 403);
    }
}
