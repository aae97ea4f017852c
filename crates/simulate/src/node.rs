//! A node that runs pods by the book: containers take the times and end with the codes that their behaviour says.
//!
//! It keeps on when the server is gone, as shims do, and tells what became of its pods when it is back.

mod pod;
mod status;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cronlet_object::{Key, Kind, Object, Snapshot, Transaction, Typed, api, deletion};
use jiff::SignedDuration;

use self::pod::Pod;
use crate::SimulatedClock;

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// How long it takes to start: scheduling, image, volumes.
    pub starts_after: SignedDuration,
    /// Why it never starts, as the container's waiting reason, if it does not.
    pub never_starts: Option<String>,
    /// What it does each time it runs; the last one again and again.
    pub attempts: Vec<Attempt>,
    /// How long it goes on after SIGTERM; its grace period at most.
    pub stops_after: SignedDuration,
}

/// One run of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// How long it takes; for ever if absent.
    pub lasts: Option<SignedDuration>,
    /// Its exit code.
    pub exit_code: i32,
    /// Whether it is killed for want of memory.
    pub out_of_memory: bool,
}

impl Behaviour {
    /// A container that ends with `exit_code` after a time.
    pub fn ends(lasts: SignedDuration, exit_code: i32) -> Self {
        Behaviour {
            starts_after: SignedDuration::ZERO,
            never_starts: None,
            attempts: vec![Attempt { lasts: Some(lasts), exit_code, out_of_memory: false }],
            stops_after: SignedDuration::ZERO,
        }
    }
}

/// What is known of a pod when its behaviour is chosen.
#[derive(Clone, Debug)]
pub struct PodIdentity {
    /// Its name.
    pub name: String,
    /// Its Job's name; empty without one.
    pub job: String,
    /// Its completion index, if it has one.
    pub index: Option<u32>,
    /// How many pods of its Job, and of its index if it has one, came before it.
    pub ordinal: u32,
}

/// Chooses what the containers of a new pod do.
pub type Behave = Box<dyn FnMut(&PodIdentity) -> Behaviour>;

/// The node.
pub struct Node {
    pods: BTreeMap<Arc<str>, Pod>,
    seen: HashMap<(Arc<str>, Option<u32>), u32>,
    behave: Behave,
}

impl Node {
    /// A node without pods.
    pub fn new(behave: Behave) -> Self {
        Node { pods: BTreeMap::new(), seen: HashMap::new(), behave }
    }

    /// Chooses behaviours anew: for pods that are yet to come.
    pub fn set_behaviour(&mut self, behave: Behave) {
        self.behave = behave;
    }

    /// Takes note of a pod as it is stored.
    pub(crate) fn sync(&mut self, stored: &Object, clock: &SimulatedClock) {
        let uid = &stored.meta().uid;
        if !self.pods.contains_key(uid) {
            let object: api::Pod = stored.decode();
            let bound = object.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
            if bound.is_none_or(str::is_empty) || matches!(phase, Some("Succeeded" | "Failed")) {
                return;
            }
            let behaviour = (self.behave)(&self.seen.identify(stored, &object));
            self.pods.insert(uid.clone(), Pod::new(&object, behaviour, clock));
        }
        if let Some(pod) = self.pods.get_mut(uid).filter(|_| stored.meta().deleted.is_some()) {
            pod.stop(clock);
        }
    }

    /// A server is back: takes note of all that is stored, and tells all that there is to tell.
    pub(crate) fn resync(&mut self, snapshot: &Snapshot, clock: &SimulatedClock) {
        let stored: BTreeMap<&Arc<str>, &Arc<Object>> =
            snapshot.list(Kind::Pod).map(|pod| (&pod.meta().uid, pod)).collect();
        self.pods.retain(|uid, _| stored.contains_key(uid));
        for pod in stored.values() {
            self.sync(pod, clock);
        }
    }

    /// A pod is stored no more.
    pub(crate) fn forget(&mut self, uid: &Arc<str>) {
        self.pods.remove(uid);
    }

    /// The machine restarts, and is up again at `up_at`: what runs ends with it.
    pub(crate) fn restart(&mut self, clock: &SimulatedClock, up_at: SignedDuration) {
        self.pods.values_mut().for_each(|pod| pod.lose(clock, up_at));
    }

    /// Lets happen what is due, and says when something is due next.
    pub(crate) fn run(&mut self, clock: &SimulatedClock) -> Option<SignedDuration> {
        self.pods.values_mut().filter_map(|pod| pod.run(clock)).min()
    }

    /// Whether there is something to tell of any pod.
    pub(crate) fn has_news(&self) -> bool {
        self.pods.values().any(Pod::has_news)
    }

    /// Whether there is something to tell of a pod of which no report is on its way.
    pub(crate) fn has_report(&self, is_on_its_way: impl Fn(&Arc<str>) -> bool) -> bool {
        self.pods.iter().any(|(uid, pod)| pod.has_news() && !is_on_its_way(uid))
    }

    /// What there is to tell of one such pod: its UID, and the writes. What is stored already need not be told.
    pub(crate) fn report(
        &mut self,
        snapshot: &Snapshot,
        is_on_its_way: impl Fn(&Arc<str>) -> bool,
    ) -> Option<(Arc<str>, Transaction)> {
        let (uid, pod) = self.pods.iter_mut().find(|(uid, pod)| pod.has_news() && !is_on_its_way(uid))?;
        let write = snapshot.get(&pod.key).filter(|stored| stored.meta().uid == *uid).and_then(|stored| {
            let mut object: api::Pod = stored.decode();
            object.status = Some(status::status(&object, pod));
            if pod.has_ended() && object.metadata.deletion_timestamp.is_some() {
                object.metadata.deletion_grace_period_seconds = Some(0);
            }
            deletion::replace(stored, &Typed::from(object))
        });
        if write.is_none() {
            pod.settle();
        }
        Some((uid.clone(), Transaction { writes: vec![write?], ..Transaction::default() }))
    }

    /// A report was committed. What changed since is news again.
    pub(crate) fn told(&mut self, uid: &Arc<str>, snapshot: &Snapshot) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        let Some(stored) = snapshot.get(&pod.key).filter(|stored| stored.meta().uid == *uid) else { return };
        let object: api::Pod = stored.decode();
        if object.status.as_ref() == Some(&status::status(&object, pod)) {
            pod.settle();
        }
    }

    /// How a pod ended, if this node ran it and it has.
    pub fn exit_code(&self, uid: &str) -> Option<i32> {
        self.pods.get(uid)?.exit_code()
    }
}

/// Counts the pods of each Job and index.
trait Identify {
    fn identify(&mut self, stored: &Object, object: &api::Pod) -> PodIdentity;
}

impl Identify for HashMap<(Arc<str>, Option<u32>), u32> {
    fn identify(&mut self, stored: &Object, object: &api::Pod) -> PodIdentity {
        let annotations = object.metadata.annotations.as_ref();
        let index = annotations
            .and_then(|all| all.get("batch.kubernetes.io/job-completion-index"))
            .and_then(|index| index.parse().ok());
        let owner = stored.meta().controller();
        let owner_uid = owner.map_or_else(|| stored.meta().uid.clone(), |owner| owner.uid.clone());
        let count = self.entry((owner_uid, index)).or_default();
        let ordinal = *count;
        *count += 1;
        PodIdentity {
            name: stored.name().to_owned(),
            job: owner.map(|owner| owner.name.to_string()).unwrap_or_default(),
            index,
            ordinal,
        }
    }
}

/// The key of a pod.
fn key_of(pod: &api::Pod) -> Key {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Key::new(Kind::Pod, text(&pod.metadata.namespace), text(&pod.metadata.name))
}
