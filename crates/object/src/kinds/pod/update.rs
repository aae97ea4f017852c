//! What of a pod may change after creation: next to nothing.

use crate::{
    FieldErrors, Path,
    api::{Container, PodSpec},
    validate::{equal, inclusive_range, scheduling::validate_tolerations},
};

const UPDATABLE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \
    (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 \
    if it was previously negative)";

/// Compares the specification of a pod with the one it replaces.
pub(super) fn validate(new: &PodSpec, old: &PodSpec, errors: &mut FieldErrors) {
    if new == old {
        return;
    }
    let field = Path::root("spec");
    let inits = |spec: &PodSpec| spec.init_containers.clone().unwrap_or_default();
    for (name, new, old) in
        [("containers", &new.containers, &old.containers), ("initContainers", &inits(new), &inits(old))]
    {
        // Without knowing which container is which, nothing more can be said.
        if !validate_containers(new, old, &field.child(name), errors) {
            return;
        }
    }
    if !validate_deadline(new.active_deadline_seconds, old.active_deadline_seconds, errors) {
        return;
    }
    validate_added_tolerations(new, old, &field.child("tolerations"), errors);
    validate_removed_gates(new, old, &field.child("schedulingGates"), errors);
    if !equal(new, &with_mutable_parts(old, new)) {
        errors.forbidden(&field, UPDATABLE);
    }
}

fn validate_containers(new: &[Container], old: &[Container], field: &Path, errors: &mut FieldErrors) -> bool {
    if new.len() != old.len() {
        errors.forbidden(field, "pod updates may not add or remove containers");
        return false;
    }
    true
}

/// A deadline may be set once, and then only come nearer. Returns whether there is a point in looking
/// further.
fn validate_deadline(new: Option<i64>, old: Option<i64>, errors: &mut FieldErrors) -> bool {
    let field = || Path::root("spec").child("activeDeadlineSeconds");
    let max = i64::from(i32::MAX);
    match (new, old) {
        (Some(new), _) if !(0..=max).contains(&new) => {
            errors.invalid(&field(), new, inclusive_range(0, max));
            return false;
        }
        (Some(new), Some(old)) if old < new => {
            errors.invalid(&field(), new, "must be less than or equal to previous value");
            return false;
        }
        (None, Some(_)) => {
            errors.invalid(&field(), new, "must not update from a positive integer to nil value");
        }
        _ => {}
    }
    true
}

fn validate_added_tolerations(new: &PodSpec, old: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    let tolerations = new.tolerations.as_deref().unwrap_or_default();
    let kept = old.tolerations.iter().flatten().all(|old| {
        tolerations.iter().any(|new| {
            let mut old = old.clone();
            old.toleration_seconds = new.toleration_seconds;
            old == *new
        })
    });
    if kept {
        validate_tolerations(tolerations, field, errors);
    } else {
        errors.forbidden(field, "existing toleration can not be modified except its tolerationSeconds");
    }
}

fn validate_removed_gates(new: &PodSpec, old: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    let before = old.scheduling_gates.as_deref().unwrap_or_default();
    for (i, gate) in
        new.scheduling_gates.iter().flatten().enumerate().filter(|(_, gate)| !before.contains(gate))
    {
        let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
        errors.forbidden(&field.index(i).child("name"), detail);
    }
}

/// The old specification with everything taken over from the new one that may change.
fn with_mutable_parts(old: &PodSpec, new: &PodSpec) -> PodSpec {
    let mut allowed = old.clone();
    take_images(&mut allowed.containers, &new.containers);
    let inits = new.init_containers.as_deref().unwrap_or_default();
    take_images(allowed.init_containers.as_deref_mut().unwrap_or_default(), inits);
    allowed.active_deadline_seconds = new.active_deadline_seconds;
    allowed.tolerations.clone_from(&new.tolerations);
    allowed.scheduling_gates.clone_from(&new.scheduling_gates);
    let was_negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if was_negative && new.termination_grace_period_seconds == Some(1) {
        allowed.termination_grace_period_seconds = Some(1);
    }
    allowed
}

fn take_images(allowed: &mut [Container], new: &[Container]) {
    for (allowed, new) in allowed.iter_mut().zip(new) {
        allowed.image.clone_from(&new.image);
    }
}
