//! What a transaction does to the objects, and what watchers remember: the store without disk and threads.

use std::sync::Arc;

use cronlet_object::{Change, Draft, Key, Kind, Object, Snapshot, Transaction, Unchanged, Write, ledger};

use crate::{DiskError, Expired, History, Loaded, limits::OBJECT_BYTES_MAX};

/// The revision of a store that was never written to, as in etcd: 0 means "any" in requests of the API.
const FIRST_REVISION: u64 = 1;

/// Everything that is committed, and the latest changes.
#[derive(Debug)]
pub struct State {
    snapshot: Snapshot,
    /// One for each of [`Kind::ALL`], in its order.
    histories: Vec<History>,
}

impl State {
    /// The state a disk held. Changes before it are not known.
    pub fn new(loaded: Loaded) -> Self {
        let mut snapshot = Snapshot::default();
        for object in loaded.objects {
            snapshot.insert(object);
        }
        // Insertion leaves the revision of whatever came last; no object is later than what the disk knows.
        snapshot.advance(loaded.revision.max(FIRST_REVISION));
        let histories = Kind::ALL.iter().map(|_| History::starting_after(snapshot.revision())).collect();
        State { snapshot, histories }
    }

    /// The objects.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The latest changes of a kind.
    pub fn history(&self, kind: Kind) -> &History {
        &self.histories[kind as usize]
    }

    /// An empty batch on top of this state.
    pub fn batch(&self) -> Batch {
        Batch { snapshot: self.snapshot.clone(), changes: Vec::new(), ledger: Vec::new() }
    }

    /// Moves on to a batch that was begun from this state and is durable now.
    pub fn publish(&mut self, batch: &Batch) -> Superseded {
        let mut forgotten = Vec::new();
        for change in &batch.changes {
            let history = &mut self.histories[change.object().kind() as usize];
            history.push(Arc::new(change.clone()), &mut forgotten);
        }
        let snapshot = std::mem::replace(&mut self.snapshot, batch.snapshot.clone());
        Superseded { _snapshot: snapshot, _forgotten: forgotten }
    }

    /// How far a watcher that has seen everything up to `position` may say it is: the latest revision, unless a change
    /// is waiting for it.
    pub(crate) fn progress(&self, kind: Kind, position: u64) -> u64 {
        match self.history(kind).after(position) {
            Ok(None) => position.max(self.snapshot.revision()),
            Ok(Some(_)) | Err(Expired { .. }) => position,
        }
    }
}

/// What a publication left behind. Freeing it takes time, which the publisher may want to spend without its locks.
#[derive(Debug)]
pub struct Superseded {
    _snapshot: Snapshot,
    _forgotten: Vec<Arc<Change>>,
}

/// Transactions that become durable together.
#[derive(Debug)]
pub struct Batch {
    snapshot: Snapshot,
    changes: Vec<Change>,
    ledger: Vec<ledger::Entry>,
}

impl Batch {
    /// Adds a transaction, which sees those added before. A refused transaction leaves the batch as it was.
    ///
    /// # Errors
    /// If the transaction rests on something that is not so.
    pub fn apply(&mut self, transaction: Transaction) -> Result<Committed, Refusal> {
        for Unchanged { key, revision } in &transaction.require {
            if self.snapshot.get(key).is_none_or(|object| object.revision() != *revision) {
                return Err(Refusal::Conflict { key: key.clone() });
            }
        }
        let (begun, revision) = (self.changes.len(), self.snapshot.revision());
        for write in transaction.writes {
            match apply(&mut self.snapshot, write) {
                Ok(change) => self.changes.push(change),
                Err(refusal) => {
                    self.take_back(begun, revision);
                    return Err(refusal);
                }
            }
        }
        self.ledger.extend(transaction.ledger);
        Ok(Committed { revision: self.snapshot.revision(), changes: self.changes[begun..].into() })
    }

    /// Undoes the changes from `begun` on, which were made at `revision`. That is rare; to begin every transaction with
    /// a copy of the state would have each of its writes copy a path through the maps.
    fn take_back(&mut self, begun: usize, revision: u64) {
        for change in self.changes.drain(begun..).rev() {
            match change.old {
                Some(old) => self.snapshot.insert(old),
                None => drop(change.new.and_then(|new| self.snapshot.remove(new.key(), revision))),
            }
        }
        self.snapshot.advance(revision);
    }

    /// The last revision given to any write so far.
    pub fn revision(&self) -> u64 {
        self.snapshot.revision()
    }

    /// The objects as they are after the batch.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the batch does to the objects, one change for each write, in order of their revisions.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What the batch adds to the run ledger, in order.
    pub fn ledger(&self) -> &[ledger::Entry] {
        &self.ledger
    }

    /// Whether there is nothing to make durable.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.ledger.is_empty()
    }
}

fn apply(snapshot: &mut Snapshot, write: Write) -> Result<Change, Refusal> {
    let revision = snapshot.revision() + 1;
    match write {
        Write::Create(draft) => {
            check_size(&draft)?;
            check_namespace(snapshot, draft.key())?;
            if snapshot.get(draft.key()).is_some() {
                return Err(Refusal::Exists { key: draft.key().clone() });
            }
            Ok(put(snapshot, None, draft, revision))
        }
        Write::Update { draft, expect } => {
            check_size(&draft)?;
            let old = expected(snapshot, draft.key(), expect)?.clone();
            Ok(put(snapshot, Some(old), draft, revision))
        }
        Write::Delete { key, expect } => {
            expected(snapshot, &key, expect)?;
            Ok(Change { revision, old: snapshot.remove(&key, revision), new: None })
        }
    }
}

fn put(snapshot: &mut Snapshot, old: Option<Arc<Object>>, draft: Draft, revision: u64) -> Change {
    let new = Arc::new(draft.seal(revision));
    snapshot.insert(new.clone());
    Change { revision, old, new: Some(new) }
}

fn expected<'a>(snapshot: &'a Snapshot, key: &Key, revision: u64) -> Result<&'a Arc<Object>, Refusal> {
    match snapshot.get(key) {
        Some(object) if object.revision() == revision => Ok(object),
        Some(_) => Err(Refusal::Conflict { key: key.clone() }),
        None => Err(Refusal::NotFound { key: key.clone() }),
    }
}

fn check_size(draft: &Draft) -> Result<(), Refusal> {
    if draft.bytes() > OBJECT_BYTES_MAX {
        return Err(Refusal::TooLarge { key: draft.key().clone(), bytes: draft.bytes() });
    }
    Ok(())
}

/// Nothing is created outside a namespace that exists and stays, as the NamespaceLifecycle admission plugin has it.
fn check_namespace(snapshot: &Snapshot, key: &Key) -> Result<(), Refusal> {
    if !key.kind.descriptor().namespaced {
        return Ok(());
    }
    match snapshot.get(&Key::new(Kind::Namespace, "", key.namespace.clone())) {
        None => Err(Refusal::NamespaceMissing { namespace: key.namespace.clone() }),
        Some(namespace) if namespace.meta().deleted.is_some() => {
            Err(Refusal::NamespaceTerminating { namespace: key.namespace.clone(), key: key.clone() })
        }
        Some(_) => Ok(()),
    }
}

/// A transaction that is durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision of the last write; of the store, if the transaction wrote no object.
    pub revision: u64,
    /// What each write did, in order.
    pub changes: Arc<[Change]>,
}

/// Why a transaction was not committed. Unless stated otherwise, nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The object is not at the revision that was read.
    #[error("{key} has changed since it was read: read it again and retry")]
    Conflict {
        /// The object.
        key: Key,
    },
    /// The object to create exists.
    #[error("{key} exists already")]
    Exists {
        /// The object.
        key: Key,
    },
    /// The object to change does not exist.
    #[error("{key} does not exist")]
    NotFound {
        /// The object.
        key: Key,
    },
    /// The namespace to create something in does not exist.
    #[error("namespace {namespace} does not exist: create it first")]
    NamespaceMissing {
        /// The namespace's name.
        namespace: Arc<str>,
    },
    /// The namespace to create something in is being deleted.
    #[error("{key} cannot be created: namespace {namespace} is being deleted")]
    NamespaceTerminating {
        /// The namespace's name.
        namespace: Arc<str>,
        /// The object.
        key: Key,
    },
    /// The object is larger than [`OBJECT_BYTES_MAX`].
    #[error("{key} has {bytes} bytes, and an object has {OBJECT_BYTES_MAX} at most: split it")]
    TooLarge {
        /// The object.
        key: Key,
        /// Length of its JSON text, in bytes.
        bytes: usize,
    },
    /// Too much is waiting for the disk.
    #[error("too many writes are waiting for the disk: retry later")]
    Overloaded,
    /// The disk took nothing, and may take a later transaction.
    #[error(transparent)]
    Disk(DiskError),
    /// The store accepts nothing more: it was closed, or the disk failed. The transaction that met the failure may
    /// turn out to be kept or lost when the node is started again; later ones are certainly lost.
    #[error("the store has stopped: see the log for the cause, and restart the node")]
    Stopped,
}

#[cfg(test)]
mod tests;
