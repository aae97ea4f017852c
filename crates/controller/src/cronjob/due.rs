//! When a CronJob's Job is due, and when to look again: upstream's arithmetic on schedules.

use cronlet_schedule::Schedule;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::limits::MISSED_TIMES_MAX;

/// A schedule and what decides which of its times still count.
#[derive(Clone, Copy, Debug)]
pub struct Timing<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// The zone of schedules that name none themselves.
    pub zone: &'a TimeZone,
    /// The last scheduled time that was started, or the CronJob's creation: only later times count.
    pub since: Timestamp,
    /// `spec.startingDeadlineSeconds`
    pub deadline_seconds: Option<i64>,
}

/// How many scheduled times have passed without a start, by upstream's estimate. One alone counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// None but the latest.
    None,
    /// A few more.
    Few,
    /// More than [`MISSED_TIMES_MAX`].
    Many,
}

/// The scheduled times that have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The instant after which times count.
    pub earliest: Timestamp,
    /// The latest of them, if one is due.
    pub most_recent: Option<Timestamp>,
    /// How many there are.
    pub missed: Missed,
}

/// The schedule is well-formed but has no times, like 31 February. The message is upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time difference between two schedules is less than 1 second")]
pub struct NeverFires;

/// `spec.concurrencyPolicy`: what becomes of a time that is due while Jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyPolicy {
    /// Its Job runs beside them.
    Allow,
    /// It waits for their end, or for a later time to take its place.
    Forbid,
    /// Its Job takes their place.
    Replace,
}

/// What a [`ConcurrencyPolicy`] says to a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be.
    Start,
    /// Not now.
    HoldBack,
    /// It may be when the Jobs that run have been ended.
    Replace,
}

impl ConcurrencyPolicy {
    /// Reads the field. What is missing or unknown counts as `Allow`, as upstream.
    pub fn of(field: Option<&str>) -> Self {
        match field {
            Some("Forbid") => ConcurrencyPolicy::Forbid,
            Some("Replace") => ConcurrencyPolicy::Replace,
            _ => ConcurrencyPolicy::Allow,
        }
    }

    /// Whether a Job may start beside so many that run.
    pub fn verdict(self, active: usize) -> Verdict {
        match self {
            ConcurrencyPolicy::Forbid if active > 0 => Verdict::HoldBack,
            ConcurrencyPolicy::Replace if active > 0 => Verdict::Replace,
            _ => Verdict::Start,
        }
    }
}

impl Timing<'_> {
    /// The times that have passed and may still be started.
    ///
    /// # Errors
    /// If the schedule has no times at all.
    pub fn due(&self, now: Timestamp) -> Result<Passed, NeverFires> {
        self.passed(now, self.earliest(now))
    }

    /// The instant after which a time may still be started: `since`, or later if a deadline says so.
    pub fn earliest(&self, now: Timestamp) -> Timestamp {
        let Some(seconds) = self.deadline_seconds else { return self.since };
        let limit = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        limit.max(self.since)
    }

    /// When the CronJob must be looked at again; `None` if its schedule has no further time.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        let from = match self.passed(now, self.since) {
            Ok(Passed { most_recent: Some(time), .. }) => time,
            Ok(Passed { earliest, missed: Missed::None, .. }) => earliest,
            Ok(_) | Err(NeverFires) => now,
        };
        self.schedule.next_after(from, self.zone)
    }

    /// The latest time after `since` for which it is too late.
    pub fn latest_missed(&self, now: Timestamp) -> Option<Timestamp> {
        let earliest = self.earliest(now);
        (earliest > self.since)
            .then(|| self.schedule.latest_within(self.since, earliest, self.zone))
            .flatten()
    }

    /// Upstream does not go through all times. It extrapolates from the first two: their distance tells about how
    /// many passed, and the search for the latest starts two distances before that estimate. With uneven schedules
    /// it may find none although some passed.
    fn passed(&self, now: Timestamp, earliest: Timestamp) -> Result<Passed, NeverFires> {
        let next_after = |time| self.schedule.next_after(time, self.zone);
        let first = next_after(earliest).ok_or(NeverFires)?;
        if now < first {
            return Ok(Passed { earliest, most_recent: None, missed: Missed::None });
        }
        let second = match next_after(first) {
            Some(second) if second <= now => second,
            _ => return Ok(Passed { earliest, most_recent: Some(first), missed: Missed::None }),
        };
        let interval = second.duration_since(first).as_secs();
        if interval < 1 {
            return Err(NeverFires);
        }
        let estimate = now.duration_since(first).as_secs() / interval + 1;
        let search_from = first
            .checked_add(SignedDuration::from_secs((estimate - 2) * interval))
            .expect("it lies between the first time and now");
        Ok(Passed {
            earliest,
            most_recent: self.schedule.latest_within(search_from, now, self.zone),
            missed: if estimate > MISSED_TIMES_MAX { Missed::Many } else { Missed::Few },
        })
    }
}
