//! Kernel settings of a pod: which it may have, and which are refused as the kubelet refuses them.

use cronlet_object::api;

use crate::spec::Sandbox;

/// The reason of a pod's failure that asks for what it may not have.
pub(super) const FORBIDDEN: &str = "SysctlForbidden";

/// The settings that are a pod's own affair (the kubelet's safe set).
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// The settings of a pod, by their names with dots. Those of the network and of shared memory belong to the machine if
/// the pod has the machine's.
///
/// # Errors
/// The first one that it may not have, in the kubelet's words.
pub(super) fn resolve(spec: &api::PodSpec, sandbox: &Sandbox) -> Result<Vec<(String, String)>, String> {
    let wanted = spec.security_context.as_ref().and_then(|context| context.sysctls.as_ref());
    let mut settings = Vec::new();
    for sysctl in wanted.into_iter().flatten() {
        let name = with_dots(&sysctl.name);
        let (host, has_hosts) = if name.starts_with("net.") {
            ("Net", !sandbox.no_network && sandbox.bridge.is_none())
        } else {
            ("IPC", sandbox.host_ipc)
        };
        if !SAFE.contains(&name.as_str()) {
            return Err(format!("forbidden sysctl: {name:?} not allowlisted"));
        }
        if has_hosts {
            return Err(format!("forbidden sysctl: {name:?} not allowed with host {host} enabled"));
        }
        settings.push((name, sysctl.value.clone()));
    }
    Ok(settings)
}

/// A name may be written with slashes; a dot then is part of a word (the rule of `sysctl`).
fn with_dots(name: &str) -> String {
    if name.find(['.', '/']).is_none_or(|first| name.as_bytes()[first] == b'.') {
        return name.to_owned();
    }
    let swapped = name.chars().map(|char| match char {
        '/' => '.',
        '.' => '/',
        other => other,
    });
    swapped.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(names: &[&str], sandbox: &Sandbox) -> Result<Vec<String>, String> {
        let sysctls: Vec<_> = names.iter().map(|name| json!({ "name": name, "value": "1" })).collect();
        let spec = json!({ "containers": [], "securityContext": { "sysctls": sysctls } });
        let settings = resolve(&serde_json::from_value(spec).unwrap(), sandbox)?;
        Ok(settings.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn safe_settings_of_a_pods_own_are_granted() {
        let own = Sandbox { no_network: true, ..Sandbox::default() };
        let names = ["kernel.shm_rmid_forced", "net/ipv4/tcp_syncookies"];
        let expected = ["kernel.shm_rmid_forced=1", "net.ipv4.tcp_syncookies=1"].map(str::to_owned);
        assert_eq!(resolved(&names, &own), Ok(expected.to_vec()));
        assert_eq!(resolved(&SAFE, &own).map(|all| all.len()), Ok(SAFE.len()));
        assert_eq!(with_dots("net/ipv4/conf/eth0.1/x"), "net.ipv4.conf.eth0/1.x");
    }

    #[test]
    fn others_and_the_machines_are_refused_in_the_kubelets_words() {
        let hosts = Sandbox { host_ipc: true, ..Sandbox::default() };
        for (name, why) in [
            ("kernel.shm_rmid_forced", "not allowed with host IPC enabled"),
            ("net.ipv4.tcp_syncookies", "not allowed with host Net enabled"),
            ("kernel.msgmax", "not allowlisted"),
            ("net.core.somaxconn", "not allowlisted"),
        ] {
            assert_eq!(resolved(&[name], &hosts), Err(format!("forbidden sysctl: {name:?} {why}")));
        }
    }
}
