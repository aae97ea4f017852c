//! What about a schedule may surprise whoever wrote it.

mod clocks;
mod step;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    Schedule,
    calendar::Calendar,
    field::{DAY, WEEKDAY},
    parse::Timing,
};

/// A remark on a schedule that is valid but may not do what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Which remark it is.
    pub code: WarningCode,
    /// What happens.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// The kinds of remark. [`as_str`](Self::as_str) gives their stable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// `never-fires`: no occurrence within the years upstream looks ahead.
    NeverFires,
    /// `day-or-weekday`: both day fields are given, and either of them suffices.
    DayOrWeekday,
    /// `uneven-step`: a step that does not divide its field, so that the pace breaks where the field starts again.
    UnevenStep,
    /// `below-a-minute`: an interval that would need more than one Job a minute.
    BelowAMinute,
    /// `dst-skipped`: a time that does not exist on the day clocks go forward.
    DstSkipped,
    /// `dst-repeated`: a time that comes twice on the day clocks go back.
    DstRepeated,
    /// `dst-misread`: a change of the clocks that upstream's library gets wrong.
    DstMisread,
}

impl WarningCode {
    /// The stable name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            WarningCode::NeverFires => "never-fires",
            WarningCode::DayOrWeekday => "day-or-weekday",
            WarningCode::UnevenStep => "uneven-step",
            WarningCode::BelowAMinute => "below-a-minute",
            WarningCode::DstSkipped => "dst-skipped",
            WarningCode::DstRepeated => "dst-repeated",
            WarningCode::DstMisread => "dst-misread",
        }
    }
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(crate) fn warnings(schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Vec<Warning> {
    let calendar = match &schedule.parsed.timing {
        Timing::Every { seconds } => return below_a_minute(schedule, *seconds).into_iter().collect(),
        Timing::Calendar(calendar) => calendar,
    };
    if schedule.next_after(now, zone).is_none() {
        return vec![never_fires(calendar)];
    }
    let mut warnings: Vec<Warning> = day_or_weekday(calendar).into_iter().collect();
    warnings.extend(step::uneven_steps(schedule));
    warnings.extend(clocks::changes(calendar, zone, now));
    warnings
}

fn below_a_minute(schedule: &Schedule, seconds: i64) -> Option<Warning> {
    (seconds < 60).then(|| Warning {
        code: WarningCode::BelowAMinute,
        message: format!(
            "`{schedule}` starts at most one Job a minute, because a Job is named after its minute"
        ),
        hint: "use `* * * * *` and let the container do several rounds".to_owned(),
    })
}

fn never_fires(calendar: &Calendar) -> Warning {
    let reason = if calendar.is_never() {
        "no date has such a day and month"
    } else {
        "there is no occurrence within five years, and Kubernetes looks no further"
    };
    Warning {
        code: WarningCode::NeverFires,
        message: format!("it never fires: {reason}"),
        hint: "Kubernetes accepts the schedule all the same; check day-of-month against month".to_owned(),
    }
}

fn day_or_weekday(calendar: &Calendar) -> Option<Warning> {
    if !calendar.either_day() {
        return None;
    }
    let (message, hint) = match (calendar.day.is_full(&DAY), calendar.weekday.is_full(&WEEKDAY)) {
        (true, true) => return None,
        (true, false) => (
            "day-of-month names every day without being `*`, so day-of-week has no effect",
            "write `*` for day-of-month",
        ),
        (false, true) => (
            "day-of-week names every day without being `*`, so day-of-month has no effect",
            "write `*` for day-of-week",
        ),
        (false, false) => (
            "day-of-month and day-of-week are both given: it fires on days that match either of them, not both",
            "to need both, write `*` for one of them and let the command check the other",
        ),
    };
    Some(Warning { code: WarningCode::DayOrWeekday, message: message.to_owned(), hint: hint.to_owned() })
}
