//! Several writes that happen together or not at all.

use std::sync::Arc;

use crate::{Draft, Key, Object, ledger};

/// A change of one object.
#[derive(Clone, Debug)]
pub enum Write {
    /// Adds an object; fails if the name is taken or the namespace is missing or terminating.
    Create(Draft),
    /// Replaces the object that has exactly this revision.
    Update {
        /// The object's new content.
        draft: Draft,
        /// The revision that was read.
        expect: u64,
    },
    /// Removes the object that has exactly this revision.
    Delete {
        /// The object to remove.
        key: Key,
        /// The revision that was read.
        expect: u64,
    },
}

impl Write {
    /// The object that is written.
    pub fn key(&self) -> &Key {
        match self {
            Write::Create(draft) | Write::Update { draft, .. } => draft.key(),
            Write::Delete { key, .. } => key,
        }
    }
}

/// An object that was read, not written, and on which a decision rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// The object that was read.
    pub key: Key,
    /// The revision that was read.
    pub revision: u64,
}

/// Writes, the reads they rest on, and what the ledger says of them. Committed atomically and durably, or refused
/// whole: a refusal changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// Objects that must still be as they were read.
    pub require: Vec<Unchanged>,
    /// The writes, in order; a later one sees the earlier ones.
    pub writes: Vec<Write>,
    /// Entries of the run ledger.
    pub ledger: Vec<ledger::Entry>,
}

impl Transaction {
    /// Whether committing would change nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.ledger.is_empty()
    }
}

/// What one committed write did to one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The revision of the write. For a removal it is later than the last state's own.
    pub revision: u64,
    /// The state before; absent if the object was created.
    pub old: Option<Arc<Object>>,
    /// The state after; absent if the object was removed.
    pub new: Option<Arc<Object>>,
}

impl Change {
    /// The latest state: the new one, or for a removal the last.
    pub fn object(&self) -> &Arc<Object> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has a state before or after")
    }
}
