//! What a pod of containers asks for and this node does not do, of what would confine the pod or open it up: whoever
//! relies on it is to know.

use cronlet_object::api;

use super::roles;

/// The fields in question, by their paths in the pod.
pub(crate) fn fields(spec: &api::PodSpec) -> Vec<String> {
    let mut fields = Vec::new();
    let pod = spec.security_context.clone().unwrap_or_default();
    let localhost = |profile: Option<&str>| profile == Some("Localhost");
    let of_pod = [
        ("spec.hostIPC", spec.host_ipc == Some(true)),
        ("spec.hostPID", spec.host_pid == Some(true)),
        ("spec.hostUsers", spec.host_users == Some(false)),
        ("spec.shareProcessNamespace", spec.share_process_namespace == Some(true)),
        ("spec.securityContext.appArmorProfile", pod.app_armor_profile.is_some()),
        ("spec.securityContext.seLinuxOptions", pod.se_linux_options.is_some()),
        (
            "spec.securityContext.seccompProfile",
            localhost(pod.seccomp_profile.as_ref().map(|profile| profile.type_.as_str())),
        ),
        (
            "spec.securityContext.supplementalGroupsPolicy",
            pod.supplemental_groups_policy.as_deref() == Some("Strict"),
        ),
        ("spec.securityContext.sysctls", pod.sysctls.is_some_and(|sysctls| !sysctls.is_empty())),
    ];
    fields.extend(of_pod.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field.to_owned()));
    for (_, container) in roles(spec) {
        let own = container.security_context.clone().unwrap_or_default();
        let of_container = [
            ("securityContext.appArmorProfile", own.app_armor_profile.is_some()),
            ("securityContext.procMount", own.proc_mount.is_some_and(|mount| mount != "Default")),
            ("securityContext.seLinuxOptions", own.se_linux_options.is_some()),
            (
                "securityContext.seccompProfile",
                localhost(own.seccomp_profile.as_ref().map(|profile| profile.type_.as_str())),
            ),
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
        fields(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn what_is_not_done_is_named() {
        let container = json!({
            "name": "c", "image": "app",
            "securityContext": { "procMount": "Unmasked", "seccompProfile": { "type": "Localhost" } },
        });
        let named = of(json!({
            "hostPID": true, "hostUsers": false, "containers": [container],
            "securityContext": { "sysctls": [{ "name": "kernel.shm_rmid_forced", "value": "1" }] },
        }));
        assert_eq!(
            named,
            [
                "spec.hostPID",
                "spec.hostUsers",
                "spec.securityContext.sysctls",
                "securityContext.procMount of container c",
                "securityContext.seccompProfile of container c",
            ]
        );
    }

    #[test]
    fn what_is_as_it_would_be_anyway_is_not() {
        let container = json!({
            "name": "c", "image": "app",
            "securityContext": { "procMount": "Default", "seccompProfile": { "type": "RuntimeDefault" } },
            "volumeMounts": [{ "name": "v", "mountPath": "/v", "recursiveReadOnly": "Disabled" }],
        });
        let spec = json!({
            "hostPID": false, "hostIPC": false, "hostUsers": true, "shareProcessNamespace": false,
            "securityContext": { "sysctls": [], "supplementalGroupsPolicy": "Merge" }, "containers": [container],
        });
        assert!(of(spec).is_empty());
    }
}
