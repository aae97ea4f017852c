//! Bounds on what the node keeps and waits for, with their units.

use std::time::Duration;

/// Longest wait between two looks at the clock, in seconds: a missed notice of a clock step costs no more than this.
pub const RECHECK_SECONDS_MAX: i64 = 60;

/// Transactions of the node's loop that may wait for their commit at once: a full group commit, so that the next one is
/// decided while it is written. No more, since urgent work queues behind them.
pub const LOOP_COMMITS_IN_FLIGHT_MAX: usize = 512;

/// How long after it is ready a node keeps in memory what only its start needed.
pub const REST_AFTER: Duration = Duration::from_secs(5);

/// Pause before work is tried again after the store refused a commit for want of disk or queue space, in seconds.
pub const REFUSED_RETRY_SECONDS: i64 = 1;

/// Pause before a pod whose start is blocked (a missing ConfigMap, a volume that cannot be mounted) is tried again,
/// in seconds. The kubelet's own period.
pub const BLOCKED_POD_RETRY_SECONDS: i64 = 10;

/// Occurrences that `cronlet next` lists at once.
pub const OCCURRENCES_MAX: u32 = 10_000;

/// Bytes of one question to `cronlet next --stdin`.
pub const QUESTION_BYTES_MAX: usize = 65_536;

/// Pods that run at once; further ones stay Pending until one has ended.
pub const PODS_MAX: usize = 1_024;

/// Processes that a pod of containers may have at once, unless the command line says otherwise. A cluster's default is
/// none; one that is meant for everybody's Jobs needs a bound, and this is one that distributions choose.
pub const POD_PIDS_MAX: u32 = 4_096;

/// How little may be free on the disk with the node's data, unless the command line says otherwise. A kubelet begins at a
/// tenth of the disk; here a crontab's machine is to run its Jobs as long as it can, such as those that clean up.
pub const EVICTION_HARD: &str = "nodefs.available<100Mi";

/// Warnings about pods not seen yet that `cronlet run` keeps. Most are about other Jobs' pods.
pub const EARLY_WARNINGS_MAX: usize = 64;
