//! What robfig/cron itself answers, case by case.

use cronlet_schedule::{Schedule, load_time_zone};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

const VECTORS: &str = include_str!("data/cron.jsonl");

#[test]
fn answers_are_those_of_robfig_cron() {
    let mut failures = Vec::new();
    let mut cases = 0;
    for line in VECTORS.lines() {
        let vector: Value = serde_json::from_str(line).expect("each line is a JSON object");
        cases += 1;
        if let Err(failure) = check(&vector) {
            failures.push(format!("{}: {failure}", vector["id"]));
        }
    }
    assert!(cases > 100, "the file of vectors is whole");
    assert!(failures.is_empty(), "{} of {cases} fail:\n{}", failures.len(), failures.join("\n"));
}

fn check(vector: &Value) -> Result<(), String> {
    let text = |key: &str| vector[key].as_str().expect("a string");
    let schedule = Schedule::parse(text("expr"));
    if vector["error"] == true {
        return schedule.err().map(drop).ok_or_else(|| "is accepted".to_owned());
    }
    let schedule = schedule.map_err(|error| error.to_string())?;
    let zone = load_time_zone(text("tz")).map_err(|error| error.to_string())?;
    let from: Timestamp = text("from").parse().expect("an instant");
    let want: Vec<&str> =
        vector["next"].as_array().expect("a list").iter().map(|time| time.as_str().unwrap()).collect();
    let count = if vector["none"] == true { 5 } else { want.len() };
    let got: Vec<String> = schedule.after(from, &zone).take(count).map(|time| rfc3339(time, &zone)).collect();
    if got == want { Ok(()) } else { Err(format!("got {got:?}, want {want:?}")) }
}

fn rfc3339(time: Timestamp, zone: &TimeZone) -> String {
    match zone.to_offset(time) {
        offset if offset.is_zero() => time.to_string(),
        offset => time.display_with_offset(offset).to_string(),
    }
}
