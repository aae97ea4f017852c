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

#[cfg(test)]
mod tests;
