//! The rules by which a Job counts failures and ends early.

use serde::Serialize;

use super::{indexes, is_indexed};
use crate::{
    FieldErrors, Path,
    api::JobSpec,
    validate::{
        names::{qualified_name_errors, report},
        optional_non_negative,
    },
};
use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const PATTERNS_MAX: usize = 20;
/// Longest list of indexes in a rule, in bytes.
const INDEXES_BYTES_MAX: usize = 64 * 1024;
const FAIL_INDEX: &str = "FailIndex";
const ACTIONS: [&str; 4] = ["Count", FAIL_INDEX, "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// `spec.podFailurePolicy`
pub(super) fn validate_failure_policy(
    policy: &PodFailurePolicy,
    spec: &JobSpec,
    field: &Path,
    errors: &mut FieldErrors,
) {
    let rules = field.child("rules");
    if policy.rules.len() > RULES_MAX {
        errors.too_many(&rules, policy.rules.len(), RULES_MAX);
    }
    for (i, rule) in policy.rules.iter().enumerate() {
        validate_failure_rule(rule, spec, &rules.index(i), errors);
    }
}

fn validate_failure_rule(
    rule: &PodFailurePolicyRule,
    spec: &JobSpec,
    field: &Path,
    errors: &mut FieldErrors,
) {
    if rule.action != FAIL_INDEX {
        validate_choice(&rule.action, &ACTIONS, || field.child("action"), errors);
    } else if spec.backoff_limit_per_index.is_none() {
        errors.invalid(&field.child("action"), &rule.action, "requires the backoffLimitPerIndex to be set");
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(requirement) = &rule.on_exit_codes {
        validate_exit_codes(requirement, spec, &field.child("onExitCodes"), errors);
    }
    validate_conditions(patterns, &field.child("onPodConditions"), errors);
    match (&rule.on_exit_codes, patterns.is_empty()) {
        (Some(_), false) => {
            errors.invalid_unshown(field, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (None, true) => {
            errors.invalid_unshown(field, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn validate_choice(value: &str, supported: &[&str], field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if value.is_empty() {
        let list: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        errors.required(&field(), format!("valid values: [{}]", list.join(" ")));
    } else if !supported.contains(&value) {
        errors.not_supported(&field(), value, supported);
    }
}

fn validate_conditions(
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
    field: &Path,
    errors: &mut FieldErrors,
) {
    if patterns.len() > PATTERNS_MAX {
        errors.too_many(field, patterns.len(), PATTERNS_MAX);
    }
    for (i, pattern) in patterns.iter().enumerate() {
        let at = field.index(i);
        report(qualified_name_errors(&pattern.type_), &pattern.type_, || at.child("type"), errors);
        let status = pattern.status.as_deref().unwrap_or_default();
        validate_choice(status, &STATUSES, || at.child("status"), errors);
    }
}

fn validate_exit_codes(
    requirement: &PodFailurePolicyOnExitCodesRequirement,
    spec: &JobSpec,
    field: &Path,
    errors: &mut FieldErrors,
) {
    validate_choice(&requirement.operator, &OPERATORS, || field.child("operator"), errors);
    if let Some(name) = requirement.container_name.as_ref().filter(|name| !has_container(spec, name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&field.child("containerName"), name, detail);
    }
    let (values, at) = (&requirement.values, field.child("values"));
    if values.is_empty() {
        errors.invalid(&at, values, "at least one value is required");
    } else if values.len() > EXIT_CODES_MAX {
        errors.too_many(&at, values.len(), EXIT_CODES_MAX);
    }
    for (i, code) in values.iter().enumerate() {
        if requirement.operator == "In" && *code == 0 {
            errors.invalid(&at.index(i), code, "must not be 0 for the In operator");
        }
        if values[..i].contains(code) {
            errors.duplicate(&at.index(i), code);
        }
    }
    if !values.is_sorted() {
        errors.invalid(&at, values, "must be ordered");
    }
}

fn has_container(spec: &JobSpec, name: &str) -> bool {
    let pods = spec.template.spec.iter();
    let mut containers =
        pods.flat_map(|pod| pod.containers.iter().chain(pod.init_containers.iter().flatten()));
    containers.any(|container| container.name == name)
}

/// `spec.successPolicy`
pub(super) fn validate_success_policy(spec: &JobSpec, parent: &Path, errors: &mut FieldErrors) {
    let Some(policy) = &spec.success_policy else { return };
    let field = parent.child("successPolicy");
    if !is_indexed(spec) {
        return errors.invalid(&field, GoPolicy::from(policy), "requires indexed completion mode");
    }
    let rules = field.child("rules");
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.required(&rules, detail);
    }
    if policy.rules.len() > RULES_MAX {
        errors.too_many(&rules, policy.rules.len(), RULES_MAX);
    }
    for (i, rule) in policy.rules.iter().enumerate() {
        // Without completions there is nothing to compare with, and that is an error already.
        validate_success_rule(rule, spec.completions.unwrap_or(i32::MAX), &rules.index(i), errors);
    }
}

fn validate_success_rule(rule: &SuccessPolicyRule, completions: i32, field: &Path, errors: &mut FieldErrors) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        errors.required(field, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut listed = 0;
    if let Some(list) = &rule.succeeded_indexes {
        let at = field.child("succeededIndexes");
        if list.len() > INDEXES_BYTES_MAX {
            errors.too_long(&at, INDEXES_BYTES_MAX);
        }
        match indexes::parse(list, completions) {
            Ok(intervals) => listed = indexes::count(&intervals),
            Err(error) => errors.invalid(&at, list, format!("error parsing succeededIndexes: {error}")),
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    optional_non_negative(Some(count), field, "succeededCount", errors);
    if count > completions {
        let detail =
            format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(&field.child("succeededCount"), count, detail);
    }
    if rule.succeeded_indexes.is_some() && i64::from(count) > listed {
        let detail = format!(
            "must be less than or equal to {listed} (the number of indexes in the specified \
             succeededIndexes field)"
        );
        errors.invalid(&field.child("succeededCount"), count, detail);
    }
}

/// A policy as upstream shows it in a message: with the names of the fields in Go.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GoPolicy<'a> {
    rules: Vec<GoRule<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GoRule<'a> {
    succeeded_indexes: Option<&'a str>,
    succeeded_count: Option<i32>,
}

impl<'a> From<&'a SuccessPolicy> for GoPolicy<'a> {
    fn from(policy: &'a SuccessPolicy) -> Self {
        let rule = |rule: &'a SuccessPolicyRule| GoRule {
            succeeded_indexes: rule.succeeded_indexes.as_deref(),
            succeeded_count: rule.succeeded_count,
        };
        GoPolicy { rules: policy.rules.iter().map(rule).collect() }
    }
}
