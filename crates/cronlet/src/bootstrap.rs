//! Brings a node up: opens what is stored, wires the parts together, listens, and takes it all down again.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    thread::JoinHandle,
};

use anyhow::{Context, anyhow, bail};
use cronlet_controller::Settings;
use cronlet_object::{ApiError, Clock, Ids, Key, Kind, api::Pod};
use cronlet_runtime::{
    AttachRequest, Attachment, Config, DiskThreshold, ExecRequest, Execution, ImageConfig, NetworkConfig,
    PodNetwork, Runtime,
    logs::{LogError, LogOptions, LogSource},
    spec::OciRuntime,
    tokens::{TokenIssuer, TokenRequest, Tokens as PodTokens},
};
use cronlet_server::{
    Api, AuditLog, Bound, Gauge, LogRequest, Pki, PodAttach, PodConnect, PodConnection, PodExec, PodLogs,
    Pods, Session, TokenSpec, Tokens, Usage, Used, Version,
};
use cronlet_store::{DataDir, SqliteDisk, Store};
use jiff::tz::TimeZone;
use tokio::{net::TcpListener, sync::oneshot, task};

use crate::{
    arguments::{OciOptions, RuntimeChoice},
    clock::SystemClock,
    command, furnish, limits,
    machine::{self, Machine},
    node::{self, Inbox},
    oci_runtime, place,
};

/// Why nothing can be asked of pods.
const NO_PODS: &str = "this node runs no pods (--runtime none)";

/// What is known of a node before it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where pods' logs are kept.
    pub log_root: PathBuf,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Where the admin kubeconfig goes; by default into the data directory.
    pub kubeconfig: Option<PathBuf>,
    /// Where the API tells of every request, if it is to.
    pub audit_log: Option<PathBuf>,
    /// What runs pods.
    pub runtime: RuntimeChoice,
    /// What makes the containers of its pods.
    pub oci: OciOptions,
    /// Which network pods of containers have.
    pub network: NetworkConfig,
    /// How many processes a pod of containers may have, if that is bounded.
    pub pod_pids_max: Option<u32>,
    /// How little may be free on the disk with the data.
    pub disk_threshold: DiskThreshold,
    /// Whether objects are kept in memory only.
    pub in_memory: bool,
}

/// A running node.
pub struct Server {
    /// Address of the API.
    pub url: String,
    /// The admin kubeconfig.
    pub kubeconfig: PathBuf,
    /// The store, to be read from.
    pub store: Store,
    /// The logs of its pods.
    pub logs: PodLogs,
    /// Why the node cannot go on, once it cannot.
    pub failure: oneshot::Receiver<String>,
    runtime: Option<Arc<Runtime>>,
    inbox: Inbox,
    node: JoinHandle<()>,
    close: oneshot::Sender<()>,
    serving: task::JoinHandle<()>,
}

/// Starts a node. When this returns, the API answers.
///
/// # Errors
/// If the data directory is in use, damaged or not writable, the address is taken, or the system refuses something.
pub async fn start(options: &Options) -> anyhow::Result<Server> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // First of all, since everything else would be in vain: the address and the directory.
    check_network(options)?;
    let oci_runtime = oci_runtime::find(options)?;
    let listener = listen(options.listen).await?;
    let address = listener.local_addr()?;
    let directory = DataDir::lock(&options.data_dir)?;
    // After the directory, since it may be in there; before anything is written.
    let audit_log = options.audit_log.as_deref().map(open_audit_log).transpose()?;
    let store = open_store(&directory, options)?;
    let host = place::host_name();
    let mut names = cronlet_server::server_names(&host, address.ip());
    if address.ip().is_unspecified() {
        // By this pods know it that have a network of their own.
        names.push(machine::address().to_string());
        names.sort();
        names.dedup();
    }
    let pki = Pki::open(&options.data_dir.join("pki"), &names, clock.now())?;
    let url = format!("https://{address}");
    let kubeconfig =
        options.kubeconfig.clone().unwrap_or_else(|| options.data_dir.join(place::KUBECONFIG_NAME));
    pki.write_kubeconfig(&kubeconfig, &url)?;

    let mut ids = Ids::seeded(fastrand::u64(..));
    let (inbox, outbox) = Inbox::new();
    let tokens = Arc::new(Tokens::open(&options.data_dir.join("pki"))?);
    let pod_tokens = PodTokens { issuer: token_issuer(&store, &tokens, &clock), api: address };
    let runtime = runtime((options, oci_runtime), &host, &clock, &inbox, pod_tokens)?;
    let kind = if options.runtime == RuntimeChoice::Oci { "oci" } else { "process" };
    let node = Machine { name: &host, runtime: kind, data_dir: &options.data_dir };
    furnish::furnish(&store, runtime.is_some().then_some(node), address.port(), clock.now(), &mut ids)
        .await?;
    if let Some(runtime) = &runtime {
        runtime.adopt(&store.snapshot());
    }
    let logs = pod_logs(runtime.as_ref());
    let pods = Pods {
        logs: logs.clone(),
        exec: pod_exec(runtime.as_ref()),
        attach: pod_attach(runtime.as_ref()),
        connect: pod_connect(runtime.as_ref()),
        gauge: gauge(runtime.as_ref(), clock.clone()),
    };
    let api = Api::new(store.clone(), clock.clone(), fastrand::u64(..), pods, &version());
    api.use_tokens(tokens);
    audit_log.into_iter().for_each(|log| api.use_audit_log(log));
    let settings = Settings {
        node_name: runtime.is_some().then_some(host),
        time_zone: TimeZone::system(),
        cluster_ca: Some(pki.authority.clone()),
        volumes_dir: options.data_dir.join("volumes").to_string_lossy().into_owned(),
    };
    let (failed, failure) = oneshot::channel();
    let failed = Box::new(|reason| drop(failed.send(reason)));
    let parts = node::Parts { store: store.clone(), clock, settings, runtime: runtime.clone(), ids, failed };
    let node = node::start(parts, inbox.clone(), outbox)?;
    let tls = cronlet_server::server_config(&pki)?;
    let (close, closed) = oneshot::channel();
    let serving = tokio::spawn(cronlet_server::serve(listener, tls, api, async { drop(closed.await) }));
    Ok(Server { url, kubeconfig, store, logs, failure, runtime, inbox, node, close, serving })
}

impl Server {
    /// What runs the pods, if anything does.
    pub fn pods(&self) -> Option<Arc<Runtime>> {
        self.runtime.clone()
    }

    /// Stops serving. Pods are left running, or ended gracefully first if `stop_pods` says so.
    pub async fn stop(self, stop_pods: bool) {
        if stop_pods && let Some(runtime) = &self.runtime {
            runtime.stop_all().await;
        }
        // Fails only if the API has ended already.
        let _ended = self.close.send(());
        drop(self.serving.await);
        self.inbox.stop();
        drop(task::spawn_blocking(move || self.node.join()).await);
        self.store.close();
    }
}

/// Pods that are to have a network of their own must be able to.
fn check_network(options: &Options) -> anyhow::Result<()> {
    if options.network.default != PodNetwork::Bridge {
        return Ok(());
    }
    if options.runtime != RuntimeChoice::Oci {
        bail!("--pod-network bridge: only containers have networks of their own\nhint: add `--runtime oci`");
    }
    if !cronlet_runtime::users::is_machine_root() {
        bail!(
            "--pod-network bridge: only root can make it\nhint: run the node as root, or choose `host` or `none`"
        );
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "\nhint: is another node running? `--listen 127.0.0.1:0` picks a free port"
            }
            io::ErrorKind::AddrNotAvailable => {
                "\nhint: the address must be one of this machine's own, such as 127.0.0.1"
            }
            io::ErrorKind::PermissionDenied => "\nhint: ports below 1024 are root's; take a higher one",
            _ => "",
        };
        anyhow!("{address}: cannot listen: {error}{hint}")
    })
}

fn open_audit_log(path: &Path) -> anyhow::Result<AuditLog> {
    AuditLog::open(path).with_context(|| format!("{}: no audit log can be kept there", path.display()))
}

fn open_store(directory: &DataDir, options: &Options) -> anyhow::Result<Store> {
    if !options.in_memory {
        return Ok(Store::open(Box::new(SqliteDisk::open(directory)?))?);
    }
    if directory.path().join("cronlet.db").exists() {
        bail!(
            "{}: holds the data of a node, whose pods an in-memory node would end\nhint: give --in-memory another \
             --data-dir",
            directory.path().display()
        );
    }
    Ok(Store::open(Box::new(SqliteDisk::in_memory()?))?)
}

fn runtime(
    (options, oci_runtime): (&Options, Option<OciRuntime>),
    host: &str,
    clock: &Arc<dyn Clock>,
    inbox: &Inbox,
    tokens: PodTokens,
) -> anyhow::Result<Option<Arc<Runtime>>> {
    if options.runtime == RuntimeChoice::None {
        return Ok(None);
    }
    if options.runtime == RuntimeChoice::Oci {
        command::image::use_tls();
    }
    let config = Config {
        data_dir: options.data_dir.clone(),
        log_root: options.log_root.clone(),
        run_dir: cronlet_runtime::users::is_machine_root().then(|| "/run".into()),
        node_name: host.to_owned(),
        node_ip: machine::address(),
        images: (options.runtime == RuntimeChoice::Oci)
            .then(|| ImageConfig { dir: place::images(&options.data_dir), insecure_registries: Vec::new() }),
        network: options.network,
        pods_max: limits::PODS_MAX,
        pod_pids_max: options.pod_pids_max,
        disk_threshold: Some(options.disk_threshold),
        oci_runtime,
        tokens: Some(tokens),
        executable: std::env::current_exe().context("cannot find this program's own file")?,
        clock: clock.clone(),
    };
    let inbox = inbox.clone();
    let runtime = Runtime::new(config, Arc::new(move |report| inbox.report(report)))?;
    Ok(Some(Arc::new(runtime)))
}

fn version() -> Version {
    Version {
        cronlet: env!("CARGO_PKG_VERSION").to_owned(),
        commit: String::new(),
        platform: format!("linux/{}", machine::architecture()),
    }
}

/// Where the API reads what containers have printed. Where no pod runs, none has.
fn pod_logs(runtime: Option<&Arc<Runtime>>) -> PodLogs {
    let logs = runtime.map(|runtime| runtime.logs());
    Arc::new(move |request: LogRequest| {
        let Some(logs) = &logs else {
            return Err(ApiError::bad_request(
                "this node runs no pods (--runtime none), so they have no logs",
            ));
        };
        let source = LogSource {
            namespace: request.pod.namespace().to_owned(),
            pod: request.pod.name().to_owned(),
            uid: request.pod.meta().uid.as_ref().to_owned(),
            container: request.container,
        };
        let options = LogOptions {
            previous: request.previous,
            attempt: request.attempt,
            follow: request.follow,
            since: request.since,
            tail_lines: request.tail_lines,
            limit_bytes: request.limit_bytes,
            timestamps: request.timestamps,
        };
        match logs.read(&source, options) {
            Ok(stream) => Ok(Box::pin(stream)),
            Err(error @ LogError::Unreadable { .. }) => Err(ApiError::internal(error.to_string())),
            Err(error) => Err(ApiError::bad_request(error.to_string())),
        }
    })
}

/// What runs the pods, as the API has it: nothing where no pod runs, or once the node has ended. What is handed out must
/// not keep the runtime from being dropped.
fn handle(runtime: Option<&Arc<Runtime>>) -> impl Fn() -> Option<Arc<Runtime>> + Send + Sync + use<> {
    let runtime = runtime.map(Arc::downgrade);
    move || runtime.as_ref().and_then(Weak::upgrade)
}

/// How pods get tokens of their accounts.
fn token_issuer(store: &Store, tokens: &Arc<Tokens>, clock: &Arc<dyn Clock>) -> TokenIssuer {
    let (store, tokens, clock) = (store.clone(), tokens.clone(), clock.clone());
    Arc::new(move |request: &TokenRequest| {
        let snapshot = store.snapshot();
        let uid_of = |kind, namespace: &str, name: &str| {
            snapshot.get(&Key::new(kind, namespace, name)).map(|object| object.meta().uid.to_string())
        };
        let account_uid = uid_of(Kind::ServiceAccount, &request.namespace, &request.account)
            .ok_or_else(|| format!("serviceaccounts {:?} not found", request.account))?;
        let pod: Option<Pod> = snapshot.decode(&request.namespace, &request.pod);
        let node = pod.and_then(|pod| pod.spec?.node_name).and_then(|name| {
            let uid = uid_of(Kind::Node, "", &name)?;
            Some((name, uid))
        });
        let spec = TokenSpec {
            namespace: request.namespace.clone(),
            account: request.account.clone(),
            account_uid,
            audiences: request.audience.clone().into_iter().collect(),
            seconds: request.seconds,
            bound: Some(Bound { is_pod: true, name: request.pod.clone(), uid: request.pod_uid.clone() }),
            node,
        };
        let id = Ids::seeded(fastrand::u64(..)).uid();
        tokens.issue(&spec, id, clock.now()).map(|token| token.text)
    })
}

/// How the API knows what pods use. Where no pod runs, none uses anything, and nobody asks for the machine.
fn gauge(runtime: Option<&Arc<Runtime>>, clock: Arc<dyn Clock>) -> Gauge {
    let runtime = handle(runtime);
    Arc::new(move || {
        let usage = runtime().map(|runtime| runtime.usage()).unwrap_or_default();
        let used = |used: cronlet_runtime::Used| Used { cpu: used.cpu, memory_bytes: used.memory_bytes };
        let pods = usage.pods.into_iter().map(|(uid, containers)| {
            (uid, containers.into_iter().map(|(name, all)| (name, used(all))).collect())
        });
        Usage { at: clock.now(), machine: used(usage.machine), pods: pods.collect() }
    })
}

/// Where the API runs programs in containers.
fn pod_exec(runtime: Option<&Arc<Runtime>>) -> PodExec {
    let runtime = handle(runtime);
    Arc::new(move |request: cronlet_server::ExecRequest| {
        let runtime = runtime().ok_or_else(|| ApiError::bad_request(NO_PODS))?;
        let started = runtime.exec(ExecRequest {
            uid: request.pod.meta().uid.as_ref().to_owned(),
            container: request.container,
            argv: request.argv,
            tty: request.tty,
        });
        // In the kubelet's words.
        let execution = started.map_err(|error| {
            ApiError::internal(format!(
                "Internal error occurred: error executing command in container: {error}"
            ))
        })?;
        let Execution { stdin, stdout, stderr, terminal, mut exit } = execution;
        Ok(Session {
            stdin: Box::pin(stdin),
            stdout: Box::pin(stdout),
            stderr: stderr.map(|stderr| Box::pin(stderr) as _),
            resize: terminal
                .map(|terminal| Box::new(move |columns, rows| terminal.resize(columns, rows)) as _),
            exit: Box::pin(async move { exit.code().await }),
        })
    })
}

/// Where the API connects to the streams of containers.
fn pod_attach(runtime: Option<&Arc<Runtime>>) -> PodAttach {
    let runtime = handle(runtime);
    Arc::new(move |request: cronlet_server::AttachRequest| {
        let runtime = runtime().ok_or_else(|| ApiError::bad_request(NO_PODS))?;
        let attached = runtime.attach(AttachRequest {
            uid: request.pod.meta().uid.as_ref().to_owned(),
            container: request.container,
            stdin: request.stdin,
        });
        // In the kubelet's words.
        let attachment = attached.map_err(|error| {
            ApiError::internal(format!("Internal error occurred: error attaching to container: {error}"))
        })?;
        let Attachment { stdin, stdout, stderr, size, mut end } = attachment;
        Ok(Session {
            stdin: Box::pin(stdin),
            stdout: Box::pin(stdout),
            stderr: Some(Box::pin(stderr)),
            resize: Some(Box::new(move |columns, rows| {
                // Without an attachment there is nobody to be told.
                let _ = size.send((columns, rows));
            })),
            exit: Box::pin(async move { end.reached().await.then_some(0) }),
        })
    })
}

/// Where the API connects to the ports of pods.
fn pod_connect(runtime: Option<&Arc<Runtime>>) -> PodConnect {
    let runtime = handle(runtime);
    Arc::new(move |request: cronlet_server::ConnectRequest| {
        let runtime = runtime().ok_or(NO_PODS)?;
        let connection = runtime.connect(request.pod.meta().uid.as_ref(), request.port);
        let (read, write) = connection.map_err(|error| error.to_string())?.into_split();
        Ok(PodConnection { read: Box::pin(read), write: Box::pin(write) })
    })
}
