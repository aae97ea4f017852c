//! Bounds of a simulation, with their units.

/// Commits that the loop has under way at once. Smaller than the node's own bound, so that waiting is exercised.
pub const COMMITS_IN_FLIGHT_MAX: usize = 16;

/// Pause before work is tried again after the disk refused a commit, in seconds; as the node's loop does.
pub const REFUSED_RETRY_SECONDS: i64 = 1;

/// How often a client repeats a write that met a newer state.
pub const CLIENT_TRIES_MAX: u32 = 8;

/// Steps without any movement of the clock after which a run counts as not coming to rest.
pub const STEPS_PER_INSTANT_MAX: u32 = 20_000;

/// Longest wait of a crashing container before it is restarted in its pod, in seconds; the kubelet's.
pub const RESTART_DELAY_SECONDS_MAX: i64 = 300;

/// First wait of a crashing container before it is restarted in its pod, in seconds; the kubelet's.
pub const RESTART_DELAY_SECONDS: i64 = 10;

/// Runs of a course that the search for a shorter one may take.
pub const SHRINK_RUNS_MAX: u32 = 400;

/// Steps at the end of a failed run that are told.
pub const TRACE_STEPS_MAX: usize = 40;
