//! The network of pods that have one of their own: a bridge of the node's, an address for each pod, and a way out; and
//! the names by which pods find each other.
//!
//! The server makes the bridge and the rules for packets, and says who gets which address; what a pod was given is in
//! its journal, where a later server finds it. The pod's shim connects the pod itself ([`link::Plug`]): the network is
//! the shim's, and vanishes with it.

mod address;
pub(crate) mod link;
mod names;
mod netlink;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cronlet_object::api;
use sha2::{Digest, Sha256};

pub use self::address::{Subnet, SubnetError};
pub(crate) use self::names::heading as names_heading;
use self::{link::Links, rules::Forward};
use crate::{
    journal::{self, Event},
    resolve::{self, network},
    spec::{Attachment, HostPort, Peer, Pod},
    users,
};

/// Which network a pod has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodNetwork {
    /// The node's own.
    #[default]
    Host,
    /// None but loopback.
    None,
    /// One of its own, with an address on the node's bridge. Only root can make it.
    Bridge,
}

/// The networks of a node's pods.
#[derive(Clone, Copy, Debug)]
pub struct NetworkConfig {
    /// Which network a pod has that does not say so itself.
    pub default: PodNetwork,
    /// The addresses of pods on the bridge.
    pub subnet: Subnet,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        NetworkConfig { default: PodNetwork::Host, subnet: Subnet::DEFAULT }
    }
}

/// The bridge, and who is on it.
#[derive(Debug)]
pub(crate) struct Network {
    default: PodNetwork,
    subnet: Subnet,
    /// The bridge's name, which is also that of the table of rules. Each node of a machine has its own.
    bridge: String,
    pods_dir: PathBuf,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// By their UIDs.
    pods: BTreeMap<String, Member>,
    /// The address that was given out last.
    last: Option<Ipv4Addr>,
    /// Whether the bridge was made, or found, and the rules with it.
    ready: bool,
    /// The subdomains of whose pods some may not know all others.
    outdated: BTreeSet<Group>,
}

/// A namespace and a subdomain in it.
type Group = (String, String);

#[derive(Debug)]
struct Member {
    /// Its namespace and its name.
    pod: (String, String),
    /// How it is connected with the bridge, if it is.
    attachment: Option<Attachment>,
    /// How others find it, if they do.
    peer: Option<Peer>,
}

impl Member {
    /// A pod that was told so much.
    fn of(pod: &Pod) -> Self {
        Member {
            pod: (pod.namespace.clone(), pod.name.clone()),
            attachment: pod.sandbox.bridge.clone(),
            peer: pod.sandbox.peer.clone(),
        }
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.attachment.as_ref().map(|attachment| attachment.address)
    }

    fn ports(&self) -> &[HostPort] {
        self.attachment.as_ref().map(|attachment| attachment.ports.as_slice()).unwrap_or_default()
    }

    /// The namespace and the subdomain by whose names it is found.
    fn group(&self) -> Option<Group> {
        Some((self.pod.0.clone(), self.peer.as_ref()?.subdomain.clone()))
    }
}

impl Network {
    /// Takes back what an earlier server gave out, and removes what a crash left, if there may be something:
    /// `has_containers` says whether the node runs pods that have networks.
    pub(crate) fn open(
        config: NetworkConfig,
        has_containers: bool,
        data_dir: &Path,
        pods_dir: &Path,
    ) -> Self {
        let place = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let network = Network {
            default: config.default,
            subnet: config.subnet,
            bridge: short_name(place.as_os_str().as_encoded_bytes(), 8),
            pods_dir: pods_dir.to_owned(),
            members: Mutex::default(),
        };
        if has_containers {
            network.take_back();
        }
        network
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Whoever panicked did so between changes of the table.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_back(&self) {
        let mut members = self.members();
        for entry in fs::read_dir(&self.pods_dir).into_iter().flatten().flatten() {
            let Ok(uid) = entry.file_name().into_string() else { continue };
            if let Some(member) = recorded(&entry.path()) {
                members.pods.insert(uid, member);
            }
        }
        members.outdated = members.pods.values().filter_map(Member::group).collect();
        if !users::is_machine_root() {
            return;
        }
        let is_used = members.pods.values().any(|member| member.attachment.is_some());
        let swept = self
            .sweep(&members)
            .and_then(|is_there| if is_there || is_used { self.ensure(&mut members) } else { Ok(()) });
        if let Err(error) = swept {
            tracing::warn!(error, "the network of pods is not as it should be");
        }
    }

    /// Removes the interfaces of pods that are gone; whether there is a bridge.
    fn sweep(&self, members: &Members) -> Result<bool, String> {
        let failed = |error: io::Error| format!("cannot look for interfaces that are left: {error}");
        let mut links = Links::here().map_err(failed)?;
        let Some(bridge) = links.find(&self.bridge).map_err(failed)? else { return Ok(false) };
        for name in links.of_bridge(bridge).map_err(failed)? {
            let mut known = members.pods.values().filter_map(|member| member.attachment.as_ref());
            if known.all(|attachment| attachment.interface != name) {
                links.remove(&name).map_err(failed)?;
            }
        }
        Ok(true)
    }

    /// Gives a pod that is to be started an address, if it is to be on the bridge. It is the pod's until
    /// [`Network::release`].
    ///
    /// # Errors
    /// Why the pod cannot have the network that it asks for.
    pub(crate) fn attach(&self, uid: &str, pod: &api::Pod) -> Result<Option<Attachment>, String> {
        if network::of_pod(pod, self.default)? != PodNetwork::Bridge {
            return Ok(None);
        }
        let mut members = self.members();
        self.ensure(&mut members)?;
        if let Some(attachment) = members.pods.get(uid).and_then(|member| member.attachment.clone()) {
            return Ok(Some(attachment));
        }
        let ports = network::host_ports(pod);
        members.check_ports(&ports)?;
        let stored = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()?.parse().ok());
        let is_taken = |address| members.pods.values().any(|member| member.address() == Some(address));
        let address = self.subnet.free(stored, members.last, is_taken).ok_or_else(|| {
            format!(
                "all addresses of {} are taken: wait for other pods to end, or give the node more (--pod-cidr)",
                self.subnet
            )
        })?;
        members.last = Some(address);
        let attachment = Attachment {
            bridge: self.bridge.clone(),
            interface: short_name(uid.as_bytes(), 12),
            address,
            gateway: self.subnet.gateway(),
            prefix_bits: self.subnet.prefix_bits(),
            ports,
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let pod = (text(&pod.metadata.namespace), text(&pod.metadata.name));
        // Nobody is told of it before it is published.
        let member = Member { pod, attachment: Some(attachment.clone()), peer: None };
        members.pods.insert(uid.to_owned(), member);
        Ok(Some(attachment))
    }

    /// Makes a pod known whose files are there: its ports lead to it, and it and the others of its subdomain find each
    /// other. Whether others are to be told: by [`Network::tell_names`].
    ///
    /// # Errors
    /// Why its ports cannot lead to it.
    pub(crate) fn publish(&self, uid: &str, pod: &Pod) -> Result<bool, String> {
        let member = Member::of(pod);
        if member.attachment.is_none() && member.peer.is_none() {
            return Ok(false);
        }
        let (has_ports, group) = (!member.ports().is_empty(), member.group());
        let mut members = self.members();
        members.pods.insert(uid.to_owned(), member);
        if has_ports {
            self.write_rules(&members)?;
        }
        let Some(group) = group else { return Ok(false) };
        self.write_names(&members, &group, Some(uid));
        members.outdated.insert(group);
        Ok(true)
    }

    /// Takes back what a pod has that is not started, or has ended; whether others are to be told. Nothing happens if
    /// it has nothing.
    pub(crate) fn release(&self, uid: &str) -> bool {
        let mut members = self.members();
        let Some(member) = members.pods.remove(uid) else { return false };
        if !member.ports().is_empty()
            && let Err(error) = self.write_rules(&members)
        {
            tracing::warn!(uid, error, "the ports of a pod that has ended may still lead to its address");
        }
        member.group().is_some_and(|group| members.outdated.insert(group))
    }

    /// Makes sure that the bridge of a pod is there that was given its address before.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        self.ensure(&mut self.members())
    }

    /// Removes the bridge and what belongs to it, unless pods are on it: they outlive the server.
    pub(crate) fn close(&self) {
        let mut members = self.members();
        let is_used = members.pods.values().any(|member| member.attachment.is_some());
        if !std::mem::take(&mut members.ready) || is_used {
            return;
        }
        let removed = Links::here().and_then(|mut links| links.remove(&self.bridge));
        if let Err(error) = removed.and_then(|()| rules::remove(&self.bridge)) {
            tracing::warn!(bridge = %self.bridge, %error, "the bridge of pods is not removed");
        }
    }

    /// Tells pods of others of their subdomains that have come or gone.
    pub(crate) fn tell_names(&self) {
        let mut members = self.members();
        for group in std::mem::take(&mut members.outdated) {
            self.write_names(&members, &group, None);
        }
    }

    /// Writes who the pods of a subdomain are into their files, or into that of one of them.
    fn write_names(&self, members: &Members, group: &Group, only: Option<&str>) {
        let of_group = || members.pods.iter().filter(|(_, member)| member.group().as_ref() == Some(group));
        let all: Vec<&Peer> = of_group().filter_map(|(_, member)| member.peer.as_ref()).collect();
        for (uid, member) in of_group().filter(|(uid, _)| only.is_none_or(|only| only == *uid)) {
            let file = resolve::hosts_file(&self.pods_dir, uid);
            if let Err(error) = names::write(&file, member.address(), &group.0, &all) {
                tracing::warn!(uid, %error, "a pod does not know all others of its subdomain");
            }
        }
    }

    /// Makes the bridge and what belongs to it, unless it is there.
    fn ensure(&self, members: &mut Members) -> Result<(), String> {
        if !users::is_machine_root() {
            return Err(
                "the network \"bridge\" needs root: run the node as root, or choose \"host\" or \"none\" \
                        (--pod-network, annotation cronlet.dev/network)"
                    .to_owned(),
            );
        }
        let failed = |error: io::Error| format!("cannot look for the bridge {}: {error}", self.bridge);
        let mut links = Links::here().map_err(failed)?;
        // Others may have removed what was there, as who loads a firewall anew does.
        if members.ready
            && links.find(&self.bridge).map_err(failed)?.is_some()
            && rules::are_there(&self.bridge).map_err(failed)?
        {
            return Ok(());
        }
        if let Some((interface, address)) = links.overlap(&self.bridge, self.subnet).map_err(failed)? {
            return Err(format!(
                "the addresses of pods, {}, overlap with {address} of the interface {interface}: give the node others \
                 (--pod-cidr)",
                self.subnet
            ));
        }
        links.make_bridge(&self.bridge, link::mac(self.subnet.gateway()), self.subnet)?;
        set_kernel_switch(Path::new("/proc/sys/net/ipv4/ip_forward"))?;
        self.write_rules(members)?;
        members.ready = true;
        Ok(())
    }

    fn write_rules(&self, members: &Members) -> Result<(), String> {
        let attachments = members.pods.values().filter_map(|member| member.attachment.as_ref());
        let forwards: Vec<Forward> = attachments
            .flat_map(|attachment| {
                let forward = |port: &HostPort| Forward { port: *port, pod: attachment.address };
                attachment.ports.iter().map(forward)
            })
            .collect();
        rules::replace(&self.bridge, &self.bridge, self.subnet, &forwards).map_err(|error| {
            format!("cannot translate the addresses of pods (nftables; the kernel needs nf_tables and nft_nat): {error}")
        })?;
        if !forwards.is_empty() {
            // So that a port of the node leads to a pod on loopback, too; the rules keep pods from coming back that way.
            let switch = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.bridge);
            set_kernel_switch(Path::new(&switch))?;
        }
        Ok(())
    }
}

impl Members {
    fn check_ports(&self, ports: &[HostPort]) -> Result<(), String> {
        for port in ports {
            let holder = self
                .pods
                .values()
                .find(|member| member.ports().iter().any(|taken| taken.collides_with(port)));
            if let Some(holder) = holder {
                return Err(format!(
                    "the port {}/{} of the node is taken by the pod {}/{}: wait for its end, or choose another hostPort",
                    port.host_port, port.protocol, holder.pod.0, holder.pod.1
                ));
            }
        }
        Ok(())
    }
}

/// What a pod was given by an earlier server, if it has not ended.
fn recorded(pod_dir: &Path) -> Option<Member> {
    let records = journal::Reader::open(pod_dir).ok()?.read().ok()?;
    let pod = journal::specification(&records)?;
    let member = Member::of(&pod);
    if member.attachment.is_none() && member.peer.is_none() {
        return None;
    }
    if records.iter().any(|record| matches!(record.event, Event::Finished)) {
        return None;
    }
    Some(member)
}

/// A name for an interface that is the same for the same text, and hardly ever for another.
fn short_name(text: &[u8], digits: usize) -> String {
    let digest = Sha256::digest(text);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("crl{}", &hex[..digits])
}

/// Turns one of the kernel's switches for networks on, unless it is.
fn set_kernel_switch(path: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot set {} to 1: {error}", path.display());
    if fs::read_to_string(path).map_err(failed)?.trim() != "0" {
        return Ok(());
    }
    fs::write(path, "1").map_err(failed)
}
