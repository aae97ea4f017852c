//! Requests and limits.

use std::collections::BTreeMap;

use super::{
    NEGATIVE, NOT_POSITIVE,
    names::{dns_label_errors, qualified_name_errors, report},
};
use crate::{FieldErrors, Path, quantity::Quantity};
use k8s_openapi::{
    api::core::v1::{PodResourceClaim, ResourceClaim, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as QuantityText,
};

const HUGE_PAGES_PREFIX: &str = "hugepages-";
const NATIVE_DOMAIN: &str = "kubernetes.io/";
/// What a container may ask for under a name without a domain, besides huge pages.
const CONTAINER_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Further names without a domain, which only quotas and claims use.
const OTHER_RESOURCES: [&str; 17] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// The `resources` of a container; `claims` are the names that the pod declares.
pub(crate) fn validate_requirements(
    resources: &ResourceRequirements,
    claims: &[PodResourceClaim],
    field: &Path,
    errors: &mut FieldErrors,
) {
    let limits = resources.limits.as_ref();
    for (name, quantity) in limits.into_iter().flatten() {
        validate_entry(name, quantity, &field.child("limits").key(name), errors);
    }
    for (name, quantity) in resources.requests.iter().flatten() {
        let requests = field.child("requests");
        let Some(requested) = validate_entry(name, quantity, &requests.key(name), errors) else { continue };
        let limit = limits.and_then(|limits| limits.get(name)).and_then(parse);
        match limit {
            Some(limit) if requested != limit && !may_be_overcommitted(name) => {
                errors.invalid(&requests, &quantity.0, format!("must be equal to {name} limit of {limit}"));
            }
            Some(limit) if requested > limit => {
                errors.invalid(
                    &requests,
                    &quantity.0,
                    format!("must be less than or equal to {name} limit of {limit}"),
                );
            }
            None if !may_be_overcommitted(name) => {
                errors.required(&field.child("limits"), "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
    let uses = |accept: fn(&str) -> bool| {
        let names = limits.into_iter().chain(&resources.requests).flat_map(BTreeMap::keys);
        names.map(String::as_str).any(accept)
    };
    if uses(|name| name.starts_with(HUGE_PAGES_PREFIX)) && !uses(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(field, "HugePages require cpu or memory");
    }
    validate_claims(resources.claims.as_deref().unwrap_or_default(), claims, field, errors);
}

fn validate_claims(
    used: &[ResourceClaim],
    declared: &[PodResourceClaim],
    field: &Path,
    errors: &mut FieldErrors,
) {
    let mut seen: Vec<(&str, Option<&str>)> = Vec::new();
    for (i, claim) in used.iter().enumerate() {
        let at = || field.child("claims").index(i);
        let request = claim.request.as_deref().filter(|request| !request.is_empty());
        if claim.name.is_empty() {
            errors.required(&at(), "");
            continue;
        }
        if let Some(request) = request {
            report(dns_label_errors(request), request, || at().child("request"), errors);
        }
        if seen.iter().any(|(name, other)| {
            *name == claim.name && (request.is_none() || other.is_none() || *other == request)
        }) {
            errors.duplicate(&at(), &claim.name);
        }
        seen.push((&claim.name, request));
        if !declared.iter().any(|declared| declared.name == claim.name) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if declared.is_empty() {
                detail.push_str(" which is empty");
            } else {
                let mut names: Vec<&str> = declared.iter().map(|claim| claim.name.as_str()).collect();
                names.sort_unstable();
                detail.push_str(&format!(": {}", names.join(", ")));
            }
            errors.not_found(&at(), &claim.name, detail);
        }
    }
}

/// One resource of a container: its name and its amount, which is returned if it can be read.
fn validate_entry(
    name: &str,
    quantity: &QuantityText,
    field: &Path,
    errors: &mut FieldErrors,
) -> Option<Quantity> {
    let faults = qualified_name_errors(name);
    let named = faults.is_empty();
    report(faults, name, || field.clone(), errors);
    if !name.contains('/') {
        if named && !is_standard(name) {
            errors.invalid(field, name, "must be a standard resource type or fully qualified");
        }
        if !is_of_containers(name) {
            errors.invalid(field, name, "must be a standard resource for containers");
        }
    } else if !name.contains(NATIVE_DOMAIN) && !is_extended(name) {
        errors.invalid(field, name, "doesn't follow extended resource name standard");
    }
    validate_amount(name, quantity, field, errors)
}

/// An amount: readable, not below zero, and whole where the resource is counted.
pub(crate) fn validate_amount(
    name: &str,
    quantity: &QuantityText,
    field: &Path,
    errors: &mut FieldErrors,
) -> Option<Quantity> {
    let amount = match quantity.0.parse::<Quantity>() {
        Ok(amount) => amount,
        Err(error) => {
            errors.invalid(field, &quantity.0, error.to_string());
            return None;
        }
    };
    if amount.is_negative() {
        errors.invalid(field, amount.to_string(), NEGATIVE);
    }
    if is_extended(name) && amount.milli_value() % 1_000 != 0 {
        errors.invalid(field, amount.to_string(), "must be an integer");
    }
    let page = name.strip_prefix(HUGE_PAGES_PREFIX).and_then(|size| size.parse::<Quantity>().ok());
    if page.is_some_and(|page| page.value() <= 0 || amount.value() <= 0 || amount.value() % page.value() != 0)
    {
        errors.invalid(
            field,
            amount.to_string(),
            format!("{amount} is not positive integer multiple of {name}"),
        );
    }
    Some(amount)
}

/// An amount of storage that is claimed: more than none.
pub(crate) fn validate_storage(quantity: &QuantityText, field: &Path, errors: &mut FieldErrors) {
    if parse(quantity).is_some_and(|amount| amount.is_zero() || amount.is_negative()) {
        errors.invalid(field, &quantity.0, NOT_POSITIVE);
    } else {
        validate_amount("storage", quantity, field, errors);
    }
}

/// An amount that has been validated.
pub(crate) fn parse(quantity: &QuantityText) -> Option<Quantity> {
    quantity.0.parse().ok()
}

fn is_of_containers(name: &str) -> bool {
    CONTAINER_RESOURCES.contains(&name) || name.starts_with(HUGE_PAGES_PREFIX)
}

fn is_standard(name: &str) -> bool {
    is_of_containers(name) || OTHER_RESOURCES.contains(&name) || name.starts_with("requests.hugepages-")
}

/// Devices and the like, which a node counts: a domain that is not Kubernetes' own.
fn is_extended(name: &str) -> bool {
    name.contains('/')
        && !name.contains(NATIVE_DOMAIN)
        && !name.starts_with("requests.")
        && qualified_name_errors(&format!("requests.{name}")).is_empty()
}

fn may_be_overcommitted(name: &str) -> bool {
    !name.starts_with(HUGE_PAGES_PREFIX) && (!name.contains('/') || name.contains(NATIVE_DOMAIN))
}
