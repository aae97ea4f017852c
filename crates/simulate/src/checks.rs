//! What must hold after every step, whatever happens: worked out anew from what was committed, not by asking the code
//! that is checked.

mod cronjobs;
mod jobs;
mod read;
mod rest;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use cronlet_object::{Change, Key, Kind, Object, Snapshot};
use jiff::Timestamp;

use crate::{Commit, Committed, Origin, Simulation};

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What must hold, in words.
    pub invariant: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "violated: {}: {}", self.invariant, self.found)
    }
}

impl std::error::Error for Violation {}

/// What a check finds.
type Checked = Result<(), Violation>;

/// Fails with what was found unless `holds`.
fn ensure(holds: bool, invariant: &'static str, found: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, found: found() }) }
}

/// What is remembered of a run so far.
#[derive(Debug, Default)]
pub struct Checks {
    /// The Job of each CronJob and scheduled time, by UID; also of those that are gone.
    starts: HashMap<(Arc<str>, Timestamp), String>,
    /// The CronJobs of which somebody took a scheduled time or a running Job out of the status.
    edited: HashSet<Arc<str>>,
    /// The pods that were let go, which happens once.
    released: HashSet<Arc<str>>,
    /// The failures that each Job has counted since its last success, with their indexes.
    failures: HashMap<Arc<str>, Vec<(Option<u32>, Timestamp)>>,
    /// In how many commits each Job has counted failures, and when in the last.
    failures_counted: HashMap<Arc<str>, (usize, Timestamp)>,
    /// How many completions each Job was to have when it was decided that it has them. An elastic Job's may change until
    /// its last pod has ended, but not the verdict.
    completions_decided: HashMap<Arc<str>, usize>,
    /// Whether the wall clock was set back, after which times need not be in order.
    clock_set_back: bool,
    /// How often nothing was left to do.
    rests: u32,
    reader: read::Reader,
}

impl Checks {
    /// Takes note that the wall clock was set back.
    pub fn clock_was_set_back(&mut self) {
        self.clock_set_back = true;
    }

    /// Holds a commit against all that must hold.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn commit(&mut self, commit: &Commit) -> Result<(), Violation> {
        let mut snapshot = commit.before.clone();
        for committed in &commit.committed {
            let before = snapshot.clone();
            committed.changes.iter().for_each(|change| apply(&mut snapshot, change));
            self.transaction(committed, &before, &snapshot, commit.at)?;
        }
        Ok(())
    }

    fn transaction(
        &mut self,
        committed: &Committed,
        before: &Snapshot,
        after: &Snapshot,
        at: Timestamp,
    ) -> Checked {
        for change in committed.changes.iter() {
            let (old, new) = (change.old.as_deref(), change.new.as_deref());
            match (change.object().kind(), old, new) {
                (Kind::Job, None, Some(job)) => self.job_is_created(job, before, after)?,
                (Kind::Job, Some(old), Some(new)) => {
                    self.job_changed((old, new), (&committed.seen, after), at)?;
                }
                (Kind::CronJob, Some(old), Some(new)) => {
                    let by_controller = matches!(committed.origin, Origin::Controller(_));
                    self.cron_job_changed(old, new, by_controller)?;
                }
                _ => {}
            }
        }
        self.pods_are_counted(&committed.changes, before, after)?;
        for change in committed.changes.iter() {
            if let (Kind::Pod, None, Some(pod)) = (change.object().kind(), &change.old, &change.new) {
                self.pod_is_created(pod, before, after)?;
            }
        }
        self.ledger_agrees(committed)
    }

    /// Holds what there is when nothing is left to do against what must be done by then.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn rest(&mut self, simulation: &Simulation) -> Result<(), Violation> {
        self.rests += 1;
        rest::check(self, simulation)
    }
}

/// Does to a snapshot what a commit did.
fn apply(snapshot: &mut Snapshot, change: &Change) {
    match &change.new {
        Some(new) => snapshot.insert(new.clone()),
        None => drop(snapshot.remove(change.object().key(), change.revision)),
    }
}

/// The controller of an object, if it is of a kind and exists.
fn owner<'a>(object: &Object, kind: Kind, snapshot: &'a Snapshot) -> Option<&'a Arc<Object>> {
    let owner = object.meta().controller()?;
    if Kind::from_manifest(&owner.api_version, &owner.kind) != Some(kind) {
        return None;
    }
    let key = Key::new(kind, object.namespace(), owner.name.as_ref());
    snapshot.get(&key).filter(|found| found.meta().uid == owner.uid)
}
