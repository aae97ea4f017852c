//! Which volume a claim is bound to, and what binding means.

use std::sync::Arc;

use cronlet_object::{
    Kind, Object, Snapshot, Write,
    api::{LabelSelector, ObjectReference, PersistentVolume, PersistentVolumeClaim, Time},
    claim::{class_of, is_own_volume, requested},
    deletion::replace,
    quantity::Quantity,
    selector::Selector,
};
use jiff::Timestamp;

use super::{BIND_COMPLETED, BOUND_BY_CONTROLLER, class};

/// Whether a claim may have a volume, as far as other claims are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nobody has it.
    Free,
    /// It is this claim's, or reserved for it.
    Reserved,
    /// It is another's.
    Taken,
}

/// Whose a volume is, as seen by a claim.
pub(crate) fn fits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Fit {
    let Some(claimed) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else {
        return Fit::Free;
    };
    let same = claimed.name == claim.metadata.name && claimed.namespace == claim.metadata.namespace;
    let uid = claimed.uid.as_deref().unwrap_or_default();
    if same && (uid.is_empty() || Some(uid) == claim.metadata.uid.as_deref()) {
        Fit::Reserved
    } else {
        Fit::Taken
    }
}

/// Why a volume is not what a claim asks for, in upstream's words.
pub(crate) fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let (has, wants) = (volume.spec.clone().unwrap_or_default(), claim.spec.clone().unwrap_or_default());
    let mode = |mode: &Option<String>| mode.as_deref().unwrap_or("Filesystem").to_owned();
    let class = class_of(&volume.metadata, has.storage_class_name.as_ref()).unwrap_or_default();
    let modes = has.access_modes.unwrap_or_default();
    if capacity(volume) < requested(claim) {
        Some("requested PV is too small")
    } else if class != class::name(claim).unwrap_or_default() {
        Some("storageClassName does not match")
    } else if mode(&has.volume_mode) != mode(&wants.volume_mode) {
        Some("incompatible volumeMode")
    } else if wants.access_modes.iter().flatten().any(|mode| !modes.contains(mode)) {
        Some("incompatible accessMode")
    } else {
        None
    }
}

/// The volume for a claim that names none: one that is reserved for it, or else the one that offers the fewest other
/// ways of access and of those the smallest that is large enough.
pub(crate) fn best(
    snapshot: &Snapshot,
    claim: &PersistentVolumeClaim,
    only_reserved: bool,
) -> Option<Arc<Object>> {
    let mut free = Vec::new();
    for object in snapshot.list(Kind::PersistentVolume).filter(|object| object.meta().deleted.is_none()) {
        let volume = object.decode::<PersistentVolume>();
        match fits(&volume, claim) {
            Fit::Reserved if mismatch(&volume, claim).is_none() => return Some(object.clone()),
            Fit::Free if !only_reserved && is_available(&volume) && mismatch(&volume, claim).is_none() => {
                free.push((object, volume));
            }
            _ => {}
        }
    }
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    free.retain(|(object, _)| is_selected(selector, object));
    let rank = |volume: &PersistentVolume| {
        let modes = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_ref()).map_or(0, Vec::len);
        (modes, capacity(volume))
    };
    free.into_iter().min_by_key(|(_, volume)| rank(volume)).map(|(object, _)| object.clone())
}

fn is_available(volume: &PersistentVolume) -> bool {
    volume.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Available"))
}

fn is_selected(selector: Option<&LabelSelector>, object: &Object) -> bool {
    let Some(selector) = selector else { return true };
    Selector::from_label_selector(Some(selector))
        .is_ok_and(|selector| selector.matches(|key| object.meta().labels.get(key)))
}

fn capacity(volume: &PersistentVolume) -> Quantity {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    capacity.and_then(|all| all.get("storage")?.0.parse().ok()).unwrap_or(Quantity::ZERO)
}

/// Whom a volume belongs to that is bound to a claim.
pub(super) fn reference(claim: &Object) -> ObjectReference {
    ObjectReference { field_path: None, ..cronlet_object::event::reference(claim) }
}

/// Binds a claim and a volume to each other; the write that says so of the volume, if it is new to it.
pub(super) fn bind(
    volume_object: &Object,
    claim_object: &Object,
    claim: &mut PersistentVolumeClaim,
    now: Timestamp,
) -> Option<Write> {
    let mut volume = volume_object.decode::<PersistentVolume>();
    let spec = volume.spec.get_or_insert_default();
    let claimed = spec.claim_ref.as_ref();
    if claimed.is_none() {
        let annotations = volume.metadata.annotations.get_or_insert_default();
        annotations.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
    }
    if claimed.is_none_or(|claimed| claimed.uid.as_deref() != Some(&*claim_object.meta().uid)) {
        spec.claim_ref = Some(reference(claim_object));
    }
    // What this node has made is as large as it is asked to be. Whether it may grow was decided when that was asked for.
    if is_own_volume(&volume) && capacity(&volume) < requested(claim) {
        let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let storage = requests.and_then(|requests| requests.get("storage")).cloned().unwrap_or_default();
        let spec = volume.spec.get_or_insert_default();
        spec.capacity.get_or_insert_default().insert("storage".to_owned(), storage);
    }
    set_phase(&mut volume, "Bound", now);
    bind_claim(claim, &volume);
    replace(volume_object, &volume.into())
}

/// Says of a claim that it has a volume.
pub(super) fn bind_claim(claim: &mut PersistentVolumeClaim, volume: &PersistentVolume) {
    let spec = claim.spec.get_or_insert_default();
    let annotations = claim.metadata.annotations.get_or_insert_default();
    if spec.volume_name.as_ref().is_none_or(String::is_empty) {
        spec.volume_name.clone_from(&volume.metadata.name);
        annotations.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
    }
    annotations.insert(BIND_COMPLETED.to_owned(), "yes".to_owned());
    let status = claim.status.get_or_insert_default();
    status.phase = Some("Bound".to_owned());
    let offered = volume.spec.as_ref();
    status.access_modes = offered.and_then(|spec| spec.access_modes.clone());
    status.capacity = offered.and_then(|spec| spec.capacity.clone());
}

/// Sets the phase of a volume, and when it was set if it is another.
pub(crate) fn set_phase(volume: &mut PersistentVolume, phase: &str, now: Timestamp) {
    let status = volume.status.get_or_insert_default();
    if status.phase.as_deref() != Some(phase) {
        status.phase = Some(phase.to_owned());
        status.last_phase_transition_time = Some(Time(now));
        (status.reason, status.message) = (None, None);
    }
}
