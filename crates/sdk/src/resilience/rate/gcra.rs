//! The generic cell rate algorithm: a steady rate with bursts, in two numbers of state.

use std::time::Duration;

use tokio::time::Instant;

use super::RateCore;

/// Turns at a steady pace, with up to `burst` at once after a quiet time.
///
/// Over any time `t` at most `burst + t × limit / period` turns are given. Governor uses the same algorithm.
#[derive(Debug, Clone)]
pub struct Gcra {
    /// The time between turns.
    interval: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full_at: Option<Instant>,
}

impl Gcra {
    /// `limit` turns per `period`, all of them at once if there were none for a while. A limit of 0 is taken as 1.
    pub fn new(limit: u32, period: Duration) -> Gcra {
        let limit = limit.max(1);
        // Rounded up: the rate is never exceeded, not even by the fraction of a nanosecond.
        let nanos = period.as_nanos().div_ceil(u128::from(limit));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Gcra { interval, burst: limit, full_at: None }
    }

    /// At most this many turns at once (0 is taken as 1).
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Gcra {
        self.burst = burst.max(1);
        self
    }
}

impl RateCore for Gcra {
    fn reserve(&mut self, now: Instant, max_wait: Duration) -> Result<Duration, Duration> {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let backlog = full_at.saturating_duration_since(now).saturating_add(self.interval);
        let wait = backlog.saturating_sub(self.interval.saturating_mul(self.burst));
        if wait > max_wait {
            return Err(wait);
        }
        // Beyond what instants can express there is no turn to give.
        self.full_at = Some(full_at.checked_add(self.interval).ok_or(Duration::MAX)?);
        Ok(wait)
    }

    fn remember(&self, now: Instant) -> Option<String> {
        let full_in = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        Some(full_in.as_nanos().to_string())
    }

    fn recall(&mut self, text: &str, age: Duration, now: Instant) {
        if let Ok(full_in) = text.parse().map(Duration::from_nanos) {
            self.full_at = now.checked_add(full_in.saturating_sub(age));
        }
    }
}
