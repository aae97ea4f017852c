//! A time zone as what it is to a search: stretches of time, each with one offset from UTC.

use jiff::{Timestamp, tz::TimeZone};

/// A longest span of instants with one offset. Instants are Unix seconds, civil times seconds on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The first instant; `i64::MIN` where the zone has no earlier offset.
    pub start: i64,
    /// The first instant no longer in the stretch; `i64::MAX` where the zone has no later offset.
    pub end: i64,
    /// Seconds to add to an instant to get the civil time.
    pub offset: i64,
}

impl Stretch {
    /// The stretch that holds `instant`; `None` outside the years a [`Timestamp`] covers.
    pub fn holding(zone: &TimeZone, instant: i64) -> Option<Stretch> {
        let at = Timestamp::from_second(instant).ok()?;
        let offset = i64::from(zone.to_offset(at).seconds());
        // `preceding` is strict, so it is asked from just after the instant.
        let start = zone.preceding(Timestamp::from_second(instant + 1).unwrap_or(Timestamp::MAX)).next();
        let end = zone.following(at).next();
        Some(Stretch {
            start: start.map_or(i64::MIN, |transition| transition.timestamp().as_second()),
            end: end.map_or(i64::MAX, |transition| transition.timestamp().as_second()),
            offset,
        })
    }

    /// The stretch after this one.
    pub fn next(self, zone: &TimeZone) -> Option<Stretch> {
        let at = Timestamp::from_second(self.end).ok()?;
        let offset = i64::from(zone.to_offset(at).seconds());
        let end = zone.following(at).next();
        let end = end.map_or(i64::MAX, |transition| transition.timestamp().as_second());
        Some(Stretch { start: self.end, end, offset })
    }

    /// The stretch before this one.
    pub fn previous(self, zone: &TimeZone) -> Option<Stretch> {
        Stretch::holding(zone, self.start.checked_sub(1)?)
    }

    /// The civil times that the change from this stretch to `next` skips or repeats, as seconds `from..to`.
    pub fn disturbed(self, next: Stretch) -> (i64, i64) {
        let (before, after) = (self.end + self.offset, self.end + next.offset);
        (before.min(after), before.max(after))
    }
}

/// The civil year at `instant` for clocks that are `offset` seconds ahead of UTC.
pub(crate) fn civil_year(instant: i64, offset: i64) -> i64 {
    crate::calendar::Date::of_day((instant + offset).div_euclid(86_400)).year
}
