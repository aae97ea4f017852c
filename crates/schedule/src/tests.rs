use jiff::{Timestamp, tz::TimeZone};

use crate::{Schedule, load_time_zone};

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn an_interval_counts_from_the_instant_it_is_given() {
    let every = schedule("@every 90s");
    let from = at("2024-02-28T23:59:30.75Z");
    assert_eq!(every.interval_seconds(), Some(90));
    assert_eq!(every.next_after(from, &TimeZone::UTC), Some(at("2024-02-29T00:01:00Z")));
    assert_eq!(every.latest_within(from, at("2024-02-29T00:00:59Z"), &TimeZone::UTC), None);
    let latest = every.latest_within(from, at("2024-02-29T01:00:29Z"), &TimeZone::UTC);
    assert_eq!(latest, Some(at("2024-02-29T00:59:30Z")));
    assert_eq!(every.previous_at_or_before(from, &TimeZone::UTC), None);
}

#[test]
fn occurrences_end_where_they_are_told_to() {
    let hourly = schedule("@hourly");
    let (from, until) = (at("2024-01-01T00:00:00Z"), at("2024-01-01T03:00:00Z"));
    let occurrences: Vec<_> = hourly.between(from, until, &TimeZone::UTC).collect();
    assert_eq!(occurrences, ["01", "02", "03"].map(|hour| at(&format!("2024-01-01T{hour}:00:00Z"))));
    assert_eq!(hourly.between(until, from, &TimeZone::UTC).next(), None);
    assert_eq!(schedule("0 0 31 2 *").after(from, &TimeZone::UTC).next(), None);
}

#[test]
fn nothing_is_found_beyond_the_fifth_calendar_year() {
    let leap_day = schedule("0 0 29 2 *");
    let next = |from: &str| leap_day.next_after(at(from), &TimeZone::UTC);
    // 2100 has no 29 February: there are eight years from one to the next.
    assert_eq!(next("2096-03-01T00:00:00Z"), None);
    assert_eq!(next("2098-12-31T23:59:58Z"), None);
    assert_eq!(next("2098-12-31T23:59:59Z"), Some(at("2104-02-29T00:00:00Z")));
    let previous = |until: &str| leap_day.previous_at_or_before(at(until), &TimeZone::UTC);
    assert_eq!(previous("2101-01-01T00:00:00Z"), Some(at("2096-02-29T00:00:00Z")));
    assert_eq!(previous("2103-01-01T00:00:00Z"), None);
}

#[test]
fn the_previous_occurrence_may_be_now() {
    let daily = schedule("30 2 * * *");
    let zone = load_time_zone("America/New_York").unwrap();
    let noon = at("2024-03-10T12:00:00-04:00");
    assert_eq!(daily.previous_at_or_before(noon, &zone), Some(at("2024-03-09T02:30:00-05:00")));
    let fold = at("2024-11-03T01:45:00-05:00");
    assert_eq!(
        schedule("30 1 * * *").previous_at_or_before(fold, &zone),
        Some(at("2024-11-03T01:30:00-05:00"))
    );
    let exactly = at("2024-11-03T01:30:00-05:00");
    assert_eq!(schedule("30 1 * * *").previous_at_or_before(exactly, &zone), Some(exactly));
    let before = at("2024-11-03T01:29:59-05:00");
    assert_eq!(
        schedule("30 1 * * *").previous_at_or_before(before, &zone),
        Some(at("2024-11-03T01:30:00-04:00"))
    );
}

#[test]
fn a_prefix_overrides_the_zone() {
    let tokyo = schedule("CRON_TZ=Asia/Tokyo 0 9 * * *");
    assert_eq!(tokyo.zone_prefix(), Some("Asia/Tokyo"));
    let berlin = load_time_zone("Europe/Berlin").unwrap();
    assert_eq!(tokyo.next_after(at("2024-01-01T12:00:00Z"), &berlin), Some(at("2024-01-02T00:00:00Z")));
    let local = schedule("TZ=Local 0 9 * * *");
    assert_eq!(local.next_after(at("2024-01-01T12:00:00Z"), &berlin), Some(at("2024-01-02T08:00:00Z")));
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    for expression in ["* * * * *", "0 0 29 2 *", "@every 1h", "0 0 31 12 6"] {
        let schedule = schedule(expression);
        for zone in ["UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"] {
            let zone = load_time_zone(zone).unwrap();
            assert_eq!(schedule.next_after(Timestamp::MAX, &zone), None);
            assert!(schedule.previous_at_or_before(Timestamp::MIN, &zone).is_none());
            schedule.next_after(Timestamp::MIN, &zone);
            schedule.previous_at_or_before(Timestamp::MAX, &zone);
            schedule.warnings(&zone, Timestamp::MAX);
            schedule.warnings(&zone, Timestamp::MIN);
        }
    }
    let before_1970 = at("1969-12-31T23:59:59.5Z");
    assert_eq!(schedule("@every 1s").next_after(before_1970, &TimeZone::UTC), Some(Timestamp::UNIX_EPOCH));
    assert_eq!(schedule("* * * * *").next_after(before_1970, &TimeZone::UTC), Some(Timestamp::UNIX_EPOCH));
}

#[test]
fn the_text_is_kept() {
    let schedule = schedule("  */5  *  * * * ");
    assert_eq!(schedule.as_str(), "  */5  *  * * * ");
    assert_eq!(schedule.to_string(), schedule.as_str());
    assert_eq!("*/5 * * * *".parse::<Schedule>().unwrap().as_str(), "*/5 * * * *");
}
