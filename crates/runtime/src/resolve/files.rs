//! The files through which a container with an image finds the network: `/etc/hosts`, `/etc/hostname`,
//! `/etc/resolv.conf`.

use std::fmt::Write;

use cronlet_object::api;

use super::{FileEntry, Inputs, Plan, Volume, environment, pod_dir};
use crate::spec::{Mount, Propagation, ReadOnlyBelow};

/// The name of the volume of these files: no volume of a pod can have it.
const VOLUME: &str = "";

const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// The volume that they are in.
pub(super) fn network(inputs: &Inputs<'_>, spec: &api::PodSpec) -> Volume {
    let uid = inputs.pod.metadata.uid.as_deref().unwrap_or_default();
    let hostname = environment::hostname(inputs, spec);
    let texts = [hosts(inputs, spec), format!("{hostname}\n"), resolv_conf(inputs, spec)];
    let file = |(name, text): (&str, String)| FileEntry {
        path: name.to_owned(),
        data: text.into_bytes(),
        mode: 0o644,
    };
    Volume {
        name: VOLUME.to_owned(),
        source: pod_dir(&inputs.node.pods_dir, uid).join("etc"),
        read_only: false,
        gid: None,
        plan: Plan::Files(FILES.into_iter().zip(texts).map(file).collect()),
    }
}

/// Adds them to a container's mounts, unless it has something of its own there.
pub(super) fn mount(volumes: &[Volume], mounts: &mut Vec<Mount>) {
    let Some(volume) = volumes.iter().find(|volume| volume.name == VOLUME) else { return };
    for name in FILES {
        let target = std::path::Path::new("/etc").join(name);
        if mounts.iter().all(|mount| mount.target != target) {
            mounts.push(Mount {
                volume: VOLUME.to_owned(),
                source: volume.source.clone(),
                sub_path: Some(name.to_owned()),
                target,
                read_only: false,
                read_only_below: ReadOnlyBelow::No,
                propagation: Propagation::None,
            });
        }
    }
}

/// The host's file, as for every pod in the host's network, with the pod's own aliases (the kubelet's form).
fn hosts(inputs: &Inputs<'_>, spec: &api::PodSpec) -> String {
    let mut text = format!("# Kubernetes-managed hosts file (host network).\n{}", inputs.node.hosts);
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        // Writing to a text does not fail.
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    text
}

/// The host's file with the pod's additions, or these alone with `dnsPolicy: None`.
fn resolv_conf(inputs: &Inputs<'_>, spec: &api::PodSpec) -> String {
    let own = spec.dns_config.clone().unwrap_or_default();
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    if spec.dns_policy.as_deref() != Some("None") {
        for line in inputs.node.resolv_conf.lines() {
            let mut words = line.split_ascii_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => servers.extend(words.next()),
                Some("search") => searches = words.collect(),
                Some("options") => options.extend(words),
                _ => {}
            }
        }
    }
    servers.extend(own.nameservers.into_iter().flatten());
    searches.extend(own.searches.into_iter().flatten());
    for option in own.options.into_iter().flatten() {
        let name = option.name.unwrap_or_default();
        let text = option.value.map_or_else(|| name.clone(), |value| format!("{name}:{value}"));
        options.retain(|known: &String| known.split(':').next() != Some(&name));
        options.push(text);
    }
    let mut text = String::new();
    for list in [&mut servers, &mut searches] {
        let mut seen = std::collections::HashSet::new();
        list.retain(|entry| seen.insert(entry.clone()));
    }
    if !searches.is_empty() {
        let _ = writeln!(text, "search {}", searches.join(" "));
    }
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests;
