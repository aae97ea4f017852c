//! The bounds of this crate, each with its unit in its name.

/// The furthest a timer reaches, in days (about a century); longer durations are taken as this.
pub const SLEEP_DAYS_MAX: u64 = 36_500;

/// The shortest period of a ticker, in milliseconds: the resolution of tokio's timers.
pub const TICKER_PERIOD_MS_MIN: u64 = 1;

/// How many calls a count-based window of a circuit breaker remembers at most.
pub const WINDOW_CALLS_MAX: usize = 100_000;

/// How many parts a time-based window of a circuit breaker has; it moves on by one part at a time.
pub const WINDOW_PARTS: usize = 10;

/// How many hedged calls may run beside the first.
pub const HEDGES_MAX: usize = 16;

/// How many runs of a cron job may wait for the running one to end (Temporal's bound); more are skipped.
pub const BUFFERED_RUNS_MAX: usize = 1000;

/// How many missed runs of a cron job are made up for at once; older ones are counted as missed.
pub const CATCH_UP_RUNS_MAX: usize = 1000;

/// How many days back missed runs of a cron job are made up for at most (Temporal's default window).
pub const CATCH_UP_DAYS_MAX: u64 = 365;

/// How many hours the clock may be set back without anything running twice (Vixie cron's rule). A clock that is set back
/// further, or a stamp that lies further ahead, was wrong before, and the schedule begins anew.
pub const SET_BACK_HOURS_MAX: u64 = 3;

/// How often a scheduler looks at the wall clock at least, in seconds: clocks are set, and machines sleep.
pub const RECHECK_SECONDS_MAX: u64 = 60;

/// The shortest interval of a cron job, in milliseconds.
pub const INTERVAL_MS_MIN: u64 = 1;

/// How many bytes of a metrics request are read at most.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// How many scrapes of metrics are answered at a time; others wait.
pub const SCRAPES_MAX: usize = 64;

/// How many label sets one metric keeps; what has others is counted under `other`.
pub const SERIES_MAX: usize = 1000;

/// How many bytes of what a guard has kept in a file are read at most.
pub const SHARED_BYTES_MAX: u64 = 256 * 1024;

/// How long the name of a file is that a guard keeps its state in, in bytes at most.
pub const SHARED_NAME_BYTES_MAX: usize = 200;

/// How often the lock of such a file is tried before its guard goes on alone: some tens of milliseconds.
pub const SHARED_LOCK_TRIES_MAX: u32 = 50_000;

/// How many seconds the probes of a breaker that is shared have, if the breaker has no bound of its own: one that died
/// with its process would be waited for for ever.
pub const SHARED_PROBE_SECONDS_MAX: u64 = 3600;

/// How many spans that have ended wait to be sent; more are lost.
pub const SPANS_MAX: usize = 2048;

/// How many things are said about a span at most (OpenTelemetry's default).
pub const SPAN_ATTRIBUTES_MAX: usize = 128;
