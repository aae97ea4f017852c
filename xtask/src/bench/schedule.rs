//! What finding the next occurrence costs, beside the two cron crates most used in Rust.

use std::{hint::black_box, str::FromStr};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use cronlet_schedule::Schedule;
use jiff::{Timestamp, tz::TimeZone};

use super::{Row, median};
use crate::client::now;

/// The expressions, and what `cron` takes instead: it wants seconds, and counts weekdays from Sunday as 1.
const EXPRESSIONS: [(&str, &str); 6] = [
    ("*/5 * * * *", "0 */5 * * * *"),
    ("0 9 * * 1-5", "0 0 9 * * MON-FRI"),
    ("30 2 * * *", "0 30 2 * * *"),
    ("0 0 13 * 5", "0 0 0 13 * FRI"),
    ("0 0 29 2 *", "0 0 0 29 2 *"),
    ("0 0 31 2 *", "0 0 0 31 2 *"),
];

const ZONE: &str = "America/New_York";
const STARTS: usize = 2_000;
/// The starts lie in the ten years from 2024-01-01.
const STARTS_FROM: i64 = 1_704_067_200;
const STARTS_SPAN_SECONDS: i64 = 3_653 * 86_400;
const SEED: u64 = 7;
const ROUNDS: usize = 9;
/// A peer that needs milliseconds for each answer is asked less often.
const SLOW_STARTS: usize = 20;
const SLOW_NANOSECONDS: f64 = 100_000.0;

/// Nanoseconds per `next`: the median over several rounds of the mean over random starts. The programs take turns, so
/// that all meet the same machine.
///
/// # Panics
/// If an expression of the table or the zone is not known to one of the programs.
pub fn measure() -> Vec<Row> {
    let starts = starts();
    EXPRESSIONS
        .iter()
        .flat_map(|(expression, with_seconds)| compare(expression, with_seconds, &starts))
        .collect()
}

fn compare(expression: &str, with_seconds: &str, starts: &[Timestamp]) -> [Row; 3] {
    let schedule = Schedule::parse(expression).expect("the expressions are valid");
    let zone = TimeZone::get(ZONE).expect("the zone exists");
    let croner = croner::Cron::from_str(expression).expect("croner knows the expression");
    let cron = cron::Schedule::from_str(with_seconds).expect("cron knows the expression");
    let chrono_zone: Tz = ZONE.parse().expect("the zone exists");
    let chrono_starts: Vec<DateTime<Tz>> = starts
        .iter()
        .map(|start| {
            let utc = DateTime::<Utc>::from_timestamp(start.as_second(), 0).expect("the starts are in range");
            utc.with_timezone(&chrono_zone)
        })
        .collect();

    let ours = |from: &Timestamp| schedule.next_after(*from, &zone);
    let theirs = |from: &DateTime<Tz>| croner.find_next_occurrence(from, false);
    let others = |from: &DateTime<Tz>| cron.after(from).next();
    let croner_starts = affordable(&chrono_starts, theirs);
    let mut nanoseconds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        nanoseconds[0].push(mean(starts, ours));
        nanoseconds[1].push(mean(croner_starts, theirs));
        nanoseconds[2].push(mean(&chrono_starts, others));
    }
    let [ours, theirs, others] = nanoseconds.map(|mut rounds| median(&mut rounds));
    let row = |program: &str, value| {
        Row::new("schedule", format!("next of `{expression}`, {program}"), value, "ns")
    };
    [
        row("cronlet", ours).with_target(format!("≤ {:.0}, a third of croner's", theirs / 3.0)),
        row("croner", theirs),
        row("cron", others),
    ]
}

fn starts() -> Vec<Timestamp> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let second = |_| STARTS_FROM + random.i64(0..STARTS_SPAN_SECONDS);
    (0..STARTS).map(second).map(|at| Timestamp::from_second(at).expect("the starts are in range")).collect()
}

/// All starts, or few if a single answer already takes long.
fn affordable<T, R>(starts: &[T], next: impl Fn(&T) -> R) -> &[T] {
    let slow = mean(&starts[..SLOW_STARTS], next) > SLOW_NANOSECONDS;
    if slow { &starts[..SLOW_STARTS] } else { starts }
}

fn mean<T, R>(starts: &[T], next: impl Fn(&T) -> R) -> f64 {
    let begin = now();
    for start in starts {
        black_box(next(black_box(start)));
    }
    (now() - begin) as f64 / starts.len() as f64
}
