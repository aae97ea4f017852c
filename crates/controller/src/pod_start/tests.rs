use cronlet_object::api::{Job, Pod};
use serde_json::{Value, json};

use super::*;
use crate::{
    Controller,
    testing::{World, at},
};

/// A Job with an annotation and its pod, which was created at noon.
fn world(timeout: Option<&str>, status: &Value) -> (World, Key) {
    let mut world = World::new("2026-03-02T12:00:00Z");
    let annotations = timeout.map(|timeout| json!({START_TIMEOUT: timeout}));
    world.put_json::<Job>(json!({"metadata": {"name": "j", "annotations": annotations}}));
    let owner =
        json!({"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "uid-of-j", "controller": true});
    let pod = world.put_json::<Pod>(json!({
        "metadata": {"name": "p", "ownerReferences": [owner], "finalizers": ["batch.kubernetes.io/job-tracking"]},
        "spec": {"containers": [], "nodeName": "here"},
        "status": status,
    }));
    (world, pod)
}

fn pulling() -> Value {
    let waiting = json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"busybx\""});
    json!({"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": waiting}}]})
}

#[test]
fn without_a_timeout_a_pod_may_wait_for_ever_but_is_told_of_once() {
    let (mut world, pod) = world(None, &pulling());
    assert_eq!(world.reconcile(Controller::PodStart, &pod), Some(at("2026-03-02T12:01:00Z")));
    assert!(world.events().is_empty());
    world.now = at("2026-03-02T12:01:00Z");
    assert_eq!(world.reconcile(Controller::PodStart, &pod), None);
    world.now = at("2026-03-02T18:00:00Z");
    world.reconcile(Controller::PodStart, &pod);
    assert_eq!(world.events(), [("Warning PodNotStarted".to_owned(), 1)]);
    assert!(world.get(&pod).unwrap().meta().deleted.is_none());
}

#[test]
fn after_its_timeout_a_pod_is_given_up_and_says_why() {
    let (mut world, pod) = world(Some("30s"), &pulling());
    assert_eq!(world.reconcile(Controller::PodStart, &pod), Some(at("2026-03-02T12:00:30Z")));
    world.now = at("2026-03-02T12:00:30Z");
    world.reconcile(Controller::PodStart, &pod);
    assert_eq!(world.events(), [("Warning StartTimeout".to_owned(), 1)]);
    let given_up: Pod = world.decode(&pod);
    assert!(given_up.metadata.deletion_timestamp.is_some());
    let condition = given_up.status.unwrap().conditions.unwrap().pop().unwrap();
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        (CONDITION, Some("ImagePullBackOff"))
    );
    assert!(condition.message.unwrap().contains("Back-off pulling image \"busybx\""));
    assert!(world.plan(Controller::PodStart, &pod).transaction.is_empty());
}

#[test]
fn a_pod_that_has_started_is_left_alone() {
    let running =
        json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]});
    let (mut world, pod) = world(Some("30s"), &running);
    world.now = at("2026-03-02T13:00:00Z");
    let plan = world.plan(Controller::PodStart, &pod);
    assert!(plan.transaction.is_empty() && plan.wake_at.is_none());
}

#[test]
fn a_timeout_that_cannot_be_read_is_told_of() {
    for text in ["soon", "-5s", "0"] {
        let (mut world, pod) = world(Some(text), &pulling());
        world.reconcile(Controller::PodStart, &pod);
        assert_eq!(world.events(), [("Warning InvalidStartTimeout".to_owned(), 1)], "{text}");
    }
}

#[test]
fn an_unscheduled_pod_says_what_it_lacks() {
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "persistentvolumeclaim \"data\" not found"});
    let (mut world, pod) = world(Some("10s"), &json!({"phase": "Pending", "conditions": [condition]}));
    world.now = at("2026-03-02T12:00:11Z");
    world.reconcile(Controller::PodStart, &pod);
    let given_up: Pod = world.decode(&pod);
    let condition = given_up.status.unwrap().conditions.unwrap().pop().unwrap();
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    assert!(condition.message.unwrap().ends_with("persistentvolumeclaim \"data\" not found"));
}
