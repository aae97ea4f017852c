//! Turns a pod into what its shim is told: looks up everything the pod refers to, or says what is missing.
//!
//! Pure: what is stored and what the node is go in, a specification and plans for volumes come out.

mod calls;
pub(crate) mod confinement;
pub(crate) mod dns;
mod downward;
mod environment;
mod files;
mod identity;
pub(crate) mod ignored;
mod image;
mod mounts;
pub(crate) mod network;
mod payload;
pub(crate) mod pull_secret;
mod shared_memory;
pub(crate) mod shared_state;
mod storage;
mod sysctls;
mod task;
mod volume;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use cronlet_image::Image;
use cronlet_object::{Snapshot, api};
use jiff::Timestamp;

pub use self::confinement::Profiles;
pub(crate) use self::dns::resolv_conf_elsewhere;
pub(crate) use self::files::hosts_file;
pub use self::identity::Users;
pub use self::image::ImageState;
pub(crate) use self::volume::OWN_VOLUME;
pub use self::volume::{FileEntry, HostPathKind, Plan, Volume};
use crate::{
    logs::files as log_files,
    mounts::TERMINATION_MESSAGE_PATH,
    network::PodNetwork,
    spec::{
        self, Attachment, Container, ExitCodes, Handler, Identity, MemoryVolume, Pod, Processes, Restart,
        RestartPolicy, Role, Sandbox,
    },
    status::{self, SANDBOX_FAILED},
};

/// What everything is resolved against.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pod, whose metadata is complete.
    pub pod: &'a api::Pod,
    /// What is stored.
    pub snapshot: &'a Snapshot,
    /// What the pod runs on.
    pub node: &'a NodeFacts,
    /// The images that its containers name, by those names; nothing if it runs as processes of the host.
    pub images: Option<&'a HashMap<String, ImageState>>,
    /// The profiles for system calls that its containers name, if any are to be looked at.
    pub profiles: Option<&'a Profiles>,
    /// How it is connected with the node's bridge, if it is to be.
    pub attachment: Option<&'a Attachment>,
    /// When the pod was first seen by this node: `status.startTime`.
    pub start_time: Timestamp,
}

impl Inputs<'_> {
    /// The pod's address: its own, or the node's.
    fn pod_ip(&self) -> String {
        let own = self.attachment.map(|attachment| attachment.address);
        own.as_ref().map_or_else(|| self.node.ip.clone(), Ipv4Addr::to_string)
    }
}

/// The node, as far as pods can tell.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its address, which is that of its pods, too, unless they have their own.
    pub ip: String,
    /// The machine's host name.
    pub hostname: String,
    /// The directory of the pods' directories.
    pub pods_dir: PathBuf,
    /// The directory of the claims' directories.
    pub volumes_dir: PathBuf,
    /// The directory of all logs.
    pub log_root: PathBuf,
    /// The directory of profiles for system calls.
    pub seccomp_dir: PathBuf,
    /// The kernel's version, as `uname` has it.
    pub kernel: String,
    /// Whether the kernel confines programs with AppArmor.
    pub app_armor: bool,
    /// Its users.
    pub users: Users,
    /// The text of its `/etc/hosts`.
    pub hosts: String,
    /// The text of its `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// The same for pods that are not in its network, where a server on its loopback is nobody's.
    pub resolv_conf_elsewhere: String,
    /// Which network pods have that do not say so.
    pub pod_network: PodNetwork,
    /// How many processes a pod may have at once, if that is bounded.
    pub pod_pids_max: Option<u32>,
    /// Whether it runs as an ordinary user who has ranges of further users and groups.
    pub has_ranges: bool,
    /// What makes the containers of its pods, if not this program itself.
    pub oci_runtime: Option<spec::OciRuntime>,
    /// Where the API listens, if pods may use it.
    pub api: Option<SocketAddr>,
    /// The directory, in memory, of the files of Secrets, by pod; absent if they are with the pod's other files.
    pub secrets_dir: Option<PathBuf>,
}

/// A pod that can be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// For its shim.
    pub spec: Pod,
    /// To be made before.
    pub volumes: Vec<Volume>,
}

/// Why a pod cannot be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A container's definition refers to something that does not exist, or asks for something impossible.
    Container {
        /// The container.
        container: String,
        /// Its state's reason: `CreateContainerConfigError` or `CreateContainerError`.
        reason: &'static str,
        /// Its state's message.
        message: String,
    },
    /// The pod may not run here, and has failed.
    Pod {
        /// `status.reason`
        reason: &'static str,
        /// Why not.
        message: String,
    },
    /// A volume cannot be mounted.
    Volume {
        /// The volume; empty if it is not about one.
        volume: String,
        /// Why not.
        message: String,
    },
}

impl Blocked {
    /// What is wrong; nothing if it is only a matter of time.
    pub(crate) fn fault(&self) -> Option<String> {
        match self {
            Blocked::Container { reason: "ContainerCreating", .. } => None,
            Blocked::Container { message, .. }
            | Blocked::Pod { message, .. }
            | Blocked::Volume { message, .. } => Some(message.clone()),
        }
    }
}

/// Something about a container that must be changed before it can be created.
pub(crate) const CONFIG_ERROR: &str = "CreateContainerConfigError";
/// A container that cannot be created from what it says.
pub(crate) const CREATE_ERROR: &str = "CreateContainerError";

/// The directory of a pod.
pub(crate) fn pod_dir(pods_dir: &Path, uid: &str) -> PathBuf {
    pods_dir.join(uid)
}

/// Resolves a pod.
///
/// # Errors
/// Everything that keeps the pod from starting.
pub fn resolve(inputs: Inputs<'_>) -> Result<Resolved, Vec<Blocked>> {
    let metadata = &inputs.pod.metadata;
    let spec = inputs.pod.spec.clone().unwrap_or_default();
    let uid = metadata.uid.clone().unwrap_or_default();
    let (namespace, name) =
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let mut blocked = Vec::new();
    let mut sandbox = sandbox(&inputs, &spec).unwrap_or_else(|why| {
        blocked.push(sandbox_failed(&why));
        Sandbox::default()
    });
    // A process of the host has nothing of its own.
    let host_ipc = sandbox.host_ipc || inputs.images.is_none();
    sandbox.sysctls = sysctls::resolve(&spec, &Sandbox { host_ipc, ..sandbox.clone() })
        .map_err(|message| vec![Blocked::Pod { reason: sysctls::FORBIDDEN, message }])?;
    if let Some(message) = confinement::refuse_app_armor(&spec, inputs.node.app_armor) {
        return Err(vec![Blocked::Pod { reason: confinement::APP_ARMOR, message }]);
    }
    let mut volumes = volume::plan_all(&inputs, &spec, &mut blocked);
    if inputs.images.is_some() {
        volumes.push(files::network(&inputs, &spec, &sandbox));
        volumes.extend(shared_memory::volume(&inputs, &spec));
    }
    match shared_state::volume(&inputs) {
        Ok(volume) => volumes.extend(volume),
        Err(message) => blocked.push(Blocked::Volume { volume: String::new(), message }),
    }
    let mut containers = Vec::new();
    for (role, container) in roles(&spec) {
        match resolve_container(&inputs, &spec, (role, container), &volumes, &sandbox) {
            Ok(resolved) => containers.push(resolved),
            Err(why) => blocked.push(why),
        }
    }
    let log_root = &inputs.node.log_root;
    let log_dir = log_files::pod_dir(log_root, &namespace, &name, &uid);
    let storage = storage::limits(&inputs, &spec, &volumes, &log_dir).unwrap_or_else(|message| {
        blocked.push(Blocked::Volume { volume: String::new(), message });
        Vec::new()
    });
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let pod = Pod {
        version: spec::VERSION,
        handler: if inputs.images.is_some() { Handler::Oci } else { Handler::Process },
        sandbox,
        oci_runtime: inputs.images.and(inputs.node.oci_runtime.clone()),
        log_dir,
        log_links_dir: log_files::links_dir(log_root),
        namespace,
        name,
        uid,
        restart_policy: restart_policy(spec.restart_policy.as_deref()),
        grace_seconds: spec.termination_grace_period_seconds.unwrap_or(30),
        deadline: status::deadline(inputs.pod, inputs.start_time),
        storage,
        memory_volumes: volumes.iter().filter_map(memory_volume).collect(),
        containers,
    };
    Ok(Resolved { spec: pod, volumes })
}

/// The volumes of a pod, as far as they can be planned.
pub(crate) fn volumes(inputs: Inputs<'_>) -> Vec<Volume> {
    let spec = inputs.pod.spec.as_ref();
    spec.map(|spec| volume::plan_all(&inputs, spec, &mut Vec::new())).unwrap_or_default()
}

/// The containers of a pod, init containers first, with their roles.
pub(crate) fn roles(spec: &api::PodSpec) -> impl Iterator<Item = (Role, &api::Container)> {
    let init = spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        (if sidecar { Role::Sidecar } else { Role::Init }, container)
    });
    init.chain(spec.containers.iter().map(|container| (Role::Regular, container)))
}

fn restart_policy(name: Option<&str>) -> RestartPolicy {
    match name {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

/// When a container is restarted, if it says so itself.
fn restart(container: &api::Container) -> Option<Restart> {
    let policy = restart_policy(Some(container.restart_policy.as_deref()?));
    let rules = container.restart_policy_rules.iter().flatten().filter(|rule| rule.action == "Restart");
    let codes = rules.filter_map(|rule| rule.exit_codes.as_ref()).map(|codes| ExitCodes {
        values: codes.values.clone().unwrap_or_default(),
        inverted: codes.operator == "NotIn",
    });
    Some(Restart { policy, rules: codes.collect() })
}

fn memory_volume(volume: &Volume) -> Option<MemoryVolume> {
    match volume.plan {
        Plan::Memory { bytes_max } => {
            let (volume, path, gid) = (volume.name.clone(), volume.source.clone(), volume.gid);
            let shared_memory = volume == shared_memory::VOLUME;
            Some(MemoryVolume { volume, path, bytes_max, gid, shared_memory })
        }
        _ => None,
    }
}

fn resolve_container(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    (role, container): (Role, &api::Container),
    volumes: &[Volume],
    sandbox: &Sandbox,
) -> Result<Container, Blocked> {
    let refuse =
        |reason| move |message| Blocked::Container { container: container.name.clone(), reason, message };
    let image = image(inputs, container)?;
    let image = image.as_deref();
    let (identity, home) = identity(inputs, spec, container, image).map_err(refuse(CONFIG_ERROR))?;
    let own = environment::resolve(inputs, container).map_err(refuse(CONFIG_ERROR))?;
    let mut mounts = mounts::resolve(container, volumes, &own, shares_mounts(inputs, container, volumes))
        .map_err(refuse(CONFIG_ERROR))?;
    if image.is_some() {
        files::mount(volumes, &mut mounts);
        shared_memory::mount(volumes, &mut mounts);
    }
    let argv = argv(container, image, &own).map_err(refuse(CREATE_ERROR))?;
    let defaults = image.into_iter().flat_map(image::environment).chain([("HOME".to_owned(), home)]);
    let mut env = environment::complete(inputs, spec, own, defaults);
    let attempt = task::tell(inputs, &mut env);
    shared_state::give(volumes, &mut mounts, &mut env);
    let root = image.map(|image| image::root(inputs, spec, container, image)).transpose();
    let own_dir = container.working_dir.as_deref().filter(|dir| !dir.is_empty());
    let cwd = own_dir.or(image.map(|image| image.working_dir.as_str())).unwrap_or_default();
    let security = container.security_context.as_ref();
    let message_path = container.termination_message_path.as_deref().filter(|path| !path.is_empty());
    let message_path = Path::new("/").join(message_path.unwrap_or(TERMINATION_MESSAGE_PATH));
    let policy = container.termination_message_policy.as_deref();
    let host = calls::default_host(inputs, sandbox.no_network);
    let [post_start, pre_stop] = calls::hooks(container, &host);
    Ok(Container {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        role,
        restart: restart(container),
        argv,
        cwd: absolute(cwd),
        identity,
        no_new_privileges: security.and_then(|s| s.allow_privilege_escalation) == Some(false),
        mounts,
        termination_message: spec::TerminationMessage {
            required: message_path != Path::new(TERMINATION_MESSAGE_PATH),
            path: message_path,
            fallback_to_logs: policy == Some("FallbackToLogsOnError"),
        },
        env,
        attempt,
        stop_signal: image.and_then(image::stop_signal),
        streams: spec::Streams {
            stdin: container.stdin == Some(true),
            stdin_once: container.stdin_once == Some(true),
            tty: container.tty == Some(true),
        },
        root: root.map_err(refuse(CREATE_ERROR))?,
        post_start,
        pre_stop,
        probes: calls::probes(container, &host),
    })
}

/// Whether the host can see what a container mounts, or why not.
fn shares_mounts(
    inputs: &Inputs<'_>,
    container: &api::Container,
    volumes: &[Volume],
) -> Result<(), &'static str> {
    let security = container.security_context.as_ref();
    if inputs.images.is_none() {
        Err("what a process pod mounts is not seen outside of it")
    } else if security.and_then(|security| security.privileged) != Some(true) {
        Err("only a privileged container may mount anything")
    } else if inputs.node.users.uid != 0 {
        Err("a node without root cannot let the host see what a container mounts; run the node as root")
    } else if volumes.iter().any(|volume| matches!(volume.plan, Plan::Memory { .. })) {
        Err(
            "a pod with an emptyDir of the medium Memory has mounts of its own, which the host does not see; keep \
             that volume on the disk, or in another pod",
        )
    } else {
        Ok(())
    }
}

/// The image of a container, if it has one.
fn image(inputs: &Inputs<'_>, container: &api::Container) -> Result<Option<Arc<Image>>, Blocked> {
    let Some(images) = inputs.images else { return Ok(None) };
    let name = container.image.as_deref().unwrap_or_default();
    match images.get(name) {
        Some(ImageState::Ready(image)) => Ok(Some(image.clone())),
        Some(ImageState::Missing { reason, message }) => {
            Err(Blocked::Container { container: container.name.clone(), reason, message: message.clone() })
        }
        None => Err(Blocked::Container {
            container: container.name.clone(),
            reason: CREATE_ERROR,
            message: format!("nothing is known of the image {name:?}"),
        }),
    }
}

/// Who a container runs as, and the home directory of that user.
fn identity(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
    image: Option<&Image>,
) -> Result<(Option<Identity>, String), String> {
    if let Some(image) = image {
        let (identity, home) = image::identity(inputs, spec, container, image)?;
        return Ok((Some(identity), home));
    }
    let identity = identity::resolve(inputs, spec, container)?;
    let home = inputs.node.users.home(identity.as_ref().map(|identity| identity.uid));
    Ok((identity, home))
}

/// What the containers of a pod share, or why it cannot be made. Processes of the host share nothing.
fn sandbox(inputs: &Inputs<'_>, spec: &api::PodSpec) -> Result<Sandbox, String> {
    if inputs.images.is_none() {
        return Ok(Sandbox::default());
    }
    let network = network::of_pod(inputs.pod, inputs.node.pod_network)?;
    let own = (!environment::has_hosts_name(spec)).then(|| network::kernel_hostname(inputs.pod, spec));
    let bridge = inputs.attachment.filter(|_| network == PodNetwork::Bridge);
    let processes = if spec.host_pid == Some(true) {
        Processes::Host
    } else if ignored::shares_processes(spec, inputs.node.users.uid == 0) {
        Processes::Pod
    } else {
        Processes::Own
    };
    let no_network = network == PodNetwork::None;
    Ok(Sandbox {
        hostname: own.transpose()?,
        no_network,
        bridge: bridge.cloned(),
        peer: if no_network { None } else { network::peer(inputs.pod, &inputs.pod_ip()) },
        processes,
        host_ipc: spec.host_ipc == Some(true),
        sysctls: Vec::new(),
    })
}

/// Why a pod has no network or no host name, as the kubelet tells it.
pub(crate) fn sandbox_failed(why: &str) -> Blocked {
    Blocked::Volume { volume: String::new(), message: format!("{SANDBOX_FAILED}: {why}") }
}

/// Relative paths start from the root, as in a container.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// The program and its arguments. Without an image, the container must name them itself.
fn argv(
    container: &api::Container,
    image: Option<&Image>,
    env: &[(String, String)],
) -> Result<Vec<String>, String> {
    let expanded = |parts: &Option<Vec<String>>| -> Vec<String> {
        parts.iter().flatten().map(|part| environment::expand(part, env)).collect()
    };
    // Not what the image executes: upstream knows it only after that.
    let (command, args) = (expanded(&container.command), expanded(&container.args));
    if let Some(image) = image {
        let argv = image::argv(command, args, image);
        return if argv.is_empty() { Err("no command specified".to_owned()) } else { Ok(argv) };
    }
    if command.first().is_none_or(String::is_empty) {
        let image = container.image.as_deref().unwrap_or_default();
        return Err(format!(
            "a process pod does not use the image {image:?}, so `command` is required: set it to a program of this host"
        ));
    }
    Ok(command.into_iter().chain(args).collect())
}

#[cfg(test)]
mod tests;
