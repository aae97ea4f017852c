//! PersistentVolumes: which claim has them, and what becomes of them when it is gone. The rules and words are those of
//! upstream's volume controller.

use cronlet_object::{
    Ids, Key, Kind, Object, Write,
    api::{ObjectReference, PersistentVolume, PersistentVolumeClaim},
    claim::{is_own_volume, volume_of},
    deletion::{self, Deletion, replace},
    event::{self, Note, Recorder},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

use crate::{
    Plan, View,
    claim::{BOUND_BY_CONTROLLER, COMPONENT, matching::set_phase},
};

/// Keeps a deleted volume as long as a claim has it.
pub(crate) const PROTECTION: &str = "kubernetes.io/pv-protection";

/// What is to be done with a volume.
enum Next {
    /// It has this phase.
    Phase(&'static str),
    /// It loses its claim, or all that it knows of it but the name.
    Unbind,
    /// It is left to its claim.
    Wait,
    /// It goes.
    Remove,
    /// It cannot be reclaimed as it is to be: the reason and the message of the event.
    Fail(&'static str, String),
}

/// Looks at one volume.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.snapshot.get(key) else { return plan };
    let mut volume = object.decode::<PersistentVolume>();
    let next = next(view, &volume);
    let writes = &mut plan.transaction.writes;
    match &next {
        Next::Phase(phase) => set_phase(&mut volume, phase, view.now),
        Next::Unbind => unbind(&mut volume, view),
        Next::Wait => {}
        Next::Remove if object.meta().deleted.is_none() => {
            writes.extend(remove(object, &volume, view));
            return plan;
        }
        Next::Remove => set_phase(&mut volume, "Released", view.now),
        Next::Fail(reason, message) => {
            set_phase(&mut volume, "Failed", view.now);
            volume.status.get_or_insert_default().message = Some(message.clone());
            let recorder =
                Recorder { snapshot: view.snapshot, now: view.now, component: COMPONENT, host: None };
            let (about, note) = (event::reference(object), Note::warning(reason, message));
            if recorder.last_told(&about, &note).is_none() {
                recorder.record(writes, &about, &note, ids);
            }
        }
    }
    let bound = volume.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let finalizers = volume.metadata.finalizers.get_or_insert_default();
    if object.meta().deleted.is_none() {
        if !finalizers.iter().any(|finalizer| finalizer == PROTECTION) {
            finalizers.push(PROTECTION.to_owned());
        }
    } else if !bound {
        finalizers.retain(|finalizer| finalizer != PROTECTION);
    }
    writes.extend(replace(object, &volume.into()));
    plan
}

fn next(view: &View, volume: &PersistentVolume) -> Next {
    let claimed = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let Some(claimed) = claimed.filter(|claimed| claimed.uid.as_ref().is_some_and(|uid| !uid.is_empty()))
    else {
        // Nobody's, or reserved for a claim that has yet to come.
        return Next::Phase("Available");
    };
    let Some(claim) = claim_of(view, claimed) else { return reclaim(volume) };
    match volume_of(&claim.decode::<PersistentVolumeClaim>()) {
        None => Next::Wait,
        Some(name) if Some(name) == volume.metadata.name.as_deref() => Next::Phase("Bound"),
        Some(_) if is_own_volume(volume) => reclaim(volume),
        Some(_) => Next::Unbind,
    }
}

fn claim_of<'a>(view: &'a View, claimed: &ObjectReference) -> Option<&'a Object> {
    let (namespace, name) = (claimed.namespace.as_deref()?, claimed.name.as_deref()?);
    let claim = view.snapshot.get(&Key::new(Kind::PersistentVolumeClaim, namespace, name))?;
    (claimed.uid.as_deref() == Some(&*claim.meta().uid)).then_some(&**claim)
}

/// What becomes of a volume whose claim is gone.
fn reclaim(volume: &PersistentVolume) -> Next {
    let spec = volume.spec.as_ref();
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    match spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) {
        Some("Delete") if is_own_volume(volume) => Next::Remove,
        // What somebody has made by hand is not this node's to delete.
        Some("Delete") => Next::Fail(
            "VolumeFailedDelete",
            format!(
                "error getting deleter volume plugin for volume \"{name}\": no deletable volume plugin matched"
            ),
        ),
        Some("Recycle") => {
            Next::Fail("VolumeFailedRecycle", "No recycler plugin found for the volume!".to_owned())
        }
        _ => Next::Phase("Released"),
    }
}

/// Makes a volume free again whose claim has taken another.
fn unbind(volume: &mut PersistentVolume, view: &View) {
    let by_controller =
        volume.metadata.annotations.as_mut().is_some_and(|all| all.remove(BOUND_BY_CONTROLLER).is_some());
    let spec = volume.spec.get_or_insert_default();
    if by_controller {
        spec.claim_ref = None;
    } else if let Some(claimed) = &mut spec.claim_ref {
        (claimed.uid, claimed.resource_version) = (None, None);
    }
    set_phase(volume, "Available", view.now);
}

/// Deletes a volume whose claim is gone. Nothing holds it any more but what others have put there.
fn remove(object: &Object, volume: &PersistentVolume, view: &View) -> Option<Write> {
    let mut released = volume.clone();
    if let Some(finalizers) = &mut released.metadata.finalizers {
        finalizers.retain(|finalizer| finalizer != PROTECTION);
    }
    set_phase(&mut released, "Released", view.now);
    let unheld = cronlet_object::Draft::of(&released).seal(object.revision());
    let expect = object.revision();
    match deletion::delete(&unheld, &DeleteOptions::default(), view.now).ok()? {
        Deletion::Remove => Some(Write::Delete { key: object.key().clone(), expect }),
        Deletion::Mark(draft) => Some(Write::Update { draft, expect }),
        Deletion::Unchanged => None,
    }
}
