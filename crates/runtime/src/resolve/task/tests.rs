use cronlet_object::api;
use serde_json::{Value, json};

use super::super::tests::{NAMESPACE, World};
use super::tell;

const JOB_UID: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
const POD_UID: &str = "00F067aa-0ba9-42b7-8000-000000000001";

fn job(world: &mut World, annotations: &Value, status: &Value) {
    world.store::<api::Job>(json!({
        "metadata": { "name": "j", "namespace": NAMESPACE, "uid": JOB_UID, "annotations": annotations },
        "spec": { "template": { "spec": { "containers": [] } } },
        "status": status,
    }));
}

fn owner(uid: &str) -> Value {
    json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": uid, "controller": true }])
}

/// A pod of the Job, with something merged into its metadata.
fn pod(metadata: &Value) -> api::Pod {
    let mut pod = json!({
        "metadata": { "name": "p", "namespace": NAMESPACE, "uid": POD_UID, "ownerReferences": owner(JOB_UID) },
        "spec": { "containers": [{ "name": "c" }] },
    });
    for (field, value) in metadata.as_object().unwrap() {
        pod["metadata"][field] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

/// What the pod's container is told beside what it has, and its attempt.
fn told(world: &World, pod: &api::Pod, own: &[(&str, &str)]) -> (Vec<String>, Option<u32>) {
    let mut environment: Vec<_> =
        own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let attempt = tell(&world.inputs(pod), &mut environment);
    let told = environment.drain(own.len()..).map(|(name, value)| format!("{name}={value}")).collect();
    (told, attempt)
}

#[test]
fn a_run_is_told_when_it_was_due_and_which_attempt_and_trace_it_is() {
    let mut world = World::new();
    let due = json!({ "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-03-01T11:00:00+01:00" });
    job(&mut world, &due, &json!({ "failed": 1, "uncountedTerminatedPods": { "failed": ["x"] } }));
    let expected = [
        "CRONLET_SCHEDULED_TIME=2026-03-01T11:00:00+01:00",
        "TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba942b7-01",
        "CRONLET_ATTEMPT=3",
    ];
    let (variables, attempt) = told(&world, &pod(&json!({})), &[("A", "b")]);
    assert_eq!((variables.as_slice(), attempt), (expected.map(str::to_owned).as_slice(), Some(3)));
}

#[test]
fn what_a_container_defines_holds_and_is_not_counted_on() {
    let mut world = World::new();
    job(&mut world, &json!({}), &json!({}));
    let own = [("TRACEPARENT", ""), ("CRONLET_ATTEMPT", "7")];
    assert_eq!(told(&world, &pod(&json!({})), &own), (Vec::new(), None));
}

#[test]
fn a_job_that_no_schedule_made_or_that_says_nonsense_was_due_at_no_time() {
    for annotations in
        [json!({}), json!({ "batch.kubernetes.io/cronjob-scheduled-timestamp": "$(rm -rf /)" })]
    {
        let mut world = World::new();
        job(&mut world, &annotations, &json!({}));
        let (variables, attempt) = told(&world, &pod(&json!({})), &[]);
        assert_eq!(attempt, Some(1));
        assert!(variables.iter().all(|variable| !variable.contains("SCHEDULED")), "{variables:?}");
    }
}

#[test]
fn the_attempt_of_an_indexed_pod_is_that_of_its_index() {
    let mut world = World::new();
    job(&mut world, &json!({}), &json!({ "failed": 3 }));
    let index = |index: &str| json!({ "batch.kubernetes.io/job-completion-index": index });
    for (name, of, phase) in
        [("a", "0", "Failed"), ("b", "1", "Failed"), ("c", "1", "Failed"), ("d", "1", "Running")]
    {
        world.store::<api::Pod>(json!({
            "metadata": { "name": name, "namespace": NAMESPACE, "uid": name, "labels": index(of),
                "ownerReferences": owner(JOB_UID) },
            "spec": { "containers": [] }, "status": { "phase": phase },
        }));
    }
    let attempt = |of: &str| told(&world, &pod(&json!({ "labels": index(of) })), &[]).1;
    assert_eq!([attempt("0"), attempt("1"), attempt("2")], [Some(2), Some(3), Some(1)]);

    // The Job's controller counts better where it counts: failures that are ignored are none.
    let counted = json!({ "batch.kubernetes.io/job-index-failure-count": "4" });
    let pod = pod(&json!({ "labels": index("0"), "annotations": counted }));
    assert_eq!(told(&world, &pod, &[]).1, Some(5));
}

#[test]
fn a_pod_that_is_no_jobs_is_told_nothing() {
    let mut world = World::new();
    job(&mut world, &json!({}), &json!({}));
    for owners in [json!([]), owner("another Job of that name")] {
        let pod = pod(&json!({ "ownerReferences": owners }));
        assert_eq!(told(&world, &pod, &[]), (Vec::new(), None));
    }
}

#[test]
fn without_uids_that_are_uuids_there_is_no_trace() {
    let mut world = World::new();
    job(&mut world, &json!({}), &json!({}));
    for uid in ["p", "00000000-0000-0000-0000-000000000001", "0123456789abcdefghijklmnopqrstuv"] {
        let (variables, _) = told(&world, &pod(&json!({ "uid": uid })), &[]);
        assert_eq!(variables, ["CRONLET_ATTEMPT=1"], "{uid}");
    }
}
