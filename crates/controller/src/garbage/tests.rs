//! What becomes of dependents, settled through [`affected`](crate::affected) as the node would.

use cronlet_object::{
    Change, Key, Kind,
    api::{ConfigMap, Secret},
};
use serde_json::{Value, json};

use super::*;
use crate::{Controller, testing::World};

/// An owner reference to the ConfigMap `name`, whose UID the test world derives from the name.
fn owned_by(name: &str, blocking: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": format!("uid-of-{name}"),
        "blockOwnerDeletion": blocking,
    })
}

fn put(world: &mut World, name: &str, owners: &[Value]) -> Key {
    world.put_json::<ConfigMap>(json!({"metadata": {"name": name, "ownerReferences": owners}}))
}

/// Deletes as a client would, and lets everything follow.
fn delete(world: &mut World, key: &Key, propagation: Propagation) {
    let old = world.get(key).unwrap().clone();
    let write = deletion::write(&old, propagation, world.now).unwrap();
    let transaction = cronlet_object::Transaction { writes: Vec::from_iter(write), ..Default::default() };
    let changes: Vec<Change> = world.commit(transaction);
    world.settle(&changes);
}

#[test]
fn dependents_follow_their_last_owner() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let (a, _) = (put(&mut world, "a", &[]), put(&mut world, "b", &[]));
    put(&mut world, "of-a", &[owned_by("a", false)]);
    put(&mut world, "of-both", &[owned_by("a", false), owned_by("b", false)]);
    put(&mut world, "of-of-a", &[owned_by("of-a", false)]);
    delete(&mut world, &a, Propagation::Background);
    assert_eq!(world.names(Kind::ConfigMap), ["b", "of-both"]);
    let left = world.get(&Key::new(Kind::ConfigMap, "default", "of-both")).unwrap();
    assert_eq!(left.meta().owners.len(), 1, "the reference to what is gone is taken out");
}

#[test]
fn foreground_deletion_waits_for_those_that_block_it() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let owner = put(&mut world, "owner", &[]);
    put(&mut world, "free", &[owned_by("owner", false)]);
    let held = world.put_json::<ConfigMap>(json!({"metadata": {
        "name": "held", "ownerReferences": [owned_by("owner", true)], "finalizers": ["example.com/hold"],
    }}));
    put(&mut world, "below", &[owned_by("held", true)]);
    delete(&mut world, &owner, Propagation::Foreground);
    assert_eq!(world.names(Kind::ConfigMap), ["free", "held", "owner"]);
    assert!(world.get(&held).unwrap().meta().deleted.is_some());
    world.remove(&held);
    assert_eq!(world.names(Kind::ConfigMap), Vec::<String>::new());
}

#[test]
fn orphans_lose_their_owner_and_stay() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let owner = put(&mut world, "owner", &[]);
    let dependents: Vec<Key> = (0..BATCH_OBJECTS_MAX + 3)
        .map(|i| put(&mut world, &format!("d{i}"), &[owned_by("owner", true)]))
        .collect();
    delete(&mut world, &owner, Propagation::Orphan);
    assert!(world.get(&owner).is_none());
    assert!(dependents.iter().all(|key| world.get(key).is_some_and(|d| d.meta().owners.is_empty())));
}

#[test]
fn a_circle_of_owners_can_be_deleted_in_the_foreground() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let a = put(&mut world, "a", &[owned_by("b", true)]);
    put(&mut world, "b", &[owned_by("a", true)]);
    delete(&mut world, &a, Propagation::Foreground);
    assert_eq!(world.names(Kind::ConfigMap), Vec::<String>::new());
}

#[test]
fn an_owner_of_another_uid_or_namespace_is_no_owner() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.namespace("elsewhere");
    put(&mut world, "owner", &[]);
    let mut other_uid = owned_by("owner", false);
    other_uid["uid"] = json!("another");
    put(&mut world, "stale", &[other_uid]);
    world.put_json::<ConfigMap>(json!({"metadata": {
        "name": "across", "namespace": "elsewhere", "ownerReferences": [owned_by("owner", false)],
    }}));
    put(&mut world, "own", &[owned_by("owner", false)]);
    world.settle_all();
    assert_eq!(
        world.names(Kind::ConfigMap).iter().filter(|name| *name != "kube-root-ca.crt").collect::<Vec<_>>(),
        ["own", "owner"]
    );
}

#[test]
fn what_may_be_owned_by_an_unknown_kind_is_left_alone() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let mut custom = owned_by("x", false);
    custom["apiVersion"] = json!("example.com/v1");
    custom["kind"] = json!("Widget");
    put(&mut world, "of-a-widget", &[custom, owned_by("gone", false)]);
    let node = world.put_json::<cronlet_object::api::Node>(
        json!({"metadata": {"name": "here", "ownerReferences": [owned_by("gone", false)]}}),
    );
    world.settle_all();
    assert_eq!(world.names(Kind::ConfigMap), ["of-a-widget"]);
    assert!(world.get(&node).is_some(), "an object without namespace cannot be owned by one with");
}

#[test]
fn large_families_go_in_batches() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let owner = world.put_json::<Secret>(json!({"metadata": {"name": "owner"}}));
    let reference = json!({
        "apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": "uid-of-owner", "blockOwnerDeletion": true,
    });
    for i in 0..BATCH_OBJECTS_MAX + 1 {
        put(&mut world, &format!("d{i}"), std::slice::from_ref(&reference));
    }
    let write = deletion::write(world.get(&owner).unwrap(), Propagation::Foreground, world.now).unwrap();
    world.commit(cronlet_object::Transaction { writes: Vec::from_iter(write), ..Default::default() });
    let plan = world.plan(Controller::Garbage, &owner);
    assert_eq!((plan.transaction.writes.len(), plan.wake_at), (BATCH_OBJECTS_MAX, Some(world.now)));
    world.commit(plan.transaction);
    world.settle_all();
    assert!(world.names(Kind::ConfigMap).is_empty() && world.get(&owner).is_none());
}
