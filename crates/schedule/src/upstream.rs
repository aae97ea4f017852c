//! robfig/cron's search as it is, step by step, for the changes of the clocks that its arithmetic trips over.
//!
//! Kubernetes inherits these results, so they are kept, not mended: where midnight is skipped (Cairo, Beirut) a
//! day can be passed over, and where clocks change by half an hour (Lord Howe) an hour can be. Everywhere else
//! [`crate::search`] gives the same answers without the steps; a test holds the two together.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    calendar::{Calendar, Date, first_of_month, weekday_of_day},
    limits::SEARCH_YEARS,
    search::next_civil,
    stretch::Stretch,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The first instant after `after` at which upstream fires, in Unix seconds.
///
/// Upstream can loop for ever where a whole day is skipped (Apia, 30 December 2011), and can answer with an instant
/// in the past where midnight is repeated in part (St. John's until 2011). No caller could use either: there the next
/// selected civil time is the answer.
pub(crate) fn next_after(calendar: &Calendar, zone: &TimeZone, after: i64) -> Option<i64> {
    let mut walker = Walker { calendar, zone, at: after.checked_add(1)?, aligned: false };
    match walker.run() {
        Ok(None) => None,
        Ok(Some(instant)) if instant > after => Some(instant),
        Ok(Some(_)) | Err(Stuck) => next_civil(calendar, zone, after),
    }
}

/// A step did not get any further, or left the years a [`Timestamp`] covers.
struct Stuck;

/// Whether a unit came to show a match, or wrapped around so that the larger units have to be looked at again.
#[derive(PartialEq, Eq)]
enum Unit {
    Matches,
    Wrapped,
}

struct Walker<'a> {
    calendar: &'a Calendar,
    zone: &'a TimeZone,
    /// The instant looked at.
    at: i64,
    /// Set once a unit has been stepped: from then on the smaller units count as zero and are not cut off again.
    aligned: bool,
}

/// What the clock on the wall shows.
struct Wall {
    date: Date,
    weekday: u64,
    hour: i64,
    minute: i64,
    second: i64,
    second_of_day: i64,
}

impl Walker<'_> {
    fn run(&mut self) -> Result<Option<i64>, Stuck> {
        let last_year = self.wall()?.date.year + SEARCH_YEARS;
        while self.wall()?.date.year <= last_year {
            if self.month()? == Unit::Matches
                && self.day()? == Unit::Matches
                && self.hour()? == Unit::Matches
                && self.minute()? == Unit::Matches
                && self.second()? == Unit::Matches
            {
                return Ok(Some(self.at));
            }
        }
        Ok(None)
    }

    fn month(&mut self) -> Result<Unit, Stuck> {
        loop {
            let wall = self.wall()?;
            if self.calendar.month.bits >> wall.date.month & 1 == 1 {
                return Ok(Unit::Matches);
            }
            if self.align() {
                self.at = self.instant(Date { day: 1, ..wall.date }, 0)?;
            }
            let Wall { date, second_of_day, .. } = self.wall()?;
            self.step_to(self.instant(Date { month: date.month + 1, ..date }, second_of_day)?)?;
            if self.wall()?.date.month == 1 {
                return Ok(Unit::Wrapped);
            }
        }
    }

    fn day(&mut self) -> Result<Unit, Stuck> {
        loop {
            let wall = self.wall()?;
            if self.selects(&wall) {
                return Ok(Unit::Matches);
            }
            if self.align() {
                self.at = self.instant(wall.date, 0)?;
            }
            let Wall { date, second_of_day, .. } = self.wall()?;
            let mut next = self.instant(Date { day: date.day + 1, ..date }, second_of_day)?;
            // Where the change of the clocks left another hour than midnight, upstream adds or takes hours away.
            let landed = self.wall_at(next)?.hour;
            next += if landed > 12 { 24 - landed } else { -landed } * HOUR;
            self.step_to(next)?;
            if self.wall()?.date.day == 1 {
                return Ok(Unit::Wrapped);
            }
        }
    }

    fn hour(&mut self) -> Result<Unit, Stuck> {
        loop {
            let wall = self.wall()?;
            if self.calendar.hour.bits >> wall.hour & 1 == 1 {
                return Ok(Unit::Matches);
            }
            if self.align() {
                self.at = self.instant(wall.date, wall.hour * HOUR)?;
            }
            self.at += HOUR;
            if self.wall()?.hour == 0 {
                return Ok(Unit::Wrapped);
            }
        }
    }

    fn minute(&mut self) -> Result<Unit, Stuck> {
        loop {
            if self.calendar.minute.bits >> self.wall()?.minute & 1 == 1 {
                return Ok(Unit::Matches);
            }
            if self.align() {
                self.at = self.at.div_euclid(MINUTE) * MINUTE;
            }
            self.at += MINUTE;
            if self.wall()?.minute == 0 {
                return Ok(Unit::Wrapped);
            }
        }
    }

    /// Goes on to second 0, the only one that five fields select.
    fn second(&mut self) -> Result<Unit, Stuck> {
        let second = self.wall()?.second;
        if second == 0 {
            return Ok(Unit::Matches);
        }
        self.aligned = true;
        self.at += MINUTE - second;
        Ok(Unit::Wrapped)
    }

    /// Whether this is the first step of all, at which the smaller units are cut off.
    fn align(&mut self) -> bool {
        !std::mem::replace(&mut self.aligned, true)
    }

    fn step_to(&mut self, next: i64) -> Result<(), Stuck> {
        if next <= self.at {
            return Err(Stuck);
        }
        self.at = next;
        Ok(())
    }

    fn selects(&self, wall: &Wall) -> bool {
        let by_day = self.calendar.day.bits >> wall.date.day & 1 == 1;
        let by_weekday = self.calendar.weekday.bits >> wall.weekday & 1 == 1;
        if self.calendar.either_day() { by_day || by_weekday } else { by_day && by_weekday }
    }

    fn wall(&self) -> Result<Wall, Stuck> {
        self.wall_at(self.at)
    }

    fn wall_at(&self, instant: i64) -> Result<Wall, Stuck> {
        let at = Timestamp::from_second(instant).map_err(|_| Stuck)?;
        let civil = instant + i64::from(self.zone.to_offset(at).seconds());
        let (day, second) = (civil.div_euclid(DAY), civil.rem_euclid(DAY));
        Ok(Wall {
            date: Date::of_day(day),
            weekday: weekday_of_day(day),
            hour: second / HOUR,
            minute: second / MINUTE % 60,
            second: second % 60,
            second_of_day: second,
        })
    }

    /// The instant Go's `time.Date` gives for a civil time: months and days may exceed their range, and a time that
    /// is skipped or repeated is read with one of the two offsets, by the rule below.
    fn instant(&self, date: Date, second_of_day: i64) -> Result<i64, Stuck> {
        let day = first_of_month(date.year, date.month) + date.day as i64 - 1;
        let civil = day * DAY + second_of_day;
        // The civil time read as UTC tells which stretch to try first; the offset found there decides.
        let guess = Stretch::holding(self.zone, civil).ok_or(Stuck)?;
        let instant = civil - guess.offset;
        if guess.offset == 0 || (guess.start..guess.end).contains(&instant) {
            return Ok(instant);
        }
        let settled = Stretch::holding(self.zone, instant).ok_or(Stuck)?;
        Ok(civil - settled.offset)
    }
}
