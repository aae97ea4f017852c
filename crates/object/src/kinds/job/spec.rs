//! The specification of a Job, whether of a Job itself or of a CronJob's template.

use super::{INDEXED, NON_INDEXED, is_indexed, policies};
use crate::{
    FieldErrors, Path,
    api::JobSpec,
    kinds::pod_template,
    validate::{names::domain_prefixed_path, optional_non_negative, pod_spec::validate_template},
};

/// Most pods at once of an indexed Job, and most indexes it may lose: bounds the size of its status.
const PARALLELISM_MAX: i32 = 100_000;
const FAILED_INDEXES_MAX: i32 = 100_000;
/// Above this many completions the bounds are tighter, where indexes have their own back-off.
const MANY_COMPLETIONS: i32 = 100_000;
const PARALLELISM_OF_MANY_MAX: i32 = 10_000;
const FAILED_INDEXES_OF_MANY_MAX: i32 = 10_000;
/// Longest `managedBy`, in bytes.
const MANAGED_BY_BYTES_MAX: usize = 63;
const BACKOFF_LIMIT: i32 = 6;

/// Fills in what a Job leaves out.
pub(super) fn set_defaults(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { BACKOFF_LIMIT };
    spec.backoff_limit.get_or_insert(limit);
    spec.completion_mode.get_or_insert_with(|| NON_INDEXED.to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
    pod_template::set_template_defaults(&mut spec.template);
    set_failure_policy_defaults(spec);
}

/// A condition that a rule names must hold, unless the rule says otherwise.
pub(crate) fn set_failure_policy_defaults(spec: &mut JobSpec) {
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        if pattern.status.as_deref().unwrap_or_default().is_empty() {
            pattern.status = Some("True".to_owned());
        }
    }
}

/// Everything but the selector, which a CronJob's template does not have.
pub(crate) fn validate_unselected_spec(spec: &JobSpec, field: &Path, errors: &mut FieldErrors) {
    optional_non_negative(spec.parallelism, field, "parallelism", errors);
    optional_non_negative(spec.completions, field, "completions", errors);
    optional_non_negative(spec.active_deadline_seconds, field, "activeDeadlineSeconds", errors);
    optional_non_negative(spec.backoff_limit, field, "backoffLimit", errors);
    optional_non_negative(spec.ttl_seconds_after_finished, field, "ttlSecondsAfterFinished", errors);
    optional_non_negative(spec.backoff_limit_per_index, field, "backoffLimitPerIndex", errors);
    optional_non_negative(spec.max_failed_indexes, field, "maxFailedIndexes", errors);
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.required(&field.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(manager) = &spec.managed_by {
        domain_prefixed_path(manager, &field.child("managedBy"), errors);
        if manager.len() > MANAGED_BY_BYTES_MAX {
            errors.too_long(&field.child("managedBy"), MANAGED_BY_BYTES_MAX);
        }
    }
    validate_mode(spec, field, errors);
    if let Some(policy) = &spec.pod_failure_policy {
        policies::validate_failure_policy(policy, spec, &field.child("podFailurePolicy"), errors);
    }
    policies::validate_success_policy(spec, field, errors);
    validate_replacement(spec, field, errors);
    validate_template(&spec.template, &field.child("template"), errors);
    validate_restart_policy(spec, field, errors);
}

fn validate_mode(spec: &JobSpec, field: &Path, errors: &mut FieldErrors) {
    match spec.completion_mode.as_deref() {
        Some(INDEXED) => validate_indexed(spec, field, errors),
        Some(NON_INDEXED) | None => {
            let numbers = [
                ("backoffLimitPerIndex", spec.backoff_limit_per_index),
                ("maxFailedIndexes", spec.max_failed_indexes),
            ];
            for (name, value) in numbers {
                if let Some(value) = value {
                    errors.invalid(&field.child(name), value, "requires indexed completion mode");
                }
            }
        }
        Some(other) => errors.not_supported(&field.child("completionMode"), other, &[NON_INDEXED, INDEXED]),
    }
}

fn validate_indexed(spec: &JobSpec, field: &Path, errors: &mut FieldErrors) {
    let at_most = |max: i32| format!("must be less than or equal to {max}");
    let (parallelism, failed) =
        (spec.parallelism.unwrap_or_default(), spec.max_failed_indexes.unwrap_or_default());
    if spec.completions.is_none() {
        errors.required(&field.child("completions"), format!("when completion mode is {INDEXED}"));
    }
    if parallelism > PARALLELISM_MAX {
        let detail = format!("{} when completion mode is {INDEXED}", at_most(PARALLELISM_MAX));
        errors.invalid(&field.child("parallelism"), parallelism, detail);
    }
    if spec.completions.is_some_and(|completions| failed > completions) && spec.max_failed_indexes.is_some() {
        errors.invalid(&field.child("maxFailedIndexes"), failed, "must be less than or equal to completions");
    }
    if failed > FAILED_INDEXES_MAX {
        errors.invalid(&field.child("maxFailedIndexes"), failed, at_most(FAILED_INDEXES_MAX));
    }
    if spec.completions.is_none_or(|completions| completions <= MANY_COMPLETIONS)
        || spec.backoff_limit_per_index.is_none()
    {
        return;
    }
    let of_many = |max: i32| {
        let limit = at_most(max);
        format!("{limit} when completions are above {MANY_COMPLETIONS} and used with backoff limit per index")
    };
    if spec.max_failed_indexes.is_none() {
        let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
        errors.required(&field.child("maxFailedIndexes"), detail);
    }
    if parallelism > PARALLELISM_OF_MANY_MAX {
        errors.invalid(&field.child("parallelism"), parallelism, of_many(PARALLELISM_OF_MANY_MAX));
    }
    if failed > FAILED_INDEXES_OF_MANY_MAX {
        errors.invalid(&field.child("maxFailedIndexes"), failed, of_many(FAILED_INDEXES_OF_MANY_MAX));
    }
}

fn validate_replacement(spec: &JobSpec, field: &Path, errors: &mut FieldErrors) {
    let Some(policy) = spec.pod_replacement_policy.as_deref() else { return };
    let supported: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if !supported.contains(&policy) {
        errors.not_supported(&field.child("podReplacementPolicy"), policy, supported);
    }
}

/// A pod of a Job must be able to end. `Always` counts as absent: it is the default of pods.
fn validate_restart_policy(spec: &JobSpec, field: &Path, errors: &mut FieldErrors) {
    let policy =
        spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()).unwrap_or_default();
    let at = || field.child("template").child("spec").child("restartPolicy");
    match policy {
        "" | "Always" => errors.required(&at(), "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_none() => {}
        "OnFailure" => {
            errors.invalid(&at(), policy, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        other => errors.not_supported(&at(), other, &["OnFailure", "Never"]),
    }
}

/// What a client should be told about a specification that is accepted.
pub(crate) fn warnings(spec: &JobSpec, field: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let many = spec.completions.unwrap_or_default() > MANY_COMPLETIONS;
    if is_indexed(spec) && many && spec.parallelism.unwrap_or_default() > PARALLELISM_OF_MANY_MAX {
        warnings.push(format!(
            "{field}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism \
             higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of \
             indexes fail"
        ));
    }
    let pod = field.child("template").child("spec");
    warnings.extend(spec.template.spec.iter().flat_map(|spec| pod_template::warnings(spec, &pod)));
    warnings
}
