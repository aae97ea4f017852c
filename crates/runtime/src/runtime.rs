//! The server's side: starts shims, finds them again, and reports what becomes of their pods.
//!
//! Every pod is looked after by one [`pod::Pod`], whatever has happened: it is told to look, looks at everything, and
//! does what is missing. A few worker threads take the pods whose turn it is; no pod is with two of them at once. One
//! more thread waits for shims to say that a journal has grown. No thread belongs to one pod.

pub(crate) mod directory;
mod disk;
mod images;
pub(crate) mod link;
mod news;
mod pod;
mod profiles;
mod queue;
mod secrets;

use std::{
    collections::HashSet,
    fs, io,
    net::IpAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use cronlet_object::{
    Clock, Key, Kind, Object, Snapshot,
    api::{PersistentVolume, PersistentVolumeClaim, PodStatus},
    claim,
};
use rustix::process::{Gid, getgroups};
use tokio::net::TcpStream;

pub use self::images::ImageConfig;
use self::{
    images::Images,
    link::Watcher,
    queue::{Queue, Task, Turn},
};
pub use crate::events::ReportedEvent;
use crate::{
    attach::{self, AttachError, AttachRequest, Attachment},
    connect::{self, ConnectError},
    exec::{self, ExecError, ExecRequest, Execution},
    fork_server::ForkServer,
    limits,
    logs::{self, Logs},
    network::{Network, NetworkConfig},
    pressure::DiskThreshold,
    resolve::{self, NodeFacts, Users, pod_dir},
    spec::OciRuntime,
    tokens::Tokens,
    usage::{self, Usage},
    users,
};

/// Where systemd-resolved says whom it asks itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// What a node's runtime works with.
pub struct Config {
    /// The node's directory: pods are kept in `pods` in it, claims' data in `volumes`, and profiles for system calls are
    /// looked for in `seccomp`.
    pub data_dir: PathBuf,
    /// The directory of all logs.
    pub log_root: PathBuf,
    /// The machine's directory for what does not outlive a boot (`/run`), if the node may keep Secrets in memory there.
    pub run_dir: Option<PathBuf>,
    /// The node's name.
    pub node_name: String,
    /// The node's address, which is that of its pods unless they have their own.
    pub node_ip: IpAddr,
    /// This program's file, which is executed as a fork server. Its `main` begins with
    /// [`crate::fork_server::main_if_requested`].
    pub executable: PathBuf,
    /// Where the images of pods are; nothing if pods run as processes of the host.
    pub images: Option<ImageConfig>,
    /// Which network pods of containers have.
    pub network: NetworkConfig,
    /// How many pods run at once; further ones stay Pending until one has ended.
    pub pods_max: usize,
    /// How many processes a pod of containers may have at once, if that is bounded: the kubelet's `podPidsLimit`.
    pub pod_pids_max: Option<u32>,
    /// How little may be free on the disk with the data before a pod is evicted and no other starts, if that is looked at.
    pub disk_threshold: Option<DiskThreshold>,
    /// What makes the containers of its pods, if not this program itself; needs root.
    pub oci_runtime: Option<OciRuntime>,
    /// Who gives pods tokens for the API, and where that is; nothing if nobody does.
    pub tokens: Option<Tokens>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What has become of a pod.
#[derive(Clone, Debug)]
pub struct Report {
    /// The pod.
    pub pod: Key,
    /// Its UID: a pod of the same name that came later is another one.
    pub uid: Arc<str>,
    /// Its whole status, made from the one it had.
    pub status: PodStatus,
    /// What happened, in order.
    pub events: Vec<ReportedEvent>,
    /// Whether no process of the pod is left and none will be started.
    pub stopped: bool,
    /// Whether the pod waits for something that this runtime cannot see: it is to be synced again after a while.
    pub blocked: bool,
}

/// Takes reports, from any thread and without waiting.
pub type Reporter = Arc<dyn Fn(Report) + Send + Sync>;

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A directory cannot be made.
    #[error("cannot create {path}: {source}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There is no store of images.
    #[error(transparent)]
    Images(#[from] cronlet_image::Error),
    /// The system is short of something.
    #[error("cannot {step}: {source}")]
    System {
        /// What was tried.
        step: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// What all threads share.
struct Shared {
    facts: NodeFacts,
    fork_server: ForkServer,
    clock: Arc<dyn Clock>,
    report: Reporter,
    watcher: Watcher,
    queue: Arc<Queue>,
    images: Option<Arc<Images>>,
    network: Network,
    disk_threshold: Option<DiskThreshold>,
    tokens: Option<Tokens>,
}

/// Runs the pods of this node. When it is dropped its threads end, and the pods run on.
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Runtime {
    /// Starts the threads. Nothing is done about pods before [`Runtime::adopt`] and [`Runtime::sync`].
    ///
    /// # Errors
    /// If the directories cannot be made, or the threads not be started.
    pub fn new(config: Config, report: Reporter) -> Result<Self, RuntimeError> {
        // Without these files, pods have none either.
        let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let facts = NodeFacts {
            name: config.node_name,
            ip: config.node_ip.to_string(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pods_dir: config.data_dir.join(directory::PODS),
            volumes_dir: config.data_dir.join("volumes"),
            log_root: config.log_root,
            seccomp_dir: config.data_dir.join("seccomp"),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            app_armor: has_app_armor(),
            users: users(),
            hosts: fs::read_to_string("/etc/hosts").unwrap_or_default(),
            resolv_conf_elsewhere: resolve::resolv_conf_elsewhere(
                &resolv_conf,
                &fs::read_to_string(RESOLVED).unwrap_or_default(),
            ),
            resolv_conf,
            pod_network: config.network.default,
            pod_pids_max: config.pod_pids_max,
            has_ranges: users::has_ranges(),
            oci_runtime: config.oci_runtime,
            api: config.tokens.as_ref().map(|tokens| tokens.api),
            secrets_dir: config.run_dir.and_then(|run_dir| secrets_dir(&run_dir, &config.data_dir)),
        };
        make_dirs(&facts)?;
        let network =
            Network::open(config.network, config.images.is_some(), &config.data_dir, &facts.pods_dir);
        let watcher =
            Watcher::new().map_err(|source| RuntimeError::System { step: "watch shims", source })?;
        let queue = Arc::new(Queue::new(config.pods_max));
        let fork_server = ForkServer::start(config.executable)
            .map_err(|source| RuntimeError::System { step: "start the process that starts shims", source })?;
        let clock = config.clock;
        let images = config.images.map(|images| Images::open(images, clock.clone())).transpose()?;
        let (images, orders) = images.map(|(images, orders)| (Arc::new(images), orders)).unzip();
        let disk_threshold = config.disk_threshold;
        let shared = Arc::new(Shared {
            facts,
            fork_server,
            clock,
            report,
            watcher,
            queue,
            images,
            network,
            disk_threshold,
            tokens: config.tokens,
        });
        let mut runtime = Runtime { shared, threads: Vec::new() };
        let workers = thread::available_parallelism().map_or(2, usize::from).clamp(2, limits::WORKERS_MAX);
        for _ in 0..workers {
            runtime.spawn("pod worker", work)?;
        }
        runtime.spawn("shim watcher", |shared| shared.watcher.run(&shared.queue))?;
        if disk_threshold.is_some() {
            runtime.spawn("disk watcher", disk::watch)?;
        }
        if let Some(orders) = orders {
            runtime.spawn("image puller", |shared| {
                if let Some(images) = &shared.images {
                    images.run(orders, &shared.queue);
                }
            })?;
        }
        Ok(runtime)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(&Shared) + Send + 'static) -> Result<(), RuntimeError> {
        let shared = self.shared.clone();
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        self.threads.push(started.map_err(|source| RuntimeError::System { step: "start a thread", source })?);
        Ok(())
    }

    /// Finds the pods that an earlier server left. Those that are not in the snapshot any more are ended and removed.
    pub fn adopt(&self, snapshot: &Snapshot) {
        self.shared.queue.tell_names();
        let mut left = directory::uids(&self.shared.facts.pods_dir);
        self.sweep_secrets(&left, snapshot);
        for pod in snapshot.list(Kind::Pod) {
            if left.remove(&*pod.meta().uid) {
                self.sync(pod, snapshot);
            }
        }
        for uid in left {
            self.remove(&uid);
        }
    }

    /// Removes the secrets of pods that are not known any more: of a server that was killed while it removed them.
    fn sweep_secrets(&self, left: &HashSet<String>, snapshot: &Snapshot) {
        let Some(dir) = &self.shared.facts.secrets_dir else { return };
        let mut lost = directory::uids(dir);
        lost.retain(|uid| !left.contains(uid));
        for pod in snapshot.list(Kind::Pod) {
            lost.remove(&*pod.meta().uid);
        }
        lost.iter().for_each(|uid| self.shared.queue.remove_dir(dir.join(uid)));
    }

    /// Looks after a pod that is bound to this node. Called when it was created or has changed, when something changed
    /// that a blocked pod may wait for, and after a while as long as it is blocked. Never waits.
    pub fn sync(&self, pod: &Arc<Object>, snapshot: &Snapshot) {
        self.shared.queue.change(&pod.meta().uid, |wanted| {
            wanted.object = Some(pod.clone());
            wanted.snapshot = Some(snapshot.clone());
        });
    }

    /// Ends a pod whose object is gone, and removes its files and logs. Never waits.
    pub fn remove(&self, uid: &str) {
        self.shared.queue.change(uid, |wanted| wanted.removed = true);
    }

    /// Removes the data of a volume whose object is gone, if this node has made it and it is not to be retained. Never
    /// waits.
    pub fn remove_volume(&self, object: &Object) {
        if let Some(name) = claim::directory_to_remove(&object.decode::<PersistentVolume>()) {
            self.shared.queue.remove_dir(self.shared.facts.volumes_dir.join(name));
        }
    }

    /// Removes the data of a claim whose object is gone and that never had a volume object. Never waits.
    pub fn remove_claim(&self, object: &Object, snapshot: &Snapshot) {
        let claim = object.decode::<PersistentVolumeClaim>();
        if let Some(name) = claim::directory_without_volume(&claim, snapshot) {
            self.shared.queue.remove_dir(self.shared.facts.volumes_dir.join(name));
        }
    }

    /// Removes what is kept for a namespace that is gone. Never waits.
    pub fn remove_namespace(&self, name: &str) {
        self.shared.queue.remove_dir(resolve::shared_state::directory(&self.shared.facts.volumes_dir, name));
    }

    /// Ends all pods, each within its grace period, and waits until they have ended. No other is started any more.
    pub async fn stop_all(&self) {
        self.shared.queue.stop_all();
        self.shared.queue.all_stopped().await;
    }

    /// Runs a program in a container. Waits until it is executed; called within an async runtime.
    ///
    /// # Errors
    /// If the container does not run, or the program cannot be executed.
    pub fn exec(&self, request: ExecRequest) -> Result<Execution, ExecError> {
        let pod_dir = pod_dir(&self.shared.facts.pods_dir, &request.uid);
        exec::start(&self.shared.fork_server, pod_dir, request)
    }

    /// What this machine and the containers of its pods use. Takes some milliseconds, and more with many processes.
    pub fn usage(&self) -> Usage {
        usage::measure(&self.shared.facts.pods_dir)
    }

    /// Connects to the streams of a container. Waits until its shim answers; called within an async runtime.
    ///
    /// # Errors
    /// If the container does not run, or its shim does not answer.
    pub fn attach(&self, request: AttachRequest) -> Result<Attachment, AttachError> {
        let pod_dir = pod_dir(&self.shared.facts.pods_dir, &request.uid);
        attach::start(&pod_dir, request)
    }

    /// Connects to a port on the loopback interface of a pod, by its UID. Waits for that; called within an async runtime.
    ///
    /// # Errors
    /// If no container of the pod runs, or nothing listens there.
    pub fn connect(&self, uid: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let pod_dir = pod_dir(&self.shared.facts.pods_dir, uid);
        connect::start(&self.shared.fork_server, pod_dir, port)
    }

    /// The logs of this node's pods.
    pub fn logs(&self) -> Logs {
        let facts = &self.shared.facts;
        Logs { pods_dir: facts.pods_dir.clone(), log_root: facts.log_root.clone() }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.watcher.close();
        self.shared.images.iter().for_each(|images| images.close());
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        self.shared.network.close();
        self.shared.facts.secrets_dir.iter().for_each(|dir| secrets::close(dir));
    }
}

/// The image layers that the pods of a node with this data directory are made of.
pub fn layers_in_use(data_dir: &Path) -> Vec<PathBuf> {
    directory::layers(&data_dir.join(directory::PODS))
}

/// Whether the kernel confines programs with AppArmor, as the kubelet finds out.
fn has_app_armor() -> bool {
    let enabled = fs::read("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    enabled.first() == Some(&b'Y') && Path::new("/sys/kernel/security/apparmor").exists()
}

/// The directory of the files of Secrets, if it can be had.
fn secrets_dir(run_dir: &Path, data_dir: &Path) -> Option<PathBuf> {
    match secrets::open(run_dir, data_dir) {
        Ok(dir) => Some(dir),
        Err(error) => {
            let place = run_dir.display();
            tracing::warn!(%error, "no memory can be had in {place}: the files of Secrets are kept in the data directory");
            None
        }
    }
}

/// The node's own user, and the users of this machine.
fn users() -> Users {
    let groups = getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).collect();
    // Without the file nobody has a home directory.
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, gid) = users::outside();
    Users::new(uid, gid, groups, &passwd)
}

fn make_dirs(facts: &NodeFacts) -> Result<(), RuntimeError> {
    let logs = &facts.log_root;
    // Pods have secrets, claims have data; logs are for whoever may read the log root.
    let dirs = [
        (facts.pods_dir.clone(), 0o700),
        (facts.volumes_dir.clone(), 0o700),
        (logs::files::links_dir(logs), 0o755),
        (logs.join("pods"), 0o755),
    ];
    for (path, mode) in dirs {
        let made = fs::DirBuilder::new().recursive(true).mode(mode).create(&path);
        made.map_err(|source| RuntimeError::Directory { path, source })?;
    }
    Ok(())
}

/// Takes tasks until the runtime is dropped.
fn work(shared: &Shared) {
    while let Some(task) = shared.queue.next() {
        match task {
            Task::Look(turn) => {
                let Turn { uid, mut pod, wanted } = *turn;
                let outcome = pod.look(shared, &uid, wanted);
                shared.queue.done(&uid, pod, outcome);
            }
            Task::RemoveDir(path) => directory::remove_dir(&path),
            Task::TellNames => shared.network.tell_names(),
        }
    }
}
