//! The writes of a pass: each pod that changes is written once, whatever the reasons are.

use cronlet_object::{
    ApiError, Draft, Object, Typed, Write,
    api::{ObjectMeta, Pod},
    deletion::replace,
};
use jiff::Timestamp;

use super::{
    adoption::controller_reference,
    pod::{TRACKING_FINALIZER, has_tracking_finalizer, remove_tracking_finalizer},
};
use crate::deletion::{self, Propagation};

/// What is to happen to one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// The Job becomes its controller, and will count it.
    pub(super) adopt: bool,
    /// The Job is its controller no longer.
    pub(super) disown: bool,
    /// The Job has counted it, or never will.
    pub(super) release: bool,
    /// It is deleted.
    pub(super) delete: bool,
}

impl Edit {
    /// The write that does this to `pod` on behalf of `job`; none if the pod is that way already.
    ///
    /// # Errors
    /// If the deletion is refused.
    pub(super) fn write(self, pod: &Object, job: &Object, now: Timestamp) -> Result<Option<Write>, ApiError> {
        if self == (Edit { delete: true, ..Edit::default() }) {
            return deletion::write(pod, Propagation::Background, now);
        }
        if self == Edit::default() {
            return Ok(None);
        }
        let mut changed: Pod = pod.decode();
        if self.adopt {
            adopt(&mut changed.metadata, job);
        }
        if self.disown {
            disown(&mut changed.metadata, job);
        }
        if self.release {
            remove_tracking_finalizer(&mut changed);
        }
        if self.delete {
            // The deletion starts from the changed pod, which takes the place of the stored one at its revision.
            let stand_in = Draft::of(&changed).seal(pod.revision());
            if let Some(write) = deletion::write(&stand_in, Propagation::Background, now)? {
                return Ok(Some(write));
            }
        }
        Ok(replace(pod, &Typed::from(changed)))
    }
}

fn adopt(metadata: &mut ObjectMeta, job: &Object) {
    metadata.owner_references.get_or_insert_default().push(controller_reference(job));
    let finalizers = metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING_FINALIZER) {
        finalizers.push(TRACKING_FINALIZER.to_owned());
    }
}

fn disown(metadata: &mut ObjectMeta, job: &Object) {
    let Some(owners) = &mut metadata.owner_references else { return };
    owners.retain(|owner| owner.uid != *job.meta().uid);
    if owners.is_empty() {
        metadata.owner_references = None;
    }
}

/// The write that takes the tracking finalizer off a pod which no Job will count; none if it has none.
pub(super) fn release(pod: &Object) -> Option<Write> {
    if !has_tracking_finalizer(pod) {
        return None;
    }
    let mut changed: Pod = pod.decode();
    remove_tracking_finalizer(&mut changed);
    replace(pod, &Typed::from(changed))
}
