use jiff::{Timestamp, tz::TimeZone};

use super::{latest_within, next_after, next_civil};
use crate::{
    calendar::Calendar,
    load_time_zone,
    parse::{Timing, parse},
    upstream,
};

/// Zones whose clocks change by an hour, on the hour, away from midnight (or never).
const PLAIN_ZONES: [&str; 7] = [
    "UTC",
    "America/New_York",
    "Europe/Dublin",
    "Europe/Berlin",
    "Australia/Sydney",
    "Asia/Kathmandu",
    "America/Nuuk",
];

/// Zones whose clocks change by half an hour, at midnight, by two hours, or by a day.
const ROUGH_ZONES: [&str; 9] = [
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Gaza",
    "Africa/Cairo",
    "America/Havana",
    "Atlantic/Azores",
    "America/St_Johns",
    "Antarctica/Troll",
    "Pacific/Apia",
];

const EXPRESSIONS: [&str; 14] = [
    "* * * * *",
    "*/5 * * * *",
    "*/20 1 * * *",
    "30 2 * * *",
    "30 1 * * *",
    "0 0 * * *",
    "30 0 * * *",
    "59 23 * * *",
    "0 3,23 * * *",
    "0 9 * * 1-5",
    "15 */4 * * 0",
    "0 0 1 * *",
    "45 2 8-14 3,11 *",
    "0 2 13 * 5",
];

fn calendar(expression: &str) -> Calendar {
    match parse(expression).unwrap().timing {
        Timing::Calendar(calendar) => calendar,
        Timing::Every { .. } => panic!("{expression} has no fields"),
    }
}

/// A fixed sequence of numbers that look random (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.unsigned_abs()) as i64
    }
}

/// Instants between 2005 and 2035, every second one within two hours of a change of the zone's clocks.
fn starts(zone: &TimeZone, count: i64, seed: u64) -> Vec<i64> {
    let mut numbers = Numbers(seed);
    let first = 1_104_537_600;
    let anywhere = |numbers: &mut Numbers| first + numbers.below(30 * 31_557_600);
    let near_a_change = |numbers: &mut Numbers| {
        let from = Timestamp::from_second(anywhere(numbers)).unwrap();
        let change = zone.following(from).next().map_or(from, |transition| transition.timestamp());
        change.as_second() - 7200 + numbers.below(14_400)
    };
    (0..count)
        .map(|n| if n % 2 == 0 { anywhere(&mut numbers) } else { near_a_change(&mut numbers) })
        .collect()
}

/// Looks at minute after minute, for as many days as `days`.
fn minute_by_minute(calendar: &Calendar, zone: &TimeZone, after: i64, days: i64) -> Option<i64> {
    let first = (after + 60).div_euclid(60) * 60;
    (first..first + days * 86_400).step_by(60).find(|instant| {
        let wall = zone.to_datetime(Timestamp::from_second(*instant).unwrap());
        let by_day = calendar.day.bits >> wall.day() & 1 == 1;
        let by_weekday = calendar.weekday.bits >> wall.weekday().to_sunday_zero_offset() & 1 == 1;
        let day = if calendar.either_day() { by_day || by_weekday } else { by_day && by_weekday };
        day && calendar.month.bits >> wall.month() & 1 == 1
            && calendar.hour.bits >> wall.hour() & 1 == 1
            && calendar.minute.bits >> wall.minute() & 1 == 1
    })
}

#[test]
fn civil_times_are_those_a_walk_through_every_minute_finds() {
    const DAYS: i64 = 8;
    let mut found = 0;
    for (name, seed) in PLAIN_ZONES.iter().chain(&ROUGH_ZONES).zip(1..) {
        let zone = load_time_zone(name).unwrap();
        for expression in EXPRESSIONS {
            let calendar = calendar(expression);
            for start in starts(&zone, 16, seed) {
                let want = minute_by_minute(&calendar, &zone, start, DAYS);
                let got = next_civil(&calendar, &zone, start).filter(|at| *at <= start + DAYS * 86_400);
                assert_eq!(got, want, "{expression} in {name} after {start}");
                found += i32::from(want.is_some());
            }
        }
    }
    assert!(found > 2000, "the walk finds times: {found}");
}

#[test]
fn upstreams_steps_and_the_search_agree() {
    for (name, seed) in PLAIN_ZONES.iter().chain(&ROUGH_ZONES).zip(100..) {
        let zone = load_time_zone(name).unwrap();
        for expression in EXPRESSIONS.into_iter().chain(["0 0 29 2 *", "0 0 31 2 *", "17 4 31 12 6"]) {
            let calendar = calendar(expression);
            for start in starts(&zone, 100, seed) {
                let want = upstream::next_after(&calendar, &zone, start);
                assert_eq!(next_after(&calendar, &zone, start), want, "{expression} in {name} after {start}");
            }
        }
    }
}

#[test]
fn plain_zones_keep_every_civil_time() {
    for (name, seed) in PLAIN_ZONES.iter().zip(200..) {
        let zone = load_time_zone(name).unwrap();
        for expression in EXPRESSIONS {
            let calendar = calendar(expression);
            for start in starts(&zone, 100, seed) {
                let want = next_civil(&calendar, &zone, start);
                assert_eq!(next_after(&calendar, &zone, start), want, "{expression} in {name} after {start}");
            }
        }
    }
}

#[test]
fn the_latest_is_what_a_walk_through_the_occurrences_ends_with() {
    for (name, seed) in PLAIN_ZONES.iter().zip(300..) {
        let zone = load_time_zone(name).unwrap();
        for expression in EXPRESSIONS {
            let calendar = calendar(expression);
            for after in starts(&zone, 8, seed) {
                let until = after + Numbers(after.unsigned_abs()).below(3 * 86_400);
                let next = |at: i64| next_after(&calendar, &zone, at);
                let occurrences = std::iter::successors(next(after), |at| next(*at));
                let want = occurrences.take_while(|at| *at <= until).last();
                let got = latest_within(&calendar, &zone, after, until);
                assert_eq!(got, want, "{expression} in {name} after {after} until {until}");
            }
        }
    }
}

/// robfig/cron v3.0.1's own results, each of them one that its steps get wrong by the civil calendar.
#[test]
fn upstreams_slips_are_kept() {
    for (zone, expression, after, want) in [
        // Half an hour: hours are counted from 01:30 on, and 09:00 is not among 08:30, 09:30.
        ("Australia/Lord_Howe", "0 9 * * *", "2024-04-06T23:00:00+11:00", "2024-04-08T09:00:00+10:30"),
        ("Australia/Lord_Howe", "0 3 * * *", "2024-10-05T23:00:00+10:30", "2024-10-07T03:00:00+11:00"),
        // Skipped midnight east of Greenwich: the step to it falls back to the day before, the next one passes it.
        ("Africa/Cairo", "0 12 26 4 *", "2024-04-24T18:00:00+02:00", "2025-04-26T12:00:00+03:00"),
        ("Asia/Beirut", "0 9 * * 0", "2024-03-30T18:00:00+02:00", "2024-04-07T09:00:00+03:00"),
        // Skipped midnight: no hour 0 tells that the day is over, and Saturday's job runs again on Sunday.
        ("America/Sao_Paulo", "0 5 * * 6", "2018-11-03T10:00:00-03:00", "2018-11-04T05:00:00-02:00"),
        // Skipped midnight on the first: months are counted from 30 September 23:00 on.
        ("America/Asuncion", "0 0 1 12 *", "2023-10-15T18:00:00-03:00", "2024-12-01T00:00:00-03:00"),
    ] {
        let (after, want): (Timestamp, Timestamp) = (after.parse().unwrap(), want.parse().unwrap());
        let zone = load_time_zone(zone).unwrap();
        let got = next_after(&calendar(expression), &zone, after.as_second());
        assert_eq!(got, Some(want.as_second()), "{expression} after {after}");
    }
}

/// Upstream never returns from these; 30 December 2011, a Friday, did not exist in Apia.
#[test]
fn a_day_that_does_not_exist_does_not_hang_the_search() {
    let apia = load_time_zone("Pacific/Apia").unwrap();
    let after: Timestamp = "2011-12-29T00:00:00-10:00".parse().unwrap();
    for (expression, want) in
        [("0 0 30 12 *", "2012-12-30T00:00:00+14:00"), ("0 0 * * FRI", "2012-01-06T00:00:00+14:00")]
    {
        let want: Timestamp = want.parse().unwrap();
        assert_eq!(next_after(&calendar(expression), &apia, after.as_second()), Some(want.as_second()));
    }
}
