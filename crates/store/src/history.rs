//! The latest changes of one kind, from which its watchers read.

use std::{collections::VecDeque, sync::Arc};

use cronlet_object::Change;

use crate::limits::{WATCH_HISTORY_BYTES_MAX, WATCH_HISTORY_CHANGE_BYTES, WATCH_HISTORY_CHANGES_MAX};

/// The changes after a revision are no longer all known: the watcher must list anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history of changes begins after revision {oldest}: list again and watch from there")]
pub struct Expired {
    /// The earliest revision after which all changes are known.
    pub oldest: u64,
}

/// The changes of one kind in order of their revisions; the oldest give way to new ones.
#[derive(Debug)]
pub struct History {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Every change of this kind with a later revision is in `changes`.
    floor: u64,
}

impl History {
    /// A history that begins after `floor`.
    pub(crate) fn starting_after(floor: u64) -> Self {
        History { changes: VecDeque::new(), bytes: 0, floor }
    }

    /// The first change after a revision; `None` if there has been none yet.
    ///
    /// # Errors
    /// If changes after that revision have been forgotten.
    pub fn after(&self, revision: u64) -> Result<Option<&Arc<Change>>, Expired> {
        self.check(revision)?;
        let next = self.changes.partition_point(|change| change.revision <= revision);
        Ok(self.changes.get(next))
    }

    /// Whether all changes after a revision are known.
    ///
    /// # Errors
    /// If changes after that revision have been forgotten.
    pub fn check(&self, revision: u64) -> Result<(), Expired> {
        if revision < self.floor { Err(Expired { oldest: self.floor }) } else { Ok(()) }
    }

    /// Adds a change, which is later than all before. What had to give way goes to `forgotten`: freeing it is left
    /// to the caller, who holds locks now.
    pub(crate) fn push(&mut self, change: Arc<Change>, forgotten: &mut Vec<Arc<Change>>) {
        debug_assert!(self.changes.back().is_none_or(|last| last.revision < change.revision));
        self.bytes += cost(&change);
        self.changes.push_back(change);
        while self.changes.len() > WATCH_HISTORY_CHANGES_MAX || self.bytes > WATCH_HISTORY_BYTES_MAX {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= cost(&oldest);
            self.floor = oldest.revision;
            forgotten.push(oldest);
        }
    }
}

/// What only the history keeps alive: the state before the change. The state after it is current, or is the state
/// before a later change.
fn cost(change: &Change) -> usize {
    WATCH_HISTORY_CHANGE_BYTES + change.old.as_ref().map_or(0, |old| old.json().len())
}

#[cfg(test)]
mod tests {
    use cronlet_object::{Draft, Object, api::ConfigMap};

    use super::*;

    fn object(payload: usize, revision: u64) -> Arc<Object> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("x".into());
        object.data = Some([("payload".to_owned(), "x".repeat(payload))].into());
        Arc::new(Draft::of(&object).seal(revision))
    }

    fn change(payload: usize, revision: u64) -> Arc<Change> {
        let old = Some(object(payload, revision - 1));
        Arc::new(Change { revision, old, new: Some(object(0, revision)) })
    }

    fn next(history: &History, after: u64) -> Result<Option<u64>, Expired> {
        history.after(after).map(|found| found.map(|change| change.revision))
    }

    #[test]
    fn changes_come_in_order_from_any_position() {
        let mut history = History::starting_after(10);
        for revision in [12, 15, 16] {
            history.push(change(0, revision), &mut Vec::new());
        }
        assert_eq!(next(&history, 9), Err(Expired { oldest: 10 }));
        assert_eq!(next(&history, 10), Ok(Some(12)));
        assert_eq!(next(&history, 12), Ok(Some(15)));
        assert_eq!(next(&history, 14), Ok(Some(15)));
        assert_eq!(next(&history, 16), Ok(None));
        assert_eq!(next(&history, 99), Ok(None));
    }

    #[test]
    fn the_number_of_changes_is_bounded() {
        let mut history = History::starting_after(0);
        let mut forgotten = Vec::new();
        for revision in 1..=WATCH_HISTORY_CHANGES_MAX as u64 + 3 {
            history.push(change(0, revision), &mut forgotten);
        }
        assert_eq!(history.changes.len(), WATCH_HISTORY_CHANGES_MAX);
        assert_eq!(forgotten.iter().map(|change| change.revision).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(next(&history, 2), Err(Expired { oldest: 3 }));
        assert_eq!(next(&history, 3), Ok(Some(4)));
    }

    #[test]
    fn the_bytes_of_superseded_states_are_bounded() {
        const PAYLOAD: usize = 1 << 20;
        let mut history = History::starting_after(0);
        let mut forgotten = Vec::new();
        for revision in 1..=100 {
            history.push(change(PAYLOAD, revision), &mut forgotten);
        }
        assert!(history.changes.len() < WATCH_HISTORY_BYTES_MAX.div_ceil(PAYLOAD));
        assert_eq!(history.changes.len() + forgotten.len(), 100);
        assert_eq!(history.bytes, history.changes.iter().map(|change| cost(change)).sum::<usize>());
    }
}
