//! Occurrences that the changes of a zone's clocks skip or repeat.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{
    calendar::Calendar,
    describe::plural,
    limits::{SEARCH_YEARS, WARNING_OCCURRENCES_MAX, WARNING_TRANSITIONS_MAX},
    search::{is_plain, next_after, next_civil},
    stretch::Stretch,
    warn::{Warning, WarningCode},
};

const DAY: i64 = 86_400;

/// Dates a message names before it breaks off.
const DATES_NAMED_MAX: usize = 3;

/// What the changes of the clocks in the next five years do to the schedule.
pub(super) fn changes(calendar: &Calendar, zone: &TimeZone, now: Timestamp) -> Vec<Warning> {
    let changes = upcoming(zone, now.as_second());
    let affected = |repeated: bool| -> Vec<Affected> {
        let these = changes.iter().filter(|change| change.is_repeat() == repeated);
        these.filter_map(|change| change.affected(calendar)).collect()
    };
    let mut warnings = Vec::new();
    // Jobs of every hour follow the time that passes; for them nothing is left out and nothing comes twice.
    if !calendar.is_every_hour() {
        warnings.extend(warning(WarningCode::DstSkipped, &affected(false), zone));
        warnings.extend(warning(WarningCode::DstRepeated, &affected(true), zone));
    }
    warnings.extend(changes.iter().find_map(|change| change.misread(calendar, zone)));
    warnings
}

/// A change of the clocks: the stretches before and after it.
struct Change {
    before: Stretch,
    after: Stretch,
}

fn upcoming(zone: &TimeZone, now: i64) -> Vec<Change> {
    let horizon = now.saturating_add(SEARCH_YEARS * 365 * DAY);
    let mut changes = Vec::new();
    let mut stretch = Stretch::holding(zone, now);
    while let Some(before) = stretch
        && changes.len() < WARNING_TRANSITIONS_MAX
        && let Some(after) = before.next(zone)
        && after.start < horizon
    {
        changes.push(Change { before, after });
        stretch = Some(after);
    }
    changes
}

/// The selected civil times that one change skips or repeats.
struct Affected {
    first: i64,
    count: i64,
    /// What the clocks show before and after the change, in civil seconds.
    shown: (i64, i64),
}

impl Change {
    fn is_repeat(&self) -> bool {
        self.after.offset < self.before.offset
    }

    fn affected(&self, calendar: &Calendar) -> Option<Affected> {
        let (from, to) = self.before.disturbed(self.after);
        let (mut minute, mut times) = (from.div_euclid(60), Vec::new());
        while let Some(next) = calendar.at_or_after(minute, i64::MAX).filter(|next| next * 60 < to) {
            times.push(next * 60);
            minute = next + 1;
        }
        let shown = (self.before.end + self.before.offset, self.before.end + self.after.offset);
        Some(Affected { first: *times.first()?, count: times.len() as i64, shown })
    }

    /// Whether upstream and the civil calendar part near this change.
    fn misread(&self, calendar: &Calendar, zone: &TimeZone) -> Option<Warning> {
        if is_plain(self.before, self.after) {
            return None;
        }
        let (from, until) = (self.before.end - 2 * DAY, self.before.end + 2 * DAY);
        let list = |next: fn(&Calendar, &TimeZone, i64) -> Option<i64>| -> Vec<i64> {
            let instants = std::iter::successors(next(calendar, zone, from), |at| next(calendar, zone, *at));
            instants.take_while(|at| *at <= until).take(WARNING_OCCURRENCES_MAX).collect()
        };
        let (meant, actual) = (list(next_civil), list(next_after));
        let missing = meant.iter().find(|at| !actual.contains(at));
        let added = actual.iter().find(|at| !meant.contains(at));
        let (at, what) = match (missing, added) {
            (Some(missing), _) => (*missing, "is passed over"),
            (None, Some(added)) => (*added, "is added"),
            (None, None) => return None,
        };
        let time = zone.to_datetime(Timestamp::from_second(at).ok()?).strftime("%Y-%m-%d %H:%M");
        Some(Warning {
            code: WarningCode::DstMisread,
            message: format!(
                "the run at {time} {what}: Kubernetes' cron library misreads the change of the clocks in {}",
                zone_name(zone)
            ),
            hint: "cronlet does as Kubernetes does; `timeZone: Etc/UTC` is free of it".to_owned(),
        })
    }
}

fn warning(code: WarningCode, affected: &[Affected], zone: &TimeZone) -> Option<Warning> {
    let first = affected.first()?;
    let times = if first.count == 1 {
        clock(first.first)
    } else {
        format!("{} from {}", plural(first.count, "time"), clock(first.first))
    };
    let outcome = if code == WarningCode::DstSkipped {
        format!(
            "{times} {} that day, and nothing runs instead",
            if first.count == 1 { "does not exist" } else { "do not exist" }
        )
    } else {
        format!(
            "{times} {} twice that day, and it fires both times",
            if first.count == 1 { "comes" } else { "come" }
        )
    };
    let (before, after) = (clock(first.shown.0), clock(first.shown.1));
    let (zone, dates) = (zone_name(zone), dates(affected));
    let (low, high) = (before.clone().min(after.clone()), before.clone().max(after.clone()));
    Some(Warning {
        code,
        message: format!("clocks in {zone} go from {before} to {after} on {dates}: {outcome}"),
        hint: format!("choose a time outside {low} to {high}, or `timeZone: Etc/UTC`"),
    })
}

fn dates(affected: &[Affected]) -> String {
    let mut dates: Vec<String> = affected
        .iter()
        .take(DATES_NAMED_MAX)
        .map(|affected| civil(affected.first).map_or_else(String::new, |at| at.date().to_string()))
        .collect();
    if affected.len() > DATES_NAMED_MAX {
        dates.push("…".to_owned());
    }
    dates.join(", ")
}

fn clock(civil_second: i64) -> String {
    let minute = civil_second.div_euclid(60).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// The civil time as a date and a time of day; it is written as if it were UTC.
fn civil(civil_second: i64) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_second(civil_second).ok()?))
}

fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("this zone")
}
