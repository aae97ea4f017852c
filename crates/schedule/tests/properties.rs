//! What holds for every expression, zone and instant.

use cronlet_schedule::{Schedule, load_time_zone};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::prelude::*;

/// Seconds from 1890-01-01, when many zones still had local mean time, to 2110-01-01.
const INSTANTS: std::ops::Range<i64> = -2_524_521_600..4_417_977_600;

const ZONES: &[&str] = &[
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Europe/Dublin",
    "Africa/Cairo",
    "Africa/Monrovia",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
];

fn zone() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(ZONES).prop_map(|name| load_time_zone(name).unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (INSTANTS, 0..1_000_000_000).prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

fn field(min: u64, max: u64) -> impl Strategy<Value = String> {
    let member = (min..=max, min..=max, 1..=max).prop_flat_map(move |(a, b, step)| {
        let (low, high) = (a.min(b), a.max(b));
        prop_oneof![
            Just("*".to_owned()),
            Just(format!("*/{step}")),
            Just(format!("{low}")),
            Just(format!("{low}-{high}")),
            Just(format!("{low}-{high}/{step}")),
            Just(format!("{low}/{step}")),
        ]
    });
    prop::collection::vec(member, 1..4).prop_map(|members| members.join(","))
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).prop_map(
        |(minute, hour, day, month, weekday)| {
            Schedule::parse(&format!("{minute} {hour} {day} {month} {weekday}")).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        check_text(&text)?;
    }

    #[test]
    fn nothing_like_a_schedule_makes_the_parser_panic(
        text in "(TZ=|CRON_TZ=)?(UTC |Local |x )?(@every |@)?[-+*/?,.@0-9a-zA-Zµ \t]{0,40}",
    ) {
        check_text(&text)?;
    }

    #[test]
    fn the_next_occurrence_is_later_and_on_the_minute(schedule in schedule(), zone in zone(), from in instant()) {
        if let Some(next) = schedule.next_after(from, &zone) {
            prop_assert!(next > from);
            prop_assert_eq!(zone.to_datetime(next).second(), 0);
            prop_assert_eq!(next.subsec_nanosecond(), 0);
        }
    }

    #[test]
    fn the_latest_lies_between_and_nothing_follows_it(
        schedule in schedule(),
        zone in zone(),
        after in instant(),
        days in 0..2000i64,
    ) {
        let until = after + SignedDuration::from_hours(24 * days);
        match schedule.latest_within(after, until, &zone) {
            Some(latest) => {
                prop_assert!(after < latest && latest <= until);
                let next = schedule.next_after(latest, &zone);
                prop_assert!(next.is_none_or(|next| next > until), "{latest} is followed by {next:?}");
            }
            None => {
                let next = schedule.next_after(after, &zone);
                prop_assert!(next.is_none_or(|next| next > until), "{after} is followed by {next:?}");
            }
        }
    }

    #[test]
    fn previous_is_the_mirror_of_next(schedule in schedule(), zone in zone(), until in instant()) {
        if let Some(previous) = schedule.previous_at_or_before(until, &zone) {
            prop_assert!(previous <= until);
            let next = schedule.next_after(previous, &zone);
            prop_assert!(next.is_none_or(|next| next > until), "{previous} is followed by {next:?}");
        }
    }
}

fn check_text(text: &str) -> Result<(), TestCaseError> {
    match Schedule::parse(text) {
        Err(error) => prop_assert!(!error.to_string().is_empty()),
        Ok(schedule) => {
            let now = Timestamp::UNIX_EPOCH;
            prop_assert!(!schedule.describe().is_empty());
            schedule.warnings(&TimeZone::UTC, now);
            prop_assert!(schedule.next_after(now, &TimeZone::UTC).is_none_or(|next| next > now));
        }
    }
    Ok(())
}
