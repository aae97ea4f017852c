//! Cron schedules as Kubernetes reads them: an expression in, instants out.
//!
//! The rules are robfig/cron v3's `ParseStandard`, the library inside Kubernetes' CronJob controller: five fields
//! or a descriptor, no seconds, and the same answers where clocks change. Nothing here reads a clock.
//!
//! ```
//! use cronlet_schedule::{Schedule, load_time_zone};
//!
//! let schedule = Schedule::parse("30 2 * * *")?;
//! let zone = load_time_zone("America/New_York")?;
//! // 02:30 does not exist on 10 March 2024, when clocks went from 02:00 to 03:00.
//! let next = schedule.next_after("2024-03-10T00:00:00-05:00".parse()?, &zone);
//! assert_eq!(next, Some("2024-03-11T02:30:00-04:00".parse()?));
//! assert_eq!(schedule.describe(), "at 02:30 every day");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calendar;
mod describe;
mod duration;
mod field;
pub mod limits;
mod occurrences;
mod parse;
mod search;
mod stretch;
mod upstream;
mod warn;
mod zone;

pub use duration::{DurationError, parse_duration};
pub use occurrences::Occurrences;
pub use parse::{ParseError, ZONE_IN_SCHEDULE, ZONE_IN_SCHEDULE_AND_FIELD, mentions_time_zone};
pub use warn::{Warning, WarningCode};
pub use zone::{ZoneError, load_time_zone, validate_time_zone};

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};

use parse::{Parsed, Timing};
use zone::Location;

/// A parsed schedule: a set of civil times (`*/5 9-17 * * 1-5`), or a constant interval (`@every 90m`).
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    parsed: Parsed,
}

impl Schedule {
    /// Reads an expression, including a `TZ=` or `CRON_TZ=` prefix (Kubernetes refuses those in new CronJobs: see
    /// [`mentions_time_zone`]).
    ///
    /// # Errors
    /// In robfig/cron's own words.
    pub fn parse(text: &str) -> Result<Schedule, ParseError> {
        Ok(Schedule { text: text.to_owned(), parsed: parse::parse(text)? })
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The zone named by a `TZ=` or `CRON_TZ=` prefix, as written. It overrides the zone the methods are given.
    pub fn zone_prefix(&self) -> Option<&str> {
        self.parsed.prefix.as_ref().map(|prefix| prefix.name.as_str())
    }

    /// The interval of an `@every` schedule in whole seconds (at least 1); `None` for civil times.
    pub fn interval_seconds(&self) -> Option<i64> {
        match self.parsed.timing {
            Timing::Every { seconds } => Some(seconds),
            Timing::Calendar(_) => None,
        }
    }

    /// The first occurrence after `instant`, on a full second.
    ///
    /// Civil times that a change of the clocks skips do not occur that day, those that it repeats occur twice.
    /// `None` if nothing occurs up to the end of the fifth calendar year from `instant`: upstream gives up there.
    /// An `@every` schedule has no times of its own: it occurs one interval after `instant`.
    pub fn next_after(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let after = floor_second(instant);
        let next = match &self.parsed.timing {
            Timing::Calendar(calendar) => search::next_after(calendar, self.zone_or(zone), after)?,
            Timing::Every { seconds } => after.checked_add(*seconds)?,
        };
        Timestamp::from_second(next).ok()
    }

    /// The latest occurrence after `after` and no later than `until`, without going through all those between.
    ///
    /// An `@every` schedule counts its intervals from `after`. Where a zone's clocks change in a way that upstream
    /// misreads (see [`WarningCode::DstMisread`]), this is what upstream finds from shortly before `until`.
    pub fn latest_within(&self, after: Timestamp, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (after, until) = (floor_second(after), floor_second(until));
        let latest = match &self.parsed.timing {
            Timing::Calendar(calendar) => search::latest_within(calendar, self.zone_or(zone), after, until)?,
            Timing::Every { seconds } => {
                let intervals = until.checked_sub(after)?.div_euclid(*seconds);
                (intervals >= 1).then_some(after + intervals * seconds)?
            }
        };
        Timestamp::from_second(latest).ok()
    }

    /// The latest occurrence at or before `instant`, looking back five years. `None` as well for an `@every`
    /// schedule, which has no occurrences without a start.
    pub fn previous_at_or_before(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let Timing::Calendar(calendar) = &self.parsed.timing else { return None };
        let until = floor_second(instant);
        let earliest = until.saturating_sub(limits::SEARCH_YEARS * 366 * 86_400);
        let after = earliest.max(Timestamp::MIN.as_second());
        let previous = search::latest_within(calendar, self.zone_or(zone), after, until)?;
        Timestamp::from_second(previous).ok()
    }

    /// The occurrences after `instant`, one after the other, as long as there are any.
    pub fn after<'a>(&'a self, instant: Timestamp, zone: &'a TimeZone) -> Occurrences<'a> {
        Occurrences::new(self, zone, instant, Timestamp::MAX)
    }

    /// The occurrences after `after` and no later than `until`.
    pub fn between<'a>(&'a self, after: Timestamp, until: Timestamp, zone: &'a TimeZone) -> Occurrences<'a> {
        Occurrences::new(self, zone, after, until)
    }

    /// The schedule in plain English, such as `at 09:00 on Monday through Friday`.
    pub fn describe(&self) -> String {
        describe::describe(&self.parsed)
    }

    /// What about this schedule may surprise whoever wrote it, seen from `now` in `zone`.
    pub fn warnings(&self, zone: &TimeZone, now: Timestamp) -> Vec<Warning> {
        warn::warnings(self, self.zone_or(zone), now)
    }

    fn zone_or<'a>(&'a self, zone: &'a TimeZone) -> &'a TimeZone {
        match self.parsed.prefix.as_ref().map(|prefix| &prefix.location) {
            Some(Location::Named(own)) => own,
            Some(Location::Local) | None => zone,
        }
    }
}

impl FromStr for Schedule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Schedule, ParseError> {
        Schedule::parse(text)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two schedules are equal when their texts are.
impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

/// The full second that `instant` lies in; `as_second` alone rounds up before 1970.
fn floor_second(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}

#[cfg(test)]
mod tests;
