//! A node that runs pods by the book: containers take the times and end with the codes that their behaviour says.
//!
//! It keeps on when the server is gone, as shims do, and tells what became of its pods when it is back.

mod pod;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
    /// When something is due on a pod.
    due: BTreeSet<(SignedDuration, Arc<str>)>,
    /// The pods of which there is something to tell and no report is on its way.
    news: BTreeSet<Arc<str>>,
    /// The pods of which a report is on its way.
    reporting: BTreeSet<Arc<str>>,
    seen: HashMap<(Arc<str>, Option<u32>), u32>,
    behave: Behave,
}

impl Node {
    /// A node without pods.
    pub fn new(behave: Behave) -> Self {
        Node {
            pods: BTreeMap::new(),
            due: BTreeSet::new(),
            news: BTreeSet::new(),
            reporting: BTreeSet::new(),
            seen: HashMap::new(),
            behave,
        }
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
            let pod = Pod::new(&object, behaviour, clock);
            self.due.extend(pod.due().map(|due| (due, uid.clone())));
            self.news.insert(uid.clone());
            self.pods.insert(uid.clone(), pod);
        }
        if stored.meta().deleted.is_some() {
            self.change(uid, |pod| pod.stop(clock));
        }
    }

    /// The server died, and what was on its way to it is lost.
    pub(crate) fn lose_reports(&mut self) {
        for uid in std::mem::take(&mut self.reporting) {
            self.change(&uid, |_| ());
        }
    }

    /// A server is back: takes note of all that is stored, and tells all that there is to tell.
    pub(crate) fn resync(&mut self, snapshot: &Snapshot, clock: &SimulatedClock) {
        let stored: BTreeMap<&Arc<str>, &Arc<Object>> =
            snapshot.list(Kind::Pod).map(|pod| (&pod.meta().uid, pod)).collect();
        let gone: Vec<Arc<str>> = self.pods.keys().filter(|uid| !stored.contains_key(uid)).cloned().collect();
        gone.iter().for_each(|uid| self.forget(uid));
        for pod in stored.values() {
            self.sync(pod, clock);
        }
    }

    /// A pod is stored no more.
    pub(crate) fn forget(&mut self, uid: &Arc<str>) {
        if let Some(due) = self.pods.remove(uid).and_then(|pod| pod.due()) {
            self.due.remove(&(due, uid.clone()));
        }
        self.news.remove(uid);
        self.reporting.remove(uid);
    }

    /// The machine restarts, and is up again at `up_at`: what runs ends with it.
    pub(crate) fn restart(&mut self, clock: &SimulatedClock, up_at: SignedDuration) {
        let uids: Vec<Arc<str>> = self.pods.keys().cloned().collect();
        for uid in uids {
            self.change(&uid, |pod| pod.lose(clock, up_at));
        }
    }

    /// Lets happen what is due, and says when something is due next.
    pub(crate) fn run(&mut self, clock: &SimulatedClock) -> Option<SignedDuration> {
        while let Some((due, uid)) = self.due.first().cloned() {
            if due > clock.elapsed() {
                return Some(due);
            }
            self.change(&uid, |pod| pod.go_on(clock));
        }
        None
    }

    /// Changes a pod, and takes note of when something is due on it and whether there is something to tell of it.
    fn change(&mut self, uid: &Arc<str>, what: impl FnOnce(&mut Pod)) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        let due = pod.due();
        what(pod);
        if pod.due() != due {
            due.map(|due| self.due.remove(&(due, uid.clone())));
            self.due.extend(pod.due().map(|due| (due, uid.clone())));
        }
        if pod.has_news() && !self.reporting.contains(uid) {
            self.news.insert(uid.clone());
        } else {
            self.news.remove(uid);
        }
    }

    /// Whether there is something to tell of a pod of which no report is on its way.
    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What there is to tell of one such pod: its UID, and the writes. What is stored already need not be told.
    pub(crate) fn report(&mut self, snapshot: &Snapshot) -> Option<(Arc<str>, Transaction)> {
        let uid = self.news.pop_first()?;
        let pod = self.pods.get(&uid)?;
        let write = snapshot.get(&pod.key).filter(|stored| stored.meta().uid == uid).and_then(|stored| {
            let mut object: api::Pod = stored.decode();
            object.status = Some(status::status(&object, pod));
            if pod.has_ended() && object.metadata.deletion_timestamp.is_some() {
                object.metadata.deletion_grace_period_seconds = Some(0);
            }
            deletion::replace(stored, &Typed::from(object))
        });
        let Some(write) = write else {
            self.change(&uid, Pod::settle);
            return None;
        };
        self.reporting.insert(uid.clone());
        Some((uid, Transaction { writes: vec![write], ..Transaction::default() }))
    }

    /// A report was refused: there is still something to tell.
    pub(crate) fn refused(&mut self, uid: &Arc<str>) {
        self.reporting.remove(uid);
        self.change(uid, |_| ());
    }

    /// A report was committed. What changed since is news again.
    pub(crate) fn told(&mut self, uid: &Arc<str>, snapshot: &Snapshot) {
        self.reporting.remove(uid);
        self.change(uid, |pod| {
            let stored = snapshot.get(&pod.key).filter(|stored| stored.meta().uid == *uid);
            let object: Option<api::Pod> = stored.map(|stored| stored.decode());
            if object.is_some_and(|object| object.status.as_ref() == Some(&status::status(&object, pod))) {
                pod.settle();
            }
        });
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
