//! BBR-like: the most calls that were ever answered per time, times the least time an answer took.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{LimitAlgorithm, Sample, real, whole};

/// The window is looked at in parts of this length.
const PART: Duration = Duration::from_millis(100);
/// How long a measurement counts.
const LENGTH: Duration = Duration::from_secs(10);

/// Sentinel's system rule: while the machine is overloaded, no more calls at a time than its best throughput times
/// its best round trip, which is what it can work on without a queue (Little's law). Otherwise no limit.
///
/// The signal is needed: a limit that always held could never find out that more is possible. Both bests are those of
/// the last 10 s, in parts of 100 ms.
///
/// ```
/// use cronlet_sdk::resilience::{AdaptiveLimiter, Bbr};
///
/// let load = || std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse::<f64>().ok();
/// let rule = Bbr::new(move || load().is_some_and(|load| load > 8.0));
/// assert_eq!(rule.capacity(), None);
/// let limiter = AdaptiveLimiter::new(rule);
/// # drop(limiter);
/// ```
#[derive(Clone)]
pub struct Bbr {
    overloaded: Arc<dyn Fn() -> bool + Send + Sync>,
    parts: VecDeque<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    began: Instant,
    passed: usize,
    round_trips: Duration,
}

impl Bbr {
    /// Holds while `overloaded` says so, by the load average or the CPU time, for instance.
    pub fn new(overloaded: impl Fn() -> bool + Send + Sync + 'static) -> Bbr {
        Bbr { overloaded: Arc::new(overloaded), parts: VecDeque::new() }
    }

    /// What the machine can work on at a time as far as is known; `None` before the first measurement.
    pub fn capacity(&self) -> Option<usize> {
        let throughput = self.parts.iter().map(|part| real(part.passed)).reduce(f64::max)?;
        let mean = |part: &Part| part.round_trips.as_secs_f64() / real(part.passed);
        let round_trip = self.parts.iter().map(mean).reduce(f64::min)?;
        Some(whole(throughput * round_trip / PART.as_secs_f64() + 0.5).max(1))
    }
}

impl LimitAlgorithm for Bbr {
    fn limit(&self) -> usize {
        if (self.overloaded)() { self.capacity().unwrap_or(usize::MAX) } else { usize::MAX }
    }

    fn update(&mut self, sample: Sample) {
        if sample.dropped {
            return;
        }
        let age = |part: &Part| sample.now.saturating_duration_since(part.began);
        while self.parts.front().is_some_and(|part| age(part) >= LENGTH) {
            self.parts.pop_front();
        }
        if self.parts.back().is_none_or(|part| age(part) >= PART) {
            self.parts.push_back(Part { began: sample.now, passed: 0, round_trips: Duration::ZERO });
        }
        if let Some(part) = self.parts.back_mut() {
            part.passed += 1;
            part.round_trips = part.round_trips.saturating_add(sample.round_trip);
        }
    }
}

impl fmt::Debug for Bbr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bbr").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
