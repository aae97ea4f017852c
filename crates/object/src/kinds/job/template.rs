//! What of a Job's pod template may change after creation: where its pods run and what they get, while there
//! are none.

use super::has_condition;
use crate::{
    FieldErrors, Path,
    api::{Container, Job, JobSpec, PodSpec, PodTemplateSpec},
    validate::{IMMUTABLE, equal},
};
use k8s_openapi::api::core::v1::Affinity;

/// The template of `new` may differ from that of `before`, the specification of the stored Job `old`, only as
/// far as the Job's state allows.
pub(super) fn validate_update(new: &JobSpec, old: &Job, before: &JobSpec, errors: &mut FieldErrors) {
    let field = || Path::root("spec").child("template");
    if new.template == before.template {
        return;
    }
    let allowed = if is_at_rest(old, before) {
        &with_mutable_parts(&before.template, &new.template)
    } else {
        &before.template
    };
    if !equal(&new.template, allowed) {
        errors.invalid(&field(), &new.template, IMMUTABLE);
    }
}

/// Whether the Job is suspended and has no pods (upstream's rule since 1.36; before, it must never have
/// started).
fn is_at_rest(job: &Job, spec: &JobSpec) -> bool {
    let status = job.status.as_ref();
    let never_started = status.is_none_or(|status| status.start_time.is_none());
    let active = status.and_then(|status| status.active).unwrap_or_default();
    spec.suspend == Some(true) && active == 0 && (never_started || has_condition(status, "Suspended"))
}

/// The old template with everything taken over from the new one that may change.
fn with_mutable_parts(old: &PodTemplateSpec, new: &PodTemplateSpec) -> PodTemplateSpec {
    let mut allowed = old.clone();
    let (mut metadata, new_metadata) =
        (old.metadata.clone().unwrap_or_default(), new.metadata.clone().unwrap_or_default());
    metadata.labels = new_metadata.labels;
    metadata.annotations = new_metadata.annotations;
    allowed.metadata = Some(metadata);
    let (Some(allowed_spec), Some(new_spec)) = (&mut allowed.spec, &new.spec) else { return allowed };
    take_node_affinity(allowed_spec, new_spec);
    allowed_spec.node_selector.clone_from(&new_spec.node_selector);
    allowed_spec.tolerations.clone_from(&new_spec.tolerations);
    allowed_spec.scheduling_gates.clone_from(&new_spec.scheduling_gates);
    take_resources(&mut allowed_spec.containers, &new_spec.containers);
    let inits = new_spec.init_containers.as_deref().unwrap_or_default();
    take_resources(allowed_spec.init_containers.as_deref_mut().unwrap_or_default(), inits);
    allowed
}

fn take_node_affinity(allowed: &mut PodSpec, new: &PodSpec) {
    match (&mut allowed.affinity, &new.affinity) {
        (Some(affinity), Some(new)) => affinity.node_affinity.clone_from(&new.node_affinity),
        (affinity @ None, Some(new)) => {
            *affinity = Some(Affinity { node_affinity: new.node_affinity.clone(), ..Default::default() });
        }
        (affinity, None) => {
            if let Some(old) = affinity {
                old.node_affinity = None;
            }
            if *affinity == Some(Affinity::default()) {
                *affinity = None;
            }
        }
    }
}

fn take_resources(allowed: &mut [Container], new: &[Container]) {
    if allowed.len() != new.len() {
        return;
    }
    for (allowed, new) in allowed.iter_mut().zip(new).filter(|(allowed, new)| allowed.name == new.name) {
        allowed.resources.clone_from(&new.resources);
    }
}
