//! Gradient2: compares how long calls take now with how long they take in the long run.

use super::{LimitAlgorithm, Sample, real, whole};

/// How many samples are averaged plainly before the average becomes an exponential one (Netflix' `warmupWindow`).
const WARMUP_SAMPLES: u32 = 10;

/// The limit of Netflix' concurrency-limits: `limit × clamp(tolerance × long / short, 0.5, 1) + queue`, smoothed.
///
/// Defaults are theirs: from 20, within 20 to 200, queue 4, smoothing 0.2, tolerance 1.5, long run of 600 samples.
///
/// ```
/// use cronlet_sdk::resilience::{AdaptiveLimiter, Gradient2};
///
/// let mut rule = Gradient2::new(16);
/// (rule.min, rule.max) = (4, 64);
/// assert_eq!(AdaptiveLimiter::new(rule).limit(), 16);
/// ```
#[derive(Debug, Clone)]
pub struct Gradient2 {
    limit: f64,
    long: f64,
    samples: u32,
    /// The least the limit can be.
    pub min: usize,
    /// The most the limit can be.
    pub max: usize,
    /// How many calls may queue at the callee: what the limit grows by when all is well.
    pub queue_size: usize,
    /// How much of each new estimate is taken over, 0 to 1.
    pub smoothing: f64,
    /// How many times the long-run duration a call may take before the limit shrinks; at least 1.
    pub rtt_tolerance: f64,
    /// How many samples the long run has.
    pub long_window: u32,
}

impl Gradient2 {
    /// Begins with `initial`.
    pub fn new(initial: usize) -> Gradient2 {
        Gradient2 {
            limit: real(initial),
            long: 0.0,
            samples: 0,
            min: 20,
            max: 200,
            queue_size: 4,
            smoothing: 0.2,
            rtt_tolerance: 1.5,
            long_window: 600,
        }
    }

    /// The long-run duration with one more sample, in seconds.
    fn remember(&mut self, short: f64) -> f64 {
        if self.samples < WARMUP_SAMPLES {
            self.long = (self.long * f64::from(self.samples) + short) / f64::from(self.samples + 1);
            self.samples += 1;
        } else {
            let share = 2.0 / (f64::from(self.long_window) + 1.0);
            self.long = self.long * (1.0 - share) + short * share;
        }
        self.long
    }
}

impl Default for Gradient2 {
    fn default() -> Gradient2 {
        Gradient2::new(20)
    }
}

impl LimitAlgorithm for Gradient2 {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn update(&mut self, sample: Sample) {
        // A nanosecond at least, so that calls that take no time do not divide by zero.
        let short = sample.round_trip.as_secs_f64().max(1e-9);
        let long = self.remember(short);
        if long / short > 2.0 {
            // The callee has recovered: what was slow is forgotten faster.
            self.long *= 0.95;
        }
        // A limit that is not in use tells nothing by growing.
        if real(sample.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (self.rtt_tolerance * long / short).clamp(0.5, 1.0);
        let estimate = self.limit * gradient + real(self.queue_size);
        let smoothed = self.limit * (1.0 - self.smoothing) + estimate * self.smoothing;
        self.limit = smoothed.min(real(self.max)).max(real(self.min));
    }
}
