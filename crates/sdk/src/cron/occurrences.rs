//! Which runs are due, which were missed, and when to look again.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::Trigger;
use crate::limits::{CATCH_UP_DAYS_MAX, CATCH_UP_RUNS_MAX, SET_BACK_HOURS_MAX};

/// What is due at some time.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::cron::{Due, Trigger, due};
///
/// let at = |time: &str| format!("2026-03-01T{time}Z").parse().unwrap();
/// let minutely = Trigger::Every(Duration::from_secs(60));
/// let catch_up = Duration::from_secs(150);
/// let Due { runs, missed, next, .. } =
///     due(&minutely, "report", (catch_up, Duration::ZERO), at("09:00:00"), at("09:04:10"));
/// assert_eq!(runs, [at("09:02:00"), at("09:03:00"), at("09:04:00")]);
/// assert_eq!((missed, next), (1, Some((at("09:05:00"), at("09:05:00")))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The nominal times of the runs that are due, oldest first.
    pub runs: Vec<Timestamp>,
    /// How many times have passed too long ago to be made up for.
    pub missed: u64,
    /// The next nominal time, and when its run starts (later by its jitter).
    pub next: Option<(Timestamp, Timestamp)>,
    /// The last nominal time that was dealt with, to be handed in the next time.
    pub after: Timestamp,
}

/// What is due at `now` of the times after `after`: those that passed within `catch_up`. The others are missed, and so
/// are all but the latest [`CATCH_UP_RUNS_MAX`].
///
/// If `after` lies ahead, nothing up to it is due again, unless it lies further ahead than [`SET_BACK_HOURS_MAX`].
///
/// Each start is delayed by a share of `jitter` that depends on the name and the nominal time only, so that a restart
/// changes nothing (Temporal does the same).
pub fn due(
    trigger: &Trigger,
    name: &str,
    (catch_up, jitter): (Duration, Duration),
    after: Timestamp,
    now: Timestamp,
) -> Due {
    let believable = later(now, Duration::from_secs(SET_BACK_HOURS_MAX * 3600));
    let after = if after > believable { now } else { after };
    let mut due = Due { after, ..Due::default() };
    let window = catch_up.min(Duration::from_secs(CATCH_UP_DAYS_MAX * 86_400));
    // A quick interval has more times in the window than anybody wants to make up for.
    let oldest = earlier(now, window.saturating_add(jitter).min(trigger.span(CATCH_UP_RUNS_MAX)));
    if let Some((skipped, last)) = trigger.skip(after, oldest) {
        (due.missed, due.after) = (skipped, last);
    }
    while let Some(nominal) = trigger.next_after(due.after) {
        let start = later(nominal, delay(name, nominal, jitter));
        if start > now {
            due.next = Some((nominal, start));
            break;
        }
        due.after = nominal;
        if start >= earlier(now, window) {
            due.runs.push(nominal);
        } else {
            due.missed += 1;
        }
    }
    let excess = due.runs.len().saturating_sub(CATCH_UP_RUNS_MAX);
    due.missed += due.runs.drain(..excess).len() as u64;
    due
}

/// The share of `jitter` by which the run of `nominal` starts later.
fn delay(name: &str, nominal: Timestamp, jitter: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (name, nominal.as_nanosecond()).hash(&mut hasher);
    let nanos = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(if nanos == 0 { 0 } else { hasher.finish() % nanos })
}

fn later(instant: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    instant.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(instant: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    instant.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
