//! A fixed window: so many turns in each period, whenever they are asked for.

use std::time::Duration;

use tokio::time::Instant;

use super::RateCore;

/// `limit` turns in each period; periods follow one another from the first turn on. resilience4j's `RateLimiter`.
///
/// At the border of two periods up to twice the limit can come together; [`Gcra`](super::Gcra) has no such border.
#[derive(Debug, Clone)]
pub struct FixedWindow {
    limit: u128,
    period: Duration,
    origin: Option<Instant>,
    /// The period that `used` counts from.
    cycle: u128,
    /// Turns given in this period and, beyond the limit, in those after it.
    used: u128,
}

impl FixedWindow {
    /// `limit` turns per `period`. A limit of 0 is taken as 1, a period of zero as a nanosecond.
    pub fn new(limit: u32, period: Duration) -> FixedWindow {
        let period = period.max(Duration::from_nanos(1));
        FixedWindow { limit: u128::from(limit.max(1)), period, origin: None, cycle: 0, used: 0 }
    }
}

impl RateCore for FixedWindow {
    fn reserve(&mut self, now: Instant, max_wait: Duration) -> Result<Duration, Duration> {
        let passed = now.saturating_duration_since(*self.origin.get_or_insert(now)).as_nanos();
        let period = self.period.as_nanos();
        let cycle = passed / period;
        let done = cycle.saturating_sub(self.cycle).saturating_mul(self.limit);
        (self.used, self.cycle) = (self.used.saturating_sub(done), cycle.max(self.cycle));
        let ahead = self.used / self.limit;
        let wait = if ahead == 0 {
            Duration::ZERO
        } else {
            let starts = (self.cycle + ahead).saturating_mul(period);
            u64::try_from(starts - passed).map_or(Duration::MAX, Duration::from_nanos)
        };
        if wait > max_wait {
            return Err(wait);
        }
        self.used += 1;
        Ok(wait)
    }

    /// How long ago the period that counts began, and the turns that were given in it.
    fn remember(&self, now: Instant) -> Option<String> {
        let passed = now.saturating_duration_since(self.origin?);
        let begun = passed.as_nanos().saturating_sub(self.cycle.saturating_mul(self.period.as_nanos()));
        Some(format!("{begun} {}", self.used))
    }

    fn recall(&mut self, text: &str, age: Duration, now: Instant) {
        let numbers = text.split_once(' ').map(|(begun, used)| (begun.parse(), used.parse::<u64>()));
        let Some((Ok(begun), Ok(used))) = numbers else { return };
        // Where instants do not reach back that far, the period has begun just now.
        let begun = Duration::from_nanos(begun).saturating_add(age);
        (self.origin, self.cycle, self.used) =
            (Some(now.checked_sub(begun).unwrap_or(now)), 0, u128::from(used));
    }
}
