use std::time::Duration;

use super::at;
use crate::{
    cron::{Due, Job, Trigger, due},
    limits::CATCH_UP_RUNS_MAX,
};

const MINUTE: Duration = Duration::from_secs(60);

fn cron(schedule: &str) -> Trigger {
    match Job::cron("test", schedule) {
        Ok(job) => job.trigger,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_passed_within_the_window_is_due_and_what_passed_before_is_missed() {
    let hourly = cron("0 * * * *");
    let found = due(&hourly, "test", (90 * MINUTE, Duration::ZERO), at("05:30:00"), at("09:10:00"));
    let expected = Due {
        runs: vec![at("08:00:00"), at("09:00:00")],
        missed: 2,
        next: Some((at("10:00:00"), at("10:00:00"))),
        after: at("09:00:00"),
    };
    assert_eq!(found, expected);
}

#[test]
fn an_interval_is_counted_from_the_last_time() {
    let every = Trigger::Every(Duration::from_millis(500));
    let found = due(&every, "test", (MINUTE, Duration::ZERO), at("09:00:00.2"), at("09:00:01.3"));
    assert_eq!(found.runs, [at("09:00:00.7"), at("09:00:01.2")]);
    assert_eq!(found.next, Some((at("09:00:01.7"), at("09:00:01.7"))));
}

#[test]
fn a_long_sleep_of_a_quick_interval_is_dealt_with_at_once() {
    let every = Trigger::Every(Duration::from_millis(1));
    let found = due(&every, "test", (Duration::MAX, Duration::ZERO), at("00:00:00"), at("10:00:00"));
    assert!(found.runs.len() <= CATCH_UP_RUNS_MAX);
    assert_eq!(found.runs.last(), Some(&at("10:00:00")));
    assert_eq!(found.missed + found.runs.len() as u64, 36_000_000);
}

#[test]
fn jitter_delays_a_start_by_the_same_every_time_and_never_by_all_of_it() {
    let hourly = cron("0 * * * *");
    let look = |name: &str, now| due(&hourly, name, (MINUTE, 10 * MINUTE), at("08:30:00"), now);
    let before = look("a", at("08:59:00"));
    let Some((nominal, start)) = before.next else { panic!("no next run") };
    assert_eq!(nominal, at("09:00:00"));
    assert!(start >= nominal && start < at("09:10:00"));
    assert_eq!(look("a", at("08:59:30")).next, before.next);
    assert_ne!(look("b", at("08:59:00")).next, before.next);
    assert_eq!(look("a", start).runs, [nominal], "named by its nominal time");
}

#[test]
fn a_schedule_that_never_fires_has_no_next_time() {
    let never = cron("0 0 30 2 *");
    let found = due(&never, "test", (MINUTE, Duration::ZERO), at("08:30:00"), at("09:00:00"));
    assert_eq!(found, Due { after: at("08:30:00"), ..Due::default() });
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_due_twice() {
    let hourly = cron("0 * * * *");
    let found = due(&hourly, "test", (MINUTE, Duration::ZERO), at("09:00:00"), at("08:30:00"));
    assert_eq!(found.runs, []);
    assert_eq!(found.next, Some((at("10:00:00"), at("10:00:00"))));
    let far = due(&hourly, "test", (MINUTE, Duration::ZERO), at("20:00:00"), at("08:30:00"));
    assert_eq!(
        far.next,
        Some((at("09:00:00"), at("09:00:00"))),
        "what was dealt with by a wrong clock is forgotten"
    );
}
