//! The reconcilers: functions of (what is stored, the time) that say what to write and when to look again.
//!
//! No clock, no I/O, no randomness: the node, `simulate` and the tests call the same functions. Every decision comes
//! out as one [`Transaction`], so that its writes happen together or not at all. If the state moved on meanwhile, the
//! commit is refused and the reconciler is asked again with the newer state.

use cronlet_object::{Snapshot, Transaction};
use jiff::{Timestamp, tz::TimeZone};

/// What a reconciler sees.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Everything that is stored.
    pub snapshot: &'a Snapshot,
    /// The time now.
    pub now: Timestamp,
    /// What is fixed for the life of the node.
    pub settings: &'a Settings,
}

/// What reconcilers must know of the node they run on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the one node, which pods are bound to; absent when no pod is run here and pods stay Pending.
    pub node_name: Option<String>,
    /// The zone of schedules that name none.
    pub time_zone: TimeZone,
}

/// What to write, and when to look again even if nothing changes.
#[derive(Debug, Default)]
pub struct Plan {
    /// The writes; may be empty.
    pub transaction: Transaction,
    /// When the same key must be reconciled again, if time alone can change the outcome.
    pub wake_at: Option<Timestamp>,
}
