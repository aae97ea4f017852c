//! How namespaces begin and end.

use cronlet_object::{
    Key, Kind,
    api::{ConfigMap, CronJob, Pod},
};
use serde_json::json;

use super::*;
use crate::{
    Controller,
    testing::{World, at},
};

fn key(name: &str) -> Key {
    Key::new(Kind::Namespace, "", name)
}

fn delete(world: &mut World, name: &str) {
    let write = deletion::write(world.get(&key(name)).unwrap(), Propagation::Background, world.now).unwrap();
    let transaction = cronlet_object::Transaction { writes: Vec::from_iter(write), ..Default::default() };
    let changes = world.commit(transaction);
    world.settle(&changes);
}

#[test]
fn a_new_namespace_gets_what_clients_expect() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.settings.cluster_ca = Some("-----BEGIN CERTIFICATE-----".into());
    world.settle_all();
    assert_eq!(world.names(Kind::ServiceAccount), ["default"]);
    let config_map = Key::new(Kind::ConfigMap, "default", "kube-root-ca.crt");
    assert_eq!(world.decode::<ConfigMap>(&config_map).data.unwrap()["ca.crt"], "-----BEGIN CERTIFICATE-----");
    assert!(world.plan(Controller::Namespace, &key("default")).transaction.is_empty());
}

#[test]
fn what_was_removed_or_altered_is_restored() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.settings.cluster_ca = Some("old".into());
    world.settle_all();
    world.remove(&Key::new(Kind::ServiceAccount, "default", "default"));
    assert_eq!(world.names(Kind::ServiceAccount), ["default"]);
    world.settings.cluster_ca = Some("new".into());
    world.settle_all();
    let config_map = Key::new(Kind::ConfigMap, "default", "kube-root-ca.crt");
    assert_eq!(world.decode::<ConfigMap>(&config_map).data.unwrap()["ca.crt"], "new");
}

#[test]
fn without_a_certificate_there_is_none_to_hand_out() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.settle_all();
    assert_eq!(world.names(Kind::ConfigMap), Vec::<String>::new());
}

#[test]
fn a_namespace_goes_after_its_content() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.namespace("doomed");
    world.settle_all();
    for i in 0..BATCH_OBJECTS_MAX + 5 {
        world.put_json::<ConfigMap>(json!({"metadata": {"namespace": "doomed", "name": format!("c{i}")}}));
    }
    world.put_json::<ConfigMap>(json!({"metadata": {"name": "spared"}}));
    let pod = world.put_json::<Pod>(json!({
        "metadata": {"namespace": "doomed", "name": "running"},
        "spec": {"containers": [], "nodeName": "here", "terminationGracePeriodSeconds": 30},
        "status": {"phase": "Running"},
    }));
    world.put_json::<CronJob>(json!({
        "metadata": {"namespace": "doomed", "name": "minutely", "creationTimestamp": "2026-03-01T09:00:00Z"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {}}}},
    }));
    delete(&mut world, "doomed");
    assert!(world.get(&pod).unwrap().meta().deleted.is_some(), "the pod has its time to stop");
    assert!(world.get(&key("doomed")).is_some(), "and the namespace waits for it");
    let left = world.snapshot.iter().filter(|object| object.namespace() == "doomed").count();
    assert_eq!(left, 1);
    world.remove(&pod);
    assert!(world.get(&key("doomed")).is_none());
    assert_eq!(world.names(Kind::ConfigMap), ["spared"]);
}

#[test]
fn a_finalizer_on_the_namespace_keeps_it() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Namespace>(json!({
        "metadata": {
            "name": "held", "finalizers": ["example.com/hold"], "deletionTimestamp": at("2026-03-01T10:00:00Z"),
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Terminating"},
    }));
    world.reconcile(Controller::Namespace, &key("held"));
    let held = world.decode::<Namespace>(&key("held"));
    assert_eq!(held.spec.unwrap().finalizers, None);
    assert_eq!(held.metadata.finalizers.unwrap(), ["example.com/hold"]);
    assert!(world.plan(Controller::Namespace, &key("held")).transaction.is_empty());
}
