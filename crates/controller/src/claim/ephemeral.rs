//! Claims that are made for pods from the templates in their ephemeral volumes, and that go with them. The rules and words
//! are those of upstream's ephemeral volume controller.

use cronlet_object::{
    Ids, Key, Kind, Object, Write,
    admit::{self, Admitted},
    api::{ObjectMeta, OwnerReference, PersistentVolumeClaim, Pod, Volume},
    claim::{check_made_for, ephemeral_name},
    event::{self, Note, Recorder},
    policy,
};

use super::class;
use crate::{Plan, View};

/// The component that tells what keeps a claim from being made.
const COMPONENT: &str = "ephemeral_volume";

/// Makes the claims that a pod lacks.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.snapshot.get(key).filter(|object| object.meta().deleted.is_none()) else {
        return plan;
    };
    let pod = object.decode::<Pod>();
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        if volume.ephemeral.is_none() {
            continue;
        }
        match missing(view, object, &pod, volume, ids) {
            Ok(write) => plan.transaction.writes.extend(write),
            Err(why) => {
                let message = format!("ephemeral volume {}: {why}", volume.name);
                let note = Note::warning("FailedBinding", &message);
                let recorder =
                    Recorder { snapshot: view.snapshot, now: view.now, component: COMPONENT, host: None };
                let about = event::reference(object);
                if recorder.last_told(&about, &note).is_none() {
                    recorder.record(&mut plan.transaction.writes, &about, &note, ids);
                }
            }
        }
    }
    plan
}

/// Whether a pod may need claims that are made for it.
pub(crate) fn concerns(pod: &Object) -> bool {
    pod.json().contains("\"volumeClaimTemplate\"")
}

/// The claim of a volume, if it is still to be made.
fn missing(
    view: &View,
    object: &Object,
    pod: &Pod,
    volume: &Volume,
    ids: &mut Ids,
) -> Result<Option<Write>, String> {
    let name = ephemeral_name(object.name(), &volume.name);
    let key = Key::new(Kind::PersistentVolumeClaim, object.namespace(), name.as_str());
    if let Some(claim) = view.snapshot.get(&key) {
        return check_made_for(claim, &pod.metadata).map(|()| None);
    }
    let template = volume.ephemeral.as_ref().and_then(|source| source.volume_claim_template.clone());
    let mut template = template.unwrap_or_default();
    if template.spec.storage_class_name.is_none() {
        // So that nobody takes it for one without a class before it is looked at.
        template.spec.storage_class_name =
            class::default(view.snapshot).and_then(|class| class.metadata.name);
    }
    let (labels, annotations) =
        template.metadata.map(|metadata| (metadata.labels, metadata.annotations)).unwrap_or_default();
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: object.name().to_owned(),
        uid: object.meta().uid.to_string(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            namespace: Some(object.namespace().to_owned()),
            name: Some(name),
            labels,
            annotations,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec),
        status: None,
    };
    let mut context = admit::Context { now: view.now, ids };
    let Admitted { draft, .. } = policy::create(view.snapshot, claim.into(), &mut context)
        .map_err(|error| error.message().to_owned())?;
    Ok(Some(Write::Create(draft)))
}

#[cfg(test)]
mod tests {
    use cronlet_object::api::{Event, Node};
    use serde_json::json;

    use super::*;
    use crate::{Controller, testing::World};

    fn world_with_pod() -> (World, Key) {
        let mut world = World::new("2026-03-01T10:00:00Z");
        world.default_class();
        let template = json!({
            "metadata": {"labels": {"disk": "scratch"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        let pod = world.put_json::<Pod>(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [], "volumes": [
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}, {"name": "e", "emptyDir": {}},
            ]},
            "status": {"phase": "Pending"},
        }));
        (world, pod)
    }

    fn messages(world: &World, reason: &str) -> Vec<String> {
        let events = world.snapshot.list(Kind::Event).map(|event| event.decode::<Event>());
        let told = events.filter(|event| event.reason.as_deref() == Some(reason));
        told.filter_map(|event| event.message).collect()
    }

    #[test]
    fn a_claim_is_made_for_a_pod_bound_and_removed_with_it() {
        let (mut world, pod) = world_with_pod();
        world.put_json::<Node>(json!({"metadata": {"name": "here"}}));
        world.settle_all();
        let key = Key::new(Kind::PersistentVolumeClaim, "default", "p-scratch");
        let claim = world.decode::<PersistentVolumeClaim>(&key);
        assert_eq!(claim.metadata.labels.unwrap()["disk"], "scratch");
        let owner = &claim.metadata.owner_references.unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.controller), ("Pod", "p", Some(true)));
        assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Bound"));
        assert_eq!(world.decode::<Pod>(&pod).spec.unwrap().node_name.as_deref(), Some("here"));

        world.remove(&pod);
        world.settle_all();
        assert!(world.get(&key).is_none(), "it goes with its pod");
        assert!(world.names(Kind::PersistentVolume).is_empty(), "and so does its volume");
    }

    #[test]
    fn a_claim_of_the_same_name_that_is_somebody_elses_is_not_used() {
        let (mut world, pod) = world_with_pod();
        world.put_json::<Node>(json!({"metadata": {"name": "here"}}));
        world.put_json::<PersistentVolumeClaim>(json!({
            "metadata": {"name": "p-scratch"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Pending"},
        }));
        world.settle_all();
        world.reconcile(Controller::EphemeralClaim, &pod);
        let why = "PVC default/p-scratch was not created for pod default/p (pod is not owner)";
        assert_eq!(messages(&world, "FailedBinding"), [format!("ephemeral volume scratch: {why}")]);
        assert!(messages(&world, "FailedScheduling")[0].contains(why));
        assert!(world.decode::<Pod>(&pod).spec.unwrap().node_name.is_none());
    }
}
