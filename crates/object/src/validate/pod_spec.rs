//! The specification of a pod, whether of a Pod itself or of the template of a Job or CronJob.

use super::{
    container::validate_containers,
    inclusive_range,
    labels::{validate_annotations, validate_labels},
    names::{NameRule, dns_label_errors, dns_subdomain_errors, ip_address, qualified_name_errors, report},
    one_of,
    resources::validate_requirements,
    scheduling, security,
    volumes::validate_volumes,
};
use crate::{
    FieldErrors, Path,
    api::{ObjectMeta, PodSpec, PodTemplateSpec},
};
use k8s_openapi::api::core::v1::{HostAlias, PodDNSConfig, PodResourceClaim, PodSchedulingGate};

const NAME_SERVERS_MAX: usize = 3;
const SEARCH_PATHS_MAX: usize = 32;
/// Longest list of search paths, in characters with a blank between two.
const SEARCH_CHARS_MAX: usize = 2048;
const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
/// Longest deadline, in seconds.
const DEADLINE_MAX: i64 = i32::MAX as i64;

/// The template of a Job's pods.
pub(crate) fn validate_template(template: &PodTemplateSpec, field: &Path, errors: &mut FieldErrors) {
    if let Some(meta) = &template.metadata {
        validate_labels(meta.labels.as_ref(), || field.child("labels"), errors);
        validate_annotations(meta.annotations.as_ref(), || field.child("annotations"), errors);
    }
    let absent = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&absent);
    validate(spec, None, &field.child("spec"), errors);
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        let at = field.child("spec").child("ephemeralContainers");
        errors.forbidden(&at, "ephemeral containers not allowed in pod template");
    }
}

/// The specification of a pod. `pod` is its metadata, absent for a template.
pub(crate) fn validate(spec: &PodSpec, pod: Option<&ObjectMeta>, field: &Path, errors: &mut FieldErrors) {
    if spec.termination_grace_period_seconds.is_none() {
        errors.required(&field.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let volumes = validate_volumes(volumes, pod, &field.child("volumes"), errors);
    validate_resource_claims(spec.resource_claims.as_deref().unwrap_or_default(), field, errors);
    validate_containers(spec, &volumes, field, errors);
    if let Some(resources) = &spec.resources {
        validate_requirements(resources, &[], &field.child("resources"), errors);
    }
    validate_host_network(spec, pod.is_some(), field, errors);
    let policies = ["Always", "OnFailure", "Never"];
    one_of(
        spec.restart_policy.as_deref().unwrap_or_default(),
        &policies,
        || field.child("restartPolicy"),
        errors,
    );
    one_of(
        spec.dns_policy.as_deref().unwrap_or_default(),
        &DNS_POLICIES,
        || field.child("dnsPolicy"),
        errors,
    );
    validate_labels(spec.node_selector.as_ref(), || field.child("nodeSelector"), errors);
    if let Some(context) = &spec.security_context {
        security::validate_pod(context, spec, &field.child("securityContext"), errors);
    }
    validate_placement(spec, field, errors);
    validate_host_users(spec, field, errors);
    validate_names(spec, field, errors);
    if let Some(seconds) =
        spec.active_deadline_seconds.filter(|seconds| !(1..=DEADLINE_MAX).contains(seconds))
    {
        errors.invalid(&field.child("activeDeadlineSeconds"), seconds, inclusive_range(1, DEADLINE_MAX));
    }
    if let Some(tolerations) = &spec.tolerations {
        scheduling::validate_tolerations(tolerations, &field.child("tolerations"), errors);
    }
    if let Some(aliases) = &spec.host_aliases {
        validate_host_aliases(aliases, &field.child("hostAliases"), errors);
    }
    if let Some(policy) = &spec.preemption_policy {
        let supported = ["PreemptLowerPriority", "Never"];
        one_of(policy, &supported, || field.child("preemptionPolicy"), errors);
    }
    if let Some(os) = &spec.os {
        one_of(&os.name, &["linux", "windows"], || field.child("os").child("name"), errors);
    }
}

fn validate_placement(spec: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    if let Some(affinity) = &spec.affinity {
        scheduling::validate_affinity(affinity, &field.child("affinity"), errors);
    }
    let dns_policy = spec.dns_policy.as_deref().unwrap_or_default();
    validate_dns_config(spec.dns_config.as_ref(), dns_policy, &field.child("dnsConfig"), errors);
    for (i, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let at = || field.child("readinessGates").index(i).child("conditionType");
        report(qualified_name_errors(&gate.condition_type), &gate.condition_type, at, errors);
    }
    if let Some(gates) = &spec.scheduling_gates {
        validate_scheduling_gates(gates, &field.child("schedulingGates"), errors);
    }
    if let Some(constraints) = &spec.topology_spread_constraints {
        scheduling::validate_topology_spread(constraints, &field.child("topologySpreadConstraints"), errors);
    }
}

fn validate_names(spec: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    let names: [(&str, &Option<String>, NameRule); 6] = [
        ("serviceAccountName", &spec.service_account_name, NameRule::Subdomain),
        ("nodeName", &spec.node_name, NameRule::Subdomain),
        ("hostname", &spec.hostname, NameRule::Label),
        ("subdomain", &spec.subdomain, NameRule::Label),
        ("priorityClassName", &spec.priority_class_name, NameRule::Subdomain),
        ("runtimeClassName", &spec.runtime_class_name, NameRule::Subdomain),
    ];
    for (name, value, rule) in names {
        // An empty runtime class is a mistake, the other names may be empty.
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty() || name == "runtimeClassName")
        {
            report(rule.errors(value), value, || field.child(name), errors);
        }
    }
}

fn validate_resource_claims(claims: &[PodResourceClaim], field: &Path, errors: &mut FieldErrors) {
    for (i, claim) in claims.iter().enumerate() {
        let at = field.child("resourceClaims").index(i);
        if claim.name.is_empty() {
            errors.required(&at.child("name"), "");
        } else if claims[..i].iter().any(|other| other.name == claim.name) {
            errors.duplicate(&at.child("name"), &claim.name);
        } else {
            report(dns_label_errors(&claim.name), &claim.name, || at.child("name"), errors);
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => errors.invalid(
                &at,
                claim,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            ),
            (None, None) => errors.invalid(
                &at,
                claim,
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            ),
            (Some(name), None) => {
                report(dns_subdomain_errors(name), name, || at.child("resourceClaimName"), errors);
            }
            (None, Some(name)) => {
                report(dns_subdomain_errors(name), name, || at.child("resourceClaimTemplateName"), errors);
            }
        }
    }
}

fn validate_host_network(spec: &PodSpec, in_pod: bool, field: &Path, errors: &mut FieldErrors) {
    if spec.host_network != Some(true) {
        return;
    }
    for (i, container) in spec.containers.iter().enumerate() {
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let host_port = port.host_port.unwrap_or_default();
            // In a template an absent port is filled in when the pod is made.
            if (in_pod || host_port != 0) && host_port != port.container_port {
                let at = field.child("containers").index(i).child("ports").index(j).child("hostPort");
                errors.invalid(&at, host_port, "must match `containerPort` when `hostNetwork` is true");
            }
        }
    }
}

fn validate_host_users(spec: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    if spec.host_users != Some(false) {
        return;
    }
    // Upstream's spelling of the last two differs from the fields' own.
    let shared = [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)];
    for (name, _) in shared.into_iter().filter(|(_, value)| *value == Some(true)) {
        errors.forbidden(&field.child(name), "when `pod.Spec.HostUsers` is false");
    }
}

fn validate_scheduling_gates(gates: &[PodSchedulingGate], field: &Path, errors: &mut FieldErrors) {
    for (i, gate) in gates.iter().enumerate() {
        report(qualified_name_errors(&gate.name), &gate.name, || field.index(i), errors);
        if gates[..i].iter().any(|other| other.name == gate.name) {
            errors.duplicate(&field.index(i), &gate.name);
        }
    }
}

fn validate_host_aliases(aliases: &[HostAlias], field: &Path, errors: &mut FieldErrors) {
    for (i, alias) in aliases.iter().enumerate() {
        ip_address(&alias.ip, || field.index(i).child("ip"), errors);
        for (j, name) in alias.hostnames.iter().flatten().enumerate() {
            report(dns_subdomain_errors(name), name, || field.index(i).child("hostnames").index(j), errors);
        }
    }
}

fn validate_dns_config(config: Option<&PodDNSConfig>, policy: &str, field: &Path, errors: &mut FieldErrors) {
    let servers = config.and_then(|config| config.nameservers.as_deref()).unwrap_or_default();
    if policy == "None" && servers.is_empty() {
        return match config {
            None => errors.required(field, "must provide `dnsConfig` when `dnsPolicy` is None"),
            Some(_) => errors.required(
                &field.child("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            ),
        };
    }
    let Some(config) = config else { return };
    if servers.len() > NAME_SERVERS_MAX {
        let detail = format!("must not have more than {NAME_SERVERS_MAX} nameservers");
        errors.invalid(&field.child("nameservers"), servers, detail);
    }
    for (i, server) in servers.iter().enumerate() {
        ip_address(server, || field.child("nameservers").index(i), errors);
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > SEARCH_PATHS_MAX {
        let detail = format!("must not have more than {SEARCH_PATHS_MAX} search paths");
        errors.invalid(&field.child("searches"), searches, detail);
    }
    if searches.join(" ").len() > SEARCH_CHARS_MAX {
        let detail = format!(
            "must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list"
        );
        errors.invalid(&field.child("searches"), searches, detail);
    }
    for (i, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        // Unlike in other subdomains, an underscore may stand wherever a letter may.
        let name = search.strip_suffix('.').unwrap_or(search).replace('_', "a");
        report(dns_subdomain_errors(&name), search, || field.child("searches").index(i), errors);
    }
    for (i, _) in config
        .options
        .iter()
        .flatten()
        .enumerate()
        .filter(|(_, option)| option.name.as_deref().unwrap_or_default().is_empty())
    {
        errors.required(&field.child("options").index(i), "must not be empty");
    }
}
