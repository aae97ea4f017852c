//! Whose turn it is: pods wait in a queue, and no pod is with two workers at once.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cronlet_object::{Object, Snapshot};
use tokio::sync::watch;

use super::pod::{Outcome, Pod};

/// What is wanted of a pod.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    /// Its latest state in the store.
    pub(super) object: Option<Arc<Object>>,
    /// The store, since the pod was last looked at; only kept until then.
    pub(super) snapshot: Option<Snapshot>,
    /// Whether its object is gone.
    pub(super) removed: bool,
    /// Whether it is to end although its object is there: all are.
    pub(super) stop: bool,
    /// Why it is to end at once, if the node cannot bear it any more; only told once.
    pub(super) evict: Option<String>,
}

impl Wanted {
    /// What is wanted, and the snapshot if there is a new one.
    fn take(&mut self) -> Wanted {
        let (snapshot, evict) = (self.snapshot.take(), self.evict.take());
        Wanted { snapshot, evict, ..self.clone() }
    }
}

/// Something for a worker to do.
pub(super) enum Task {
    /// Look at a pod.
    Look(Box<Turn>),
    /// Remove a directory that nothing uses any more.
    RemoveDir(PathBuf),
    /// Tell pods of others of their subdomains.
    TellNames,
}

/// A pod that is with a worker.
pub(super) struct Turn {
    pub(super) uid: Arc<str>,
    pub(super) pod: Pod,
    pub(super) wanted: Wanted,
}

/// A pod that is known.
#[derive(Default)]
struct Entry {
    /// Absent while it is with a worker.
    pod: Option<Pod>,
    wanted: Wanted,
    /// Whether it waits in the queue.
    queued: bool,
    /// Whether something happened while it was with a worker.
    again: bool,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Arc<str>, Entry>,
    waiting: VecDeque<Waiting>,
    /// Pods that may not start before others have ended, in the order in which they asked.
    starting: VecDeque<Arc<str>>,
    /// Whether it waits that pods are told of others.
    names_due: bool,
    /// Whether a pod was not started because the disk is short.
    short: bool,
    /// Whether all pods are to end, those included that are not known yet.
    stopping: bool,
    closed: bool,
}

enum Waiting {
    Pod(Arc<str>),
    Dir(PathBuf),
    Names,
}

/// The pods and their turns.
pub(super) struct Queue {
    table: Mutex<Table>,
    filled: Condvar,
    /// Told when pods begin to run, and at the end.
    changed: Condvar,
    pods_max: usize,
    /// How many pods run.
    running: watch::Sender<usize>,
}

impl Queue {
    pub(super) fn new(pods_max: usize) -> Self {
        let running = watch::Sender::new(0);
        Queue { table: Mutex::default(), filled: Condvar::new(), changed: Condvar::new(), pods_max, running }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Whoever panicked did so outside of the few lines that change the table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is wanted of a pod, which becomes known if it is not, and has it looked at.
    pub(super) fn change(&self, uid: &str, change: impl FnOnce(&mut Wanted)) {
        let mut table = self.table();
        let uid = match table.entries.get_key_value(uid) {
            Some((uid, _)) => uid.clone(),
            None => {
                let uid: Arc<str> = uid.into();
                table.entries.insert(uid.clone(), Entry { pod: Some(Pod::default()), ..Entry::default() });
                uid
            }
        };
        change(&mut table.entries.get_mut(&uid).expect("it is known now").wanted);
        self.enqueue(&mut table, &uid);
    }

    /// Has all pods end, and no others start.
    pub(super) fn stop_all(&self) {
        let mut table = self.table();
        table.stopping = true;
        let all: Vec<Arc<str>> = table.entries.keys().cloned().collect();
        all.iter().for_each(|uid| self.enqueue(&mut table, uid));
    }

    /// Has a pod looked at, if it is known.
    pub(super) fn wake(&self, uid: &Arc<str>) {
        self.enqueue(&mut self.table(), uid);
    }

    /// Has a directory removed.
    pub(super) fn remove_dir(&self, path: PathBuf) {
        self.table().waiting.push_back(Waiting::Dir(path));
        self.filled.notify_one();
    }

    /// Has pods told of others of their subdomains, unless that waits to be done already.
    pub(super) fn tell_names(&self) {
        let mut table = self.table();
        if !std::mem::replace(&mut table.names_due, true) {
            table.waiting.push_back(Waiting::Names);
            self.filled.notify_one();
        }
    }

    fn enqueue(&self, table: &mut Table, uid: &Arc<str>) {
        let Some(entry) = table.entries.get_mut(uid) else { return };
        if entry.pod.is_none() {
            entry.again = true;
        } else if !entry.queued {
            entry.queued = true;
            table.waiting.push_back(Waiting::Pod(uid.clone()));
            self.filled.notify_one();
        }
    }

    /// Waits for a task; nothing when the runtime is dropped. Pods can wait for the next server, but nobody would know
    /// any more that a directory was to be removed.
    pub(super) fn next(&self) -> Option<Task> {
        let mut table = self.table();
        loop {
            match table.waiting.pop_front() {
                Some(Waiting::Dir(path)) => return Some(Task::RemoveDir(path)),
                Some(Waiting::Names) => {
                    table.names_due = false;
                    return Some(Task::TellNames);
                }
                Some(Waiting::Pod(_)) if table.closed => {}
                Some(Waiting::Pod(uid)) => {
                    let Some(entry) = table.entries.get_mut(&uid) else { continue };
                    entry.queued = false;
                    let Some(pod) = entry.pod.take() else { continue };
                    let wanted = entry.wanted.take();
                    let wanted = Wanted { stop: table.stopping, ..wanted };
                    return Some(Task::Look(Box::new(Turn { uid, pod, wanted })));
                }
                None if table.closed => return None,
                None => table = self.filled.wait(table).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes a pod back from a worker.
    pub(super) fn done(&self, uid: &Arc<str>, pod: Pod, outcome: Outcome) {
        let mut table = self.table();
        if outcome == Outcome::Gone {
            table.entries.remove(uid);
        } else if let Some(entry) = table.entries.get_mut(uid) {
            entry.pod = Some(pod);
            if std::mem::take(&mut entry.again) {
                self.enqueue(&mut table, uid);
            }
        }
        self.wake_starting(&mut table);
    }

    /// Wakes as many of the pods that wait to be started as may run. One that is woken too often asks again.
    fn wake_starting(&self, table: &mut Table) {
        let free = self.pods_max.saturating_sub(*self.running.borrow());
        for _ in 0..free.min(table.starting.len()) {
            if let Some(uid) = table.starting.pop_front() {
                self.enqueue(table, &uid);
            }
        }
    }

    /// The pods that are known and are to stay, with their objects.
    pub(super) fn objects(&self) -> Vec<(Arc<str>, Arc<Object>)> {
        let table = self.table();
        let all = table.entries.iter().filter(|(_, entry)| !entry.wanted.removed);
        all.filter_map(|(uid, entry)| Some((uid.clone(), entry.wanted.object.clone()?))).collect()
    }

    /// Has a pod evicted, if it is known.
    pub(super) fn evict(&self, uid: &Arc<str>, why: String) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(uid) {
            entry.wanted.evict = Some(why);
            self.enqueue(&mut table, uid);
        }
    }

    /// Has the disk looked at although no pod may run: one was not started because it is short.
    pub(super) fn tell_short(&self) {
        self.table().short = true;
        self.changed.notify_all();
    }

    /// Waits until pods run, or would; false when the runtime is dropped.
    pub(super) fn wait_for_pods(&self) -> bool {
        let is_idle = |table: &mut Table| !table.closed && !table.short && *self.running.borrow() == 0;
        let waited = self.changed.wait_while(self.table(), is_idle);
        let mut table = waited.unwrap_or_else(PoisonError::into_inner);
        table.short = false;
        !table.closed
    }

    /// Waits so long; false when the runtime is dropped.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.table(), time, |table| !table.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Asks whether one more pod may run. If not, the pod is woken when it may be asked again.
    pub(super) fn admit(&self, uid: &Arc<str>) -> bool {
        let mut table = self.table();
        let admitted = self.running.send_if_modified(|running| {
            let free = *running < self.pods_max;
            *running += usize::from(free);
            free
        });
        if !admitted && !table.starting.contains(uid) {
            table.starting.push_back(uid.clone());
        }
        self.changed.notify_all();
        admitted
    }

    /// Counts a pod that runs already, however many there are.
    pub(super) fn admit_running(&self) {
        let _table = self.table();
        self.running.send_modify(|running| *running += 1);
        self.changed.notify_all();
    }

    /// Counts a pod that was admitted and has ended. Others are woken when its turn is over.
    pub(super) fn release(&self) {
        self.running.send_modify(|running| *running -= 1);
    }

    /// Waits until no pod runs.
    pub(super) async fn all_stopped(&self) {
        // The sender is this queue itself, so it is there.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    /// Ends the workers when they have done what they are at.
    pub(super) fn close(&self) {
        self.table().closed = true;
        self.filled.notify_all();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
