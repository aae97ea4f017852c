//! The arithmetic on schedules against the slow way of doing it.

use cronlet_schedule::Schedule;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::super::due::{Missed, NeverFires, Passed, Timing};
use crate::{Controller, testing::World};

const SCHEDULES: &[&str] = &[
    "* * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0,1 0 * * *",
    "*/5 9-10 * * 1-5",
    "30 6-16/4 * * 1-5",
    "59 23 31 * *",
    "0 0 1 1 *",
    "0 0 29 2 *",
    "@weekly",
    "@every 1s",
    "@every 90s",
    "@every 7h",
    "0 0 31 2 *",
];

const ZONES: &[&str] = &["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo"];

/// Upstream's search with its loop, which goes through every time on the way.
fn slowly(timing: &Timing, now: Timestamp, earliest: Timestamp) -> Result<Passed, NeverFires> {
    let next = |time| timing.schedule.next_after(time, timing.zone);
    let first = next(earliest).ok_or(NeverFires)?;
    if now < first {
        return Ok(Passed { earliest, most_recent: None, missed: Missed::None });
    }
    let Some(second) = next(first).filter(|second| *second <= now) else {
        return Ok(Passed { earliest, most_recent: Some(first), missed: Missed::None });
    };
    let interval = second.as_second() - first.as_second();
    let count = (now.as_second() - first.as_second()) / interval + 1;
    let mut time = first + SignedDuration::from_secs((count - 2) * interval);
    let mut most_recent = None;
    while let Some(later) = next(time).filter(|later| *later <= now) {
        (time, most_recent) = (later, Some(later));
    }
    let missed = if count > 100 { Missed::Many } else { Missed::Few };
    Ok(Passed { earliest, most_recent, missed })
}

proptest! {
    #[test]
    fn the_latest_time_due_is_the_one_upstream_walks_to(
        schedule in prop::sample::select(SCHEDULES),
        zone in prop::sample::select(ZONES),
        since in 1_700_000_000_i64..1_800_000_000,
        elapsed_seconds in prop_oneof![0_i64..300, 0_i64..100_000, 0_i64..40_000_000],
        milliseconds in 0_i32..1000,
        deadline_seconds in prop::option::of(0_i64..200_000),
    ) {
        let timing = Timing {
            schedule: &Schedule::parse(schedule).unwrap(),
            zone: &TimeZone::get(zone).unwrap(),
            since: Timestamp::from_second(since).unwrap(),
            deadline_seconds,
        };
        let now = Timestamp::new(since + elapsed_seconds, milliseconds * 1_000_000).unwrap();
        let found = timing.due(now);
        prop_assert_eq!(found, slowly(&timing, now, timing.earliest(now)));
        if let Ok(Passed { earliest, most_recent: Some(time), .. }) = found {
            prop_assert!(earliest < time && time <= now);
        }
        if let Some(next) = timing.next_look(now) {
            prop_assert!(next > now, "looking again at {} would not end", next);
        }
        if let Some(missed) = timing.latest_missed(now) {
            prop_assert!(timing.since < missed && missed <= timing.earliest(now));
        }
    }

    #[test]
    fn whoever_looks_when_told_to_starts_every_time_once(
        schedule in prop::sample::select(&["* * * * *", "*/7 1-3 * * *", "30 2 * * *", "@every 90s"][..]),
        zone in prop::sample::select(ZONES),
        created in 1_700_000_000_i64..1_800_000_000,
        spurious_looks in prop::collection::vec(0_i64..3000, 0..20),
    ) {
        let mut world = World::new("2026-01-01T00:00:00Z");
        world.now = Timestamp::from_second(created).unwrap();
        let key = super::cron_job(&mut world, &serde_json::json!({
            "schedule": schedule, "timeZone": zone,
            "successfulJobsHistoryLimit": null, "failedJobsHistoryLimit": null,
        }));
        let mut object = world.decode::<cronlet_object::api::CronJob>(&key);
        object.metadata.creation_timestamp = Some(cronlet_object::api::Time(world.now));
        world.put(&object);
        let end = created + 3000;
        let mut looks: std::collections::BTreeSet<i64> = spurious_looks.into_iter().map(|s| created + s).collect();
        looks.insert(created);
        while let Some(second) = looks.pop_first().filter(|second| *second <= end) {
            world.now = Timestamp::from_second(second).unwrap();
            let wake_at = world.reconcile(Controller::CronJob, &key).expect("these schedules never end");
            looks.insert(wake_at.as_second());
        }
        let started: Vec<_> = super::decisions(&world).into_iter().filter_map(|(time, _)| time).collect();
        let parsed = Schedule::parse(schedule).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let expected: Vec<_> = parsed
            .between(Timestamp::from_second(created).unwrap(), Timestamp::from_second(end).unwrap(), &zone)
            .collect();
        prop_assert_eq!(started, expected);
    }
}
