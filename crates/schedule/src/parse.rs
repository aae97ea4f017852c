//! The text of a schedule, as robfig/cron v3.0.1's `ParseStandard` reads it; its words for what it refuses.

use crate::{
    calendar::Calendar,
    duration::{DurationError, parse_nanoseconds},
    field::{DAY, Field, HOUR, MINUTE, MONTH, WEEKDAY},
    limits::EXPRESSION_BYTES_MAX,
    zone::{Location, ZoneError, load_location},
};

mod hint;

/// What Kubernetes answers to a `TZ=` or `CRON_TZ=` in the schedule of a new CronJob.
pub const ZONE_IN_SCHEDULE: &str = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";

/// What Kubernetes answers when an old CronJob's schedule names a zone and `spec.timeZone` is set as well.
pub const ZONE_IN_SCHEDULE_AND_FIELD: &str = "cannot use both timeZone field and TZ or CRON_TZ in schedule";

/// Whether Kubernetes takes `expression` to name a time zone: it looks for `TZ` anywhere in the text.
pub fn mentions_time_zone(expression: &str) -> bool {
    expression.contains("TZ")
}

/// Why an expression is not a schedule. The messages are robfig/cron's, which Kubernetes passes on to its users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The expression has no character at all.
    #[error("empty spec string")]
    Empty,
    /// Longer than [`EXPRESSION_BYTES_MAX`]; upstream has no such bound.
    #[error("expression has {0} bytes, at most {EXPRESSION_BYTES_MAX} are read")]
    TooLong(usize),
    /// A `TZ=` or `CRON_TZ=` with a zone that does not exist.
    #[error("provided bad location {name}: {reason}")]
    BadLocation {
        /// The zone as written.
        name: String,
        /// What is wrong with it.
        reason: ZoneError,
    },
    /// Not five fields.
    #[error("expected exactly 5 fields, found {}: [{}]", .0.len(), .0.join(" "))]
    FieldCount(Vec<String>),
    /// `1-2-3`.
    #[error("too many hyphens: {0}")]
    TooManyHyphens(String),
    /// `1/2/3`.
    #[error("too many slashes: {0}")]
    TooManySlashes(String),
    /// Neither a number nor one of the field's names.
    #[error("failed to parse int from {text}: strconv.Atoi: parsing {quoted}: {reason}")]
    NotANumber {
        /// The text as written.
        text: String,
        /// The text quoted and escaped.
        quoted: String,
        /// `invalid syntax` or `value out of range`.
        reason: &'static str,
    },
    /// A number below zero.
    #[error("negative number ({value}) not allowed: {text}")]
    Negative {
        /// The number.
        value: i64,
        /// The text it was read from.
        text: String,
    },
    /// A range starts below the field's first value.
    #[error("beginning of range ({start}) below minimum ({min}): {text}")]
    BelowMinimum {
        /// The first value of the range.
        start: u64,
        /// The field's first value.
        min: u64,
        /// The range as written.
        text: String,
    },
    /// A range ends above the field's last value.
    #[error("end of range ({end}) above maximum ({max}): {text}")]
    AboveMaximum {
        /// The last value of the range.
        end: u64,
        /// The field's last value.
        max: u64,
        /// The range as written.
        text: String,
    },
    /// A range ends before it starts.
    #[error("beginning of range ({start}) beyond end of range ({end}): {text}")]
    Reversed {
        /// The first value of the range.
        start: u64,
        /// The last value of the range.
        end: u64,
        /// The range as written.
        text: String,
    },
    /// A step of zero.
    #[error("step of range should be a positive number: {0}")]
    ZeroStep(String),
    /// An `@` word that is not known; case counts.
    #[error("unrecognized descriptor: {0}")]
    UnknownDescriptor(String),
    /// An `@every` whose duration is not one.
    #[error("failed to parse duration {descriptor}: {reason}")]
    BadDuration {
        /// The descriptor as written.
        descriptor: String,
        /// What is wrong with the duration.
        reason: DurationError,
    },
}

/// When a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timing {
    /// At the civil times a calendar selects.
    Calendar(Calendar),
    /// A constant number of seconds (at least 1) after the previous time.
    Every { seconds: i64 },
}

/// What an expression says.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub timing: Timing,
    pub prefix: Option<Prefix>,
}

/// The zone of a `TZ=` or `CRON_TZ=` before the fields.
#[derive(Debug, Clone)]
pub(crate) struct Prefix {
    /// Its name as written.
    pub name: String,
    pub location: Location,
}

/// Reads a whole expression.
pub(crate) fn parse(text: &str) -> Result<Parsed, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ParseError::TooLong(text.len()));
    }
    let (prefix, rest) = split_prefix(text)?;
    let timing = if rest.starts_with('@') { descriptor(rest)? } else { Timing::Calendar(five_fields(rest)?) };
    Ok(Parsed { timing, prefix })
}

/// Takes a zone prefix off; it ends at the first space.
fn split_prefix(text: &str) -> Result<(Option<Prefix>, &str), ParseError> {
    let Some(named) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else {
        return Ok((None, text));
    };
    // Upstream panics on a prefix without a schedule; here the five fields are what is missing.
    let (name, rest) = named.split_once(' ').ok_or(ParseError::FieldCount(Vec::new()))?;
    let location =
        load_location(name).map_err(|reason| ParseError::BadLocation { name: name.to_owned(), reason })?;
    Ok((Some(Prefix { name: name.to_owned(), location }), rest.trim()))
}

fn five_fields(text: &str) -> Result<Calendar, ParseError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return Err(ParseError::FieldCount(fields.into_iter().map(str::to_owned).collect()));
    };
    Ok(Calendar::new(
        Field::parse(minute, &MINUTE)?,
        Field::parse(hour, &HOUR)?,
        Field::parse(day, &DAY)?,
        Field::parse(month, &MONTH)?,
        Field::parse(weekday, &WEEKDAY)?,
    ))
}

fn descriptor(text: &str) -> Result<Timing, ParseError> {
    if let Some(duration) = text.strip_prefix("@every ") {
        return every(text, duration);
    }
    let midnight = Field::only(0);
    let (any_hour, any_day) = (Field::any(&HOUR), Field::any(&DAY));
    let (any_month, any_weekday) = (Field::any(&MONTH), Field::any(&WEEKDAY));
    let (hour, day, month, weekday) = match text {
        "@yearly" | "@annually" => (midnight, Field::only(1), Field::only(1), any_weekday),
        "@monthly" => (midnight, Field::only(1), any_month, any_weekday),
        "@weekly" => (midnight, any_day, any_month, Field::only(0)),
        "@daily" | "@midnight" => (midnight, any_day, any_month, any_weekday),
        "@hourly" => (any_hour, any_day, any_month, any_weekday),
        _ => return Err(ParseError::UnknownDescriptor(text.to_owned())),
    };
    Ok(Timing::Calendar(Calendar::new(Field::only(0), hour, day, month, weekday)))
}

/// An interval: rounded up to one second, else down to whole seconds.
fn every(descriptor: &str, duration: &str) -> Result<Timing, ParseError> {
    let nanoseconds = parse_nanoseconds(duration)
        .map_err(|reason| ParseError::BadDuration { descriptor: descriptor.to_owned(), reason })?;
    Ok(Timing::Every { seconds: (nanoseconds / 1_000_000_000).max(1) })
}

#[cfg(test)]
mod tests;
