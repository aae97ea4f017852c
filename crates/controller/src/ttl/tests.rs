//! When finished Jobs go.

use cronlet_object::api::Job;
use serde_json::json;

use crate::{
    Controller,
    testing::{World, at},
};

fn world(ttl: Option<i32>, condition: &str) -> (World, cronlet_object::Key) {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = world.put_json::<Job>(json!({
        "metadata": {"name": "done"},
        "spec": {"template": {}, "ttlSecondsAfterFinished": ttl},
        "status": {"conditions": [
            {"type": condition, "status": "True", "lastTransitionTime": "2026-03-01T10:00:00Z"},
        ]},
    }));
    (world, key)
}

#[test]
fn a_finished_job_is_deleted_when_its_time_is_over() {
    for condition in ["Complete", "Failed"] {
        let (mut world, key) = world(Some(10), condition);
        world.now = at("2026-03-01T10:00:09.5Z");
        assert_eq!(world.reconcile(Controller::Ttl, &key), Some(at("2026-03-01T10:00:10Z")));
        assert!(world.get(&key).unwrap().meta().deleted.is_none());
        world.now = at("2026-03-01T10:00:10Z");
        assert_eq!(world.reconcile(Controller::Ttl, &key), None);
        let meta = world.get(&key).unwrap().meta();
        assert!(meta.deleted.is_some(), "{condition}");
        assert_eq!(meta.finalizers[0].as_ref(), "foregroundDeletion", "its pods go first");
        assert!(world.plan(Controller::Ttl, &key).transaction.is_empty());
    }
}

#[test]
fn zero_means_at_once() {
    let (mut world, key) = world(Some(0), "Complete");
    world.reconcile(Controller::Ttl, &key);
    assert!(world.get(&key).unwrap().meta().deleted.is_some());
}

#[test]
fn jobs_without_a_limit_or_an_end_stay() {
    for (ttl, condition) in [(None, "Complete"), (Some(0), "Suspended"), (Some(0), "FailureTarget")] {
        let (mut world, key) = world(ttl, condition);
        world.now = at("2027-03-01T10:00:00Z");
        let plan = world.plan(Controller::Ttl, &key);
        assert!(plan.transaction.is_empty() && plan.wake_at.is_none(), "{condition}");
    }
}
