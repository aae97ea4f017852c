//! Bounds of what one pass over a Job may do; a bigger change takes several passes.

/// Pods created in one pass. Upstream's figure.
pub(super) const CREATIONS_PER_PASS_MAX: usize = 500;
/// Pods deleted in one pass. Upstream's figure.
pub(super) const DELETIONS_PER_PASS_MAX: usize = 500;
/// Finished pods counted in one pass. Upstream's figure.
pub(super) const COUNTED_PER_PASS_MAX: usize = 500;
/// Events of one reason recorded in one pass. Upstream's events sink lets the same burst through for one object.
pub(super) const EVENTS_PER_REASON_MAX: usize = 25;
/// Container exits kept with a run in the ledger; the latest ones stay.
pub(super) const LEDGER_CONTAINERS_MAX: usize = 1000;
/// Seconds until pods are created again after one was refused: upstream's longest wait after an API error.
pub(super) const REFUSED_CREATION_RETRY_SECONDS: i64 = 60;
