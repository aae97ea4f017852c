//! What a shim is told of its pod, with everything resolved: the first record of the pod's journal.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of this form and of the journal's. It grows when an older program would misunderstand a newer one.
pub const VERSION: u32 = 3;
/// The oldest version that this program still understands: that of the release before.
pub const VERSION_OLDEST: u32 = 1;

/// The variable that tells a container which attempt of its Job it is, from 1.
pub(crate) const ATTEMPT_VARIABLE: &str = "CRONLET_ATTEMPT";

/// A pod, resolved: no reference to another API object is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// What runs the containers.
    pub handler: Handler,
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `spec.restartPolicy`
    pub restart_policy: RestartPolicy,
    /// `spec.terminationGracePeriodSeconds`
    pub grace_seconds: i64,
    /// When the pod has been active for `spec.activeDeadlineSeconds`.
    pub deadline: Option<Timestamp>,
    /// The directory of the pod's logs.
    pub log_dir: PathBuf,
    /// The directory of the symbolic links to all containers' logs.
    pub log_links_dir: PathBuf,
    /// What it may keep on the node's disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<StorageLimit>,
    /// Volumes held in memory.
    pub memory_volumes: Vec<MemoryVolume>,
    /// What its containers share, if they have images.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// What makes its containers, if they have images; this program itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci_runtime: Option<OciRuntime>,
    /// Init containers in their order, then the others in theirs.
    pub containers: Vec<Container>,
}

/// A bound of what is kept on the node's disk. A pod that keeps more is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageLimit {
    /// The directories that count together.
    pub paths: Vec<PathBuf>,
    /// How much they may hold, in bytes.
    pub bytes_max: u64,
    /// What is said when they hold more.
    pub message: String,
}

/// What the containers of a pod share, if they have images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The host's name as the containers see it; the host's own if absent.
    pub hostname: Option<String>,
    /// Whether they have no network but loopback.
    pub no_network: bool,
    /// Their network of their own, if they have one with a way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Attachment>,
    /// How others of its subdomain find the pod, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// Which processes they see.
    #[serde(default)]
    pub processes: Processes,
    /// Whether they have the machine's message queues and shared memory: `spec.hostIPC`.
    #[serde(default)]
    pub host_ipc: bool,
    /// Settings of the kernel for what is theirs alone: names with dots, and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<(String, String)>,
}

/// Which processes a container with an image sees, and may send signals to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Processes {
    /// Its own.
    #[default]
    Own,
    /// Those of all containers of its pod: `spec.shareProcessNamespace`.
    Pod,
    /// Those of the machine: `spec.hostPID`.
    Host,
}

/// How the pods of a subdomain find one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name among them.
    pub hostname: String,
    /// `spec.subdomain`
    pub subdomain: String,
    /// Its address.
    pub address: IpAddr,
}

/// How a pod is connected with the node's bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The bridge's name.
    pub bridge: String,
    /// The name of the interface on the bridge's side.
    pub interface: String,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The bridge's, through which the pod reaches all else.
    pub gateway: Ipv4Addr,
    /// The length of the subnet's prefix, in bits.
    pub prefix_bits: u8,
    /// The ports of the node that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<HostPort>,
}

/// A port of the node that leads to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// What is spoken.
    pub protocol: Protocol,
    /// The address of the node that it is on; all if absent.
    pub host_ip: Option<Ipv4Addr>,
    /// The port of the node.
    pub host_port: u16,
    /// The port of the pod.
    pub port: u16,
}

impl HostPort {
    /// Whether both cannot be had at once.
    pub fn collides_with(&self, other: &HostPort) -> bool {
        let same_address = match (self.host_ip, other.host_ip) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same_address && self.protocol == other.protocol && self.host_port == other.host_port
    }
}

/// A protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// What runs the containers of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handler {
    /// As processes of the host, without their images.
    Process,
    /// In sandboxes made of their images.
    Oci,
}

/// A program of this machine that makes containers from bundles (the OCI runtime specification).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciRuntime {
    /// Its file; absolute.
    pub path: PathBuf,
    /// What it is called by itself, which decides what it is told: `crun`, `runc`.
    pub name: String,
}

/// `spec.restartPolicy` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Whatever the exit code was.
    Always,
    /// Unless the exit code was 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// When a container of a pod runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To its end, before whatever follows it in the list.
    Init,
    /// From its place among the init containers to the end of the pod: `restartPolicy: Always` in the API.
    Sidecar,
    /// When all init containers have ended.
    Regular,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Name, unique within the pod.
    pub name: String,
    /// `image`, which may be changed while it runs. Before version 3 it was not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// When it runs.
    pub role: Role,
    /// When it is restarted, if it says so itself; otherwise the pod does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// The program and its arguments; not empty.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Which attempt of its Job the first start is, from 1, if the environment says so; restarts count on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Working directory, absolute.
    pub cwd: String,
    /// Who the process runs as; absent if as the shim does.
    pub identity: Option<Identity>,
    /// Whether programs that it executes cannot gain privileges.
    pub no_new_privileges: bool,
    /// Its volumes, parents before what lies below them.
    pub mounts: Vec<Mount>,
    /// Where it may leave a last message.
    pub termination_message: TerminationMessage,
    /// The signal that asks it to end; SIGTERM if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<i32>,
    /// Where its input comes from, and whether it has a terminal.
    #[serde(default, skip_serializing_if = "Streams::is_default")]
    pub streams: Streams,
    /// What it runs in; absent if it is a process of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// What is called when it has started: `lifecycle.postStart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_start: Option<Call>,
    /// What is called before it is asked to end: `lifecycle.preStop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<Call>,
    /// What tells how it does; each kind at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
}

/// When a container is restarted that says so itself: `restartPolicy` and `restartPolicyRules` of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// What holds for exit codes that no rule is about.
    pub policy: RestartPolicy,
    /// With which exit codes it is restarted whatever the policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ExitCodes>,
}

/// A set of exit codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCodes {
    /// The codes.
    pub values: Vec<i32>,
    /// Whether all others are meant.
    pub inverted: bool,
}

impl RestartPolicy {
    /// Whether it lets a container run again that has ended with this code.
    pub fn allows(self, exit_code: i32) -> bool {
        match self {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
    }
}

impl Restart {
    /// Whether the container runs again after it has ended with this code.
    pub fn allows(&self, exit_code: i32) -> bool {
        let matches = |codes: &ExitCodes| codes.values.contains(&exit_code) != codes.inverted;
        self.rules.iter().any(matches) || self.policy.allows(exit_code)
    }

    /// Whether there is an exit code with which it runs again.
    pub fn may_allow(&self) -> bool {
        self.policy != RestartPolicy::Never || !self.rules.is_empty()
    }
}

/// How a container reads and writes: by default without input, and to pipes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Whether whoever is attached can write to it: `stdin`.
    pub stdin: bool,
    /// Whether its input ends with that of the first who is attached: `stdinOnce`.
    pub stdin_once: bool,
    /// Whether it has a terminal: `tty`.
    pub tty: bool,
}

impl Streams {
    fn is_default(&self) -> bool {
        *self == Streams::default()
    }
}

/// What a probe is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeKind {
    /// Whether the container has come up. The other probes wait for it.
    Startup,
    /// Whether the container must be ended.
    Liveness,
    /// Whether the container does its work.
    Readiness,
}

/// A question that is put to a container again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// How.
    pub call: Call,
    /// From the container's start to the first call.
    pub initial_delay_seconds: u32,
    /// From call to call; at least 1.
    pub period_seconds: u32,
    /// How long one call may take; at least 1.
    pub timeout_seconds: u32,
    /// How many calls in a row must succeed; at least 1.
    pub success_threshold: u32,
    /// How many calls in a row must fail; at least 1.
    pub failure_threshold: u32,
    /// Between SIGTERM and SIGKILL, if this probe ends the container; the pod's if absent.
    pub grace_seconds: Option<i64>,
}

/// What a probe or a hook does: upstream's actions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// A program in the container; exit code 0 is success.
    Exec {
        /// The program and its arguments; not empty.
        argv: Vec<String>,
    },
    /// A GET request; a status from 200 to 399 is success.
    HttpGet(HttpGet),
    /// A connection.
    TcpSocket {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check`; the answer `SERVING` is success.
    Grpc {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// What is asked about.
        service: String,
    },
    /// A pause.
    Sleep {
        /// Its length.
        seconds: u32,
    },
    /// Something that cannot be done.
    Impossible {
        /// Why not.
        message: String,
    },
}

/// The parts of an HTTP call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpGet {
    /// Whether over TLS, whose certificate is not verified.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Header fields besides the usual ones.
    pub headers: Vec<(String, String)>,
    /// Whether every answer is a success, as it is to a hook.
    pub any_status: bool,
}

/// The file system of a container with an image, and what it may do there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The image as `status.containerStatuses[].imageID` names it.
    pub image_id: String,
    /// The directories of the image's layers, the lowest first; at least one.
    pub layers: Vec<PathBuf>,
    /// Whether only volumes can be written to.
    pub read_only: bool,
    /// The numbers of the capabilities that its processes may have.
    pub capabilities: Vec<u8>,
    /// Whether nothing is hidden from it and no system call denied: `securityContext.privileged`.
    pub privileged: bool,
    /// Whether system calls are not filtered: `seccompProfile: Unconfined`.
    pub seccomp_unconfined: bool,
    /// Which system calls it may make, if a profile of the node's says so: `seccompProfile: Localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_calls: Option<SystemCalls>,
    /// What it may use.
    pub resources: Resources,
}

/// What the kernel grants a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Its share of the processors when others want them, too: 1024 for each.
    pub cpu_shares: Option<u64>,
    /// How much of each 100 ms it may run, in microseconds, over all processors.
    pub cpu_quota_micros: Option<u64>,
    /// Its memory, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// How many processes its pod may have at once, by a control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_pids_max: Option<u32>,
    /// How many processes it may have at once, by a bound on its user: where there are no control groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u32>,
    /// How readily the kernel ends it when memory runs out: from -1000, never, to 1000.
    pub oom_score_adj: Option<i32>,
}

/// Who a process runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A part of a volume that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Name of the volume, for messages.
    pub volume: String,
    /// The volume's directory or file on the host.
    pub source: PathBuf,
    /// The part of the volume that is mounted: a relative path without `..`; the whole volume if absent.
    pub sub_path: Option<String>,
    /// Where the container sees it; absolute.
    pub target: PathBuf,
    /// Whether the container can only read it.
    pub read_only: bool,
    /// Whether that holds for what is mounted below as well.
    #[serde(default)]
    pub read_only_below: ReadOnlyBelow,
    /// What later mounts are seen on both sides.
    #[serde(default)]
    pub propagation: Propagation,
}

/// Whether a container can only read what is mounted below a volume that it can only read:
/// `volumeMounts[].recursiveReadOnly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReadOnlyBelow {
    /// `Disabled`.
    #[default]
    No,
    /// `IfPossible`: if the kernel can do it.
    IfPossible,
    /// `Enabled`: the container does not start otherwise.
    Required,
}

/// Which mounts that are made later are seen where: `volumeMounts[].mountPropagation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Propagation {
    /// `None`: none that the other side makes.
    #[default]
    None,
    /// `HostToContainer`: the container sees those of the host.
    HostToContainer,
    /// `Bidirectional`: the host sees those of the container, too.
    Bidirectional,
}

/// Where a container may leave a last message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminationMessage {
    /// The file it writes to; absolute.
    pub path: PathBuf,
    /// Whether the container does not start without this file.
    pub required: bool,
    /// Whether the end of a failed container's log stands in for an empty message.
    pub fallback_to_logs: bool,
}

/// A volume held in memory, which the shim mounts for the life of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryVolume {
    /// Name of the volume, for messages.
    pub volume: String,
    /// The directory it is mounted on.
    pub path: PathBuf,
    /// Its size, if limited.
    pub bytes_max: Option<u64>,
    /// The group that owns it.
    pub gid: Option<u32>,
    /// Whether it is shared memory: nothing in it is executed, and nobody removes what is another's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_memory: bool,
}

/// Which system calls a container may make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCalls {
    /// What becomes of a call that no rule is about.
    pub otherwise: Answer,
    /// What becomes of others.
    pub rules: Vec<CallRule>,
}

/// What becomes of some system calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRule {
    /// Their names.
    pub calls: Vec<String>,
    /// What becomes of them.
    pub answer: Answer,
    /// What must hold of their arguments, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<CallCondition>,
}

/// What the kernel does about a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Makes it.
    Allow,
    /// Makes it, and writes it into its log.
    Log,
    /// Fails it with this number.
    Errno(u16),
    /// Ends the process.
    KillProcess,
    /// Ends the thread.
    KillThread,
    /// Sends SIGSYS.
    Trap,
    /// Asks whoever traces the process, with this number; fails it if nobody does.
    Trace(u16),
}

/// What must hold of one argument of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCondition {
    /// Which argument: from 0 to 5.
    pub argument: u8,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How an argument of a system call is compared, as a number without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// It is the value.
    Equal,
    /// It is another.
    NotEqual,
    /// It is less.
    Less,
    /// It is not more.
    LessOrEqual,
    /// It is more.
    Greater,
    /// It is not less.
    GreaterOrEqual,
    /// Of its bits, those that are set in the mask are as in the value.
    MaskedEqual {
        /// The mask.
        mask: u64,
    },
}

impl Pod {
    /// Whether this program understands it.
    pub fn is_understood(&self) -> bool {
        (VERSION_OLDEST..=VERSION).contains(&self.version)
    }

    /// Takes over what a container is from now on.
    pub(crate) fn respecify(&mut self, container: &Container) {
        if let Some(position) = self.position(&container.name) {
            self.containers[position] = container.clone();
        }
    }

    /// The position of a container.
    pub fn position(&self, container: &str) -> Option<usize> {
        self.containers.iter().position(|c| c.name == container)
    }
}

impl Container {
    /// What it is when it was started so often before: its environment tells which attempt of its Job that makes.
    pub(crate) fn restarted(&self, restarts: u32) -> Cow<'_, Container> {
        let Some(first) = self.attempt.filter(|_| restarts > 0) else { return Cow::Borrowed(self) };
        let mut container = self.clone();
        let attempt = first.saturating_add(restarts).to_string();
        let variable = container.env.iter_mut().find(|(name, _)| name == ATTEMPT_VARIABLE);
        if let Some((_, value)) = variable {
            *value = attempt;
        }
        Cow::Owned(container)
    }

    /// The probe of a kind.
    pub fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.kind == kind)
    }
}
