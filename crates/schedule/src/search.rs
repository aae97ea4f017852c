//! Where a calendar's civil times fall in a zone: the next and the latest instant.
//!
//! The search goes from one fixed-offset stretch of the zone to the next and, inside each, through sets of bits.
//! Civil times that a forward change of the clocks skips then lie in no stretch, and those that a backward change
//! repeats lie in two, which is upstream's rule. Where upstream's own arithmetic trips over a change of the clocks
//! ([`is_plain`] says where), the answer comes from [`crate::upstream`] instead, as Kubernetes would give it.

use jiff::tz::TimeZone;

use crate::{
    calendar::Calendar,
    limits::SEARCH_YEARS,
    stretch::{Stretch, civil_year},
    upstream,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// How far back upstream's search goes from where it starts: to the first of the month if it looks for another one,
/// else to midnight. Each with a change of the clocks to spare.
const LOOK_BACK_TO_MONTH: i64 = 32 * DAY;
const LOOK_BACK_TO_MIDNIGHT: i64 = 2 * DAY;

/// How much later a civil time can come again, at most.
const LOOK_AHEAD: i64 = DAY;

/// The first instant after `after` at which `calendar` fires in `zone`, in Unix seconds. `None` if there is none up
/// to the end of the fifth calendar year from now.
pub(crate) fn next_after(calendar: &Calendar, zone: &TimeZone, after: i64) -> Option<i64> {
    if calendar.is_never() {
        return None;
    }
    let start = after.checked_add(1)?;
    let stretch = Stretch::holding(zone, start)?;
    if !is_calm_around(calendar, zone, stretch, start) {
        return upstream::next_after(calendar, zone, after);
    }
    match walk(calendar, zone, stretch, start, is_plain) {
        Walk::Found(instant) => Some(instant),
        Walk::Nothing => None,
        Walk::Stopped => upstream::next_after(calendar, zone, after),
    }
}

/// The first instant after `after` that lies on a selected civil time, whatever upstream would make of it.
pub(crate) fn next_civil(calendar: &Calendar, zone: &TimeZone, after: i64) -> Option<i64> {
    let start = after.checked_add(1)?;
    match walk(calendar, zone, Stretch::holding(zone, start)?, start, |_, _| true) {
        Walk::Found(instant) => Some(instant),
        Walk::Nothing | Walk::Stopped => None,
    }
}

enum Walk {
    Found(i64),
    Nothing,
    /// A change of the clocks was not one to cross.
    Stopped,
}

fn walk(
    calendar: &Calendar,
    zone: &TimeZone,
    mut stretch: Stretch,
    mut start: i64,
    may_cross: fn(Stretch, Stretch) -> bool,
) -> Walk {
    let last_year = civil_year(start, stretch.offset) + SEARCH_YEARS;
    let (mut searched_from, mut candidate) = (i64::MAX, None);
    loop {
        let first_minute = div_ceil(start + stretch.offset, 60);
        // What the last search found still holds, unless clocks went back to before where it began.
        if first_minute < searched_from || candidate.is_some_and(|minute| minute < first_minute) {
            (searched_from, candidate) = (first_minute, calendar.at_or_after(first_minute, last_year));
        }
        if let Some(minute) = candidate {
            let instant = minute * 60 - stretch.offset;
            if instant < stretch.end {
                return Walk::Found(instant);
            }
        }
        let Some(next) = stretch.next(zone) else { return Walk::Nothing };
        if civil_year(next.start, next.offset) > last_year {
            return Walk::Nothing;
        }
        if !may_cross(stretch, next) {
            return Walk::Stopped;
        }
        (start, stretch) = (next.start, next);
    }
}

/// The latest instant at or before `until` that lies on a selected civil time, looking back [`SEARCH_YEARS`].
fn latest_civil(calendar: &Calendar, zone: &TimeZone, until: i64) -> Option<i64> {
    let mut end = until;
    let mut stretch = Stretch::holding(zone, until)?;
    let first_year = civil_year(until, stretch.offset) - SEARCH_YEARS;
    loop {
        let last_minute = (end + stretch.offset).div_euclid(60);
        if let Some(minute) = calendar.at_or_before(last_minute, first_year) {
            let instant = minute * 60 - stretch.offset;
            if instant >= stretch.start {
                return Some(instant);
            }
        }
        stretch = stretch.previous(zone)?;
        end = stretch.end - 1;
        if civil_year(end, stretch.offset) < first_year {
            return None;
        }
    }
}

/// The latest instant after `after` and up to `until` that [`next_after`] gives when it is asked from one or two civil
/// times before. In a plain zone that is the last of all the occurrences from `after` on; elsewhere, what upstream
/// passes over depends on where it starts, and this is what it finds from near by.
pub(crate) fn latest_within(calendar: &Calendar, zone: &TimeZone, after: i64, until: i64) -> Option<i64> {
    if calendar.is_never() {
        return None;
    }
    let mut until = until;
    while after < until {
        let last = latest_civil(calendar, zone, until).unwrap_or(after);
        let base = latest_civil(calendar, zone, last - 1).unwrap_or(after).max(after);
        let mut found = None;
        let mut instant = base;
        while let Some(next) = next_after(calendar, zone, instant).filter(|next| *next <= until) {
            (found, instant) = (Some(next), next);
        }
        if found.is_some() {
            return found;
        }
        until = base;
    }
    None
}

/// Whether no change of the clocks that upstream trips over lies where its first steps go: back to the first of the
/// month at most, and ahead where that civil time comes again.
fn is_calm_around(calendar: &Calendar, zone: &TimeZone, mut stretch: Stretch, start: i64) -> bool {
    if stretch.offset % 60 != 0 {
        return false;
    }
    if stretch.end <= start.saturating_add(LOOK_AHEAD)
        && !stretch.next(zone).is_none_or(|next| is_plain(stretch, next))
    {
        return false;
    }
    let look_back = if calendar.is_every_month() { LOOK_BACK_TO_MIDNIGHT } else { LOOK_BACK_TO_MONTH };
    while stretch.start > start - look_back {
        let Some(previous) = stretch.previous(zone) else { return true };
        if !is_plain(previous, stretch) {
            return false;
        }
        stretch = previous;
    }
    true
}

/// Whether upstream's arithmetic gets over the change of the clocks between two stretches unharmed.
///
/// robfig/cron steps from midnight to midnight, then from hour to hour, then from minute to minute, and looks at the
/// larger unit again only when the smaller one shows 0. That finds every civil time there is, and none twice, as
/// long as the change is by one hour, on the hour, and leaves the day's first hour alone.
pub(crate) fn is_plain(before: Stretch, after: Stretch) -> bool {
    let (from, to) = before.disturbed(after);
    to == from || (to - from == HOUR && from % HOUR == 0 && from.rem_euclid(DAY) != 0)
}

fn div_ceil(value: i64, by: i64) -> i64 {
    -(-value).div_euclid(by)
}

#[cfg(test)]
mod tests;
