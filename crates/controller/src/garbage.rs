//! Garbage collection along owner references: what becomes of an object whose owners go or are gone.
//!
//! The rules are those of Kubernetes' garbage collector, on a store in which an owner is either there or not: no
//! graph has to be kept, only asked.

use std::sync::Arc;

use cronlet_object::{Ids, Key, Kind, Object, Owner, Snapshot, Typed, Write, deletion::replace};

use crate::{
    Plan, View,
    deletion::{self, Propagation},
    limits::BATCH_OBJECTS_MAX,
};

/// Keeps a deleted owner until the dependents that block its deletion are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// Keeps a deleted owner until its dependents have been released.
const ORPHAN: &str = "orphan";

/// Looks at one object: as an owner if it is being deleted, else as a dependent.
pub fn reconcile(view: &View, key: &Key, _: &mut Ids) -> Plan {
    let Some(object) = view.snapshot.get(key) else { return Plan::default() };
    if is_ending_with(object, ORPHAN) {
        release_dependents(view, object)
    } else if is_ending_with(object, FOREGROUND) {
        delete_dependents(view, object)
    } else {
        let mut plan = Plan::default();
        plan.transaction.writes.extend(collect(view, object));
        plan
    }
}

/// Whether [`reconcile`] has to look at an object because of its own state or that of its owners.
pub(crate) fn concerns(object: &Object, snapshot: &Snapshot) -> bool {
    if object.meta().deleted.is_some() {
        return is_ending_with(object, ORPHAN) || is_ending_with(object, FOREGROUND);
    }
    object.meta().owners.iter().any(|owner| {
        matches!(standing(object, owner, snapshot), Standing::Absent | Standing::WaitsForDependents)
    })
}

/// The owners of an object that wait for it to go.
pub(crate) fn waiting_owners<'a>(
    object: &'a Object,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = &'a Arc<Object>> {
    object
        .meta()
        .owners
        .iter()
        .filter_map(|owner| find(object, owner, snapshot))
        .filter(|owner| is_ending_with(owner, FOREGROUND))
}

/// What an owner reference points at.
enum Standing {
    /// An owner that stays, or that is deleted without regard to its dependents.
    Present,
    /// An owner that is deleted after its dependents.
    WaitsForDependents,
    /// No object, or another one of that name.
    Absent,
    /// A kind that is not kept here, or one that cannot own this object: there is no telling whether it exists.
    Unknown,
}

fn standing(object: &Object, owner: &Owner, snapshot: &Snapshot) -> Standing {
    let Some(kind) = Kind::from_manifest(&owner.api_version, &owner.kind) else { return Standing::Unknown };
    if kind.descriptor().namespaced && object.namespace().is_empty() {
        return Standing::Unknown;
    }
    match find(object, owner, snapshot) {
        Some(owner) if is_ending_with(owner, FOREGROUND) => Standing::WaitsForDependents,
        Some(_) => Standing::Present,
        None => Standing::Absent,
    }
}

/// The owner itself: in the same namespace, or without one. An object elsewhere is not an owner, whatever its UID.
fn find<'a>(object: &Object, owner: &Owner, snapshot: &'a Snapshot) -> Option<&'a Arc<Object>> {
    let kind = Kind::from_manifest(&owner.api_version, &owner.kind)?;
    let namespace = if kind.descriptor().namespaced { object.namespace() } else { "" };
    let key = Key::new(kind, namespace, owner.name.as_ref());
    snapshot.get(&key).filter(|found| found.meta().uid == owner.uid)
}

fn is_ending_with(object: &Object, finalizer: &str) -> bool {
    object.meta().deleted.is_some() && object.meta().finalizers.iter().any(|f| f.as_ref() == finalizer)
}

/// The write that a dependent needs: its deletion when no owner is left, or the removal of references to owners that
/// are gone beside one that stays.
fn collect(view: &View, object: &Object) -> Option<Write> {
    if object.meta().deleted.is_some() {
        return None;
    }
    let (mut present, mut waiting, mut lost) = (0, 0, Vec::new());
    for owner in &object.meta().owners {
        match standing(object, owner, view.snapshot) {
            Standing::Unknown => return None,
            Standing::Present => present += 1,
            Standing::WaitsForDependents => {
                waiting += 1;
                lost.push(owner.uid.clone());
            }
            Standing::Absent => lost.push(owner.uid.clone()),
        }
    }
    if lost.is_empty() {
        None
    } else if present > 0 {
        without_owners(object, |uid| lost.iter().any(|lost| lost.as_ref() == uid))
    } else {
        deletion::write(object, propagation(object, waiting > 0, view.snapshot), view.now).ok().flatten()
    }
}

/// A foreground deletion goes on through the dependents, except around a circle of owners: each would wait for the
/// other.
fn propagation(object: &Object, owner_waits: bool, snapshot: &Snapshot) -> Propagation {
    let has_finalizer = |name: &str| object.meta().finalizers.iter().any(|f| f.as_ref() == name);
    let mut dependents = snapshot.dependents(&object.meta().uid).peekable();
    if owner_waits && dependents.peek().is_some() {
        let circle = dependents.any(|dependent| is_ending_with(dependent, FOREGROUND));
        return if circle { Propagation::Background } else { Propagation::Foreground };
    }
    if has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    }
}

/// Orphan deletion: takes the owner out of its dependents, then lets it go.
fn release_dependents(view: &View, owner: &Object) -> Plan {
    let mut plan = Plan::default();
    let uid = &owner.meta().uid;
    let mut dependents = view.snapshot.dependents(uid);
    for dependent in dependents.by_ref().take(BATCH_OBJECTS_MAX) {
        plan.transaction.writes.extend(without_owners(dependent, |owner| owner == uid.as_ref()));
    }
    if dependents.next().is_some() {
        plan.wake_at = Some(view.now);
    } else {
        plan.transaction.writes.extend(without_finalizer(owner, ORPHAN));
    }
    plan
}

/// Foreground deletion: deletes the dependents that block the owner's, and lets it go when there are none.
fn delete_dependents(view: &View, owner: &Object) -> Plan {
    let mut plan = Plan::default();
    let uid = &owner.meta().uid;
    let blocks =
        |dependent: &Object| dependent.meta().owners.iter().any(|o| o.uid == *uid && o.block_owner_deletion);
    let mut blocking = view.snapshot.dependents(uid).filter(|object| blocks(object)).peekable();
    if blocking.peek().is_none() {
        plan.transaction.writes.extend(without_finalizer(owner, FOREGROUND));
        return plan;
    }
    let mut writes = blocking.filter_map(|dependent| collect(view, dependent));
    plan.transaction.writes.extend(writes.by_ref().take(BATCH_OBJECTS_MAX));
    plan.wake_at = writes.next().map(|_| view.now);
    plan
}

/// The object without the references to some of its owners.
fn without_owners(object: &Object, is_lost: impl Fn(&str) -> bool) -> Option<Write> {
    change(object, |typed| {
        let metadata = typed.metadata_mut();
        if let Some(owners) = &mut metadata.owner_references {
            owners.retain(|owner| !is_lost(&owner.uid));
        }
        metadata.owner_references.take_if(|owners| owners.is_empty());
    })
}

/// The object without a finalizer: the last one was all that kept it.
fn without_finalizer(object: &Object, finalizer: &str) -> Option<Write> {
    change(object, |typed| {
        let metadata = typed.metadata_mut();
        if let Some(finalizers) = &mut metadata.finalizers {
            finalizers.retain(|f| f != finalizer);
        }
        metadata.finalizers.take_if(|finalizers| finalizers.is_empty());
    })
}

fn change(object: &Object, edit: impl FnOnce(&mut Typed)) -> Option<Write> {
    let mut typed = object.typed();
    edit(&mut typed);
    replace(object, &typed)
}

#[cfg(test)]
mod tests;
