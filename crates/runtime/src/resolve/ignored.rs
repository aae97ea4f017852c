//! What a pod of containers asks for and this node does not do, of what would confine the pod or open it up: whoever
//! relies on it is to know.

use cronlet_object::api;

use super::roles;
use crate::spec::{Processes, Sandbox};

/// Whether the containers of a pod are to share their processes and can: that needs root.
pub(super) fn shares_processes(spec: &api::PodSpec, is_root: bool) -> bool {
    is_root && spec.share_process_namespace == Some(true)
}

/// The fields in question, by their paths in the pod, whose containers share what `sandbox` says. Without root every
/// container is in a user namespace of its own, asked or not.
pub(crate) fn fields(spec: &api::PodSpec, sandbox: &Sandbox, is_root: bool) -> Vec<String> {
    let mut fields = Vec::new();
    let pod = spec.security_context.clone().unwrap_or_default();
    let of_pod = [
        ("spec.hostUsers", is_root && spec.host_users == Some(false)),
        (
            "spec.shareProcessNamespace (the node must be root for that)",
            spec.share_process_namespace == Some(true) && sandbox.processes == Processes::Own,
        ),
        ("spec.securityContext.appArmorProfile", pod.app_armor_profile.is_some()),
        ("spec.securityContext.seLinuxOptions", pod.se_linux_options.is_some()),
    ];
    fields.extend(of_pod.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field.to_owned()));
    for (_, container) in roles(spec) {
        let own = container.security_context.clone().unwrap_or_default();
        let mut ports = container.ports.iter().flatten();
        let of_container = [
            (
                "ports.hostPort (the pod has no network of its own)",
                sandbox.bridge.is_none()
                    && ports.any(|port| port.host_port.is_some_and(|on_host| on_host != port.container_port)),
            ),
            ("securityContext.appArmorProfile", own.app_armor_profile.is_some()),
            ("securityContext.procMount", own.proc_mount.is_some_and(|mount| mount != "Default")),
            ("securityContext.seLinuxOptions", own.se_linux_options.is_some()),
        ];
        let of_container = of_container.into_iter().filter(|(_, is_set)| *is_set);
        fields.extend(of_container.map(|(field, _)| format!("{field} of container {}", container.name)));
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: Value) -> Vec<String> {
        fields(&serde_json::from_value(spec).unwrap(), &Sandbox::default(), true)
    }

    #[test]
    fn what_is_not_done_is_named() {
        let container = json!({
            "name": "c", "image": "app", "ports": [{ "containerPort": 80, "hostPort": 8080 }],
            "securityContext": { "procMount": "Unmasked", "seLinuxOptions": { "level": "s0" } },
        });
        let named = of(json!({
            "shareProcessNamespace": true, "hostUsers": false, "containers": [container],
        }));
        assert_eq!(
            named,
            [
                "spec.hostUsers",
                "spec.shareProcessNamespace (the node must be root for that)",
                "ports.hostPort (the pod has no network of its own) of container c",
                "securityContext.procMount of container c",
                "securityContext.seLinuxOptions of container c",
            ]
        );
    }

    #[test]
    fn what_is_as_it_would_be_anyway_is_not() {
        let container = json!({
            "name": "c", "image": "app", "ports": [{ "containerPort": 80, "hostPort": 80 }, { "containerPort": 81 }],
            "securityContext": { "procMount": "Default", "seccompProfile": { "type": "RuntimeDefault" } },
            "volumeMounts": [{ "name": "v", "mountPath": "/v", "recursiveReadOnly": "Disabled" }],
        });
        let spec = json!({
            "hostPID": false, "hostIPC": false, "hostUsers": true, "shareProcessNamespace": false,
            "securityContext": { "sysctls": [], "supplementalGroupsPolicy": "Strict" }, "containers": [container],
        });
        assert!(of(spec).is_empty());
        let shared =
            json!({ "shareProcessNamespace": true, "containers": [{ "name": "c", "image": "app" }] });
        let sandbox = Sandbox { processes: Processes::Pod, ..Sandbox::default() };
        assert!(fields(&serde_json::from_value(shared).unwrap(), &sandbox, true).is_empty());
    }

    #[test]
    fn without_root_a_pod_has_users_of_its_own() {
        let spec = json!({ "hostUsers": false, "containers": [{ "name": "c", "image": "app" }] });
        let spec = serde_json::from_value(spec).unwrap();
        assert!(fields(&spec, &Sandbox::default(), false).is_empty());
    }
}
