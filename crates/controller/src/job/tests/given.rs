//! The Job and the pods that the cases are about.

use cronlet_object::{
    Ids, Key, Kind, Transaction, Write,
    admit::{self, Subresource},
    api::{Job, Pod},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Controller, testing::World};

/// Passes after which a Job that still changes is taken to never come to rest.
const PASSES_MAX: usize = 100;

/// A world at the time at which all cases play.
pub(super) fn world() -> World {
    World::new("2026-03-01T12:00:00Z")
}

/// Lets the Job controller work, then the others, until nothing changes.
pub(super) fn settle(world: &mut World) {
    for _ in 0..PASSES_MAX {
        let plan = world.plan(Controller::Job, &job_key());
        if plan.transaction.is_empty() {
            let before = world.snapshot.revision();
            world.settle_all();
            if world.snapshot.revision() == before {
                return;
            }
        } else {
            check_status(world, &plan.transaction);
            world.commit(plan.transaction);
        }
    }
    panic!("the Job does not come to rest");
}

/// Panics if the API server would refuse the status that a transaction writes, had a client sent it.
pub(super) fn check_status(world: &World, transaction: &Transaction) {
    for write in &transaction.writes {
        let (Write::Update { draft, .. }, Kind::Job) = (write, write.key().kind) else { continue };
        let stored = world.get(draft.key()).expect("an updated Job is stored");
        let new = draft.clone().seal(stored.revision()).typed();
        let mut context = admit::Context { now: world.now, ids: &mut Ids::seeded(1) };
        if let Err(error) = admit::update(stored, new, Subresource::Status, &mut context) {
            panic!("{error}");
        }
    }
}

/// The key of the one Job that most tests are about.
pub(super) fn job_key() -> Key {
    Key::new(Kind::Job, "default", "job")
}

/// That Job, with a spec; as the API server completes it as far as the controller cares.
pub(super) fn job(spec: &Value, status: &Value, created: Timestamp) -> Job {
    let mut job = json!({
        "metadata": {"name": "job", "namespace": "default", "uid": "job-uid", "generation": 1,
            "creationTimestamp": created},
        "spec": {
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "job-uid"}},
            "template": {
                "metadata": {"labels": pod_labels()},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]},
            },
        },
        "status": status,
    });
    merge(&mut job["spec"], spec);
    serde_json::from_value(job).expect("the Job of a case is a Job")
}

/// The labels of that Job's pods.
pub(super) fn pod_labels() -> Value {
    json!({"batch.kubernetes.io/controller-uid": "job-uid", "batch.kubernetes.io/job-name": "job"})
}

/// A pod of that Job: bound to a node and tracked, with `patch` merged in.
pub(super) fn pod(name: &str, created: Timestamp, patch: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "creationTimestamp": created,
            "labels": pod_labels(),
            "finalizers": ["batch.kubernetes.io/job-tracking"],
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "job-uid",
                "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {"nodeName": "node", "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "main", "image": "busybox"}]},
        "status": {"phase": "Pending"},
    });
    merge(&mut pod, patch);
    serde_json::from_value(pod).expect("the pod of a case is a pod")
}

/// Merges `patch` into `target` (RFC 7386).
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
