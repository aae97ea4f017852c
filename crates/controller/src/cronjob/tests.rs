//! One look, and one look after the other.

mod properties;

use cronlet_object::{
    Key, Kind, Write,
    api::{CronJob, Job, Namespace, Time},
    ledger::{Decision, Entry, Reason, Run},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    Controller,
    testing::{World, at},
};

/// A CronJob created at 09:59:30 with `spec` on top of what every CronJob has.
fn cron_job(world: &mut World, spec: &Value) -> Key {
    let mut object = json!({
        "metadata": {"name": "nightly", "uid": "cj", "creationTimestamp": "2026-03-01T09:59:30Z"},
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "c", "image": "busybox:1.36", "command": ["true"]}],
                }}},
            },
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    world.put_json::<CronJob>(object)
}

fn look(world: &mut World, key: &Key, now: &str) -> Option<Timestamp> {
    world.now = at(now);
    world.reconcile(Controller::CronJob, key)
}

/// Marks a Job as finished.
fn finish(world: &mut World, name: &str, outcome: &str, now: &str) {
    let mut job = world.decode::<Job>(&Key::new(Kind::Job, "default", name));
    job.status = Some(
        serde_json::from_value(json!({
            "startTime": now, "completionTime": now, "conditions": [{"type": outcome, "status": "True"}],
        }))
        .unwrap(),
    );
    world.put(&job);
}

fn decisions(world: &World) -> Vec<(Option<Timestamp>, Reason)> {
    let of = |entry: &Entry| match entry {
        Entry::Decision(Decision { scheduled, reason, .. }) => Some((*scheduled, *reason)),
        Entry::Run(_) => None,
    };
    world.ledger.iter().filter_map(of).collect()
}

fn active(world: &World, key: &Key) -> Vec<String> {
    let active = world.decode::<CronJob>(key).status.and_then(|status| status.active);
    active.into_iter().flatten().filter_map(|job| job.name).collect()
}

fn event(kind: &str, count: i32) -> (String, i32) {
    (kind.to_owned(), count)
}

#[test]
fn a_tick_is_one_transaction() {
    let mut world = World::new("2026-03-01T10:00:00.05Z");
    let key = cron_job(&mut world, &json!({"timeZone": "Europe/Berlin"}));
    let revision = world.get(&key).unwrap().revision();
    let plan = world.plan(Controller::CronJob, &key);
    assert_eq!(plan.wake_at, Some(at("2026-03-01T10:01:00Z")), "at the tick, not after it");
    let [Write::Create(event), Write::Create(job), Write::Update { draft, expect }] =
        plan.transaction.writes.as_slice()
    else {
        panic!("{:?}", plan.transaction.writes)
    };
    assert_eq!((event.key().kind, job.key().kind), (Kind::Event, Kind::Job));
    assert_eq!((draft.key(), *expect), (&key, revision));
    let [Entry::Decision(decision), Entry::Run(run)] = plan.transaction.ledger.as_slice() else {
        panic!("{:?}", plan.transaction.ledger)
    };
    assert_eq!(decision.reason, Reason::Started);
    assert_eq!(decision.scheduled, Some(at("2026-03-01T10:00:00Z")));
    assert_eq!(run.job_uid, job.meta().uid.as_ref());

    world.commit(plan.transaction);
    let job = world.decode::<Job>(&Key::new(Kind::Job, "default", "nightly-29539320"));
    let annotations = job.metadata.annotations.unwrap();
    assert_eq!(annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"], "2026-03-01T11:00:00+01:00");
    assert_eq!(job.metadata.labels.unwrap()["app"], "x");
    let owner = &job.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.uid.as_str(), owner.controller), ("cj", Some(true)));
    let status = world.decode::<CronJob>(&key).status.unwrap();
    assert_eq!(status.last_schedule_time, Some(Time(at("2026-03-01T10:00:00Z"))));
    let listed = &status.active.unwrap()[0];
    assert_eq!(listed.uid, job.metadata.uid);
    assert!(world.plan(Controller::CronJob, &key).transaction.is_empty(), "no tick fires twice");
}

#[test]
fn forbid_holds_back_the_latest_tick_and_says_so_once_a_tick() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"concurrencyPolicy": "Forbid"}));
    look(&mut world, &key, "2026-03-01T10:00:00Z");
    for now in
        ["2026-03-01T10:01:00Z", "2026-03-01T10:01:20Z", "2026-03-01T10:02:00Z", "2026-03-01T10:02:59Z"]
    {
        look(&mut world, &key, now);
    }
    assert_eq!(world.events(), [event("Normal SuccessfulCreate", 1), event("Normal JobAlreadyActive", 2)]);
    finish(&mut world, "nightly-29539320", "Complete", "2026-03-01T10:02:59Z");
    let wake_at = look(&mut world, &key, "2026-03-01T10:02:59.5Z");
    assert_eq!(wake_at, Some(at("2026-03-01T10:03:00Z")));
    assert_eq!(active(&world, &key), ["nightly-29539322"], "the tick of 10:02 waited, that of 10:01 is lost");
    assert_eq!(
        decisions(&world),
        [
            (Some(at("2026-03-01T10:00:00Z")), Reason::Started),
            (Some(at("2026-03-01T10:01:00Z")), Reason::ForbiddenByActiveJob),
            (Some(at("2026-03-01T10:02:00Z")), Reason::ForbiddenByActiveJob),
            (Some(at("2026-03-01T10:02:00Z")), Reason::Started),
        ]
    );
}

#[test]
fn replace_ends_the_running_job_in_the_transaction_that_starts_the_next() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"concurrencyPolicy": "Replace"}));
    look(&mut world, &key, "2026-03-01T10:00:00Z");
    look(&mut world, &key, "2026-03-01T10:01:00Z");
    assert_eq!(world.names(Kind::Job), ["nightly-29539321"]);
    assert_eq!(active(&world, &key), ["nightly-29539321"]);
    let reasons: Vec<String> = world.events().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["Normal SuccessfulCreate", "Normal SuccessfulDelete", "Normal SuccessfulCreate"]);
}

#[test]
fn allow_runs_side_by_side() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"concurrencyPolicy": "Allow"}));
    for now in ["2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z", "2026-03-01T10:02:00Z"] {
        look(&mut world, &key, now);
    }
    assert_eq!(active(&world, &key).len(), 3);
}

#[test]
fn a_suspended_cron_job_waits_without_an_alarm() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"suspend": true}));
    assert_eq!(look(&mut world, &key, "2026-03-01T10:05:00Z"), None);
    assert!(world.names(Kind::Job).is_empty() && world.events().is_empty());
}

#[test]
fn what_only_a_new_spec_can_mend_is_told_once() {
    for (spec, reason, decision) in [
        (json!({"timeZone": "Mars/Phobos"}), "UnknownTimeZone", Reason::UnknownTimeZone),
        (json!({"schedule": "61 * * * *"}), "UnparseableSchedule", Reason::InvalidSchedule),
        (json!({"schedule": "0 0 31 2 *"}), "InvalidSchedule", Reason::InvalidSchedule),
    ] {
        let mut world = World::new("2026-03-01T10:00:00Z");
        let key = cron_job(&mut world, &spec);
        for now in ["2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z", "2026-03-01T10:02:00Z"] {
            assert_eq!(look(&mut world, &key, now), None, "{reason}");
        }
        assert_eq!(world.events(), [event(&format!("Warning {reason}"), 1)]);
        assert_eq!(decisions(&world), [(None, decision)]);
    }
}

#[test]
fn a_zone_in_a_stored_schedule_is_heeded_with_a_warning() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"schedule": "TZ=America/New_York 1 5 * * *"}));
    let wake_at = look(&mut world, &key, "2026-03-01T10:00:30Z");
    assert_eq!(wake_at, Some(at("2026-03-01T10:01:00Z")), "05:01 in New York");
    look(&mut world, &key, "2026-03-01T10:00:40Z");
    assert_eq!(world.events(), [event("Warning UnsupportedSchedule", 1)]);
}

#[test]
fn nothing_is_started_or_said_in_a_namespace_that_ends() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({}));
    let mut namespace = world.decode::<Namespace>(&Key::new(Kind::Namespace, "", "default"));
    namespace.metadata.deletion_timestamp = Some(Time(world.now));
    world.put(&namespace);
    assert_eq!(look(&mut world, &key, "2026-03-01T10:00:00Z"), None);
    assert!(world.names(Kind::Job).is_empty() && world.events().is_empty() && world.ledger.is_empty());
}

#[test]
fn a_job_of_someone_else_under_the_name_is_left_alone() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({}));
    world.put_json::<Job>(json!({"metadata": {"name": "nightly-29539320"}, "spec": {"template": {}}}));
    let wake_at = look(&mut world, &key, "2026-03-01T10:00:00Z");
    assert_eq!(wake_at, Some(at("2026-03-01T10:01:00Z")));
    assert!(active(&world, &key).is_empty() && world.events().is_empty());
    look(&mut world, &key, "2026-03-01T10:01:00Z");
    assert_eq!(active(&world, &key), ["nightly-29539321"]);
}

#[test]
fn an_own_job_that_the_status_does_not_know_counts_as_started() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({}));
    look(&mut world, &key, "2026-03-01T10:00:00Z");
    let mut forgetful = world.decode::<CronJob>(&key);
    forgetful.status = None;
    world.put(&forgetful);
    look(&mut world, &key, "2026-03-01T10:00:01Z");
    assert_eq!(active(&world, &key), ["nightly-29539320"]);
    assert_eq!(decisions(&world)[1], (Some(at("2026-03-01T10:00:00Z")), Reason::AlreadyStarted));
    assert_eq!(world.names(Kind::Job).len(), 1);
}

#[test]
fn several_ticks_in_a_minute_start_one_job() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"schedule": "@every 20s"}));
    assert_eq!(look(&mut world, &key, "2026-03-01T10:00:10Z"), Some(at("2026-03-01T10:00:30Z")));
    finish(&mut world, "nightly-29539320", "Complete", "2026-03-01T10:00:11Z");
    let wake_at = look(&mut world, &key, "2026-03-01T10:00:30Z");
    assert_eq!(wake_at, Some(at("2026-03-01T10:00:50Z")));
    assert!(active(&world, &key).is_empty(), "what has ended does not become active again");
    assert_eq!(world.names(Kind::Job), ["nightly-29539320"]);
}

#[test]
fn a_missed_deadline_is_entered_when_the_next_tick_starts() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({"schedule": "0 * * * *", "startingDeadlineSeconds": 60}));
    for now in ["2026-03-01T12:30:00Z", "2026-03-01T12:31:00Z"] {
        assert_eq!(look(&mut world, &key, now), Some(at("2026-03-01T13:00:00Z")));
        assert!(world.ledger.is_empty());
    }
    look(&mut world, &key, "2026-03-01T13:00:00Z");
    look(&mut world, &key, "2026-03-01T13:00:01Z");
    assert_eq!(
        decisions(&world),
        [
            (Some(at("2026-03-01T12:00:00Z")), Reason::DeadlineMissed),
            (Some(at("2026-03-01T13:00:00Z")), Reason::Started),
        ]
    );
}

#[test]
fn jobs_started_by_hand_are_seen_and_their_success_counts() {
    let mut world = World::new("2026-03-01T09:59:40Z");
    let key = cron_job(&mut world, &json!({}));
    world.put_json::<Job>(json!({
        "metadata": {"name": "by-hand", "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "cj", "controller": true,
        }]},
        "spec": {"template": {}},
    }));
    look(&mut world, &key, "2026-03-01T09:59:41Z");
    look(&mut world, &key, "2026-03-01T09:59:42Z");
    assert_eq!(world.events(), [event("Warning UnexpectedJob", 1)]);
    finish(&mut world, "by-hand", "Complete", "2026-03-01T09:59:50Z");
    look(&mut world, &key, "2026-03-01T09:59:51Z");
    let status = world.decode::<CronJob>(&key).status.unwrap();
    assert_eq!(status.last_successful_time, Some(Time(at("2026-03-01T09:59:50Z"))));
    assert!(world.plan(Controller::CronJob, &key).transaction.is_empty());
}

#[test]
fn ended_and_missing_jobs_leave_the_active_list() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({}));
    for now in ["2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z"] {
        look(&mut world, &key, now);
    }
    finish(&mut world, "nightly-29539320", "Failed", "2026-03-01T10:01:05Z");
    world.snapshot.remove(&Key::new(Kind::Job, "default", "nightly-29539321"), 1_000);
    look(&mut world, &key, "2026-03-01T10:01:06Z");
    let status = world.decode::<CronJob>(&key).status.unwrap();
    assert_eq!((status.active, status.last_successful_time), (None, None));
    let reasons: Vec<String> = world.events().split_off(2).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["Normal SawCompletedJob", "Normal MissingJob"]);
}

#[test]
fn a_refused_job_is_told_once_a_tick_and_tried_again_at_the_next() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let template = json!({"spec": {"template": {"spec": {"restartPolicy": "Always", "containers": []}}}});
    let key = cron_job(&mut world, &json!({"jobTemplate": template}));
    for now in ["2026-03-01T10:00:00Z", "2026-03-01T10:00:30Z", "2026-03-01T10:01:00Z"] {
        let wake_at = look(&mut world, &key, now).unwrap();
        assert_eq!(wake_at.as_second() % 60, 0);
    }
    assert_eq!(world.events(), [event("Warning FailedCreate", 1), event("Warning FailedCreate", 1)]);
    let refused = |time| (Some(at(time)), Reason::CreateFailed);
    assert_eq!(decisions(&world), [refused("2026-03-01T10:00:00Z"), refused("2026-03-01T10:01:00Z")]);
    assert_eq!(world.decode::<CronJob>(&key).status.unwrap_or_default().last_schedule_time, None);
}

#[test]
fn the_ledger_knows_the_run() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = cron_job(&mut world, &json!({}));
    look(&mut world, &key, "2026-03-01T10:00:00Z");
    let runs: Vec<&Run> =
        world.ledger.iter().filter_map(|e| if let Entry::Run(run) = e { Some(run) } else { None }).collect();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.job.as_str(), run.cronjob.as_deref()), ("nightly-29539320", Some("nightly")));
    assert_eq!((run.scheduled, run.finished), (Some(at("2026-03-01T10:00:00Z")), None));
}
