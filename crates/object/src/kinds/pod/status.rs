//! How the status of a pod may change.

use crate::{
    FieldErrors, Path,
    api::{ContainerStatus, Pod, PodStatus},
    validate::{
        immutable,
        names::{dns_subdomain_errors, ip_address, qualified_name_errors, report},
    },
};

/// The status of `new`, which replaces that of `old`.
pub(super) fn validate_update(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let absent = PodStatus::default();
    let (status, before) = (new.status.as_ref().unwrap_or(&absent), old.status.as_ref().unwrap_or(&absent));
    let field = Path::root("status");
    for (i, condition) in status.conditions.iter().flatten().enumerate() {
        report(
            qualified_name_errors(&condition.type_),
            &condition.type_,
            || field.child("conditions").index(i).child("Type"),
            errors,
        );
    }
    if let Some(name) = status.nominated_node_name.as_deref().filter(|name| !name.is_empty()) {
        report(dns_subdomain_errors(name), name, || field.child("nominatedNodeName"), errors);
    }
    immutable(&status.qos_class, &before.qos_class, || field.child("qosClass"), errors);
    validate_states(new, status, before, &field, errors);
    for (i, address) in status.pod_ips.iter().flatten().enumerate() {
        ip_address(&address.ip, || field.child("podIPs").index(i), errors);
    }
    let addresses = status.host_ips.as_deref().unwrap_or_default();
    if let Some(first) = addresses.first().filter(|first| status.host_ip.as_ref() != Some(&first.ip)) {
        errors.invalid(&field.child("hostIPs").index(0).child("ip"), &first.ip, "must be equal to `hostIP`");
    }
    for (i, address) in addresses.iter().enumerate() {
        ip_address(&address.ip, || field.child("hostIPs").index(i), errors);
    }
}

/// A container that has ended for good does not come back.
fn validate_states(pod: &Pod, new: &PodStatus, old: &PodStatus, field: &Path, errors: &mut FieldErrors) {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or_default();
    let restarts = |name: &str| {
        let mut containers = spec
            .into_iter()
            .flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        containers.any(|container| container.name == name && container.restart_policy.is_some())
    };
    let lists = [
        ("containerStatuses", &new.container_statuses, &old.container_statuses),
        ("initContainerStatuses", &new.init_container_statuses, &old.init_container_statuses),
    ];
    for (name, new, old) in lists {
        for (i, before) in old.iter().flatten().enumerate() {
            let Some(exit_code) = exit_code(before) else { continue };
            let may_return =
                policy == "Always" || (policy == "OnFailure" && exit_code != 0) || restarts(&before.name);
            let returns = |now: &ContainerStatus| now.name == before.name && self::exit_code(now).is_none();
            if !may_return && new.iter().flatten().any(returns) {
                let at = field.child(name).index(i).child("state");
                errors.forbidden(&at, "may not be transitioned to non-terminated state");
            }
        }
    }
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}
