//! Years of decisions, and some days of them against the whole simulation.

use cronlet_controller::Settings;
use cronlet_object::{Kind, document::decode_typed, ledger::Entry};
use cronlet_schedule::{Schedule, load_time_zone};
use jiff::tz::TimeZone;
use serde_json::json;

use super::*;
use crate::{Behaviour, Call, Simulation, Step};

/// Zones in which the clocks change in the northern and southern summer, by half an hour, and not at all.
const ZONES: [&str; 4] = ["America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Asia/Kolkata"];
const SCHEDULES: [&str; 4] = ["7 * * * *", "*/20 1-3 * * *", "30 2 * * 0", "@hourly"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn starts(
    schedule: &str,
    zone: &TimeZone,
    policy: ConcurrencyPolicy,
    lasts: SignedDuration,
    (since, until): (Timestamp, Timestamp),
) -> Vec<Start> {
    let schedule = Schedule::parse(schedule).unwrap();
    let timing = Timing { schedule: &schedule, zone, since, deadline_seconds: None };
    Decisions::new(timing, policy, lasts, until).collect()
}

#[test]
fn in_a_year_every_scheduled_time_is_started_once_and_on_time() {
    let year = (at("2026-01-01T00:00:30Z"), at("2027-01-01T00:00:30Z"));
    for zone in ZONES.map(|name| load_time_zone(name).unwrap()) {
        for text in SCHEDULES {
            let lasts = SignedDuration::from_secs(20);
            let starts = starts(text, &zone, ConcurrencyPolicy::Allow, lasts, year);
            let schedule = Schedule::parse(text).unwrap();
            let expected: Vec<Timestamp> = schedule.between(year.0, year.1, &zone).collect();
            let scheduled: Vec<Timestamp> = starts.iter().map(|start| start.scheduled).collect();
            assert_eq!(scheduled, expected, "{text} in {zone:?}");
            assert!(starts.iter().all(|start| start.at == start.scheduled), "{text} in {zone:?}");
        }
    }
}

#[test]
fn in_a_year_nothing_overlaps_under_forbid() {
    let year = (at("2026-01-01T00:00:30Z"), at("2027-01-01T00:00:30Z"));
    let lasts = SignedDuration::from_secs(5_701);
    let starts = starts("@hourly", &TimeZone::UTC, ConcurrencyPolicy::Forbid, lasts, year);
    // One after the other without a pause: the latest time that passed meanwhile waits.
    assert_eq!(starts.len(), (365 * 24 * 3_600 - 3_570) / 5_701 + 1);
    for pair in starts.windows(2) {
        assert_eq!(pair[1].at, pair[0].at + lasts);
        let waited = pair[1].at.duration_since(pair[1].scheduled);
        assert!(!waited.is_negative() && waited < SignedDuration::from_hours(1), "{pair:?}");
    }
}

#[test]
fn in_a_year_each_job_takes_the_place_of_the_one_before_under_replace() {
    let year = (at("2026-01-01T00:00:30Z"), at("2027-01-01T00:00:30Z"));
    let lasts = SignedDuration::from_hours(30);
    let starts = starts("@hourly", &TimeZone::UTC, ConcurrencyPolicy::Replace, lasts, year);
    assert_eq!(starts.len(), 365 * 24);
    assert!(starts.iter().skip(1).all(|start| start.replaced == 1));
}

/// The scheduled times that the whole simulation starts.
fn simulated(
    schedule: &str,
    zone: &str,
    policy: &str,
    lasts: SignedDuration,
    (since, until): (Timestamp, Timestamp),
) -> Vec<Timestamp> {
    let settings = Settings {
        node_name: None,
        time_zone: TimeZone::UTC,
        cluster_ca: None,
        volumes_dir: "/volumes".into(),
    };
    let behaviour = Behaviour::ends(lasts, 0);
    let mut simulation = Simulation::new(since, settings, 1, Box::new(move |_| behaviour.clone()));
    let container = json!({"name": "main", "image": "busybox", "command": ["work"]});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"schedule": schedule, "timeZone": zone, "concurrencyPolicy": policy,
            "jobTemplate": {"spec": {"template": template}}},
    });
    let object = decode_typed(Kind::CronJob, &cron_job).unwrap().object;
    simulation.call(Call::Create(Box::new(object))).unwrap();
    while !matches!(simulation.step(until.duration_since(since)), Step::Reached) {}
    let started = simulation.ledger().iter().filter_map(|entry| match entry {
        // It stands there once more when it has ended.
        Entry::Run(run) if run.finished.is_none() => run.scheduled,
        _ => None,
    });
    started.collect()
}

#[test]
fn the_whole_simulation_starts_the_same() {
    // New York's clocks go forward on 8 March and back on 1 November.
    let spans =
        [("2026-03-06T00:00:30Z", "2026-03-10T00:00:30Z"), ("2026-10-30T00:00:30Z", "2026-11-03T00:00:30Z")];
    let zone = load_time_zone("America/New_York").unwrap();
    for span in spans.map(|(since, until)| (at(since), at(until))) {
        for (name, policy) in [
            ("Allow", ConcurrencyPolicy::Allow),
            ("Forbid", ConcurrencyPolicy::Forbid),
            ("Replace", ConcurrencyPolicy::Replace),
        ] {
            for (schedule, seconds) in [("@hourly", 20), ("*/25 * * * *", 5_701), ("*/20 1-3 * * *", 3_333)] {
                let lasts = SignedDuration::from_secs(seconds);
                let decided = starts(schedule, &zone, policy, lasts, span);
                let decided: Vec<Timestamp> = decided.iter().map(|start| start.scheduled).collect();
                let whole = simulated(schedule, "America/New_York", name, lasts, span);
                assert_eq!(decided, whole, "{schedule}, {name}, {lasts:#}");
            }
        }
    }
}
