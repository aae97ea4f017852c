//! `cronlet next`: when a schedule fires, for people and for programs.

mod lines;
#[cfg(test)]
mod tests;

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use cronlet_object::Clock;
use cronlet_schedule::{Schedule, Warning, ZONE_IN_SCHEDULE, load_time_zone, mentions_time_zone};
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use serde_json::json;

use crate::{clock::SystemClock, limits::OCCURRENCES_MAX, print};

/// Show when a schedule fires next.
#[derive(Args, Debug)]
pub struct Next {
    /// The schedule as in `spec.schedule` of a CronJob, such as '*/15 9-17 * * MON-FRI' or '@daily'
    #[arg(required_unless_present = "stdin")]
    schedule: Option<String>,
    /// Time zone as in `spec.timeZone`, such as Europe/Berlin [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Show what comes after this instant [default: now]
    #[arg(long, value_name = "RFC3339")]
    from: Option<Timestamp>,
    /// How many occurrences to show
    #[arg(
        long,
        value_name = "N",
        default_value_t = COUNT_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(OCCURRENCES_MAX)),
    )]
    count: u32,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Answer questions from standard input: a JSON object {"expr", "tz", "from", "count"} a line
    #[arg(long, conflicts_with_all = ["schedule", "tz", "from", "count", "output"])]
    stdin: bool,
}

const COUNT_DEFAULT: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Prints the next occurrences.
///
/// # Errors
/// If the schedule or the time zone is not one that Kubernetes accepts, or if writing fails.
pub fn run(arguments: &Next) -> anyhow::Result<ExitCode> {
    answer(arguments, SystemClock.now(), io::stdin().lock(), &mut io::stdout().lock())
}

/// [`run`] with everything it reads and writes given.
fn answer(
    arguments: &Next,
    now: Timestamp,
    input: impl BufRead,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let Some(expression) = &arguments.schedule else {
        lines::answer(now, input, out)?;
        return Ok(ExitCode::SUCCESS);
    };
    let zone = match &arguments.tz {
        Some(name) => load_time_zone(name).map_err(|error| anyhow!("time zone {name:?}: {error}"))?,
        None => TimeZone::system(),
    };
    let from = arguments.from.unwrap_or(now);
    let preview = Preview::new(expression, zone, from, arguments.count)?;
    match arguments.output {
        Format::Text => preview.write_text(out)?,
        Format::Json => writeln!(out, "{}", preview.json())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a schedule as upstream's library does, a zone in front of it included.
fn parse_schedule(expression: &str) -> anyhow::Result<Schedule> {
    match Schedule::parse(expression) {
        Ok(schedule) => Ok(schedule),
        Err(error) => match error.hint() {
            Some(hint) => bail!("schedule {expression:?}: {error}\nhint: {hint}"),
            None => bail!("schedule {expression:?}: {error}"),
        },
    }
}

/// Reads a schedule as Kubernetes does for a new CronJob.
fn read_schedule(expression: &str) -> anyhow::Result<Schedule> {
    let schedule = parse_schedule(expression)?;
    if mentions_time_zone(expression) {
        bail!("schedule {expression:?}: {ZONE_IN_SCHEDULE}");
    }
    Ok(schedule)
}

/// An instant in RFC 3339 with the zone's offset, which is `Z` where it is zero.
fn rfc3339(instant: Timestamp, zone: &TimeZone) -> String {
    let offset = zone.to_offset(instant);
    if offset.is_zero() { instant.to_string() } else { instant.display_with_offset(offset).to_string() }
}

/// What is shown about one schedule.
struct Preview {
    schedule: Schedule,
    zone: TimeZone,
    from: Timestamp,
    occurrences: Vec<Timestamp>,
    warnings: Vec<Warning>,
}

impl Preview {
    fn new(expression: &str, zone: TimeZone, from: Timestamp, count: u32) -> anyhow::Result<Preview> {
        let schedule = read_schedule(expression)?;
        let occurrences = schedule.after(from, &zone).take(count as usize).collect();
        let warnings = schedule.warnings(&zone, from);
        Ok(Preview { schedule, zone, from, occurrences, warnings })
    }

    fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("Local")
    }

    fn json(&self) -> serde_json::Value {
        let occurrences: Vec<String> = self.occurrences.iter().map(|at| rfc3339(*at, &self.zone)).collect();
        let warnings = self.warnings.iter().map(|warning| {
            json!({"code": warning.code.as_str(), "message": warning.message, "hint": warning.hint})
        });
        json!({
            "schedule": self.schedule.as_str(),
            "timeZone": self.zone_name(),
            "description": self.schedule.describe(),
            "occurrences": occurrences,
            "warnings": warnings.collect::<Vec<_>>(),
        })
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let from = self.from.to_zoned(self.zone.clone());
        writeln!(out, " Schedule: {}", self.schedule)?;
        writeln!(out, "  Meaning: {}", self.schedule.describe())?;
        writeln!(out, "Time zone: {}", self.zone_name())?;
        writeln!(out, "     From: {}", wall(&from, true))?;
        writeln!(out)?;
        self.write_occurrences(out, from)?;
        for warning in &self.warnings {
            writeln!(out, "\nwarning[{}]: {}\n   hint: {}", warning.code, warning.message, warning.hint)?;
        }
        Ok(())
    }

    fn write_occurrences(&self, out: &mut impl Write, mut previous: Zoned) -> io::Result<()> {
        if self.occurrences.is_empty() {
            return writeln!(out, "No occurrence in the next five years.");
        }
        let seconds = self.occurrences.iter().any(|at| at.as_second() % 60 != 0);
        let mut rows = vec![vec!["NEXT".to_owned(), "IN".to_owned(), String::new()]];
        for at in &self.occurrences {
            let next = at.to_zoned(self.zone.clone());
            rows.push(vec![
                wall(&next, seconds),
                left(at.duration_since(self.from)),
                shift(&previous, &next),
            ]);
            previous = next;
        }
        print::columns(out, &rows)
    }
}

/// The weekday, the date, the time of day and the offset from UTC.
fn wall(at: &Zoned, seconds: bool) -> String {
    at.strftime(if seconds { "%a %Y-%m-%d %H:%M:%S %:z" } else { "%a %Y-%m-%d %H:%M %:z" }).to_string()
}

/// How the clocks changed between two occurrences.
fn shift(previous: &Zoned, next: &Zoned) -> String {
    match next.offset().duration_since(previous.offset()) {
        change if change.is_positive() => format!("clocks went forward {}", left(change)),
        change if change.is_negative() => format!("clocks went back {}", left(-change)),
        _ => String::new(),
    }
}

/// A length of time by its two largest units, rounded down: `3h 12m`.
fn left(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let units =
        [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let largest = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    let shown = units.iter().skip(largest).take(2).enumerate();
    let parts = shown.filter(|(place, (count, _))| *place == 0 || *count > 0);
    parts.map(|(_, (count, unit))| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}
