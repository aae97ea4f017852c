use cronlet_object::api::Job;
use serde_json::json;

use super::*;

fn body(format: Format, bytes: impl Into<Bytes>) -> Body {
    Body { format, bytes: bytes.into() }
}

fn read_as(kind: Kind, text: &str, validation: FieldValidation) -> Result<Received, String> {
    body(Format::Json, text.to_owned()).object(kind, validation).map_err(|error| {
        assert_eq!((error.code(), error.reason()), (400, "BadRequest"));
        error.message().to_owned()
    })
}

fn refusal(text: &str) -> String {
    read_as(Kind::Job, text, FieldValidation::Strict).unwrap_err()
}

#[test]
fn what_is_no_object_is_refused_in_upstreams_words() {
    let unrecognized = "the object provided is unrecognized (must be of type Job): couldn't get version/kind; json \
                        parse error: ";
    assert_eq!(
        refusal("{bad"),
        format!("{unrecognized}invalid character 'b' looking for beginning of object key string ({{bad)")
    );
    assert_eq!(refusal(""), format!("{unrecognized}unexpected end of JSON input (<empty>)"));
    assert_eq!(
        refusal("x"),
        format!("{unrecognized}invalid character 'x' looking for beginning of value (78)")
    );
    assert!(refusal("[1]").starts_with(unrecognized));
    assert!(refusal("null").starts_with(unrecognized));
    assert!(refusal(r#"{"kind":5}"#).starts_with(unrecognized));
    assert!(refusal(&format!("{{\"a\": {}", "1".repeat(50))).ends_with(" ...)"));
}

#[test]
fn another_kind_than_the_paths_is_refused() {
    assert_eq!(
        refusal(r#"{"apiVersion":"batch/v1","kind":"CronJob"}"#),
        "CronJob in version \"v1\" cannot be handled as a Job: converting (v1.CronJob) to (batch.Job): unknown \
         conversion"
    );
    assert_eq!(
        refusal(r#"{"apiVersion":"batch/v2","kind":"Job"}"#),
        "Job in version \"v2\" cannot be handled as a Job: no kind \"Job\" is registered for version \"batch/v2\" in \
         scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
    );
}

#[test]
fn an_object_that_does_not_say_its_kind_is_of_the_paths() {
    for text in ["{}", r#"{"kind":"Job"}"#, r#"{"apiVersion":"batch/v1","kind":""}"#, r#"{"kind":null}"#] {
        assert_eq!(read_as(Kind::Job, text, FieldValidation::Strict).unwrap().object, Job::default().into());
    }
}

#[test]
fn unknown_and_duplicate_fields_are_refused_warned_of_or_ignored() {
    let text = r#"{"metadata":{"name":"a","name":"b"},"spec":{"backofLimit":1},"bogus":2}"#;
    let warnings = [
        "duplicate field \"metadata.name\"".to_owned(),
        "unknown field \"bogus\"".into(),
        "unknown field \"spec.backofLimit\"".into(),
    ];
    let mut found = read_as(Kind::Job, text, FieldValidation::Warn).unwrap().warnings;
    found.sort();
    assert_eq!(found, warnings);
    assert!(read_as(Kind::Job, text, FieldValidation::Ignore).unwrap().warnings.is_empty());
    assert!(refusal(text).starts_with(
        "Job in version \"v1\" cannot be handled as a Job: strict decoding error: duplicate field \"metadata.name\", \
         unknown field"
    ));
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    assert_eq!(
        refusal(r#"{"spec":{"parallelism":"two"}}"#),
        "Job in version \"v1\" cannot be handled as a Job: json: cannot unmarshal string into Go struct field \
         JobSpec.spec.parallelism of type int32"
    );
}

#[test]
fn yaml_is_read_like_json() {
    let yaml = "kind: Job\napiVersion: batch/v1\nmetadata:\n  name: a\n  name: b\nspec:\n  parallelism: 2\n";
    let received = body(Format::Yaml, yaml).object(Kind::Job, FieldValidation::Warn).unwrap();
    assert_eq!(received.object.metadata().name.as_deref(), Some("b"));
    assert_eq!(received.warnings, ["duplicate field \"metadata.name\""]);
    let error = body(Format::Yaml, "a: [").object(Kind::Job, FieldValidation::Warn).unwrap_err();
    assert_eq!(error.code(), 400);
}

#[test]
fn options_of_a_deletion_are_taken_in_any_version() {
    for version in ["v1", "batch/v1", "meta.k8s.io/v1"] {
        let options =
            json!({"kind": "DeleteOptions", "apiVersion": version, "propagationPolicy": "Background"})
                .to_string();
        let options = body(Format::Json, options).delete_options().unwrap();
        assert_eq!(options.propagation_policy.as_deref(), Some("Background"));
    }
    assert!(body(Format::Json, "{}").delete_options().is_ok());
    assert_eq!(body(Format::Json, r#"{"kind":"Job"}"#).delete_options().unwrap_err().code(), 400);
    assert_eq!(body(Format::Json, r#"{"gracePeriodSeconds":"x"}"#).delete_options().unwrap_err().code(), 400);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_the_limit() {
    let error = read(vec![b' '; REQUEST_BODY_BYTES_MAX + 1].into()).await.unwrap_err();
    assert_eq!(error.code(), 413);
    assert_eq!(error.message(), "Request entity too large: limit is 3145728 bytes");
    assert_eq!(read(vec![b' '; REQUEST_BODY_BYTES_MAX].into()).await.unwrap().len(), REQUEST_BODY_BYTES_MAX);
}

#[tokio::test]
async fn a_media_type_that_is_not_understood_is_refused() {
    let mut headers = HeaderMap::new();
    let receive = async |headers: &HeaderMap| Body::receive(headers, "{}".into()).await;
    assert_eq!(receive(&headers).await.unwrap().format, Format::Json);
    headers.insert(CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
    assert_eq!(receive(&headers).await.unwrap().format, Format::Json);
    headers.insert(CONTENT_TYPE, "application/xml".parse().unwrap());
    assert_eq!(receive(&headers).await.unwrap_err().code(), 415);
}
