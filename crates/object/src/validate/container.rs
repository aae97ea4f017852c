//! Containers of a pod: regular, init and ephemeral ones.

use super::{
    env::{validate_env, validate_env_from},
    names::{dns_label_errors, port_name_errors, report},
    one_of,
    probes::{validate_port_number, validate_probes},
    resources::validate_requirements,
    security,
    volumes::{validate_devices, validate_mounts},
};
use crate::{
    FieldErrors, Path,
    api::{Container, PodSpec, Volume},
};
use k8s_openapi::api::core::v1::{ContainerPort, ContainerRestartRule};

/// How many restart rules a container may have (upstream's bound).
const RESTART_RULES_MAX: usize = 20;
/// How many exit codes a restart rule may name (upstream's bound).
const RESTART_EXIT_CODES_MAX: usize = 255;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const ONLY_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";

/// All containers of a pod. `volumes` are those that can be mounted.
pub(crate) fn validate_containers(
    spec: &PodSpec,
    volumes: &[&Volume],
    field: &Path,
    errors: &mut FieldErrors,
) {
    let list = field.child("containers");
    if spec.containers.is_empty() {
        errors.required(&list, "");
    }
    for (i, container) in spec.containers.iter().enumerate() {
        let at = list.index(i);
        validate_common(container, spec, volumes, &at, errors);
        if spec.containers[..i].iter().any(|other| other.name == container.name) && !container.name.is_empty()
        {
            errors.duplicate(&at.child("name"), &container.name);
        }
        validate_probes(container, spec.termination_grace_period_seconds, &at, errors);
        validate_restart_policy(container, &at, errors);
    }
    validate_host_ports(&spec.containers, &list, errors);
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    for (i, container) in inits.iter().enumerate() {
        validate_init(container, i, spec, volumes, &field.child("initContainers"), errors);
    }
}

/// Any container may have a restart policy of its own (since 1.35), and rules only with one.
fn validate_restart_policy(container: &Container, field: &Path, errors: &mut FieldErrors) {
    let supported = ["Always", "OnFailure", "Never"];
    match container.restart_policy.as_deref() {
        Some(policy) if !supported.contains(&policy) => {
            errors.not_supported(&field.child("restartPolicy"), policy, &supported);
        }
        None if container.restart_policy_rules.as_ref().is_some_and(|rules| !rules.is_empty()) => {
            let detail = "must specify restartPolicy when restart rules are used";
            errors.required(&field.child("restartPolicy"), detail);
        }
        _ => {}
    }
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    let list = field.child("restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        errors.too_many(&list, rules.len(), RESTART_RULES_MAX);
    }
    for (i, rule) in rules.iter().enumerate() {
        validate_restart_rule(rule, &list.index(i), errors);
    }
}

/// `RestartAllContainers` is behind a gate that is closed unless somebody opens it.
fn validate_restart_rule(rule: &ContainerRestartRule, field: &Path, errors: &mut FieldErrors) {
    if rule.action != "Restart" {
        errors.not_supported(&field.child("action"), &rule.action, &["Restart"]);
    }
    let at = field.child("exitCodes");
    let Some(codes) = &rule.exit_codes else { return errors.required(&at, "must be specified") };
    let operators = ["In", "NotIn"];
    if !operators.contains(&codes.operator.as_str()) {
        errors.not_supported(&at.child("operator"), &codes.operator, &operators);
    }
    let count = codes.values.as_ref().map_or(0, Vec::len);
    if count > RESTART_EXIT_CODES_MAX {
        errors.too_many(&at.child("values"), count, RESTART_EXIT_CODES_MAX);
    }
}

fn validate_init(
    container: &Container,
    index: usize,
    spec: &PodSpec,
    volumes: &[&Volume],
    list: &Path,
    errors: &mut FieldErrors,
) {
    let at = list.index(index);
    validate_common(container, spec, volumes, &at, errors);
    validate_restart_policy(container, &at, errors);
    let mut others = spec.containers.iter().chain(spec.init_containers.iter().flatten().take(index));
    if others.any(|other| other.name == container.name) && !container.name.is_empty() {
        errors.duplicate(&at.child("name"), &container.name);
    }
    // Init containers run one after the other, so each has the host's ports for itself.
    validate_host_ports(std::slice::from_ref(container), list, errors);
    if container.restart_policy.as_deref() == Some("Always") {
        return validate_probes(container, spec.termination_grace_period_seconds, &at, errors);
    }
    let fields = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (name, _) in fields.into_iter().filter(|(_, set)| *set) {
        errors.forbidden(&at.child(name), ONLY_SIDECARS);
    }
}

fn validate_common(
    container: &Container,
    spec: &PodSpec,
    volumes: &[&Volume],
    field: &Path,
    errors: &mut FieldErrors,
) {
    if container.name.is_empty() {
        errors.required(&field.child("name"), "");
    } else {
        report(dns_label_errors(&container.name), &container.name, || field.child("name"), errors);
    }
    if container.image.as_deref().unwrap_or_default().is_empty() {
        errors.required(&field.child("image"), "");
    }
    one_of(
        container.termination_message_policy.as_deref().unwrap_or_default(),
        &["File", "FallbackToLogsOnError"],
        || field.child("terminationMessagePolicy"),
        errors,
    );
    if let Some(ports) = &container.ports {
        validate_ports(ports, &field.child("ports"), errors);
    }
    if let Some(variables) = &container.env {
        validate_env(variables, &field.child("env"), errors);
    }
    if let Some(sources) = &container.env_from {
        validate_env_from(sources, &field.child("envFrom"), errors);
    }
    if container.volume_mounts.is_some() {
        validate_mounts(container, volumes, &field.child("volumeMounts"), errors);
    }
    if container.volume_devices.is_some() {
        validate_devices(container, volumes, &field.child("volumeDevices"), errors);
    }
    one_of(
        container.image_pull_policy.as_deref().unwrap_or_default(),
        &["Always", "IfNotPresent", "Never"],
        || field.child("imagePullPolicy"),
        errors,
    );
    if let Some(resources) = &container.resources {
        let claims = spec.resource_claims.as_deref().unwrap_or_default();
        validate_requirements(resources, claims, &field.child("resources"), errors);
    }
    validate_resize_policy(container, spec, field, errors);
    if let Some(context) = &container.security_context {
        let host_users = spec.host_users.unwrap_or(true);
        security::validate_container(context, host_users, &field.child("securityContext"), errors);
    }
}

fn validate_resize_policy(container: &Container, spec: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    let policies = container.resize_policy.as_deref().unwrap_or_default();
    let at = || field.child("resizePolicy");
    for (i, policy) in policies.iter().enumerate() {
        if policies[..i].iter().any(|other| other.resource_name == policy.resource_name) {
            errors.duplicate(&at().index(i), &policy.resource_name);
        }
        one_of(&policy.resource_name, &["cpu", "memory"], at, errors);
        one_of(&policy.restart_policy, &["NotRequired", "RestartContainer"], at, errors);
        if spec.restart_policy.as_deref() == Some("Never") && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.invalid(&at(), &policy.restart_policy, detail);
        }
    }
}

fn validate_ports(ports: &[ContainerPort], field: &Path, errors: &mut FieldErrors) {
    for (i, port) in ports.iter().enumerate() {
        let at = field.index(i);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let faults = port_name_errors(name);
            if faults.is_empty() && ports[..i].iter().any(|other| other.name == port.name) {
                errors.duplicate(&at.child("name"), name);
            }
            report(faults, name, || at.child("name"), errors);
        }
        if port.container_port == 0 {
            errors.required(&at.child("containerPort"), "");
        } else {
            validate_port_number(i64::from(port.container_port), || at.child("containerPort"), errors);
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            validate_port_number(i64::from(number), || at.child("hostPort"), errors);
        }
        one_of(port.protocol.as_deref().unwrap_or_default(), &PROTOCOLS, || at.child("protocol"), errors);
    }
}

fn validate_host_ports(containers: &[Container], list: &Path, errors: &mut FieldErrors) {
    let mut seen: Vec<String> = Vec::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let key = format!("{}/{}/{number}", text(&port.protocol), text(&port.host_ip));
            if seen.contains(&key) {
                errors.duplicate(&list.index(i).child("ports").index(j).child("hostPort"), key);
            } else {
                seen.push(key);
            }
        }
    }
}
