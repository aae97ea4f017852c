//! The images of this node's pods: which are here, which are on their way, and why others are not.
//!
//! Pods ask whenever they are looked at. Whoever asks for an image that has to be pulled waits for it, together with
//! all others that do, and is looked at again when the pull has come to its end. The words are the kubelet's.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cronlet_image::{
    Credentials, Error, Image, Reference, Registry, StartHold, Store, docker_credentials,
    policy::{BackOff, Decision, PullPolicy, decide},
};
use cronlet_object::{Clock, Snapshot, api};
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{LocalSet, spawn_local},
};

use super::{directory, queue::Queue};
use crate::{
    limits::PULLS_MAX,
    pulls::{Pulled, Pulls},
    resolve::{ImageState, pull_secret, roles},
};

/// What a container waits for while its image is pulled: nothing that went wrong.
const CREATING: &str = "ContainerCreating";

/// Where images are kept, and which registries are spoken to without TLS.
#[derive(Clone, Debug)]
pub struct ImageConfig {
    /// The directory of the store.
    pub dir: PathBuf,
    /// Registries, as `host` or `host:port`, besides those on this machine.
    pub insecure_registries: Vec<String>,
}

/// What is pulled once for all who ask: an image by its name, for whoever has these users and passwords. What one pod may
/// not have keeps no other from trying, and gets none through what another may.
type Pull = (String, Vec<(String, String)>);

/// An image that is to be pulled.
pub(super) struct Order {
    /// With the users and passwords that secrets of the pod give, then with those of the user that the node runs as,
    /// then without.
    pull: Pull,
    reference: Reference,
    /// When it was ordered.
    at: Timestamp,
}

/// The orders of one runtime, for the thread that pulls.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// The images of a node.
pub(super) struct Images {
    store: Store,
    registry: Registry,
    clock: Arc<dyn Clock>,
    table: Mutex<HashMap<Pull, Entry>>,
    /// Absent once the runtime ends.
    orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
}

/// What is known of an image that is or was being pulled.
#[derive(Default)]
struct Entry {
    pulling: bool,
    /// The pods that wait for the pull.
    waiting: BTreeSet<Arc<str>>,
    /// The pods that have waited for it, and have not asked since.
    answered: BTreeSet<Arc<str>>,
    /// The pods whose last pull has failed. Each has a patience of its own, as with a kubelet: who makes a pod anew, or
    /// makes another, does not wait for what an earlier one has tried in vain.
    failed: HashMap<Arc<str>, Failed>,
    /// The last pull that succeeded.
    pulled: Pulled,
}

/// What has become of the pulls of an image for one pod, of which the last has failed.
#[derive(Default)]
struct Failed {
    back_off: BackOff,
    reason: &'static str,
    message: String,
}

/// An image that a container wants, and how.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    name: &'a str,
    policy: PullPolicy,
    /// The users and passwords for an image's registry and repository that the pod has, in the order they are tried.
    credentials: &'a dyn Fn(&Reference) -> Vec<(String, String)>,
}

impl Images {
    /// Opens the store.
    ///
    /// # Errors
    /// If its directories cannot be made.
    pub(super) fn open(config: ImageConfig, clock: Arc<dyn Clock>) -> Result<(Self, Orders), Error> {
        let (send, receive) = mpsc::unbounded_channel();
        let images = Images {
            store: Store::open(config.dir)?,
            registry: Registry::new(config.insecure_registries),
            clock,
            table: Mutex::default(),
            orders: Mutex::new(Some(send)),
        };
        Ok((images, receive))
    }

    /// Keeps the images that are looked up from now on from being collected, until the pod's journal names its layers.
    ///
    /// # Errors
    /// If the store cannot be locked.
    pub(super) fn hold_start(&self) -> Result<StartHold, Error> {
        self.store.hold_start()
    }

    /// Removes what no image's name leads to and no pod in `pods_dir` is made of; how many things that were.
    ///
    /// # Errors
    /// If an image is being pulled, or something cannot be removed.
    pub(super) fn collect_garbage(&self, pods_dir: &Path) -> Result<u64, Error> {
        self.store.gc(|| directory::layers(pods_dir)).map(|freed| freed.blobs + freed.layers)
    }

    /// Whether the images of a pod's containers are here. Those that must be pulled are, and the pod is looked at again
    /// afterwards. `pulls` are those of this pod.
    pub(super) fn of_pod(
        &self,
        uid: &Arc<str>,
        pod: &api::Pod,
        snapshot: &Snapshot,
        pulls: &mut Pulls,
    ) -> HashMap<String, ImageState> {
        let mut states = HashMap::new();
        for (_, container) in pod.spec.iter().flat_map(roles) {
            let name = container.image.clone().unwrap_or_default();
            let policy = container.image_pull_policy.as_deref().and_then(PullPolicy::read);
            let credentials = |image: &Reference| {
                pull_secret::credentials(pod, snapshot, image.registry(), image.repository())
            };
            let wanted = Wanted {
                name: &name,
                policy: policy.unwrap_or(PullPolicy::IfNotPresent),
                credentials: &credentials,
            };
            let state = self.state(uid, &wanted, pulls);
            // Of two containers with one image, the one that does not get it decides.
            match states.get(&name) {
                Some(ImageState::Missing { .. }) => {}
                _ => drop(states.insert(name, state)),
            }
        }
        states
    }

    fn state(&self, uid: &Arc<str>, wanted: &Wanted<'_>, pulls: &mut Pulls) -> ImageState {
        let Wanted { name, policy, credentials } = *wanted;
        let missing = |reason, message| ImageState::Missing { reason, message };
        let reference: Reference = match name.parse() {
            Ok(reference) => reference,
            Err(error) => return missing("InvalidImageName", error.to_string()),
        };
        let pull: Pull = (name.to_owned(), credentials(&reference));
        let mut table = self.table();
        let entry = table.entry(pull.clone()).or_default();
        let is_answered = entry.answered.remove(uid);
        if is_answered {
            pulls.under_way.remove(name);
            if !entry.failed.contains_key(uid) {
                pulls.done.insert(name.to_owned(), entry.pulled);
            }
        }
        let stored = match self.store.image(&reference) {
            Ok(stored) => stored,
            // What is damaged is pulled again.
            Err(_) if policy != PullPolicy::Never => None,
            Err(error) => return missing(error.reason(), error.to_string()),
        };
        let policy = if pulls.done.contains_key(name) { PullPolicy::IfNotPresent } else { policy };
        match (decide(policy, stored.is_some()), stored) {
            (Decision::UseStored, Some(stored)) => ImageState::Ready(Arc::new(stored)),
            (Decision::Refuse, _) => {
                let message = format!("Container image {name:?} is not present with pull policy of Never");
                missing("ErrImageNeverPull", message)
            }
            _ => {
                let now = self.clock.now();
                if let Some(Failed { back_off, reason, message }) = entry.failed.get(uid) {
                    if is_answered {
                        return missing(reason, message.clone());
                    }
                    if back_off.blocked_until(since_epoch(now)).is_some() {
                        let message = format!("Back-off pulling image {name:?}: {reason}: {message}");
                        return missing("ImagePullBackOff", message);
                    }
                }
                pulls.under_way.insert(name.to_owned());
                self.order(uid, entry, Order { pull, reference, at: now });
                missing(CREATING, String::new())
            }
        }
    }

    fn order(&self, uid: &Arc<str>, entry: &mut Entry, order: Order) {
        entry.waiting.insert(uid.clone());
        if !std::mem::replace(&mut entry.pulling, true) {
            let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            // When the runtime ends, the next one begins anew.
            if let Some(orders) = &*orders {
                drop(orders.send(order));
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Pull, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the end of a pull, and has those looked at that waited for it.
    fn finish(&self, order: &Order, begun: Timestamp, result: cronlet_image::Result<Image>, queue: &Queue) {
        let (name, now) = (&order.pull.0, self.clock.now());
        let waiting = {
            let mut table = self.table();
            let entry = table.entry(order.pull.clone()).or_default();
            entry.pulling = false;
            let waiting = std::mem::take(&mut entry.waiting);
            match result {
                Ok(image) => {
                    entry.failed.retain(|uid, _| !waiting.contains(uid));
                    let (took, with_waiting) = (now.duration_since(begun), now.duration_since(order.at));
                    entry.pulled = Pulled { took, with_waiting, bytes: image.size_bytes };
                }
                Err(error) => {
                    let message = format!("failed to pull image {name:?}: {error}");
                    for uid in &waiting {
                        let failed = entry.failed.entry(uid.clone()).or_default();
                        failed.back_off.failed(since_epoch(now));
                        (failed.reason, failed.message) = (error.reason(), message.clone());
                    }
                }
            }
            entry.answered.extend(waiting.iter().cloned());
            waiting
        };
        waiting.iter().for_each(|uid| queue.wake(uid));
    }

    /// Forgets a pod that is gone.
    pub(super) fn forget(&self, uid: &Arc<str>) {
        let mut table = self.table();
        for entry in table.values_mut() {
            entry.waiting.remove(uid);
            entry.answered.remove(uid);
            entry.failed.remove(uid);
        }
        table.retain(|_, entry| entry.pulling || !entry.failed.is_empty() || !entry.answered.is_empty());
    }

    /// Takes no more orders.
    pub(super) fn close(&self) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Pulls what is ordered, several at a time, until the runtime ends.
    pub(super) fn run(self: &Arc<Self>, mut orders: Orders, queue: &Arc<Queue>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "images cannot be pulled"),
        };
        let turns = Arc::new(Semaphore::new(PULLS_MAX));
        LocalSet::new().block_on(&runtime, async {
            while let Some(order) = orders.recv().await {
                let (images, queue, turns) = (self.clone(), queue.clone(), turns.clone());
                spawn_local(async move {
                    let Ok(_turn) = turns.acquire_owned().await else { return };
                    let begun = images.clock.now();
                    let result = images.pull(&order).await;
                    images.finish(&order, begun, result, &queue);
                });
            }
        });
    }

    /// Tries whatever credentials there are, until the registry takes one. If it takes none, what it said to the first is
    /// the answer.
    async fn pull(&self, order: &Order) -> cronlet_image::Result<Image> {
        let given = order.pull.1.iter().cloned();
        let given = given.map(|(user, password)| Credentials { user, password });
        // Asked for when it is their turn: a helper program may have to be waited for.
        let own = std::iter::once_with(|| docker_credentials(order.reference.registry())).flatten();
        let mut refusal = None;
        for credentials in given.chain(own).map(Some).chain([None]) {
            let pulled =
                self.registry.pull(&self.store, &order.reference, credentials.as_ref(), Arc::new(drop)).await;
            match pulled {
                // Some say that there is no such image to whoever may not know.
                Err(error @ (Error::AccessDenied { .. } | Error::NotInRegistry { .. })) => {
                    refusal.get_or_insert(error);
                }
                other => return other,
            }
        }
        Err(refusal.unwrap_or_else(|| Error::NotStored { name: order.reference.to_string() }))
    }
}

/// The back-off counts from a moment that does not move.
fn since_epoch(now: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}
