//! The occurrences of a schedule as an iterator.

use std::iter::FusedIterator;

use jiff::{Timestamp, tz::TimeZone};

use crate::Schedule;

/// Occurrences in ascending order; made by [`Schedule::after`] and [`Schedule::between`].
#[derive(Debug, Clone)]
pub struct Occurrences<'a> {
    schedule: &'a Schedule,
    zone: &'a TimeZone,
    last: Option<Timestamp>,
    until: Timestamp,
}

impl<'a> Occurrences<'a> {
    pub(crate) fn new(
        schedule: &'a Schedule,
        zone: &'a TimeZone,
        after: Timestamp,
        until: Timestamp,
    ) -> Occurrences<'a> {
        Occurrences { schedule, zone, last: Some(after), until }
    }
}

impl Iterator for Occurrences<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let next = self.schedule.next_after(self.last?, self.zone);
        self.last = next.filter(|next| *next <= self.until);
        self.last
    }
}

impl FusedIterator for Occurrences<'_> {}
