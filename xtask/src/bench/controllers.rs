//! What one look of a controller costs, what a timer costs among many, and how fast simulated time goes by.

use std::{hint::black_box, time::Instant};

use cronlet_controller::{
    Controller, Queue, Settings, View,
    cronjob::{ConcurrencyPolicy, Timing},
};
use cronlet_object::{Ids, Key, Kind, admit::Subresource, document::decode_typed};
use cronlet_schedule::Schedule;
use cronlet_simulate::{Behaviour, Call, Decisions, Simulation, Step};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{Row, median};

const ROUNDS: usize = 7;
const START: &str = "2026-03-02T12:00:30Z";

/// Times looks at prepared Jobs and CronJobs, timers, and a simulated day.
///
/// # Errors
/// If a prepared object is refused.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (figure, spec, status) in jobs() {
        let job = object("Job", "j", &spec);
        let simulation = settled(vec![job], status)?;
        rows.push(look(&figure, &simulation, Controller::Job, &Key::new(Kind::Job, "default", "j")));
    }
    let simulation = settled(vec![cron_job("c", "0 3 * * *")], None)?;
    let key = Key::new(Kind::CronJob, "default", "c");
    rows.push(look("look at a CronJob that is not due", &simulation, Controller::CronJob, &key));
    rows.extend([1_000, 100_000].map(timer));
    rows.push(simulated_time()?);
    rows.push(year_of_decisions()?);
    Ok(rows)
}

/// Jobs that are looked at: what they are, their specs, and statuses they are given.
fn jobs() -> Vec<(String, Value, Option<Value>)> {
    let pods = |count: u32| json!({"parallelism": count, "completions": 2 * count, "template": template()});
    // All but each tenth index: ten thousand ranges.
    let ranges: Vec<String> = (0..10_000).map(|tenth| format!("{}-{}", tenth * 10, tenth * 10 + 8)).collect();
    let indexed = json!({"completionMode": "Indexed", "completions": 100_000, "parallelism": 10,
        "template": template()});
    let done = json!({"completedIndexes": ranges.join(","), "succeeded": 90_000});
    vec![
        ("look at a Job with 10 pods".to_owned(), pods(10), None),
        ("look at a Job with 1,000 pods".to_owned(), pods(1_000), None),
        ("look at a Job with 90,000 of 100,000 indexes done".to_owned(), indexed, Some(done)),
    ]
}

fn template() -> Value {
    let container = json!({"name": "main", "image": "busybox", "command": ["work"]});
    json!({"spec": {"restartPolicy": "Never", "containers": [container]}})
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": "default"}})
}

fn cron_job(name: &str, schedule: &str) -> Value {
    object("CronJob", name, &json!({"schedule": schedule, "jobTemplate": {"spec": {"template": template()}}}))
}

/// A simulation with these objects, whose pods run and never end.
fn settled(objects: Vec<Value>, status: Option<Value>) -> anyhow::Result<Simulation> {
    let mut behaviour = Behaviour::ends(SignedDuration::ZERO, 0);
    behaviour.attempts[0].lasts = None;
    let mut simulation = simulation(behaviour)?;
    for object in objects {
        create(&mut simulation, &object)?;
        pass(&mut simulation, SignedDuration::ZERO);
    }
    if let Some(status) = status {
        let key = Key::new(Kind::Job, "default", "j");
        let call = Call::Patch { key, subresource: Subresource::Status, patch: json!({"status": status}) };
        simulation.call(call).map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    pass(&mut simulation, SignedDuration::from_secs(5));
    Ok(simulation)
}

fn simulation(behaviour: Behaviour) -> anyhow::Result<Simulation> {
    let settings = Settings {
        node_name: None,
        time_zone: TimeZone::UTC,
        cluster_ca: None,
        volumes_dir: "/volumes".into(),
    };
    Ok(Simulation::new(START.parse()?, settings, 1, Box::new(move |_| behaviour.clone())))
}

fn create(simulation: &mut Simulation, object: &Value) -> anyhow::Result<()> {
    let kind = if object["kind"] == "Job" { Kind::Job } else { Kind::CronJob };
    let object = decode_typed(kind, object)?.object;
    simulation.call(Call::Create(Box::new(object))).map_err(|error| anyhow::anyhow!("{error}"))
}

fn pass(simulation: &mut Simulation, time: SignedDuration) {
    let limit = simulation.elapsed() + time;
    while !matches!(simulation.step(limit), Step::Reached) {}
}

/// The time of one look at an object at which there is nothing to do.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn look(figure: &str, simulation: &Simulation, controller: Controller, key: &Key) -> Row {
    let view =
        View { snapshot: simulation.snapshot(), now: simulation.now(), settings: simulation.settings() };
    let mut ids = Ids::seeded(1);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (begun, mut looks) = (Instant::now(), 0_u32);
            while begun.elapsed().as_millis() < 50 {
                black_box(controller.reconcile(&view, black_box(key), &mut ids));
                looks += 1;
            }
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(looks)
        })
        .collect();
    Row::new("controllers", figure, median(&mut rounds), "µs")
}

/// The time to set a timer anew among many.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn timer(count: u32) -> Row {
    let mut queue = Queue::default();
    let work: Vec<_> = (0..count)
        .map(|i| (Controller::CronJob, Key::new(Kind::CronJob, "default", format!("c{i}"))))
        .collect();
    let at = |second: i64| Timestamp::from_second(second).ok();
    for (second, work) in work.iter().enumerate() {
        queue.set_timer(work, at(second as i64));
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let begun = Instant::now();
            for (number, work) in work.iter().step_by(count as usize / 1_000).enumerate() {
                queue.set_timer(work, at((number * 7_919 + round) as i64));
            }
            begun.elapsed().as_secs_f64() * 1e6 / 1_000.0
        })
        .collect();
    Row::new("controllers", format!("set a timer among {count}"), median(&mut rounds), "µs")
}

/// How much of 1,000 CronJobs' time goes by in a second, each with a Job and a pod every hour.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn simulated_time() -> anyhow::Result<Row> {
    let mut simulation = simulation(Behaviour::ends(SignedDuration::from_secs(20), 0))?;
    for number in 0..1_000 {
        create(&mut simulation, &cron_job(&format!("c{number}"), &format!("{} * * * *", number % 60)))?;
    }
    pass(&mut simulation, SignedDuration::from_hours(3));
    let begun = Instant::now();
    pass(&mut simulation, SignedDuration::from_hours(6));
    let rate = 6.0 / begun.elapsed().as_secs_f64();
    Ok(Row::new(
        "simulate",
        "1,000 hourly CronJobs with Jobs and pods, simulated hours per second",
        rate,
        "h/s",
    ))
}

/// How long a year of 1,000 hourly CronJobs takes if only the controller's decisions are made, of which there are two
/// for each Job: at its start and at its end. On one processor.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn year_of_decisions() -> anyhow::Result<Row> {
    let since: Timestamp = START.parse()?;
    let until = since + SignedDuration::from_hours(365 * 24);
    let zone = TimeZone::get("America/New_York")?;
    let begun = Instant::now();
    let mut starts = 0;
    for number in 0..1_000 {
        let schedule = Schedule::parse(&format!("{} * * * *", number % 60))?;
        let timing = Timing { schedule: &schedule, zone: &zone, since, deadline_seconds: None };
        let policy =
            [ConcurrencyPolicy::Allow, ConcurrencyPolicy::Forbid, ConcurrencyPolicy::Replace][number % 3];
        starts += Decisions::new(timing, policy, SignedDuration::from_secs(20), until).count();
    }
    anyhow::ensure!(starts == 1_000 * 365 * 24, "{starts} starts");
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Row::new("simulate", "a year of 1,000 hourly CronJobs, decisions alone", seconds, "s")
        .with_target("≤ 60"))
}
