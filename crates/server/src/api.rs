//! What a running server consists of: the store behind it, and what it knows about itself.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use cronlet_object::{ApiError, Clock, Ids, Kind, Transaction};
use cronlet_store::{Committed, Refusal, Store};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    audit::AuditLog,
    discovery::Discovery,
    document::Document,
    exec::{PodAttach, PodExec},
    limits::{REQUESTS_IN_FLIGHT_MAX, STREAMS_MAX},
    log::PodLogs,
    metrics::{Gauge, Meter},
    openapi::OpenApi,
    page::Snapshots,
    port_forward::PodConnect,
    token::Tokens,
};

/// The version of Kubernetes whose behaviour is served.
const MAJOR: &str = "1";
/// See [`MAJOR`].
const MINOR: &str = "36";

/// What `/version` says besides the version of Kubernetes.
#[derive(Clone, Debug)]
pub struct Version {
    /// Version of cronlet, without a leading `v`: `0.1.0`.
    pub cronlet: String,
    /// The commit it was built from; may be empty.
    pub commit: String,
    /// The platform it runs on: `linux/amd64`.
    pub platform: String,
}

/// How the API reaches the containers of pods.
#[derive(Clone)]
pub struct Pods {
    /// Reads what they have printed.
    pub logs: PodLogs,
    /// Runs programs in them.
    pub exec: PodExec,
    /// Connects to their streams.
    pub attach: PodAttach,
    /// Connects to their ports.
    pub connect: PodConnect,
    /// Measures what they use.
    pub gauge: Gauge,
}

/// The Kubernetes API over one store. Clones are handles of the same server.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// What the handles of a server have in common.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) logs: PodLogs,
    pub(crate) exec: PodExec,
    pub(crate) attach: PodAttach,
    pub(crate) connect: PodConnect,
    pub(crate) meter: Meter,
    pub(crate) discovery: Discovery,
    pub(crate) openapi: OpenApi,
    pub(crate) version: Document,
    /// Absent where no tokens are issued or taken.
    pub(crate) tokens: OnceLock<Arc<Tokens>>,
    /// Absent where requests are not told of.
    pub(crate) audit: OnceLock<AuditLog>,
    snapshots: Mutex<Snapshots>,
    clock: Arc<dyn Clock>,
    seeds: Mutex<fastrand::Rng>,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Api {
    /// A server over a store. `seed` determines every UID and generated name: in production it comes from the
    /// operating system.
    pub fn new(store: Store, clock: Arc<dyn Clock>, seed: u64, pods: Pods, version: &Version) -> Self {
        let version = json!({
            "major": MAJOR,
            "minor": MINOR,
            "gitVersion": format!("v{MAJOR}.{MINOR}.0+cronlet.{}", version.cronlet),
            "gitCommit": version.commit,
            "gitTreeState": "",
            "buildDate": "",
            "goVersion": "",
            "compiler": "rustc",
            "platform": version.platform,
        });
        Api(Arc::new(Shared {
            store,
            logs: pods.logs,
            exec: pods.exec,
            attach: pods.attach,
            connect: pods.connect,
            meter: Meter::new(pods.gauge),
            discovery: Discovery::new(),
            openapi: OpenApi::new(),
            version: Document::new(&version),
            tokens: OnceLock::new(),
            audit: OnceLock::new(),
            snapshots: Mutex::default(),
            clock,
            seeds: Mutex::new(fastrand::Rng::with_seed(seed)),
            requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            closing: watch::Sender::new(false),
        }))
    }

    /// Has the server issue tokens of service accounts, and take them from clients. Once it does, that stays so.
    pub fn use_tokens(&self, tokens: Arc<Tokens>) {
        let _ignored = self.0.tokens.set(tokens);
    }

    /// Has the server tell of every request. Once it does, that stays so.
    pub fn use_audit_log(&self, log: AuditLog) {
        let _ignored = self.0.audit.set(log);
    }

    /// Ends every watch and followed log, and has `/readyz` fail: the server is about to stop.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("store", &self.0.store).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A source of UIDs and names for one request.
    pub(crate) fn ids(&self) -> Ids {
        // A panic elsewhere cannot leave the generator in a state that matters.
        Ids::seeded(self.seeds.lock().unwrap_or_else(PoisonError::into_inner).u64(..))
    }

    /// The snapshots that are kept for further pages.
    pub(crate) fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is about to stop, now or later.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// The right to handle one more request.
    pub(crate) fn admit_request(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        admit(&self.requests, "too many requests are being handled", REQUESTS_IN_FLIGHT_MAX)
    }

    /// The right to keep one more watch or followed log open.
    pub(crate) fn admit_stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        admit(&self.streams, "too many watches and logs are open", STREAMS_MAX)
    }

    /// Commits a transaction about one object. `kind` and `name` are what messages speak of.
    pub(crate) async fn commit(
        &self,
        transaction: Transaction,
        kind: Kind,
        name: &str,
    ) -> Result<Committed, ApiError> {
        self.store.commit(transaction).await.map_err(|refusal| refused(&refusal, kind, name))
    }
}

fn admit(semaphore: &Arc<Semaphore>, why: &str, limit: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    semaphore
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many_requests(format!("{why} (limit {limit}); try again"), 1))
}

/// A refusal of the store as an answer to the client.
pub(crate) fn refused(refusal: &Refusal, kind: Kind, name: &str) -> ApiError {
    match refusal {
        Refusal::Conflict { key } => ApiError::conflict(key.kind, &key.name),
        Refusal::Exists { key } => ApiError::already_exists(key.kind, &key.name),
        Refusal::NotFound { key } => ApiError::not_found(key.kind, &key.name),
        Refusal::NamespaceMissing { namespace } => ApiError::not_found(Kind::Namespace, namespace),
        Refusal::NamespaceTerminating { namespace, .. } => {
            ApiError::namespace_terminating(kind, name, namespace)
        }
        Refusal::TooLarge { .. } => ApiError::too_large(format!("Request entity too large: {refusal}")),
        Refusal::Overloaded => ApiError::too_many_requests(refusal.to_string(), 1),
        Refusal::Disk(_) | Refusal::Stopped => {
            ApiError::internal(format!("Internal error occurred: {refusal}"))
        }
    }
}
