//! Additive increase, multiplicative decrease: what TCP does.

use std::time::Duration;

use super::{LimitAlgorithm, Sample, real, whole};

/// One more after each good call while the limit is in use, a tenth less after each that is cut short or too slow.
///
/// Defaults are those of Netflix' concurrency-limits: from 20, within 20 to 200, times 0.9, too slow beyond 5 s.
///
/// ```
/// use cronlet_sdk::resilience::{AdaptiveLimiter, Aimd};
///
/// let mut rule = Aimd::new(10);
/// rule.min = 1;
/// assert_eq!(AdaptiveLimiter::new(rule).limit(), 10);
/// ```
#[derive(Debug, Clone)]
pub struct Aimd {
    limit: usize,
    /// The least the limit can be.
    pub min: usize,
    /// The most the limit can be.
    pub max: usize,
    /// What the limit is multiplied with when calls are cut short or too slow; taken as within 0 to 1.
    pub backoff_ratio: f64,
    /// Calls that take longer count as cut short.
    pub timeout: Duration,
}

impl Aimd {
    /// Begins with `initial`.
    pub fn new(initial: usize) -> Aimd {
        Aimd { limit: initial, min: 20, max: 200, backoff_ratio: 0.9, timeout: Duration::from_secs(5) }
    }
}

impl Default for Aimd {
    fn default() -> Aimd {
        Aimd::new(20)
    }
}

impl LimitAlgorithm for Aimd {
    fn limit(&self) -> usize {
        self.limit
    }

    fn update(&mut self, sample: Sample) {
        if sample.dropped || sample.round_trip > self.timeout {
            self.limit = whole(real(self.limit) * self.backoff_ratio.clamp(0.0, 1.0));
        } else if sample.in_flight.saturating_mul(2) >= self.limit {
            self.limit = self.limit.saturating_add(1);
        }
        self.limit = self.limit.min(self.max).max(self.min);
    }
}
