use jiff::Timestamp;

use crate::{Schedule, Warning, WarningCode, load_time_zone};

fn warnings(expression: &str, zone: &str) -> Vec<Warning> {
    let now: Timestamp = "2024-01-15T12:00:00Z".parse().unwrap();
    Schedule::parse(expression).unwrap().warnings(&load_time_zone(zone).unwrap(), now)
}

fn codes(expression: &str, zone: &str) -> Vec<&'static str> {
    warnings(expression, zone).iter().map(|warning| warning.code.as_str()).collect()
}

/// The message of the only warning.
fn message(expression: &str, zone: &str) -> String {
    let [warning] = &warnings(expression, zone)[..] else {
        panic!("{expression} in {zone}: {:?}", codes(expression, zone))
    };
    assert!(!warning.hint.is_empty());
    warning.message.clone()
}

#[test]
fn ordinary_schedules_have_none() {
    for expression in [
        "*/5 * * * *",
        "0 */6 * * *",
        "5/15 * * * *",
        "10-20/4 * * * *",
        "*/7,3 * * * *",
        "0 9 * * 1-5",
        "0 0 1 */3 *",
        "0 0 ? * MON",
        "0 0 29 2 *",
        "@daily",
        "@every 60s",
    ] {
        assert_eq!(codes(expression, "UTC"), [""; 0], "{expression}");
        assert_eq!(codes(expression, "Asia/Kathmandu"), [""; 0], "{expression}");
    }
}

#[test]
fn dates_that_never_come() {
    for expression in ["0 0 31 2 *", "0 0 30,31 2 *", "0 0 31 4,6,9,11 *", ", * * * *", "* * , * *"] {
        assert_eq!(codes(expression, "America/New_York"), ["never-fires"], "{expression}");
    }
    let leap_day = Schedule::parse("0 0 29 2 *").unwrap();
    let far = "2096-03-01T00:00:00Z".parse().unwrap();
    let [warning] = &leap_day.warnings(&jiff::tz::TimeZone::UTC, far)[..] else { panic!("one warning") };
    assert_eq!(warning.code, WarningCode::NeverFires);
    assert!(warning.message.contains("within five years"), "{}", warning.message);
    // The weekday alone suffices when both day fields are given.
    assert_eq!(codes("0 0 31 2 1", "UTC"), ["day-or-weekday"]);
}

#[test]
fn either_day_field_suffices() {
    assert!(message("0 0 13 * 5", "UTC").contains("match either of them"));
    assert!(message("0 0 1-31 * 5", "UTC").contains("day-of-week has no effect"));
    assert!(message("0 0 13 * 0-6", "UTC").contains("day-of-month has no effect"));
    assert_eq!(codes("0 0 1-31 * 0-6", "UTC"), [""; 0]);
    assert_eq!(codes("0 0 */1 * 5", "UTC"), [""; 0]);
}

#[test]
fn steps_that_do_not_come_out_even() {
    for (expression, want) in [
        ("*/7 * * * *", "`*/7` in the minute field starts again at minute 0, 4 minutes after minute 56"),
        ("3/7 * * * *", "`3/7` in the minute field starts again at minute 3, 4 minutes after minute 59"),
        ("*/45 * * * *", "`*/45` in the minute field starts again at minute 0, 15 minutes after minute 45"),
        (
            "*/90 * * * *",
            "`*/90` in the minute field matches minute 0 alone: the step is longer than the field",
        ),
        ("0 */5 * * *", "`*/5` in the hour field starts again at hour 0, 4 hours after hour 20"),
        (
            "0 0 */2 * *",
            "`*/2` in the day-of-month field starts again at day 1, 1 day after day 31 in a month of 31 days",
        ),
        ("0 0 1 */5 *", "`*/5` in the month field starts again at month 1, 2 months after month 11"),
        ("0 0 * * */2", "`*/2` in the day-of-week field starts again at day 0, 1 day after day 6"),
        (
            "CRON_TZ=UTC */7 * * * *",
            "`*/7` in the minute field starts again at minute 0, 4 minutes after minute 56",
        ),
    ] {
        assert_eq!(message(expression, "UTC"), want);
    }
    assert_eq!(
        warnings("0 */5 * * *", "UTC")[0].hint,
        "a step that divides 24 is even; `@every 5h` keeps the pace"
    );
}

#[test]
fn more_than_one_job_a_minute() {
    for expression in ["@every 20s", "@every 59.9s", "@every 1ms"] {
        assert_eq!(codes(expression, "UTC"), ["below-a-minute"], "{expression}");
    }
}

#[test]
fn times_that_the_clocks_skip_or_repeat() {
    let zone = "America/New_York";
    assert_eq!(
        message("30 2 * * *", zone),
        "clocks in America/New_York go from 02:00 to 03:00 on 2024-03-10, 2025-03-09, 2026-03-08, …: \
         02:30 does not exist that day, and nothing runs instead"
    );
    assert_eq!(
        message("30 1 * * 0", zone),
        "clocks in America/New_York go from 02:00 to 01:00 on 2024-11-03, 2025-11-02, 2026-11-01, …: \
         01:30 comes twice that day, and it fires both times"
    );
    assert_eq!(codes("*/20 1-2 * * *", zone), ["dst-skipped", "dst-repeated"]);
    // The changes are on Sundays, away from the first of the month and at night; and every hour's jobs just go on.
    for expression in ["30 2 * * 1-6", "30 2 1 * *", "30 3 * * *", "30 * * * *", "*/5 * * * *", "@every 2h"] {
        assert_eq!(codes(expression, zone), [""; 0], "{expression}");
    }
    assert_eq!(codes("30 1 * * *", "Europe/London"), ["dst-skipped", "dst-repeated"]);
}

#[test]
fn changes_of_the_clocks_that_upstream_misreads() {
    assert_eq!(
        message("0 12 26 4 *", "Africa/Cairo"),
        "the run at 2024-04-26 12:00 is passed over: Kubernetes' cron library misreads the change of the clocks in \
         Africa/Cairo"
    );
    assert_eq!(codes("0 9 * * *", "Australia/Lord_Howe"), ["dst-misread"]);
    assert_eq!(codes("0 12 * * *", "Africa/Cairo"), [""; 0]);
}
