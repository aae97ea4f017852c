//! How long a Job waits before it replaces a failed pod.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};

/// Delays that double with every failure in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    /// The delay after the first failure.
    pub(super) initial: SignedDuration,
    /// The longest delay.
    pub(super) max: SignedDuration,
}

/// The delays of upstream's controller, which cannot be configured there: 10 s, 20 s, … 10 min.
pub(super) const UPSTREAM: Backoff =
    Backoff { initial: SignedDuration::from_secs(10), max: SignedDuration::from_secs(600) };

impl Backoff {
    /// The delay after the last of `failures` in a row.
    pub(super) fn delay(&self, failures: u32) -> SignedDuration {
        if failures == 0 {
            return SignedDuration::ZERO;
        }
        let mut delay = self.initial;
        for _ in 1..failures {
            delay = delay.saturating_mul(2);
            if delay >= self.max {
                return self.max;
            }
        }
        delay
    }

    /// When the delay after the last of `failures` in a row is over. A failure that lies in the future, since the
    /// clock stepped back, counts as one of now: the delay never gets longer than it is meant to be.
    pub(super) fn over_at(&self, failures: u32, last_failure: Timestamp, now: Timestamp) -> Timestamp {
        last_failure.min(now).saturating_add(self.delay(failures)).unwrap_or(Timestamp::MAX)
    }
}

/// The failures that a Job's next pod has to wait for. Failed pods may be removed before the delay is over, so
/// this is kept in an annotation of the Job; upstream keeps it in the controller's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// How many pods failed since the last one that succeeded.
    pub(super) failures: u32,
    /// When the last of them ended; absent without failures.
    pub(super) last_failure: Option<Timestamp>,
}

impl Record {
    /// The record after further pods have ended at the given times.
    pub(super) fn after(self, succeeded: &[Timestamp], failed: &[Timestamp]) -> Record {
        let last_success = succeeded.iter().max();
        let since = failed.iter().filter(|at| last_success.is_none_or(|success| *at > success));
        let new = u32::try_from(since.clone().count()).unwrap_or(u32::MAX);
        match (last_success, since.max()) {
            (None, None) => self,
            // A pod that never ran may have ended, as far as can be told, before one that was counted earlier. Upstream
            // takes its time nevertheless, and may then be too early with the next pod.
            (None, Some(&last)) => Record {
                failures: self.failures.saturating_add(new),
                last_failure: self.last_failure.max(Some(last)),
            },
            (Some(_), last) => Record { failures: new, last_failure: last.copied() },
        }
    }

    /// When the next pod may be created; absent if nothing holds it back.
    pub(super) fn over_at(&self, backoff: &Backoff, now: Timestamp) -> Option<Timestamp> {
        let over = backoff.over_at(self.failures, self.last_failure?, now);
        (over > now).then_some(over)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failures={}", self.failures)?;
        self.last_failure.map_or(Ok(()), |at| write!(f, ",last={at}"))
    }
}

/// The annotation is not the form that [`Record`] prints: somebody has edited it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected failures=N,last=RFC3339")]
pub(super) struct UnreadableRecord;

impl FromStr for Record {
    type Err = UnreadableRecord;

    fn from_str(text: &str) -> Result<Self, UnreadableRecord> {
        let (failures, last) = text
            .strip_prefix("failures=")
            .and_then(|rest| rest.split_once(",last="))
            .ok_or(UnreadableRecord)?;
        let failures = failures.parse().map_err(|_| UnreadableRecord)?;
        let last = last.parse().map_err(|_| UnreadableRecord)?;
        Ok(Record { failures, last_failure: Some(last) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_record_survives_as_text() {
        let record = Record { failures: 3, last_failure: Some(at(1_700_000_000)) };
        assert_eq!(record.to_string(), "failures=3,last=2023-11-14T22:13:20Z");
        assert_eq!(record.to_string().parse(), Ok(record));
        assert_eq!("failures=x,last=never".parse::<Record>(), Err(UnreadableRecord));
        assert_eq!("".parse::<Record>(), Err(UnreadableRecord));
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_lengthen_the_delay() {
        let record = Record { failures: 1, last_failure: Some(at(5_000)) };
        assert_eq!(record.over_at(&UPSTREAM, at(100)), Some(at(110)));
        assert_eq!(record.over_at(&UPSTREAM, at(5_009)), Some(at(5_010)));
        assert_eq!(record.over_at(&UPSTREAM, at(5_010)), None);
    }

    #[test]
    fn a_failure_of_earlier_does_not_shorten_the_delay() {
        let record = Record { failures: 1, last_failure: Some(at(1_000)) }.after(&[], &[at(900)]);
        assert_eq!(record, Record { failures: 2, last_failure: Some(at(1_000)) });
    }

    #[test]
    fn many_failures_stay_at_the_longest_delay() {
        assert_eq!(UPSTREAM.delay(u32::MAX), UPSTREAM.max);
    }
}
