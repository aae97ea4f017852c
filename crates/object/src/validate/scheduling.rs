//! Where a pod may run: affinity, tolerations, topology spread.

use super::{
    NOT_POSITIVE,
    labels::{validate_key, validate_selector},
    names::{NameRule, dns_subdomain_errors, label_value_errors, report},
};
use crate::{FieldErrors, Path};
use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const WEIGHT_RANGE: &str = "must be in the range 1-100";
const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `affinity` of a pod.
pub(crate) fn validate_affinity(affinity: &Affinity, field: &Path, errors: &mut FieldErrors) {
    if let Some(node) = &affinity.node_affinity {
        let field = field.child("nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            validate_node_selector(selector, &field.child(REQUIRED), errors);
        }
        let terms = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (i, term) in terms.enumerate() {
            let at = field.child(PREFERRED).index(i);
            validate_weight(term.weight, &at, errors);
            validate_node_term(&term.preference, false, &at.child("preference"), errors);
        }
    }
    if let Some(pod) = &affinity.pod_affinity {
        let field = field.child("podAffinity");
        validate_pod_terms(&pod.required_during_scheduling_ignored_during_execution, &field, errors);
        validate_weighted_terms(&pod.preferred_during_scheduling_ignored_during_execution, &field, errors);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let field = field.child("podAntiAffinity");
        validate_pod_terms(&pod.required_during_scheduling_ignored_during_execution, &field, errors);
        validate_weighted_terms(&pod.preferred_during_scheduling_ignored_during_execution, &field, errors);
    }
}

fn validate_weight(weight: i32, field: &Path, errors: &mut FieldErrors) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&field.child("weight"), weight, WEIGHT_RANGE);
    }
}

/// What nodes must be like.
pub(crate) fn validate_node_selector(selector: &NodeSelector, field: &Path, errors: &mut FieldErrors) {
    let field = field.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.required(&field, "must have at least one node selector term");
    }
    for (i, term) in selector.node_selector_terms.iter().enumerate() {
        validate_node_term(term, true, &field.index(i), errors);
    }
}

/// `strict` also asks that values could be those of labels: only what is required can keep a pod from
/// running.
fn validate_node_term(term: &NodeSelectorTerm, strict: bool, field: &Path, errors: &mut FieldErrors) {
    for (i, requirement) in term.match_expressions.iter().flatten().enumerate() {
        validate_node_requirement(requirement, strict, &field.child("matchExpressions").index(i), errors);
    }
    for (i, requirement) in term.match_fields.iter().flatten().enumerate() {
        validate_node_field(requirement, &field.child("matchFields").index(i), errors);
    }
}

fn validate_node_requirement(
    requirement: &NodeSelectorRequirement,
    strict: bool,
    field: &Path,
    errors: &mut FieldErrors,
) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let at = || field.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&at(), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(&at(), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&at(), "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(&field.child("operator"), other, "not a valid selector operator"),
    }
    validate_key(&requirement.key, || field.child("key"), errors);
    for (i, value) in values.iter().enumerate().filter(|_| strict) {
        report(label_value_errors(value), value, || at().index(i), errors);
    }
}

fn validate_node_field(requirement: &NodeSelectorRequirement, field: &Path, errors: &mut FieldErrors) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => errors.required(
            &field.child("values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
        other => errors.invalid(&field.child("operator"), other, "not a valid selector operator"),
    }
    if requirement.key == "metadata.name" {
        for (i, value) in values.iter().enumerate() {
            report(dns_subdomain_errors(value), value, || field.child("values").index(i), errors);
        }
    } else {
        errors.invalid(&field.child("key"), &requirement.key, "not a valid field selector key");
    }
}

fn validate_pod_terms(terms: &Option<Vec<PodAffinityTerm>>, field: &Path, errors: &mut FieldErrors) {
    for (i, term) in terms.iter().flatten().enumerate() {
        validate_pod_term(term, &field.child(REQUIRED).index(i), errors);
    }
}

fn validate_weighted_terms(
    terms: &Option<Vec<WeightedPodAffinityTerm>>,
    field: &Path,
    errors: &mut FieldErrors,
) {
    for (i, term) in terms.iter().flatten().enumerate() {
        let at = field.child(PREFERRED).index(i);
        validate_weight(term.weight, &at, errors);
        validate_pod_term(&term.pod_affinity_term, &at.child("podAffinityTerm"), errors);
    }
}

fn validate_pod_term(term: &PodAffinityTerm, field: &Path, errors: &mut FieldErrors) {
    if let Some(selector) = &term.label_selector {
        validate_selector(selector, &field.child("labelSelector"), errors);
    }
    if let Some(selector) = &term.namespace_selector {
        validate_selector(selector, &field.child("namespaceSelector"), errors);
    }
    for name in term.namespaces.iter().flatten() {
        report(NameRule::Label.errors(name), name, || field.child("namespace"), errors);
    }
    validate_topology_key(&term.topology_key, field, errors);
}

fn validate_topology_key(key: &str, field: &Path, errors: &mut FieldErrors) {
    if key.is_empty() {
        errors.required(&field.child("topologyKey"), "can not be empty");
    }
    validate_key(key, || field.child("topologyKey"), errors);
}

/// `tolerations` of a pod.
pub(crate) fn validate_tolerations(tolerations: &[Toleration], field: &Path, errors: &mut FieldErrors) {
    for (i, toleration) in tolerations.iter().enumerate() {
        validate_toleration(toleration, &field.index(i), errors);
    }
}

fn validate_toleration(toleration: &Toleration, field: &Path, errors: &mut FieldErrors) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (key, operator) = (text(&toleration.key), text(&toleration.operator));
    let (value, effect) = (text(&toleration.value), text(&toleration.effect));
    if !key.is_empty() {
        validate_key(&key, || field.child("key"), errors);
    } else if operator != "Exists" {
        errors.invalid(
            &field.child("operator"),
            &operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        );
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(&field.child("effect"), &effect, detail);
    }
    match operator.as_str() {
        "Equal" | "" => {
            let faults = label_value_errors(&value);
            if !faults.is_empty() {
                errors.invalid(&field.child("operator"), &value, faults.join(";"));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.invalid(&field.child("operator"), &value, detail);
        }
        other => errors.not_supported(&field.child("operator"), other, &["Equal", "Exists"]),
    }
    if !effect.is_empty() && !TAINT_EFFECTS.contains(&effect.as_str()) {
        errors.not_supported(&field.child("effect"), &effect, &TAINT_EFFECTS);
    }
}

/// `effect` of a taint, which a node must have.
pub(crate) fn validate_taint_effect(effect: &str, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    super::one_of(effect, &TAINT_EFFECTS, field, errors);
}

/// `topologySpreadConstraints` of a pod.
pub(crate) fn validate_topology_spread(
    constraints: &[TopologySpreadConstraint],
    field: &Path,
    errors: &mut FieldErrors,
) {
    for (i, constraint) in constraints.iter().enumerate() {
        let at = field.index(i);
        let action = constraint.when_unsatisfiable.as_str();
        if constraint.max_skew <= 0 {
            errors.invalid(&at.child("maxSkew"), constraint.max_skew, NOT_POSITIVE);
        }
        validate_topology_key(&constraint.topology_key, &at, errors);
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&action) {
            errors.not_supported(
                &at.child("whenUnsatisfiable"),
                action,
                &["DoNotSchedule", "ScheduleAnyway"],
            );
        }
        let twin = |other: &TopologySpreadConstraint| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == action
        };
        if constraints[..i].iter().any(twin) {
            let pair = format!("{{{}, {action}}}", constraint.topology_key);
            errors.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), pair);
        }
        validate_min_domains(constraint, &at, errors);
        let policies = [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ];
        for (name, policy) in policies {
            if let Some(policy) = policy.as_deref().filter(|policy| !["Honor", "Ignore"].contains(policy)) {
                errors.not_supported(&at.child(name), policy, &["Honor", "Ignore"]);
            }
        }
        if let Some(selector) = &constraint.label_selector {
            validate_selector(selector, &at.child("labelSelector"), errors);
        }
    }
}

fn validate_min_domains(constraint: &TopologySpreadConstraint, field: &Path, errors: &mut FieldErrors) {
    let Some(domains) = constraint.min_domains else { return };
    if domains <= 0 {
        errors.invalid(&field.child("minDomains"), domains, NOT_POSITIVE);
    }
    if constraint.when_unsatisfiable != "DoNotSchedule" {
        let detail = format!(
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
            constraint.when_unsatisfiable
        );
        errors.invalid(&field.child("minDomains"), domains, detail);
    }
}
