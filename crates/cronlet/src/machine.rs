//! This machine as the Node object shows it.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::Path,
    thread,
};

use cronlet_object::{
    Draft, Ids, Snapshot, Transaction, Typed, Write,
    admit::{self, Subresource, Updated},
    api::{Node, ObjectMeta, Time},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::limits;

/// An address of TEST-NET-1, which nobody has: choosing the way to it tells this machine's own address, and no packet
/// is sent.
const NOBODY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address that other machines would know this one by, or loopback if it has no network.
pub fn address() -> IpAddr {
    let route = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(NOBODY)?;
        socket.local_addr()
    };
    route().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip())
}

/// What the Node object says of this machine that is not the same for all nodes on it.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// The name of the node.
    pub name: &'a str,
    /// What runs its pods: `oci` or `process`.
    pub runtime: &'a str,
    /// Where they are kept.
    pub data_dir: &'a Path,
}

/// What brings the stored Node object to what this machine is now.
///
/// # Errors
/// If admission refuses it.
pub fn register(
    snapshot: &Snapshot,
    machine: Machine<'_>,
    now: Timestamp,
    ids: &mut Ids,
) -> anyhow::Result<Transaction> {
    let node = describe(machine, now);
    let status = node.status.clone();
    let mut transaction = Transaction::default();
    let key = cronlet_object::Key::new(cronlet_object::Kind::Node, "", machine.name);
    let Some(old) = snapshot.get(&key) else {
        // A new object's status is its own subresource: it is set on what admission made of the rest.
        let admitted = admit::create(node.into(), &mut admit::Context { now, ids })?;
        let mut created: Node = admitted.draft.seal(0).decode();
        created.status = status;
        transaction.writes.push(Write::Create(Draft::of(&created)));
        return Ok(transaction);
    };
    let mut new: Node = old.decode();
    new.status = status;
    new.metadata.labels.get_or_insert_default().extend(node.metadata.labels.unwrap_or_default());
    if let Updated::Replace(admitted) =
        admit::update(old, Typed::from(new), Subresource::Status, &mut admit::Context { now, ids })?
    {
        transaction.writes.push(Write::Update { draft: admitted.draft, expect: old.revision() });
    }
    Ok(transaction)
}

fn describe(Machine { name, runtime, data_dir }: Machine<'_>, now: Timestamp) -> Node {
    let capacity = capacity(data_dir);
    let labels = [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture()),
    ];
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        status: Some(NodeStatus {
            addresses: Some(vec![
                NodeAddress { type_: "InternalIP".into(), address: address().to_string() },
                NodeAddress { type_: "Hostname".into(), address: name.to_owned() },
            ]),
            capacity: Some(capacity.clone()),
            allocatable: Some(capacity),
            conditions: Some(vec![NodeCondition {
                type_: "Ready".into(),
                status: "True".into(),
                reason: Some("NodeReady".into()),
                message: Some("cronlet is up".into()),
                last_heartbeat_time: Some(Time(now)),
                last_transition_time: Some(Time(now)),
            }]),
            node_info: Some(system_info(runtime)),
            ..NodeStatus::default()
        }),
        ..Node::default()
    }
}

/// What pods can have: all of this machine, and of its disks the one that they are kept on.
fn capacity(data_dir: &Path) -> BTreeMap<String, Quantity> {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let counts = [
        ("cpu", processors.to_string()),
        ("pods", limits::PODS_MAX.to_string()),
        // This node gives none to anybody.
        ("hugepages-1Gi", "0".to_owned()),
        ("hugepages-2Mi", "0".to_owned()),
    ];
    let mut capacity: BTreeMap<String, Quantity> =
        counts.into_iter().map(|(name, count)| (name.to_owned(), Quantity(count))).collect();
    if let Ok(disk) = rustix::fs::statvfs(data_dir) {
        let kib = disk.f_blocks.saturating_mul(disk.f_frsize) / 1024;
        capacity.insert("ephemeral-storage".to_owned(), Quantity(format!("{kib}Ki")));
    }
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    if let Some(kib) = total.and_then(|total| total.trim().strip_suffix("kB")) {
        capacity.insert("memory".to_owned(), Quantity(format!("{}Ki", kib.trim())));
    }
    capacity
}

fn system_info(runtime: &str) -> NodeSystemInfo {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = read("/etc/os-release");
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    NodeSystemInfo {
        architecture: architecture().to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: format!("cronlet-{runtime}://{}", env!("CARGO_PKG_VERSION")),
        kernel_version: rustix::system::uname().release().to_string_lossy().into_owned(),
        kubelet_version: format!(
            "v1.{}.0+cronlet.{}",
            crate::command::version::KUBERNETES_MINOR,
            env!("CARGO_PKG_VERSION")
        ),
        machine_id: read("/etc/machine-id"),
        operating_system: "linux".into(),
        os_image: pretty.unwrap_or_default().trim_matches('"').to_owned(),
        ..NodeSystemInfo::default()
    }
}

/// The processor architecture, in the words of container images.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
