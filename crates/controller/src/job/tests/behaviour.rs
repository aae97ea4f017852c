//! What upstream's tables leave out: transactions, limits, events, the ledger, and what others wrote.

use cronlet_object::{
    ApiError, Draft, Ids, Key, Kind, Write,
    api::{Job, JobStatus, Namespace, Pod, Time},
    ledger,
};
use jiff::SignedDuration;
use serde_json::json;

use super::{
    given::{job, job_key, pod, settle, world},
    scenarios::Stage,
};
use crate::{
    Controller, View,
    job::{limits, reconcile_admitting},
    testing::World,
};

fn conditions(status: &JobStatus) -> Vec<&str> {
    status.conditions.iter().flatten().map(|condition| condition.type_.as_str()).collect()
}

fn stage(spec: &serde_json::Value) -> Stage {
    let mut stage = Stage::new();
    stage.create(spec);
    stage.settle();
    stage
}

#[test]
fn the_final_condition_comes_in_a_transaction_of_its_own() {
    let mut stage = stage(&json!({}));
    stage.set_pods(&json!({"phase": "Succeeded"}));
    stage.world.reconcile(Controller::Job, &job_key());
    assert_eq!(conditions(&stage.status()), ["SuccessCriteriaMet"]);
    assert_eq!((stage.status().succeeded, stage.status().completion_time), (Some(1), None));
    stage.world.reconcile(Controller::Job, &job_key());
    assert_eq!(conditions(&stage.status()), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(stage.status().completion_time, Some(Time(stage.world.now)));
}

#[test]
fn a_job_at_rest_is_not_written() {
    let mut stage = stage(&json!({"parallelism": 3, "completions": 3, "activeDeadlineSeconds": 60}));
    let started = stage.world.now;
    stage.world.now += SignedDuration::from_secs(7);
    let plan = stage.world.plan(Controller::Job, &job_key());
    assert!(plan.transaction.is_empty() && plan.transaction.require.is_empty());
    assert_eq!(plan.wake_at, Some(started + SignedDuration::from_secs(60)));
}

#[test]
fn events_tell_what_happened() {
    let mut stage = stage(&json!({"suspend": true}));
    stage.patch(&json!({"suspend": false}));
    stage.settle();
    stage.set_pods(&json!({"phase": "Succeeded"}));
    stage.settle();
    let pod = stage.pods().remove(0).metadata.name.unwrap();
    let wanted = [
        ("Suspended", "Job suspended".to_owned()),
        ("SuccessfulCreate", format!("Created pod: {pod}")),
        ("Resumed", "Job resumed".to_owned()),
        ("Completed", "Job completed".to_owned()),
    ];
    let mut events: Vec<_> = stage.world.snapshot.list(Kind::Event).collect();
    events.sort_by_key(|event| event.revision());
    let told: Vec<_> = events.iter().map(|event| event.value()).collect();
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    for (event, (reason, message)) in told.iter().zip(wanted) {
        assert_eq!((&event["reason"], &event["message"]), (&json!(reason), &json!(message)));
        assert_eq!(event["source"]["component"], "job-controller");
    }
}

#[test]
fn the_reason_of_a_failure_is_told() {
    let mut stage = stage(&json!({"backoffLimit": 0}));
    stage.set_pods(&json!({"phase": "Failed"}));
    stage.settle();
    let told: Vec<String> = stage.world.events().into_iter().map(|(told, _)| told).collect();
    assert_eq!(told, ["Normal SuccessfulCreate", "Warning BackoffLimitExceeded"]);
}

#[test]
fn a_run_is_entered_when_it_starts_and_when_it_ends() {
    let mut stage = stage(&json!({"backoffLimit": 0}));
    stage.set_pods(&json!({"phase": "Failed", "exitCode": 3}));
    stage.settle();
    let runs: Vec<&ledger::Run> = stage
        .world
        .ledger
        .iter()
        .map(|entry| match entry {
            ledger::Entry::Run(run) => run,
            ledger::Entry::Decision(decision) => panic!("{decision:?}"),
        })
        .collect();
    let [begun, ended] = runs[..] else { panic!("{runs:?}") };
    assert_eq!((begun.job.as_str(), &begun.finished, &begun.outcome), ("job", &None, &None));
    assert_eq!(ended.job_uid, begun.job_uid);
    assert_eq!(ended.outcome.as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!(ended.finished, Some(stage.world.now));
    assert_eq!((ended.containers.len(), ended.containers[0].exit_code), (1, 3));
}

#[test]
fn a_run_that_a_tick_has_entered_is_entered_only_at_its_end() {
    let mut world = world();
    let mut object = job(&json!({}), &json!({}), world.now);
    let scheduled = ("batch.kubernetes.io/cronjob-scheduled-timestamp", "2026-03-01T13:00:00+01:00");
    object.metadata.annotations = Some([(scheduled.0.to_owned(), scheduled.1.to_owned())].into());
    world.put(&object);
    world.reconcile(Controller::Job, &job_key());
    assert_eq!(world.ledger, []);
}

#[test]
fn a_failed_pod_that_is_gone_still_delays_its_replacement() {
    let mut stage = stage(&json!({}));
    stage.delete_pods(&json!({}));
    stage.settle();
    assert_eq!((stage.pods().len(), stage.status().failed, stage.status().active), (0, Some(1), None));
    for _ in 0..9 {
        stage.pass_second();
        assert_eq!(stage.pods().len(), 0);
    }
    stage.pass_second();
    assert_eq!(stage.pods().len(), 1);
    // The second failure in a row delays twice as long.
    stage.set_pods(&json!({"phase": "Failed"}));
    let failed_at = stage.world.now;
    assert_eq!(
        stage.world.reconcile(Controller::Job, &job_key()),
        Some(failed_at + SignedDuration::from_secs(20))
    );
    stage.world.now += SignedDuration::from_secs(20);
    stage.settle();
    stage.set_pods(&json!({"phase": "Succeeded"}));
    stage.settle();
    let job: Job = stage.world.decode(&job_key());
    assert_eq!(conditions(job.status.as_ref().unwrap()), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(job.metadata.annotations, None, "the record goes with the Job's end");
}

#[test]
fn with_a_limit_per_index_each_index_waits_for_itself() {
    let mut stage = stage(&json!({"parallelism": 2, "completions": 3, "completionMode": "Indexed",
        "backoffLimitPerIndex": 2}));
    stage.set_pods(&json!({"phase": "Failed", "index": 0}));
    stage.settle();
    stage.world.now += SignedDuration::from_secs(4);
    stage.set_pods(&json!({"phase": "Failed", "index": 1}));
    stage.settle();
    let failed_at = stage.world.now;
    assert_eq!(
        (stage.status().active, stage.status().failed),
        (None, None),
        "no index has its replacement yet"
    );
    let wake_at = stage.world.reconcile(Controller::Job, &job_key());
    assert_eq!(wake_at, Some(failed_at + SignedDuration::from_secs(6)), "index 0 is due first");
    stage.world.now += SignedDuration::from_secs(6);
    stage.settle();
    assert_eq!((stage.status().active, stage.status().failed), (Some(1), Some(1)));
    let replaced = stage
        .pods()
        .into_iter()
        .find(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending"));
    let annotations = replaced.and_then(|pod| pod.metadata.annotations).unwrap();
    assert_eq!(annotations["batch.kubernetes.io/job-index-failure-count"], "1");
    assert_eq!(annotations["batch.kubernetes.io/job-completion-index"], "0");
    let wake_at = stage.world.reconcile(Controller::Job, &job_key());
    assert_eq!(wake_at, Some(failed_at + SignedDuration::from_secs(10)), "then index 1");
}

#[test]
fn failed_indexes_fail_the_job_at_its_end() {
    let spec = json!({"parallelism": 2, "completions": 2, "completionMode": "Indexed",
        "backoffLimitPerIndex": 1});
    let end = |second: &str| {
        let mut stage = stage(&spec);
        stage.set_pods(&json!({"phase": "Succeeded", "index": 1}));
        stage.set_pods(&json!({"phase": "Failed", "index": 0}));
        stage.settle();
        assert_eq!((stage.status().failed, stage.status().failed_indexes.as_deref()), (None, Some("")));
        stage.world.now += SignedDuration::from_secs(10);
        stage.settle();
        stage.set_pods(&json!({"phase": second, "index": 0}));
        stage.settle();
        stage.status()
    };
    let (succeeded, failed) = (end("Succeeded"), end("Failed"));
    assert_eq!(conditions(&succeeded), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!((succeeded.completed_indexes.as_deref(), succeeded.failed), (Some("0,1"), Some(1)));
    assert_eq!(conditions(&failed), ["FailureTarget", "Failed"]);
    assert_eq!(failed.conditions.unwrap()[1].reason.as_deref(), Some("FailedIndexes"));
    assert_eq!((failed.failed_indexes.as_deref(), failed.failed), (Some("0"), Some(2)));
}

#[test]
fn the_deadline_counts_from_the_resumption() {
    let mut stage = stage(&json!({"activeDeadlineSeconds": 10}));
    stage.world.now += SignedDuration::from_secs(8);
    stage.patch(&json!({"suspend": true}));
    stage.settle();
    stage.world.now += SignedDuration::from_secs(100);
    stage.patch(&json!({"suspend": false}));
    stage.settle();
    assert_eq!(stage.status().start_time, Some(Time(stage.world.now)));
    stage.world.now += SignedDuration::from_secs(9);
    stage.settle();
    assert_eq!(stage.status().active, Some(1));
    stage.pass_second();
    let status = stage.status();
    assert_eq!(conditions(&status), ["Suspended", "FailureTarget", "Failed"]);
    assert_eq!(status.conditions.unwrap()[2].reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn a_job_resumed_before_its_start_time_was_cleared_does_not_miss_its_deadline() {
    let mut world = world();
    let suspended = json!({"startTime": "2026-03-01T10:00:00Z",
        "conditions": [{"type": "Suspended", "status": "True", "reason": "JobSuspended"}]});
    world.put(&job(&json!({"activeDeadlineSeconds": 10}), &suspended, world.now));
    let wake_at = world.reconcile(Controller::Job, &job_key());
    assert_eq!(wake_at, Some(world.now + SignedDuration::from_secs(10)));
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.start_time, status.active), (Some(Time(world.now)), Some(1)));
}

#[test]
fn the_job_must_be_unchanged_when_only_pods_are_written() {
    let mut world = world();
    let mut stored = job(&json!({"completions": 1}), &json!({}), world.now);
    stored.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    stored.metadata.deletion_timestamp = Some(Time(world.now));
    world.put(&stored);
    world.put(&pod("a", world.now, &json!({"status": {"phase": "Running"}})));
    world.reconcile(Controller::Job, &job_key());
    world.put(&pod("a", world.now, &json!({"status": {"phase": "Running"}})));
    let plan = world.plan(Controller::Job, &job_key());
    assert_eq!(plan.transaction.writes.len(), 1, "the pod is let go");
    assert_eq!(plan.transaction.require.len(), 1);
    assert_eq!(plan.transaction.require[0].key, job_key());
}

#[test]
fn nothing_is_created_in_a_terminating_namespace() {
    let mut world = world();
    world.put(&job(&json!({"parallelism": 3, "completions": 3}), &json!({}), world.now));
    world.put(&pod("a", world.now, &json!({"status": {"phase": "Succeeded"}})));
    let mut namespace: Namespace = world.decode(&Key::new(Kind::Namespace, "", "default"));
    namespace.metadata.deletion_timestamp = Some(Time(world.now));
    world.put(&namespace);
    world.reconcile(Controller::Job, &job_key());
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.succeeded, status.active), (Some(1), None));
    assert_eq!((world.names(Kind::Pod).len(), world.events()), (1, vec![]));
}

#[test]
fn a_refused_pod_is_told_and_tried_again_later() {
    let mut world = world();
    world.put(&job(&json!({}), &json!({}), world.now));
    let view = View { snapshot: &world.snapshot, now: world.now, settings: &world.settings };
    let mut refuse = |_: Pod, _: &mut Ids| -> Result<Draft, ApiError> {
        Err(ApiError::forbidden(Kind::Pod, "job-x", "no"))
    };
    let plan = reconcile_admitting(&view, &job_key(), &mut Ids::seeded(1), &mut refuse);
    let retry = SignedDuration::from_secs(limits::REFUSED_CREATION_RETRY_SECONDS);
    assert_eq!(plan.wake_at, Some(world.now + retry));
    world.commit(plan.transaction);
    let events: Vec<_> = world.snapshot.list(Kind::Event).map(|event| event.value()).collect();
    assert_eq!(events[0]["message"], "Error creating: pods \"job-x\" is forbidden: no");
    assert_eq!(events[0]["reason"], "FailedCreate");
    assert_eq!(world.decode::<Job>(&job_key()).status.unwrap().active, None);
}

/// A world with a Job and `count` pods of it.
fn crowd(spec: &serde_json::Value, count: usize, patch: &serde_json::Value) -> World {
    let mut world = world();
    world.put(&job(spec, &json!({"startTime": world.now}), world.now));
    for at in 0..count {
        let mut pod = pod(&format!("pod-{at:05}"), world.now, patch);
        if spec["completionMode"] == "Indexed" {
            let index = ("batch.kubernetes.io/job-completion-index".to_owned(), at.to_string());
            pod.metadata.annotations = Some([index].into());
        }
        world.put(&pod);
    }
    world
}

#[test]
fn a_pass_keeps_to_its_limits() {
    let mut world = crowd(
        &json!({"parallelism": 1200, "completions": 1200, "suspend": true}),
        1200,
        &json!({"status": {"phase": "Running"}}),
    );
    let plan = world.plan(Controller::Job, &job_key());
    let deleted = plan.transaction.writes.iter().filter(|write| write.key().kind == Kind::Pod).count();
    let told = plan.transaction.writes.iter().filter(|write| matches!(write, Write::Create(_))).count();
    assert_eq!(deleted, limits::DELETIONS_PER_PASS_MAX);
    assert_eq!(told, limits::EVENTS_PER_REASON_MAX + 1);
    settle(&mut world);
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.active, status.failed, status.terminating), (None, None, Some(1200)));
}

#[test]
fn many_pods_are_counted_once_each_over_several_passes() {
    let spec = json!({"parallelism": 1200, "completions": 1200});
    let mut world = crowd(&spec, 1200, &json!({"status": {"phase": "Succeeded"}}));
    world.reconcile(Controller::Job, &job_key());
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!(status.succeeded, Some(500));
    assert_eq!(conditions(&status), ["SuccessCriteriaMet"]);
    world.reconcile(Controller::Job, &job_key());
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.succeeded, conditions(&status).len()), (Some(1000), 1), "it is not complete yet");
    settle(&mut world);
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.succeeded, conditions(&status).len()), (Some(1200), 2));
}

#[test]
fn many_pods_stopped_by_a_success_policy_do_not_count_as_failed() {
    let spec = json!({"parallelism": 1200, "completions": 1200, "completionMode": "Indexed",
        "successPolicy": {"rules": [{"succeededCount": 1}]}});
    let mut world = crowd(&spec, 1200, &json!({"status": {"phase": "Running"}}));
    let mut first = world.decode::<Pod>(&Key::new(Kind::Pod, "default", "pod-00000"));
    first.status.get_or_insert_default().phase = Some("Succeeded".to_owned());
    world.put(&first);
    settle(&mut world);
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.succeeded, status.failed, status.terminating), (Some(1), None, Some(1199)));
    assert_eq!(conditions(&status), ["SuccessCriteriaMet"]);
}

#[test]
fn pods_that_another_controller_listed_as_uncounted_are_counted_once() {
    let mut world = world();
    let status = json!({"startTime": world.now, "failed": 2,
        "uncountedTerminatedPods": {"succeeded": ["gone", "held"], "failed": ["lost", "broken"]}});
    // The limit is reached, but not exceeded.
    world.put(&job(&json!({"completions": 9, "parallelism": 0, "backoffLimit": 4}), &status, world.now));
    world.put(&pod("held", world.now, &json!({"status": {"phase": "Succeeded"}})));
    world.put(&pod("broken", world.now, &json!({"status": {"phase": "Failed"}})));
    settle(&mut world);
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.succeeded, status.failed, conditions(&status)), (Some(2), Some(4), vec![]));
    assert_eq!(json!(status.uncounted_terminated_pods), json!({}));
}

#[test]
fn an_uncounted_pod_that_still_runs_stays_listed() {
    let mut world = world();
    let status = json!({"startTime": world.now, "uncountedTerminatedPods": {"failed": ["odd"]}});
    world.put(&job(&json!({}), &status, world.now));
    world.put(&pod("odd", world.now, &json!({"status": {"phase": "Running"}})));
    settle(&mut world);
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.failed, status.active), (None, Some(1)));
    assert_eq!(json!(status.uncounted_terminated_pods), json!({"failed": ["odd"]}));
}

#[test]
fn a_job_of_another_controller_is_left_alone() {
    let mut world = world();
    world.put(&job(&json!({"managedBy": "example.com/other"}), &json!({}), world.now));
    world.put(&pod("a", world.now, &json!({"status": {"phase": "Failed"}})));
    assert!(world.plan(Controller::Job, &job_key()).transaction.is_empty());
    assert!(world.plan(Controller::JobPod, &Key::new(Kind::Pod, "default", "a")).transaction.is_empty());
    world.put(&job(&json!({"managedBy": "kubernetes.io/job-controller"}), &json!({}), world.now));
    assert!(!world.plan(Controller::Job, &job_key()).transaction.is_empty());
}

#[test]
fn a_finished_job_lets_go_of_what_it_still_holds() {
    let mut world = world();
    let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    world.put(&job(&json!({}), &complete, world.now));
    world.put(&pod("a", world.now, &json!({"status": {"phase": "Running"}})));
    world.reconcile(Controller::Job, &job_key());
    let pod: Pod = world.decode(&Key::new(Kind::Pod, "default", "a"));
    assert_eq!((pod.metadata.finalizers, pod.metadata.deletion_timestamp), (None, None));
}

#[test]
fn a_manual_selector_adopts_what_it_selects() {
    let mut world = world();
    let spec = json!({"manualSelector": true, "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": null,
        "app": "x"}}});
    world.put(&job(&spec, &json!({}), world.now));
    let stray = json!({"metadata": {"ownerReferences": null, "finalizers": null, "labels": {"app": "x"}},
        "status": {"phase": "Succeeded"}});
    world.put(&pod("stray", world.now, &stray));
    settle(&mut world);
    let status = world.decode::<Job>(&job_key()).status.unwrap();
    assert_eq!((status.succeeded, conditions(&status)), (Some(1), vec!["SuccessCriteriaMet", "Complete"]));
    let pod: Pod = world.decode(&Key::new(Kind::Pod, "default", "stray"));
    assert_eq!(pod.metadata.owner_references.unwrap()[0].uid, "job-uid");
    assert_eq!(pod.metadata.finalizers, None, "it was adopted and counted in one write");
}

#[test]
fn names_that_are_taken_are_not_given_again() {
    let mut world = world();
    world.put(&job(&json!({}), &json!({}), world.now));
    let view = |world: &World| reconcile(world);
    let first = view(&world);
    let mut taken = pod(&first, world.now, &json!({"metadata": {"ownerReferences": null, "labels": null}}));
    taken.metadata.finalizers = None;
    world.put(&taken);
    assert_ne!(view(&world), first);
}

/// The name of the pod that a pass with fresh randomness creates.
fn reconcile(world: &World) -> String {
    let view = View { snapshot: &world.snapshot, now: world.now, settings: &world.settings };
    let plan = crate::job::reconcile(&view, &job_key(), &mut Ids::seeded(42));
    let created = plan.transaction.writes.iter().find(|write| write.key().kind == Kind::Pod).unwrap();
    created.key().name.to_string()
}
