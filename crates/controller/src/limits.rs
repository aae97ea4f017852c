//! The bounds of the controllers, each with its unit.

use jiff::SignedDuration;

/// Objects that one pass of garbage collection, namespace deletion or event expiry changes; the rest follows in
/// further passes, between which other controllers get their turn.
pub const BATCH_OBJECTS_MAX: usize = 500;

/// How long an Event is kept after it last happened, as kube-apiserver does by default.
pub const EVENT_AGE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Events kept over all namespaces; the oldest go first.
pub const EVENTS_MAX: usize = 10_000;

/// How often Events are looked through for those to remove.
pub const EVENT_SWEEP_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// Missed scheduled times above which upstream warns of too many.
pub const MISSED_TIMES_MAX: i64 = 100;

/// How long a pod of a Job may take to start before it is told of.
pub const UNSTARTED_WARNING_AFTER: SignedDuration = SignedDuration::from_secs(60);
