//! All controllers together, driven as the node drives them.

use cronlet_object::{
    Change, Key, Kind,
    api::{CronJob, Job, Node, PersistentVolumeClaim, Pod, Time},
};
use serde_json::json;

use crate::{
    Controller,
    testing::{World, at},
};

/// A node and a CronJob that is due at 10:00 and needs the claim `data`.
fn world() -> (World, Key) {
    let mut world = World::new("2026-03-01T09:59:30Z");
    world.put_json::<Node>(json!({"metadata": {"name": "here"}}));
    let key = world.put_json::<CronJob>(json!({
        "metadata": {"name": "nightly"},
        "spec": {
            "schedule": "0 10 * * *", "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "c", "image": "busybox:1.36", "command": ["true"]}],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
            }}}},
        },
    }));
    world.settle_all();
    (world, key)
}

fn tick(world: &mut World, key: &Key) {
    world.now = at("2026-03-01T10:00:00Z");
    let plan = world.plan(Controller::CronJob, key);
    let changes = world.commit(plan.transaction);
    world.settle(&changes);
}

fn the_pod(world: &World) -> Key {
    let pods: Vec<_> = world.snapshot.list(Kind::Pod).collect();
    assert_eq!(pods.len(), 1);
    pods[0].key().clone()
}

fn rewrite(world: &mut World, key: &Key, change: impl FnOnce(&mut Pod)) {
    let old = world.get(key).cloned();
    let mut pod = world.decode::<Pod>(key);
    change(&mut pod);
    world.put(&pod);
    let new = world.get(key).cloned();
    world.settle(&[Change { revision: world.snapshot.revision(), old, new }]);
}

#[test]
fn a_tick_becomes_a_bound_pod_and_its_success_comes_back() {
    let (mut world, key) = world();
    tick(&mut world, &key);
    let pod = the_pod(&world);
    assert_eq!(world.decode::<Pod>(&pod).spec.unwrap().node_name, None, "its claim does not exist");

    world.default_class();
    let claim = world.put_json::<PersistentVolumeClaim>(json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    }));
    let new = world.get(&claim).cloned();
    world.settle(&[Change { revision: world.snapshot.revision(), old: None, new }]);
    assert_eq!(world.decode::<Pod>(&pod).spec.unwrap().node_name.as_deref(), Some("here"));

    world.now = at("2026-03-01T10:00:05Z");
    rewrite(&mut world, &pod, |pod| {
        pod.status.get_or_insert_default().phase = Some("Succeeded".into());
    });
    let status = world.decode::<CronJob>(&key).status.unwrap();
    assert_eq!(status.active, None);
    assert_eq!(status.last_successful_time, Some(Time(at("2026-03-01T10:00:05Z"))));
    let job = world.decode::<Job>(&Key::new(Kind::Job, "default", "nightly-29539320"));
    assert_eq!(job.status.unwrap().succeeded, Some(1));
}

#[test]
fn deleting_a_cron_job_takes_everything_it_made_with_it() {
    let (mut world, key) = world();
    tick(&mut world, &key);
    assert_eq!(world.names(Kind::Job).len(), 1);
    world.remove(&key);
    assert_eq!((world.names(Kind::Job), world.names(Kind::Pod)), (vec![], vec![]));
}

#[test]
fn after_a_start_from_what_is_stored_nothing_is_done_twice() {
    let (mut world, key) = world();
    tick(&mut world, &key);
    let revision = world.snapshot.revision();
    world.settle_all();
    assert_eq!(world.snapshot.revision(), revision);
}
