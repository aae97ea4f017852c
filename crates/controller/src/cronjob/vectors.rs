//! The controller against outcomes recorded from Kubernetes: `tests/data/schedule.yaml`.

use std::collections::BTreeMap;

use cronlet_object::{
    Change, Key, Kind,
    api::{CronJob, Event, Job},
    ledger::{Decision, Entry, Reason},
};
use cronlet_schedule::Schedule;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    beyond_limit,
    children::{self, Child, Outcome},
    due::{Missed, Timing},
    template,
};
use crate::{Controller, affected, testing::World};

const VECTORS: &str = include_str!("../../tests/data/schedule.yaml");
/// How far a requeue may be from the recorded one beside upstream's padding, in seconds.
const TOLERANCE_SECONDS: f64 = 0.01;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    requeue_padding_seconds: f64,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    #[serde(default)]
    cron_job: Value,
    creation_timestamp: Option<Timestamp>,
    last_schedule_time: Option<Timestamp>,
    #[serde(default)]
    active: Vec<Value>,
    #[serde(default)]
    owned_jobs: Vec<StoredJob>,
    #[serde(default)]
    jobs_only_in_api_server: Vec<StoredJob>,
    #[serde(default)]
    jobs: Vec<StoredJob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredJob {
    name: String,
    uid: Option<String>,
    creation_timestamp: Option<Timestamp>,
    start_time: Option<Timestamp>,
    completion_time: Option<Timestamp>,
    finished: Option<String>,
}

/// What a case expects, compared one by one; the first difference is the answer.
struct Check<'a>(&'a Value);

impl Check<'_> {
    fn same(&self, field: &str, found: &Value) -> Result<(), String> {
        match self.0.get(field) {
            Some(expected) if expected != found => Err(format!("{field}: found {found}, not {expected}")),
            _ => Ok(()),
        }
    }

    fn time(&self, field: &str, found: Option<Timestamp>) -> Result<(), String> {
        self.same(field, &found.map_or(Value::Null, |time| json!(time.to_string())))
    }

    fn requeue(&self, now: Timestamp, wake_at: Option<Timestamp>, padding: f64) -> Result<(), String> {
        let expected = self.0["requeueAfterSeconds"].as_f64();
        let found = wake_at.map(|time| time.duration_since(now).as_secs_f64() + padding);
        let close = |(a, b): (f64, f64)| (a - b).abs() < TOLERANCE_SECONDS;
        if found.is_none() && expected.is_none() || found.zip(expected).is_some_and(close) {
            return Ok(());
        }
        Err(format!("requeueAfterSeconds: found {found:?}, not {expected:?}"))
    }
}

#[test]
fn every_recorded_case_comes_out_as_in_kubernetes() {
    // The file has `x: y`, and that is a text.
    let options = serde_saphyr::options! { strict_booleans: true };
    let file: File = serde_saphyr::from_str_with_options(VECTORS, options).unwrap();
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for case in &file.cases {
        let kind = case["kind"].as_str().unwrap();
        *counts.entry(kind.to_owned()).or_insert(0) += 1;
        let outcome = match kind {
            "sync" => sync(case, file.requeue_padding_seconds),
            "mostRecent" => most_recent(case),
            "dueSlot" => due_slot(case),
            "requeue" => requeue(case, file.requeue_padding_seconds),
            "history" => history(case),
            "jobOrder" => job_order(case),
            "specChange" => spec_change(case, file.requeue_padding_seconds),
            "ownership" => ownership(case),
            "jobFromTemplate" => job_from_template(case),
            _ => Err("unknown kind of case".to_owned()),
        };
        if let Err(problem) = outcome {
            failures.push(format!("{} ({}): {problem}", case["id"], case["name"]));
        }
    }
    assert!(counts.len() >= 9, "kinds of cases are missing: {counts:?}");
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

fn now(case: &Value) -> Timestamp {
    parsed(&case["now"])
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// A world with the CronJob of a case and its Jobs.
fn world(case: &Value, spec: &Value) -> (World, Key) {
    let state: State = parsed(&case["state"]);
    let now = now(case);
    let mut world = World::new(&now.to_string());
    let mut metadata = json!({"namespace": "default", "name": "mycronjob", "uid": "1a2b3c"});
    metadata["creationTimestamp"] = json!(state.creation_timestamp.or(state.last_schedule_time));
    for (field, value) in state.cron_job.as_object().into_iter().flatten() {
        metadata[field] = value.clone();
    }
    if !metadata["deletionTimestamp"].is_null() {
        metadata["finalizers"] = json!(["example.com/keep"]);
    }
    let namespace = metadata["namespace"].as_str().unwrap().to_owned();
    world.namespace(&namespace);
    let mut spec = spec.clone();
    spec["jobTemplate"] = json!({"spec": {"template": {"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "i", "command": ["true"]}],
    }}}});
    let active: Vec<Value> = state.active.iter().map(|job| reference(&namespace, job)).collect();
    let status = json!({"active": active, "lastScheduleTime": state.last_schedule_time});
    let owner = metadata.clone();
    let key = world.put_json::<CronJob>(json!({"metadata": metadata, "spec": spec, "status": status}));
    for job in state.owned_jobs.iter().chain(&state.jobs_only_in_api_server).chain(&state.jobs) {
        world.put_json::<Job>(job.to_json(&owner));
    }
    (world, key)
}

fn reference(namespace: &str, job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": job["name"], "uid": job["uid"],
    })
}

impl StoredJob {
    fn to_json(&self, owner: &Value) -> Value {
        let finished = self.finished.as_ref();
        let conditions: Vec<Value> =
            finished.map(|outcome| json!({"type": outcome, "status": "True"})).into_iter().collect();
        json!({
            "metadata": {
                "namespace": owner["namespace"], "name": self.name, "uid": self.uid,
                "creationTimestamp": self.creation_timestamp,
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "CronJob", "name": owner["name"], "uid": owner["uid"],
                    "controller": true,
                }],
            },
            "spec": {"template": {}},
            "status": {
                "startTime": self.start_time, "completionTime": self.completion_time, "conditions": conditions,
            },
        })
    }
}

fn sync(case: &Value, padding: f64) -> Result<(), String> {
    for field in ["createJobError", "getJobError"] {
        assert!(case["state"].get(field).is_none(), "there is no call here that could fail: {}", case["id"]);
    }
    let (mut world, key) = world(case, &case["spec"]);
    let before = world.decode::<CronJob>(&key);
    let jobs_before = world.names(Kind::Job);
    let wake_at = world.reconcile(Controller::CronJob, &key);
    let after = world.decode::<CronJob>(&key);
    let jobs_after = world.names(Kind::Job);
    let created: Vec<&String> = jobs_after.iter().filter(|name| !jobs_before.contains(name)).collect();
    let deleted: Vec<&String> = jobs_before.iter().filter(|name| !jobs_after.contains(name)).collect();

    let check = Check(&case["expect"]);
    check.same("create", &json!(!created.is_empty()))?;
    if let Some(name) = created.first() {
        check.same("jobName", &json!(name))?;
        check.time("scheduledTime", started(&world))?;
    }
    check.same("delete", &json!(deleted))?;
    check.same("events", &events(&world))?;
    check.same("statusUpdate", &json!(before.status != after.status))?;
    let status = after.status.unwrap_or_default();
    check.same("activeCount", &json!(status.active.map_or(0, |active| active.len())))?;
    if case["expect"].get("lastScheduleTime").is_some() {
        check.time("lastScheduleTime", status.last_schedule_time.map(|time| time.0))?;
    }
    if case["expect"].get("lastSuccessfulTime").is_some() {
        check.time("lastSuccessfulTime", status.last_successful_time.map(|time| time.0))?;
    }
    check.requeue(world.now, wake_at, padding)?;
    settled(&mut world, &key)
}

/// A second look at the same time has nothing to write.
fn settled(world: &mut World, key: &Key) -> Result<(), String> {
    let again = world.plan(Controller::CronJob, key).transaction;
    if again.is_empty() { Ok(()) } else { Err(format!("a second look writes {again:?}")) }
}

/// The scheduled time for which the ledger says that a Job was started.
fn started(world: &World) -> Option<Timestamp> {
    world.ledger.iter().find_map(|entry| match entry {
        Entry::Decision(Decision { reason: Reason::Started, scheduled, .. }) => *scheduled,
        _ => None,
    })
}

fn events(world: &World) -> Value {
    let mut events: Vec<_> = world.snapshot.list(Kind::Event).collect();
    events.sort_by_key(|event| event.revision());
    let shown = events.into_iter().map(|event| {
        let event = event.decode::<Event>();
        json!({"type": event.type_, "reason": event.reason})
    });
    shown.collect()
}

/// What a case says of a [`Timing`].
struct Given {
    schedule: Schedule,
    zone: TimeZone,
    since: Timestamp,
    deadline_seconds: Option<i64>,
}

impl Given {
    fn of(case: &Value) -> Self {
        let state: State = parsed(&case["state"]);
        Given {
            schedule: Schedule::parse(case["spec"]["schedule"].as_str().unwrap()).unwrap(),
            zone: TimeZone::UTC,
            since: state.last_schedule_time.or(state.creation_timestamp).unwrap(),
            deadline_seconds: case["spec"]["startingDeadlineSeconds"].as_i64(),
        }
    }

    fn timing(&self) -> Timing<'_> {
        Timing {
            schedule: &self.schedule,
            zone: &self.zone,
            since: self.since,
            deadline_seconds: self.deadline_seconds,
        }
    }
}

fn most_recent(case: &Value) -> Result<(), String> {
    let mut given = Given::of(case);
    if !case["considerDeadline"].as_bool().unwrap() {
        given.deadline_seconds = None;
    }
    let passed = given.timing().due(now(case));
    let check = Check(&case["expect"]);
    let Ok(passed) = passed else { return check.time("mostRecent", None) };
    check.time("earliest", Some(passed.earliest))?;
    check.time("mostRecent", passed.most_recent)?;
    let missed = match passed.missed {
        Missed::None => "none",
        Missed::Few => "few",
        Missed::Many => "many",
    };
    check.same("missed", &json!(missed))
}

fn due_slot(case: &Value) -> Result<(), String> {
    let (mut world, key) = world(case, &case["spec"]);
    world.reconcile(Controller::CronJob, &key);
    let check = Check(&case["expect"]);
    check.time("slot", started(&world))?;
    let mut events = events(&world);
    events.as_array_mut().unwrap().retain(|event| event["reason"] != "SuccessfulCreate");
    check.same("events", &events)
}

fn requeue(case: &Value, padding: f64) -> Result<(), String> {
    let next = Given::of(case).timing().next_look(now(case));
    Check(&case["expect"]).requeue(now(case), next, padding)
}

fn history(case: &Value) -> Result<(), String> {
    let (mut world, key) = world(case, &case["spec"]);
    let before = world.names(Kind::Job);
    world.reconcile(Controller::CronJob, &key);
    let after = world.names(Kind::Job);
    let deleted: Vec<&String> = before.iter().filter(|name| !after.contains(name)).collect();
    Check(&case["expect"]).same("deleted", &json!(deleted))
}

fn job_order(case: &Value) -> Result<(), String> {
    let mut world = World::new("2020-01-01T00:00:00Z");
    let owner = json!({"namespace": "default", "name": "mycronjob", "uid": "1a2b3c"});
    let rows: Vec<(String, Option<Timestamp>)> = parsed(&case["jobs"]);
    let jobs = rows.into_iter().map(|(name, start_time)| {
        let job = StoredJob {
            name,
            start_time,
            uid: None,
            creation_timestamp: None,
            completion_time: None,
            finished: Some("Failed".into()),
        };
        let key = world.put_json::<Job>(job.to_json(&owner));
        Child::of(world.get(&key).unwrap())
    });
    let ordered = beyond_limit(&jobs.collect::<Vec<_>>(), Outcome::Failed, 0);
    let names: Vec<&str> = ordered.iter().map(|job| job.name()).collect();
    Check(&case["expect"]).same("order", &json!(names))
}

/// A changed spec is looked at as soon as it is committed; what this look finds is when the next one is.
fn spec_change(case: &Value, padding: f64) -> Result<(), String> {
    let (mut world, key) = world(case, &case["old"]);
    let old = world.get(&key).cloned();
    let mut changed = world.decode::<CronJob>(&key);
    let schedule = case["new"]["schedule"].as_str().unwrap();
    changed.spec.schedule = schedule.to_owned();
    changed.spec.time_zone = case["new"]["timeZone"].as_str().map(str::to_owned);
    changed.spec.suspend = case["new"]["suspend"].as_bool();
    changed.spec.starting_deadline_seconds = case["new"]["startingDeadlineSeconds"].as_i64();
    changed.spec.concurrency_policy = case["new"]["concurrencyPolicy"].as_str().map(str::to_owned);
    world.put(&changed);
    let change = Change { revision: world.snapshot.revision(), old, new: world.get(&key).cloned() };
    if !affected(&change, &world.snapshot).contains(&(Controller::CronJob, key.clone())) {
        return Err("the change is not looked at".to_owned());
    }
    let at_once = case["expect"]["requeueAfterSeconds"].as_f64() == Some(0.0);
    let wake_at = world.reconcile(Controller::CronJob, &key);
    if at_once { Ok(()) } else { Check(&case["expect"]).requeue(world.now, wake_at, padding) }
}

fn ownership(case: &Value) -> Result<(), String> {
    let mut world = World::new("2020-01-01T00:00:00Z");
    let mut owner = case["cronJob"].clone();
    owner["uid"] = json!("1a2b3c");
    let key = world.put_json::<CronJob>(
        json!({"metadata": owner, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": {}}}}}),
    );
    for job in case["jobs"].as_array().unwrap() {
        let owned = job["ownedBy"].as_str().map(|name| {
            let uid = if owner["name"] == name { "1a2b3c" } else { "another" };
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": uid, "controller": true})
        });
        world.put_json::<Job>(json!({
            "metadata": {"namespace": job["ns"], "name": job["name"], "ownerReferences": Vec::from_iter(owned)},
            "spec": {"template": {}},
        }));
    }
    let children = children::of(world.get(&key).unwrap(), &world.snapshot);
    let names: Vec<&str> = children.iter().map(Child::name).collect();
    Check(&case["expect"]).same("reconciled", &json!(names))
}

fn job_from_template(case: &Value) -> Result<(), String> {
    let spec = &case["cronJob"];
    let mut template = spec["jobTemplate"].clone();
    template["spec"]["template"] = json!({});
    let cron_job: CronJob = parsed(&json!({
        "metadata": {"namespace": "default", "name": "mycronjob", "uid": "1a2b3c"},
        "spec": {"schedule": "@daily", "jobTemplate": template},
    }));
    let zone = spec["timeZone"].as_str().map_or(TimeZone::UTC, |name| TimeZone::get(name).unwrap());
    let job = template::job(&cron_job, parsed(&case["scheduledTime"]), &zone);
    let metadata = serde_json::to_value(&job.metadata).unwrap();
    let check = Check(&case["expect"]);
    for field in ["name", "labels", "annotations", "ownerReferences"] {
        check.same(field, &metadata[field])?;
    }
    check.same("specCopied", &json!(job.spec == cron_job.spec.job_template.spec))
}

#[test]
fn the_padding_upstream_adds_is_not_ours() {
    let start: Timestamp = "2016-05-19T10:00:00Z".parse().unwrap();
    let schedule = Schedule::parse("@hourly").unwrap();
    let given = Given { schedule, zone: TimeZone::UTC, since: start, deadline_seconds: None };
    let next = given.timing().next_look(start + SignedDuration::from_secs(1));
    assert_eq!(next, Some(start + SignedDuration::from_hours(1)), "a look at the very second");
}
