//! Which reconcilers have to look at which keys: after a change, and at the start.

use std::sync::Arc;

use cronlet_object::{
    Change, Key, Kind, Object, Snapshot,
    api::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    claim::{is_bound, is_own_volume, volume_of},
};

use crate::{
    Controller, aggregation, claim, cronjob, event_expiry, garbage, job, namespace, pod_start, scheduler,
};

/// What has to be looked at because of `change`, which `snapshot` includes. Each pair appears once.
///
/// Events are written by reconcilers and wake none of them.
pub fn affected(change: &Change, snapshot: &Snapshot) -> Vec<(Controller, Key)> {
    let mut found = Vec::new();
    let object = change.object();
    let key = object.key();
    match object.kind() {
        Kind::Namespace => found.push((Controller::Namespace, key.clone())),
        Kind::Node if is_other_node(change) => found.extend(waiting_pods(snapshot.list(Kind::Pod))),
        Kind::PersistentVolumeClaim => {
            found.push((Controller::Claim, key.clone()));
            found.extend(waiting_pods(snapshot.list_namespace(Kind::Pod, object.namespace())));
            found.extend(volumes_of(change).map(|key| (Controller::Volume, key)));
            if change.new.is_none() {
                found.extend(controllers(change, Kind::Pod).map(|key| (Controller::EphemeralClaim, key)));
            }
        }
        Kind::PersistentVolume | Kind::StorageClass => found.extend(after_storage(change, snapshot)),
        Kind::CronJob if !cronjob::is_own_start(change, snapshot) => {
            found.push((Controller::CronJob, key.clone()));
        }
        Kind::Job => {
            found.extend([(Controller::Job, key.clone()), (Controller::Ttl, key.clone())]);
            let pods = pod_start::concerned(object, snapshot);
            found.extend(pods.map(|pod| (Controller::PodStart, pod.key().clone())));
            if !cronjob::is_own_start(change, snapshot) {
                found.extend(controllers(change, Kind::CronJob).map(|key| (Controller::CronJob, key)));
            }
        }
        Kind::Pod => {
            found.extend(waiting_pods(change.new.iter()));
            found.extend(controllers(change, Kind::Job).map(|key| (Controller::Job, key)));
            if let Some(pod) = &change.new {
                // A timer from its creation on; what it waits for is looked at when that has come.
                found.extend(change.old.is_none().then(|| (Controller::PodStart, key.clone())));
                let is_new = change.old.is_none() && claim::ephemeral::concerns(pod);
                found.extend(is_new.then(|| (Controller::EphemeralClaim, key.clone())));
                found.extend(job::adopters(snapshot, pod).into_iter().map(|key| (Controller::Job, key)));
                found.extend(is_left_alone(pod, snapshot).then(|| (Controller::JobPod, key.clone())));
            }
            found.extend(after_use(change, snapshot));
        }
        Kind::ClusterRole => {
            found.extend(aggregation::concerned(snapshot).map(|key| (Controller::Aggregation, key)));
        }
        Kind::ServiceAccount if object.name() == namespace::DEFAULT_SERVICE_ACCOUNT => {
            found.push((Controller::Namespace, namespace_key(object)));
        }
        Kind::ConfigMap if object.name() == namespace::ROOT_CA_CONFIG_MAP => {
            found.push((Controller::Namespace, namespace_key(object)));
        }
        _ => {}
    }
    let orphans = orphans(change, snapshot).filter(|orphan| orphan.kind() == Kind::Pod);
    found.extend(orphans.map(|pod| (Controller::JobPod, pod.key().clone())));
    found.extend(garbage_after(change, snapshot).into_iter().map(|key| (Controller::Garbage, key)));
    if change.new.is_none() && !snapshot.namespace_is_open(object.namespace()) {
        found.push((Controller::Namespace, namespace_key(object)));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Everything there is to look at, for a start without knowledge of earlier looks.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = (Controller, Key)> {
    let of_objects = snapshot.iter().flat_map(|object| {
        let own: &[Controller] = match object.kind() {
            Kind::Namespace => &[Controller::Namespace],
            Kind::PersistentVolumeClaim => &[Controller::Claim],
            Kind::PersistentVolume => &[Controller::Volume],
            Kind::CronJob => &[Controller::CronJob],
            Kind::ClusterRole => &[Controller::Aggregation],
            Kind::Job => &[Controller::Job, Controller::Ttl],
            Kind::Pod if claim::ephemeral::concerns(object) => {
                &[Controller::JobPod, Controller::PodStart, Controller::EphemeralClaim, Controller::Scheduler]
            }
            Kind::Pod => &[Controller::JobPod, Controller::PodStart, Controller::Scheduler],
            _ => &[],
        };
        let garbage = garbage::concerns(object, snapshot).then_some(Controller::Garbage);
        own.iter().copied().chain(garbage).map(|controller| (controller, object.key().clone()))
    });
    of_objects.chain([(Controller::EventExpiry, event_expiry::sweep_key())])
}

/// The objects of a kind that control the changed one, before or after the change.
fn controllers(change: &Change, kind: Kind) -> impl Iterator<Item = Key> {
    let states = change.old.iter().chain(&change.new);
    states.filter_map(move |object| {
        let owner = object.meta().controller()?;
        let found = Kind::from_manifest(&owner.api_version, &owner.kind) == Some(kind);
        found.then(|| Key::new(kind, object.key().namespace.clone(), owner.name.as_ref()))
    })
}

/// What volumes and their classes concern.
fn after_storage(change: &Change, snapshot: &Snapshot) -> Vec<(Controller, Key)> {
    let object = change.object();
    let mut found = Vec::new();
    if object.kind() == Kind::PersistentVolume {
        found.push((Controller::Volume, object.key().clone()));
        found.extend(concerned_claims(change, snapshot).map(|key| (Controller::Claim, key)));
        // What this node makes is made for one claim, whose change tells its pods.
        if is_own_volume(&object.decode()) {
            return found;
        }
    } else {
        found.extend(unbound_claims(snapshot).map(|claim| (Controller::Claim, claim.key().clone())));
    }
    found.extend(waiting_pods(snapshot.list(Kind::Pod)));
    found
}

/// What a pod concerns that finished or went: it may have been the last to use a claim.
fn after_use(change: &Change, snapshot: &Snapshot) -> Vec<(Controller, Key)> {
    let pod = change.object();
    let claims = snapshot.list_namespace(Kind::PersistentVolumeClaim, pod.namespace());
    let ending = claims.filter(|claim| claim.meta().deleted.is_some());
    let mut found: Vec<_> = ending.map(|claim| (Controller::Claim, claim.key().clone())).collect();
    let has_claims = pod.json().contains("\"persistentVolumeClaim\"") || claim::ephemeral::concerns(pod);
    if has_claims && has_ended(change) {
        found.extend(waiting_pods(snapshot.list_namespace(Kind::Pod, pod.namespace())));
    }
    found
}

/// The volumes that a claim names, before and after the change.
fn volumes_of(change: &Change) -> impl Iterator<Item = Key> {
    let states = change.old.iter().chain(&change.new);
    states.filter_map(|object| {
        let claim = object.decode::<PersistentVolumeClaim>();
        volume_of(&claim).map(|name| Key::new(Kind::PersistentVolume, "", name))
    })
}

/// The claims that a volume concerns: the one that it names, or those that have none yet.
fn concerned_claims(change: &Change, snapshot: &Snapshot) -> impl Iterator<Item = Key> {
    let claim_of = |object: &Arc<Object>| {
        let claimed = object.decode::<PersistentVolume>().spec?.claim_ref?;
        Some(Key::new(Kind::PersistentVolumeClaim, claimed.namespace?, claimed.name?))
    };
    let named: Vec<Key> = change.old.iter().chain(&change.new).filter_map(claim_of).collect();
    let free = change.new.as_ref().is_some_and(|object| claim_of(object).is_none());
    let others = unbound_claims(snapshot).filter(move |_| free).map(|claim| claim.key().clone());
    named.into_iter().chain(others)
}

fn unbound_claims(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Object>> {
    snapshot.list(Kind::PersistentVolumeClaim).filter(|claim| !is_bound(&claim.decode()))
}

/// Whether a pod has gone, or has finished just now.
fn has_ended(change: &Change) -> bool {
    let finished = |pod: &Arc<Object>| {
        let phase = pod.decode::<Pod>().status.and_then(|status| status.phase);
        matches!(phase.as_deref(), Some("Succeeded" | "Failed"))
    };
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => !finished(old) && finished(new),
        (_, new) => new.is_none(),
    }
}

fn waiting_pods<'a>(pods: impl Iterator<Item = &'a Arc<Object>>) -> impl Iterator<Item = (Controller, Key)> {
    pods.filter(|pod| scheduler::is_waiting(pod)).map(|pod| (Controller::Scheduler, pod.key().clone()))
}

/// Whether a node is new to the scheduler: its status, which changes all the time, does not matter.
fn is_other_node(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return change.new.is_some() };
    old.meta().labels != new.meta().labels || old.decode::<Node>().spec != new.decode::<Node>().spec
}

fn namespace_key(object: &Object) -> Key {
    Key::new(Kind::Namespace, "", object.key().namespace.clone())
}

/// Whether a pod is held by a finalizer and has no Job that would take it off.
fn is_left_alone(pod: &Object, snapshot: &Snapshot) -> bool {
    let is_owner = |key: Key, uid: &str| snapshot.get(&key).is_some_and(|job| job.meta().uid.as_ref() == uid);
    !pod.meta().finalizers.is_empty()
        && !pod.meta().controller().is_some_and(|owner| {
            is_owner(Key::new(Kind::Job, pod.namespace(), owner.name.as_ref()), &owner.uid)
        })
}

/// The dependents of an object that went.
fn orphans<'a>(change: &'a Change, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Object>> {
    let removed = change.old.as_ref().filter(|_| change.new.is_none());
    removed.into_iter().flat_map(|owner| snapshot.dependents(&owner.meta().uid))
}

/// What garbage collection has to look at: the dependents of an object that went, the owners that waited for it, and
/// the object itself if it has new owners or waits for its dependents.
fn garbage_after(change: &Change, snapshot: &Snapshot) -> Vec<Key> {
    let waiting = change.old.iter().flat_map(|old| garbage::waiting_owners(old, snapshot));
    let itself = change.new.iter().filter(|new| garbage::concerns(new, snapshot));
    orphans(change, snapshot).chain(waiting).chain(itself).map(|object| object.key().clone()).collect()
}

#[cfg(test)]
mod tests;
