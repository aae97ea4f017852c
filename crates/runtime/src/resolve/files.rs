//! The files through which a container with an image finds the network: `/etc/hosts`, `/etc/hostname`,
//! `/etc/resolv.conf`.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use cronlet_object::api;

use super::{FileEntry, Inputs, Plan, Volume, dns, environment, network, pod_dir};
use crate::{
    network::names_heading,
    spec::{Mount, Propagation, ReadOnlyBelow, Sandbox},
};

/// The name of the volume of these files: no volume of a pod can have it.
const VOLUME: &str = "";

/// Where they are in the pod's directory.
const DIRECTORY: &str = "etc";

const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// The volume that they are in.
pub(super) fn network(inputs: &Inputs<'_>, spec: &api::PodSpec, sandbox: &Sandbox) -> Volume {
    let uid = inputs.pod.metadata.uid.as_deref().unwrap_or_default();
    let hostname = environment::hostname(inputs, spec);
    let resolv_conf = dns::resolv_conf(inputs.node, spec, sandbox);
    let texts = [hosts(inputs, spec, sandbox), format!("{hostname}\n"), resolv_conf];
    let file = |(name, text): (&str, String)| FileEntry {
        path: name.to_owned(),
        data: text.into_bytes(),
        mode: 0o644,
    };
    Volume {
        name: VOLUME.to_owned(),
        source: pod_dir(&inputs.node.pods_dir, uid).join(DIRECTORY),
        read_only: false,
        gid: None,
        plan: Plan::Files(FILES.into_iter().zip(texts).map(file).collect()),
    }
}

/// Adds them to a container's mounts, unless it has something of its own there.
pub(super) fn mount(volumes: &[Volume], mounts: &mut Vec<Mount>) {
    let Some(volume) = volumes.iter().find(|volume| volume.name == VOLUME) else { return };
    for name in FILES {
        let target = Path::new("/etc").join(name);
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

/// The file of a pod's directory that its containers have as `/etc/hosts`.
pub(crate) fn hosts_file(pods_dir: &Path, uid: &str) -> PathBuf {
    pod_dir(pods_dir, uid).join(DIRECTORY).join(FILES[0])
}

/// The kubelet's form: with an address of its own a pod has its own file, else the host's, and then its own aliases.
/// The pods of its subdomain come at the end, when the pod is started.
fn hosts(inputs: &Inputs<'_>, spec: &api::PodSpec, sandbox: &Sandbox) -> String {
    let mut text = match &sandbox.bridge {
        Some(bridge) => {
            let own = network::own_hostname(inputs.pod);
            let whole = network::domain(inputs.pod, spec).map(|domain| format!("{own}.{domain}\t"));
            format!("{OWN_HOSTS}{}\t{}{own}\n", bridge.address, whole.unwrap_or_default())
        }
        None => format!("# Kubernetes-managed hosts file (host network).\n{}", inputs.node.hosts),
    };
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        // Writing to a text does not fail.
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    if sandbox.peer.is_some() {
        text.push_str(&names_heading());
    }
    text
}

/// How the file of a pod with an address of its own begins.
const OWN_HOSTS: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost \
                         ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\n\
                         fe00::2\tip6-allrouters\n";

#[cfg(test)]
mod tests;
