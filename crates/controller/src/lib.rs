//! The reconcilers: functions of (what is stored, the time) that say what to write and when to look again.
//!
//! No clock, no I/O, no randomness: the node, `simulate` and the tests call the same functions. Every decision comes
//! out as one [`Transaction`], so that its writes happen together or not at all. If the state moved on meanwhile, the
//! commit is refused and the reconciler is asked again with the newer state.
//!
//! Whoever drives them keeps a [`Queue`] of ([`Controller`], [`Key`]): it starts with [`all`], adds what [`affected`]
//! names after each committed change, sets the timers that plans ask for, and commits the transaction of each [`Plan`].

mod affected;
pub mod aggregation;
pub mod claim;
pub mod cronjob;
mod deletion;
pub mod event_expiry;
pub mod garbage;
pub mod job;
pub mod limits;
pub mod namespace;
pub mod pod_start;
mod queue;
pub mod scheduler;
pub mod ttl;
pub mod volume;

use cronlet_object::{Ids, Key, Snapshot, Transaction};
use jiff::{Timestamp, tz::TimeZone};

pub use affected::{affected, all};
pub use queue::{Queue, Work};

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
    /// The certificate of the authority that signs the API server's, in PEM; absent when it is served without TLS.
    pub cluster_ca: Option<String>,
    /// The directory of the volumes that are made for claims; absolute. It is shown, and nothing is looked up in it.
    pub volumes_dir: String,
}

/// What to write, and when to look again even if nothing changes.
#[derive(Debug, Default)]
pub struct Plan {
    /// The writes; may be empty.
    pub transaction: Transaction,
    /// When the same key must be reconciled again, if time alone can change the outcome.
    pub wake_at: Option<Timestamp>,
}

/// A reconciler. The order is that of urgency: among several keys that wait, those of the first controller are looked
/// at first, so that a herd of CronJobs due at once is not delayed by what their Jobs set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Starts Jobs at their scheduled times: [`cronjob`].
    CronJob,
    /// Runs the pods of Jobs: [`job`].
    Job,
    /// Lets pods go whose Job is gone: [`job::reconcile_pod`].
    JobPod,
    /// Tells of pods that do not start, and gives them up in time: [`pod_start`].
    PodStart,
    /// Makes the claims of pods' ephemeral volumes: [`claim::ephemeral`].
    EphemeralClaim,
    /// Binds claims to volumes: [`claim`].
    Claim,
    /// Frees volumes whose claims are gone: [`volume`].
    Volume,
    /// Binds pods to the node: [`scheduler`].
    Scheduler,
    /// Furnishes new namespaces and empties those that end: [`namespace`].
    Namespace,
    /// Follows owner references: [`garbage`].
    Garbage,
    /// Deletes finished Jobs in time: [`ttl`].
    Ttl,
    /// Gathers the rules of cluster roles from others: [`aggregation`].
    Aggregation,
    /// Removes old Events: [`event_expiry`].
    EventExpiry,
}

impl Controller {
    /// Looks at what `key` names, which may no longer exist.
    pub fn reconcile(self, view: &View, key: &Key, ids: &mut Ids) -> Plan {
        let reconcile = match self {
            Controller::CronJob => cronjob::reconcile,
            Controller::Job => job::reconcile,
            Controller::JobPod => job::reconcile_pod,
            Controller::PodStart => pod_start::reconcile,
            Controller::EphemeralClaim => claim::ephemeral::reconcile,
            Controller::Claim => claim::reconcile,
            Controller::Volume => volume::reconcile,
            Controller::Scheduler => scheduler::reconcile,
            Controller::Namespace => namespace::reconcile,
            Controller::Garbage => garbage::reconcile,
            Controller::Ttl => ttl::reconcile,
            Controller::Aggregation => aggregation::reconcile,
            Controller::EventExpiry => event_expiry::reconcile,
        };
        reconcile(view, key, ids)
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
