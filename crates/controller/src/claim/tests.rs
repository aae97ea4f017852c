//! How claims are bound, refused and protected, and what becomes of their volumes.

use cronlet_object::{
    Key, Kind,
    api::{Node, Pod, Time},
};
use serde_json::{Value, json};

use super::*;
use crate::{Controller, testing::World};

fn world() -> World {
    World::new("2026-03-01T10:00:00Z")
}

fn merged(mut object: Value, spec: &Value) -> Value {
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

fn claim(world: &mut World, spec: &Value) -> Key {
    let object = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    world.put_json::<PersistentVolumeClaim>(merged(object, spec))
}

/// A volume that was made by hand, without a class.
fn volume(world: &mut World, name: &str, spec: &Value) -> Key {
    let object = json!({
        "metadata": {"name": name, "labels": {"disk": name}},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/srv"}, "persistentVolumeReclaimPolicy": "Retain",
        },
        "status": {"phase": "Pending"},
    });
    world.put_json::<PersistentVolume>(merged(object, spec))
}

fn pod(world: &mut World, name: &str, node: Option<&str>, phase: &str) -> Key {
    world.put_json::<Pod>(json!({
        "metadata": {"name": name},
        "spec": {
            "containers": [], "nodeName": node,
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "e", "emptyDir": {}}],
        },
        "status": {"phase": phase},
    }))
}

fn phase_of_claim(world: &World, key: &Key) -> String {
    world.decode::<PersistentVolumeClaim>(key).status.unwrap().phase.unwrap()
}

fn volume_of_claim(world: &World, key: &Key) -> Option<String> {
    world.decode::<PersistentVolumeClaim>(key).spec.unwrap().volume_name
}

fn phase_of_volume(world: &World, key: &Key) -> String {
    world.decode::<PersistentVolume>(key).status.unwrap().phase.unwrap()
}

fn reasons(world: &World) -> Vec<String> {
    world.events().into_iter().map(|(event, _)| event).collect()
}

#[test]
fn a_claim_without_a_class_gets_a_volume_when_a_pod_needs_it() {
    let mut world = world();
    world.default_class();
    let key = claim(&mut world, &json!({}));
    world.settle_all();
    assert_eq!(phase_of_claim(&world, &key), "Pending");
    assert_eq!(reasons(&world), ["Normal WaitForFirstConsumer"]);
    world.put_json::<Node>(json!({"metadata": {"name": "here"}}));
    let pod = pod(&mut world, "p", None, "Pending");
    world.settle_all();
    assert_eq!(
        reasons(&world),
        [
            "Normal WaitForFirstConsumer",
            "Normal Provisioning",
            "Normal ProvisioningSucceeded",
            "Normal Scheduled"
        ]
    );
    assert_eq!(world.decode::<Pod>(&pod).spec.unwrap().node_name.as_deref(), Some("here"));

    let bound = world.decode::<PersistentVolumeClaim>(&key);
    let (spec, status) = (bound.spec.unwrap(), bound.status.unwrap());
    assert_eq!(spec.storage_class_name.as_deref(), Some("standard"));
    assert_eq!(spec.volume_name.as_deref(), Some("pvc-uid-of-data"));
    assert_eq!(status.phase.as_deref(), Some("Bound"));
    assert_eq!(status.capacity.unwrap()["storage"].0, "1Gi");
    assert_eq!(status.access_modes.unwrap(), ["ReadWriteOnce"]);
    let annotations = bound.metadata.annotations.unwrap();
    assert_eq!(annotations["pv.kubernetes.io/bind-completed"], "yes");
    assert_eq!(annotations["volume.kubernetes.io/selected-node"], "here");
    assert_eq!(annotations["volume.kubernetes.io/storage-provisioner"], "cronlet.dev/directory");
    assert_eq!(bound.metadata.finalizers.unwrap(), ["kubernetes.io/pvc-protection"]);

    let made = Key::new(Kind::PersistentVolume, "", "pvc-uid-of-data");
    let made = world.get(&made).unwrap().value();
    assert_eq!(made["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"], "cronlet.dev/directory");
    assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection"]));
    let spec = &made["spec"];
    assert_eq!(spec["local"]["path"], "/data/volumes/pvc-uid-of-data");
    assert_eq!(spec["capacity"]["storage"], "1Gi");
    assert_eq!(spec["persistentVolumeReclaimPolicy"], "Delete");
    assert_eq!(
        (&spec["claimRef"]["name"], &spec["claimRef"]["uid"]),
        (&json!("data"), &json!("uid-of-data"))
    );
    let affinity = &spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!(affinity["values"], json!(["here"]));
    assert_eq!(made["status"]["phase"], "Bound");
    assert!(world.plan(Controller::Claim, &key).transaction.is_empty());
}

#[test]
fn a_class_may_bind_at_once() {
    let mut world = world();
    world.class("fast", &json!({"volumeBindingMode": "Immediate", "reclaimPolicy": "Retain"}));
    let key = claim(&mut world, &json!({"storageClassName": "fast"}));
    world.settle_all();
    assert_eq!(phase_of_claim(&world, &key), "Bound");
    let made = world.decode::<PersistentVolume>(&Key::new(Kind::PersistentVolume, "", "pvc-uid-of-data"));
    assert_eq!(made.spec.unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
}

#[test]
fn what_is_not_offered_stays_pending_and_is_told_once() {
    let at_once = json!({"volumeBindingMode": "Immediate"});
    let mine = json!({"volumeBindingMode": "Immediate", "provisioner": "csi.example.com"});
    let by_hand = json!({"volumeBindingMode": "Immediate", "provisioner": "kubernetes.io/no-provisioner"});
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
        (
            json!({}),
            "Normal FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        ),
        (
            json!({"storageClassName": "at-once", "volumeMode": "Block"}),
            "Warning ProvisioningFailed",
            "not block devices",
        ),
        (
            json!({"storageClassName": "at-once", "selector": {}}),
            "Warning ProvisioningFailed",
            "failed to provision volume with StorageClass \"at-once\": claim.Spec.Selector is not supported",
        ),
        (
            json!({"storageClassName": "by-hand"}),
            "Warning ProvisioningFailed",
            "no volume plugin matched name: kubernetes.io/no-provisioner",
        ),
        (
            json!({"storageClassName": "mine"}),
            "Normal ExternalProvisioning",
            "Waiting for a volume to be created either by the external provisioner 'csi.example.com' or manually",
        ),
    ] {
        let mut world = world();
        for (name, fields) in [("at-once", &at_once), ("mine", &mine), ("by-hand", &by_hand)] {
            world.class(name, fields);
        }
        let key = claim(&mut world, &spec);
        for _ in 0..3 {
            world.reconcile(Controller::Claim, &key);
        }
        assert_eq!(phase_of_claim(&world, &key), "Pending");
        assert_eq!(world.events(), [(reason.to_owned(), 1)], "{spec}");
        let event = world.snapshot.list(Kind::Event).next().unwrap();
        assert!(event.value()["message"].as_str().unwrap().contains(message), "{}", event.json());
    }
}

#[test]
fn a_claim_for_a_volume_that_nobody_makes_waits_in_silence() {
    let mut world = world();
    let key = claim(&mut world, &json!({"volumeName": "nfs-1"}));
    world.settle_all();
    assert_eq!(phase_of_claim(&world, &key), "Pending");
    assert_eq!(world.events(), []);
    volume(&mut world, "nfs-1", &json!({}));
    world.settle_all();
    assert_eq!(phase_of_claim(&world, &key), "Bound");
}

#[test]
fn the_smallest_volume_that_fits_is_taken() {
    for (spec, expected) in [
        (json!({"storageClassName": ""}), Some("fits")),
        (json!({"storageClassName": "", "selector": {"matchLabels": {"disk": "large"}}}), Some("large")),
        (json!({"storageClassName": "", "accessModes": ["ReadWriteMany"]}), Some("shared")),
        (json!({"storageClassName": "", "resources": {"requests": {"storage": "1Ti"}}}), None),
        (json!({"storageClassName": "other"}), Some("classy")),
        (json!({"storageClassName": "", "volumeMode": "Block"}), None),
    ] {
        let mut world = world();
        let with_size = |size: &str| json!({"capacity": {"storage": size}});
        volume(&mut world, "large", &with_size("5Gi"));
        volume(&mut world, "fits", &with_size("2Gi"));
        volume(&mut world, "small", &with_size("1Mi"));
        volume(&mut world, "shared", &json!({"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}));
        volume(&mut world, "classy", &json!({"storageClassName": "other"}));
        volume(&mut world, "taken", &json!({"claimRef": {"namespace": "default", "name": "other"}}));
        let key = claim(&mut world, &spec);
        world.settle_all();
        assert_eq!(volume_of_claim(&world, &key).as_deref(), expected, "{spec}");
        let available: Vec<Key> =
            world.snapshot.list(Kind::PersistentVolume).map(|object| object.key().clone()).collect();
        for volume in available {
            let bound = expected == Some(&*volume.name);
            assert_eq!(
                phase_of_volume(&world, &volume),
                if bound { "Bound" } else { "Available" },
                "{volume}"
            );
        }
    }
}

#[test]
fn a_volume_can_be_reserved_for_a_claim() {
    let mut world = world();
    world.default_class();
    let reserved = json!({"namespace": "default", "name": "data"});
    let spec = json!({"claimRef": reserved, "capacity": {"storage": "9Gi"}, "storageClassName": "standard"});
    volume(&mut world, "a-small", &json!({"storageClassName": "standard"}));
    let disk = volume(&mut world, "mine", &spec);
    let key = claim(&mut world, &json!({}));
    world.settle_all();
    assert_eq!(volume_of_claim(&world, &key).as_deref(), Some("mine"), "it need not wait for a pod");
    let bound = world.decode::<PersistentVolume>(&disk);
    assert_eq!(bound.spec.unwrap().claim_ref.unwrap().uid.as_deref(), Some("uid-of-data"));
    let status = world.decode::<PersistentVolumeClaim>(&key).status.unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "9Gi", "what the volume has");
}

#[test]
fn a_volume_that_is_asked_for_must_fit() {
    for (spec, reason, message) in [
        (
            json!({"capacity": {"storage": "1Mi"}}),
            "Warning VolumeMismatch",
            "Cannot bind to requested volume \"mine\": requested PV is too small",
        ),
        (json!({"storageClassName": "x"}), "Warning VolumeMismatch", "storageClassName does not match"),
        (json!({"accessModes": ["ReadOnlyMany"]}), "Warning VolumeMismatch", "incompatible accessMode"),
        (json!({"volumeMode": "Block"}), "Warning VolumeMismatch", "incompatible volumeMode"),
        (
            json!({"claimRef": {"namespace": "default", "name": "other"}}),
            "Warning FailedBinding",
            "volume \"mine\" already bound to a different claim.",
        ),
    ] {
        let mut world = world();
        volume(&mut world, "mine", &spec);
        let key = claim(&mut world, &json!({"volumeName": "mine"}));
        world.settle_all();
        assert_eq!(phase_of_claim(&world, &key), "Pending");
        assert_eq!(reasons(&world), [reason]);
        let event = world.snapshot.list(Kind::Event).next().unwrap();
        assert!(event.value()["message"].as_str().unwrap().contains(message), "{}", event.json());
    }
}

#[test]
fn a_claim_that_asks_for_more_gets_it_of_a_volume_of_this_node() {
    let mut world = world();
    world.class("now", &json!({"volumeBindingMode": "Immediate"}));
    let key = claim(&mut world, &json!({"storageClassName": "now"}));
    world.settle_all();
    let mut grown = world.decode::<PersistentVolumeClaim>(&key);
    let more = serde_json::from_value(json!({"storage": "3Gi"})).unwrap();
    grown.spec.as_mut().unwrap().resources.as_mut().unwrap().requests = Some(more);
    world.put(&grown);
    world.settle_all();
    let status = world.decode::<PersistentVolumeClaim>(&key).status.unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "3Gi");
    let volume = Key::new(Kind::PersistentVolume, "", "pvc-uid-of-data");
    assert_eq!(world.decode::<PersistentVolume>(&volume).spec.unwrap().capacity.unwrap()["storage"].0, "3Gi");
    assert_eq!(reasons(&world).iter().filter(|reason| *reason == "Normal VolumeResizeSuccessful").count(), 1);
}

#[test]
fn a_volume_may_name_its_class_in_the_older_way() {
    let mut world = world();
    world.put_json::<PersistentVolume>(json!({
        "metadata": {"name": "mine", "annotations": {"volume.beta.kubernetes.io/storage-class": "older"}},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/srv"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
        "status": {"phase": "Pending"},
    }));
    let key = claim(&mut world, &json!({"storageClassName": "older"}));
    world.settle_all();
    assert_eq!(volume_of_claim(&world, &key).as_deref(), Some("mine"));
}

#[test]
fn claims_of_older_nodes_get_the_volumes_that_they_have() {
    let mut world = world();
    let key = world.put_json::<PersistentVolumeClaim>(json!({
        "metadata": {"name": "data", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "cronlet-local", "volumeName": "pvc-uid-of-data",
        },
        "status": {"phase": "Bound"},
    }));
    world.settle_all();
    let made = Key::new(Kind::PersistentVolume, "", "pvc-uid-of-data");
    let spec = world.decode::<PersistentVolume>(&made).spec.unwrap();
    assert_eq!(spec.storage_class_name.as_deref(), Some("cronlet-local"));
    assert_eq!(
        (phase_of_claim(&world, &key), phase_of_volume(&world, &made)),
        ("Bound".into(), "Bound".into())
    );
    assert_eq!(world.events(), [], "nothing is new to its owner");
    let revision = world.snapshot.revision();
    world.settle_all();
    assert_eq!(world.snapshot.revision(), revision);

    // Once it has one it may lose it.
    let mut free = world.decode::<PersistentVolume>(&made);
    free.metadata.finalizers = None;
    world.put(&free);
    world.remove(&made);
    assert_eq!(phase_of_claim(&world, &key), "Lost");
    assert_eq!(reasons(&world), ["Warning ClaimLost"]);
}

fn end(world: &mut World, key: &Key) {
    let mut ending = world.decode::<PersistentVolumeClaim>(key);
    ending.metadata.deletion_timestamp = Some(Time(world.now));
    ending.metadata.deletion_grace_period_seconds = Some(0);
    world.put(&ending);
    world.settle_all();
}

#[test]
fn a_deleted_claim_goes_when_no_pod_uses_it_any_more() {
    let mut world = world();
    let key = claim(&mut world, &json!({"storageClassName": ""}));
    world.reconcile(Controller::Claim, &key);
    pod(&mut world, "done", Some("here"), "Succeeded");
    pod(&mut world, "unbound", None, "Pending");
    let user = pod(&mut world, "user", Some("here"), "Running");
    end(&mut world, &key);
    assert!(world.get(&key).is_some(), "it is in use");
    world.remove(&user);
    assert!(world.get(&key).is_none(), "the end of the last user ends the claim");
}

#[test]
fn what_becomes_of_a_volume_depends_on_its_policy() {
    for (policy, phase) in [("Delete", None), ("Retain", Some("Released"))] {
        let mut world = world();
        world.class("fast", &json!({"volumeBindingMode": "Immediate", "reclaimPolicy": policy}));
        let key = claim(&mut world, &json!({"storageClassName": "fast"}));
        world.settle_all();
        let made = Key::new(Kind::PersistentVolume, "", "pvc-uid-of-data");
        assert_eq!(phase_of_volume(&world, &made), "Bound");
        end(&mut world, &key);
        assert!(world.get(&key).is_none());
        let left = world.get(&made).is_some().then(|| phase_of_volume(&world, &made));
        assert_eq!(left.as_deref(), phase, "{policy}");
    }
    for (policy, phase, told) in [
        ("Retain", "Released", None),
        ("Delete", "Failed", Some("Warning VolumeFailedDelete")),
        ("Recycle", "Failed", Some("Warning VolumeFailedRecycle")),
    ] {
        let mut world = world();
        let disk = volume(&mut world, "disk", &json!({"persistentVolumeReclaimPolicy": policy}));
        let key = claim(&mut world, &json!({"storageClassName": ""}));
        world.settle_all();
        end(&mut world, &key);
        assert_eq!(phase_of_volume(&world, &disk), phase, "{policy}");
        let warnings: Vec<String> =
            reasons(&world).into_iter().filter(|reason| reason.starts_with("Warning")).collect();
        assert_eq!(warnings.first().map(String::as_str), told, "{policy}");
        // Another claim does not get what is another's data.
        let again = json!({"metadata": {"name": "data", "uid": "uid-of-another"}});
        let other = world.put_json::<PersistentVolumeClaim>(merged(
            again,
            &json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}),
        ));
        world.settle_all();
        assert_eq!(volume_of_claim(&world, &other), None, "{policy}");
    }
}

#[test]
fn a_volume_stays_as_long_as_a_claim_has_it() {
    let mut world = world();
    let disk = volume(&mut world, "disk", &json!({}));
    let key = claim(&mut world, &json!({"storageClassName": ""}));
    world.settle_all();
    let mut ending = world.decode::<PersistentVolume>(&disk);
    assert_eq!(ending.metadata.finalizers.as_deref().unwrap(), ["kubernetes.io/pv-protection"]);
    ending.metadata.deletion_timestamp = Some(Time(world.now));
    ending.metadata.deletion_grace_period_seconds = Some(0);
    world.put(&ending);
    world.settle_all();
    assert_eq!(phase_of_volume(&world, &disk), "Bound");
    end(&mut world, &key);
    assert!(world.get(&disk).is_none() && world.get(&key).is_none());
}

#[test]
fn a_node_gives_itself_the_classes_that_it_needs() {
    let mut world = world();
    let mut ids = Ids::seeded(1);
    let mut names = |world: &World| {
        let writes = class::first(&world.snapshot, world.now, &mut ids).unwrap();
        writes.iter().map(|write| write.key().name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&world), ["standard"]);
    claim(&mut world, &json!({"storageClassName": "cronlet-local", "volumeName": "pvc-uid-of-data"}));
    assert_eq!(names(&world), ["standard", "cronlet-local"]);
    world.default_class();
    assert_eq!(names(&world), ["cronlet-local"]);
}
