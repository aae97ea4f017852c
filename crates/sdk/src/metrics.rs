//! Counters and histograms in Prometheus' text format, served for scraping or pushed when a short task ends.

mod http;
mod registry;
mod text;

pub use http::{push, serve};
pub use registry::{Counter, Histogram, Registry};

use std::time::Duration;

/// The buckets of durations, in seconds: those of Prometheus' own client libraries.
pub const DURATION_BUCKETS_SECONDS: [f64; 11] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The two metrics every service has: `http_requests_total` by status code, and `request_duration_seconds`.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::metrics::{Registry, Requests};
///
/// let registry = Registry::new();
/// let requests = Requests::new(&registry);
/// requests.record(200, Duration::from_millis(30));
/// assert!(registry.text().contains(r#"http_requests_total{code="200"} 1"#));
/// ```
#[derive(Debug, Clone)]
pub struct Requests {
    total: Counter,
    duration: Histogram,
}

impl Requests {
    /// Registers the two.
    pub fn new(registry: &Registry) -> Requests {
        Requests {
            total: registry.counter("http_requests_total", "HTTP requests by status code."),
            duration: registry.histogram(
                "request_duration_seconds",
                "How long requests took.",
                &DURATION_BUCKETS_SECONDS,
            ),
        }
    }

    /// Counts a request that was answered with `code` and took `took`.
    pub fn record(&self, code: u16, took: Duration) {
        self.total.add(&[("code", &code.to_string())], 1);
        self.duration.observe(&[], took.as_secs_f64());
    }
}

/// The buckets of how long runs take, in seconds: from a second to six hours.
pub const RUN_BUCKETS_SECONDS: [f64; 10] =
    [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0, 21_600.0];

/// The metrics of a task's runs: `task_runs_total` by outcome, `task_attempts_total`, `task_run_duration_seconds`. A
/// [`Program`](crate::task::Program) records its own.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::metrics::{RUN_BUCKETS_SECONDS, Registry, Runs};
///
/// let registry = Registry::new();
/// Runs::new(&registry).record("succeeded", 2, Duration::from_secs(42));
/// let text = registry.text();
/// assert!(text.contains(r#"task_runs_total{outcome="succeeded"} 1"#));
/// assert!(text.contains("task_attempts_total 2"));
/// assert!(text.contains(r#"task_run_duration_seconds_bucket{le="60"} 1"#) && RUN_BUCKETS_SECONDS.contains(&60.0));
/// ```
#[derive(Debug, Clone)]
pub struct Runs {
    total: Counter,
    attempts: Counter,
    duration: Histogram,
}

impl Runs {
    /// Registers the three.
    pub fn new(registry: &Registry) -> Runs {
        Runs {
            total: registry.counter("task_runs_total", "Runs by outcome."),
            attempts: registry.counter("task_attempts_total", "Attempts, those of other processes included."),
            duration: registry.histogram(
                "task_run_duration_seconds",
                "How long the last attempts of runs took.",
                &RUN_BUCKETS_SECONDS,
            ),
        }
    }

    /// Counts a run that ended so, with its attempt number `attempts`, which took `took`.
    pub fn record(&self, outcome: &str, attempts: u32, took: Duration) {
        self.total.add(&[("outcome", outcome)], 1);
        self.attempts.add(&[], u64::from(attempts));
        self.duration.observe(&[], took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
