//! How claims are bound, refused and protected.

use cronlet_object::{
    Key, Kind,
    api::{Pod, Time},
    claim::directory_name,
};
use serde_json::{Value, json};

use super::*;
use crate::{Controller, testing::World};

fn claim(world: &mut World, spec: &Value) -> Key {
    let mut object = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    world.put_json::<PersistentVolumeClaim>(object)
}

#[test]
fn a_claim_is_bound_at_once_to_a_volume_of_its_own() {
    for spec in [json!({}), json!({"storageClassName": "cronlet-local"})] {
        let mut world = World::new("2026-03-01T10:00:00Z");
        let key = claim(&mut world, &spec);
        world.reconcile(Controller::Claim, &key);
        let bound = world.decode::<PersistentVolumeClaim>(&key);
        assert_eq!(directory_name(&bound).as_deref(), Some("pvc-uid-of-data"));
        let spec = bound.spec.unwrap();
        assert_eq!(spec.storage_class_name.as_deref(), Some("cronlet-local"));
        let status = bound.status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Bound"));
        assert_eq!(status.capacity.unwrap()["storage"].0, "1Gi");
        assert_eq!(status.access_modes.unwrap(), ["ReadWriteOnce"]);
        assert_eq!(bound.metadata.annotations.unwrap()["pv.kubernetes.io/bind-completed"], "yes");
        assert_eq!(bound.metadata.finalizers.unwrap(), ["kubernetes.io/pvc-protection"]);
        assert!(world.plan(Controller::Claim, &key).transaction.is_empty());
    }
}

#[test]
fn what_is_not_offered_stays_pending_and_is_told_once() {
    for (spec, reason, message) in [
        (
            json!({"storageClassName": "fast-ssd"}),
            "Warning ProvisioningFailed",
            "storageclass.storage.k8s.io \"fast-ssd\" not found",
        ),
        (
            json!({"storageClassName": ""}),
            "Normal FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        ),
        (json!({"volumeMode": "Block"}), "Warning ProvisioningFailed", "not block devices"),
    ] {
        let mut world = World::new("2026-03-01T10:00:00Z");
        let key = claim(&mut world, &spec);
        for _ in 0..3 {
            world.reconcile(Controller::Claim, &key);
        }
        let pending = world.decode::<PersistentVolumeClaim>(&key);
        assert_eq!(pending.status.unwrap().phase.as_deref(), Some("Pending"));
        assert_eq!(world.events(), [(reason.to_owned(), 1)]);
        let event = world.snapshot.list(Kind::Event).next().unwrap();
        assert!(event.value()["message"].as_str().unwrap().contains(message), "{}", event.json());
    }
}

#[test]
fn a_claim_for_a_volume_that_nobody_makes_waits_in_silence() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = claim(&mut world, &json!({"volumeName": "nfs-1"}));
    world.reconcile(Controller::Claim, &key);
    assert_eq!(world.decode::<PersistentVolumeClaim>(&key).status.unwrap().phase.as_deref(), Some("Pending"));
    assert_eq!(world.events(), []);
}

#[test]
fn a_deleted_claim_goes_when_no_pod_uses_it_any_more() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = claim(&mut world, &json!({}));
    world.reconcile(Controller::Claim, &key);
    let pod = |name: &str, node: Option<&str>, claim: &str, phase: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {
                "containers": [], "nodeName": node,
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}, {"name": "e", "emptyDir": {}}],
            },
            "status": {"phase": phase},
        })
    };
    world.put_json::<Pod>(pod("done", Some("here"), "data", "Succeeded"));
    world.put_json::<Pod>(pod("elsewhere", Some("here"), "other", "Running"));
    world.put_json::<Pod>(pod("unbound", None, "data", "Pending"));
    let user = world.put_json::<Pod>(pod("user", Some("here"), "data", "Running"));
    let mut ending = world.decode::<PersistentVolumeClaim>(&key);
    ending.metadata.deletion_timestamp = Some(Time(world.now));
    ending.metadata.deletion_grace_period_seconds = Some(0);
    world.put(&ending);
    assert!(world.plan(Controller::Claim, &key).transaction.is_empty());
    world.remove(&user);
    assert!(world.get(&key).is_none(), "the end of the last user ends the claim");
}
