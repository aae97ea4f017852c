#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use serde_json::{Value, json};

use super::*;

/// The faults of a status that replaces an empty one, or the given one: field and detail.
fn faults(spec: &Value, old: &Value, new: &Value) -> Vec<String> {
    let job = |status: &Value| -> Job {
        serde_json::from_value(json!({"metadata": {"name": "j"}, "spec": spec, "status": status})).unwrap()
    };
    let mut errors = FieldErrors::new();
    job(new).validate_status_update(&job(old), &mut errors);
    errors.0.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
}

fn plain() -> Value {
    json!({"template": {}, "completions": 3, "parallelism": 1})
}

fn indexed() -> Value {
    json!({"template": {}, "completions": 5, "parallelism": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 1})
}

fn conditions(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect()
}

fn complete() -> Value {
    json!({
        "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z", "succeeded": 3,
        "conditions": conditions(&["SuccessCriteriaMet", "Complete"]),
    })
}

fn with(mut base: Value, patch: Value) -> Value {
    json_patch::merge(&mut base, &patch);
    base
}

#[test]
fn a_job_ends_in_two_steps() {
    let none = json!({});
    assert_eq!(faults(&plain(), &none, &complete()), Vec::<String>::new());
    let failed =
        |kinds: &[&str]| json!({"startTime": "2026-01-01T00:00:00Z", "conditions": conditions(kinds)});
    assert_eq!(faults(&plain(), &none, &failed(&["FailureTarget", "Failed"])), Vec::<String>::new());
    assert_eq!(
        faults(&plain(), &none, &failed(&["Failed"])),
        ["status.conditions: cannot set Failed=True condition without the FailureTarget=true condition"]
    );
    let at_once = with(complete(), json!({"conditions": conditions(&["Complete"])}));
    assert_eq!(
        faults(&plain(), &none, &at_once),
        ["status.conditions: cannot set Complete=True condition without the SuccessCriteriaMet=true \
             condition"]
    );
    let both = with(
        complete(),
        json!({"conditions": conditions(&["SuccessCriteriaMet", "Complete", "FailureTarget"])}),
    );
    assert_eq!(
        faults(&plain(), &none, &both),
        [
            "status.conditions: cannot set Complete=True and FailureTarget=true conditions",
            "status.conditions: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ]
    );
}

#[test]
fn an_ended_job_has_times_and_no_pods() {
    let none = json!({});
    let faults_with = |patch: Value| faults(&plain(), &none, &with(complete(), patch));
    assert_eq!(faults_with(json!({"active": 1})), ["status.active: active>0 is invalid for finished job"]);
    assert_eq!(
        faults_with(json!({"terminating": 1})),
        ["status.terminating: terminating>0 is invalid for finished job"]
    );
    assert_eq!(faults_with(json!({"ready": 1})), ["status.ready: cannot set more ready pods than active"]);
    assert_eq!(
        faults_with(json!({"uncountedTerminatedPods": {"failed": ["a"]}})),
        ["status.uncountedTerminatedPods: must be empty for finished job"]
    );
    assert_eq!(
        faults_with(json!({"startTime": null})),
        ["status.startTime: startTime is required for finished job"]
    );
    assert_eq!(
        faults_with(json!({"completionTime": null})),
        ["status.completionTime: completionTime is required for Complete jobs"]
    );
    assert_eq!(
        faults_with(json!({"completionTime": "2025-12-31T00:00:00Z"})),
        ["status.completionTime: must be equal to or after `startTime`"]
    );
    assert_eq!(
        faults(&plain(), &none, &json!({"completionTime": "2026-01-01T00:01:00Z"})),
        ["status.completionTime: cannot set completionTime when there is no Complete=True condition"]
    );
}

#[test]
fn what_was_said_is_not_taken_back() {
    let later = |patch: Value| faults(&plain(), &complete(), &with(complete(), patch));
    assert_eq!(later(json!({"succeeded": 2})), ["status.succeeded: cannot decrease the succeeded counter"]);
    assert_eq!(
        later(json!({"completionTime": "2026-01-01T00:02:00Z"})),
        ["status.completionTime: field is immutable"]
    );
    assert_eq!(
        later(json!({"conditions": null, "completionTime": null})),
        [
            "status.conditions: cannot disable the terminal Complete=True condition",
            "status.conditions: cannot disable the SuccessCriteriaMet=True condition",
        ]
    );
    let running = json!({"startTime": "2026-01-01T00:00:00Z", "failed": 2});
    assert_eq!(
        faults(&plain(), &running, &json!({"failed": 1})),
        [
            "status.failed: cannot decrease the failed counter",
            "status.startTime: startTime cannot be removed for unsuspended job",
        ]
    );
    let suspended = with(plain(), json!({"suspend": true}));
    assert_eq!(faults(&suspended, &running, &json!({"failed": 2})), Vec::<String>::new());
    let elastic = with(indexed(), json!({"parallelism": 5}));
    assert_eq!(faults(&elastic, &json!({"succeeded": 3}), &json!({"succeeded": 2})), Vec::<String>::new());
}

#[test]
fn a_status_that_breaks_a_rule_can_still_be_mended_elsewhere() {
    let broken = with(complete(), json!({"active": 1, "startTime": null}));
    assert_eq!(faults(&plain(), &broken, &with(broken.clone(), json!({"failed": 1}))), Vec::<String>::new());
}

#[test]
fn indexes_are_readable_disjoint_and_only_of_indexed_jobs() {
    let none = json!({});
    let of = |spec: &Value, completed: &str, failed: Value| {
        faults(spec, &none, &json!({"completedIndexes": completed, "failedIndexes": failed}))
    };
    assert_eq!(of(&indexed(), "0,2-3", json!("1,4")), Vec::<String>::new());
    assert_eq!(
        of(&indexed(), "0-", json!("9")),
        [
            "status.completedIndexes: error parsing completedIndexes: cannot convert string to integer for \
             index: \"\"",
            "status.failedIndexes: error parsing failedIndexes: too large index: \"9\"",
        ]
    );
    assert_eq!(
        of(&indexed(), "0-3", json!("2,4")),
        ["status.failedIndexes: failedIndexes and completedIndexes overlap at index: 2"]
    );
    assert_eq!(
        of(&plain(), "0", json!("1")),
        [
            "status.completedIndexes: cannot set non-empty completedIndexes when non-indexed completion mode",
            "status.failedIndexes: cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        ]
    );
}

#[test]
fn a_pod_is_not_counted_twice() {
    let uncounted = json!({"uncountedTerminatedPods": {"succeeded": ["a", "a", ""], "failed": ["b", "a"]}});
    let names: Vec<String> = faults(&plain(), &json!({}), &uncounted)
        .iter()
        .map(|fault| fault[..fault.find(':').unwrap()].into())
        .collect();
    assert_eq!(
        names,
        ["succeeded[1]", "succeeded[2]", "failed[1]"]
            .map(|name| format!("status.uncountedTerminatedPods.{name}"))
    );
}
