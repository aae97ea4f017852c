//! Who is woken by what.

use cronlet_object::{
    Resource, Write,
    api::{CronJob, Event, Job, Namespace, Node, PersistentVolumeClaim, Pod, Time},
};
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, at};

/// What replacing or adding an object wakes, as `Controller name`.
fn woken<T: Resource>(world: &mut World, object: Value) -> Vec<String> {
    let metadata: cronlet_object::api::ObjectMeta =
        serde_json::from_value(object["metadata"].clone()).unwrap();
    let namespace = if T::OBJECT_KIND.descriptor().namespaced { "default" } else { "" };
    let key = Key::new(T::OBJECT_KIND, namespace, metadata.name.unwrap());
    let old = world.get(&key).cloned();
    world.put_json::<T>(object);
    let new = world.get(&key).cloned();
    shown(world, &Change { revision: world.snapshot.revision(), old, new })
}

fn shown(world: &World, change: &Change) -> Vec<String> {
    let pairs = affected(change, &world.snapshot);
    pairs.iter().map(|(controller, key)| format!("{controller:?} {}", key.name)).collect()
}

fn owner(kind: &str, name: &str) -> Value {
    let api_version = if kind == "Pod" { "v1" } else { "batch/v1" };
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "uid": format!("uid-of-{name}"), "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn removed(world: &mut World, key: &Key) -> Vec<String> {
    let expect = world.get(key).unwrap().revision();
    let writes = vec![Write::Delete { key: key.clone(), expect }];
    let changes = world.commit(cronlet_object::Transaction { writes, ..Default::default() });
    shown(world, &changes[0])
}

#[test]
fn a_job_wakes_its_controllers() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let spec = json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": {}}}});
    assert_eq!(
        woken::<CronJob>(&mut world, json!({"metadata": {"name": "cj"}, "spec": spec})),
        ["CronJob cj"]
    );
    let job = json!({
        "metadata": {"name": "j", "ownerReferences": [owner("CronJob", "cj")]}, "spec": {"template": {}},
    });
    assert_eq!(woken::<Job>(&mut world, job), ["CronJob cj", "Job j", "Ttl j"]);
    let orphaned = json!({"metadata": {"name": "j"}, "spec": {"template": {}}});
    assert_eq!(
        woken::<Job>(&mut world, orphaned),
        ["CronJob cj", "Job j", "Ttl j"],
        "the former owner as well"
    );
}

#[test]
fn the_start_of_a_job_wakes_everyone_but_who_started_it() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = world.put_json::<CronJob>(json!({
        "metadata": {"name": "cj", "creationTimestamp": "2026-03-01T09:59:30Z", "annotations": {"a": "b"}},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.36"}],
        }}}}},
    }));
    let plan = world.plan(Controller::CronJob, &key);
    let changes = world.commit(plan.transaction);
    let woken: Vec<String> = changes.iter().flat_map(|change| shown(&world, change)).collect();
    assert_eq!(woken, ["Job cj-29539320", "Ttl cj-29539320"]);

    let edit = |world: &mut World, change: &dyn Fn(&mut CronJob)| {
        let old = world.get(&key).cloned();
        let mut cron_job = world.decode::<CronJob>(&key);
        change(&mut cron_job);
        world.put(&cron_job);
        shown(world, &Change { revision: world.snapshot.revision(), old, new: world.get(&key).cloned() })
    };
    let cleared = edit(&mut world, &|cron_job| cron_job.status.as_mut().unwrap().active = None);
    assert_eq!(cleared, ["CronJob cj"], "a change of the status by someone else");
    let annotated = edit(&mut world, &|cron_job| cron_job.metadata.annotations = None);
    assert_eq!(annotated, ["CronJob cj"]);
    let both = edit(&mut world, &|cron_job| {
        cron_job.spec.suspend = Some(true);
        cron_job.status.as_mut().unwrap().last_schedule_time = Some(Time(at("2026-03-01T10:05:00Z")));
    });
    assert_eq!(both, ["CronJob cj"]);
}

#[test]
fn a_pod_wakes_its_job_and_the_scheduler_while_it_waits() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Job>(json!({"metadata": {"name": "j"}, "spec": {"template": {}}}));
    let metadata = json!({
        "name": "p", "ownerReferences": [owner("Job", "j")], "finalizers": ["batch.kubernetes.io/job-tracking"],
    });
    let pod = json!({"metadata": metadata, "spec": {"containers": []}});
    assert_eq!(woken::<Pod>(&mut world, pod), ["Job j", "PodStart p", "Scheduler p"]);
    let bound = json!({"metadata": metadata, "spec": {"containers": [], "nodeName": "here"}});
    assert_eq!(woken::<Pod>(&mut world, bound), ["Job j"]);
    let wakes = removed(&mut world, &Key::new(Kind::Job, "default", "j"));
    assert_eq!(wakes, ["Job j", "JobPod p", "Garbage p", "Ttl j"]);
}

#[test]
fn a_claim_wakes_the_pods_that_wait() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Pod>(json!({"metadata": {"name": "waits"}, "spec": {"containers": []}}));
    world.put_json::<Pod>(
        json!({"metadata": {"name": "runs"}, "spec": {"containers": [], "nodeName": "here"}}),
    );
    let wakes = woken::<PersistentVolumeClaim>(&mut world, json!({"metadata": {"name": "data"}}));
    assert_eq!(wakes, ["Claim data", "Scheduler waits"]);
}

#[test]
fn the_status_of_the_node_wakes_nobody() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Pod>(json!({"metadata": {"name": "waits"}, "spec": {"containers": []}}));
    let node = |labels: Value, status: Value| json!({"metadata": {"name": "here", "labels": labels}, "spec": {}, "status": status});
    assert_eq!(woken::<Node>(&mut world, node(json!({}), json!({}))), ["Scheduler waits"]);
    assert!(woken::<Node>(&mut world, node(json!({}), json!({"phase": "Running"}))).is_empty());
    assert_eq!(woken::<Node>(&mut world, node(json!({"a": "b"}), json!({}))), ["Scheduler waits"]);
}

#[test]
fn events_wake_nobody() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {}});
    assert!(woken::<Event>(&mut world, event).is_empty());
    assert!(removed(&mut world, &Key::new(Kind::Event, "default", "e")).is_empty());
}

#[test]
fn the_end_of_a_dependent_wakes_an_owner_that_waits_for_it() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Pod>(json!({
        "metadata": {
            "name": "owner", "finalizers": ["foregroundDeletion"], "deletionTimestamp": "2026-03-01T10:00:00Z",
        },
        "spec": {"containers": [], "nodeName": "here"},
    }));
    let key = world.put_json::<Event>(json!({
        "metadata": {"name": "dependent", "ownerReferences": [owner("Pod", "owner")]}, "involvedObject": {},
    }));
    assert_eq!(removed(&mut world, &key), ["Garbage owner"]);
}

#[test]
fn removals_wake_a_namespace_that_ends() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = world.put_json::<Event>(json!({"metadata": {"name": "e"}, "involvedObject": {}}));
    let mut namespace = world.decode::<Namespace>(&Key::new(Kind::Namespace, "", "default"));
    namespace.metadata.deletion_timestamp = Some(Time(world.now));
    world.put(&namespace);
    assert_eq!(removed(&mut world, &key), ["Namespace default"]);
}

#[test]
fn at_the_start_everything_is_looked_at_once() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Job>(json!({"metadata": {"name": "j"}, "spec": {"template": {}}}));
    world.put_json::<Pod>(json!({
        "metadata": {"name": "p", "ownerReferences": [owner("Job", "gone")]}, "spec": {"containers": []},
    }));
    let found: Vec<String> =
        all(&world.snapshot).map(|(controller, key)| format!("{controller:?} {}", key.name)).collect();
    assert_eq!(
        found,
        [
            "Namespace default",
            "Job j",
            "Ttl j",
            "JobPod p",
            "PodStart p",
            "Scheduler p",
            "Garbage p",
            "EventExpiry "
        ]
    );
}
