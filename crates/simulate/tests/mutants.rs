//! The tester's test: controllers that are broken on purpose, each in one way that a careless change could bring
//! about, must be caught.

use cronlet_controller::{Controller, Plan, View};
use cronlet_object::{
    Draft, Ids, Key, Kind, Snapshot, Typed, Write,
    api::{Job, JobCondition},
};
use cronlet_simulate::{Course, Decide};
use jiff::{SignedDuration, Timestamp};

/// Seeds that a mutant may survive.
const SEEDS: u64 = 3_000;

/// Runs seeds until the mutant is caught, and tells how.
fn is_caught(name: &str, decide: Decide, invariants: &[&str]) {
    let failure = (0..SEEDS).find_map(|seed| Course::draw(seed).prove(decide).err());
    let failure = failure.unwrap_or_else(|| panic!("{name} survived {SEEDS} seeds"));
    println!("{name} is caught:\n{failure}");
    assert!(
        invariants.contains(&failure.violation.invariant),
        "{name} is caught for another reason: {failure}"
    );
    assert!(failure.course.events.len() <= 6, "the course is not short: {failure}");
    assert!(!failure.trace.is_empty());
}

#[test]
fn a_job_name_that_does_not_come_from_the_scheduled_time() {
    fn decide(controller: Controller, view: &View<'_>, key: &Key, ids: &mut Ids) -> Plan {
        let mut plan = controller.reconcile(view, key, ids);
        if controller == Controller::CronJob {
            for write in &mut plan.transaction.writes {
                if let Write::Create(draft) = write
                    && draft.key().kind == Kind::Job
                {
                    let mut job = decode(draft);
                    job.metadata.name = Some(ids.name(&format!("{}-", key.name)));
                    *draft = Draft::of(&job);
                }
            }
        }
        plan
    }
    let invariants = ["a Job is named for its scheduled minute", "the ledger says what was started"];
    is_caught("a name that is random", decide, &invariants);
}

#[test]
fn a_pod_that_is_counted_twice() {
    /// The counters move, but the pods that were counted are not let go: the next pass counts them again.
    fn decide(controller: Controller, view: &View<'_>, key: &Key, ids: &mut Ids) -> Plan {
        let mut plan = controller.reconcile(view, key, ids);
        if controller == Controller::Job {
            plan.transaction.writes.retain(|write| {
                !matches!(write, Write::Update { draft, .. }
                if draft.key().kind == Kind::Pod && draft.meta().finalizers.is_empty())
            });
        }
        plan
    }
    is_caught("a pod that is not let go", decide, &["counters agree with the pods"]);
}

#[test]
fn a_job_that_stops_at_its_verdict() {
    /// The second condition, which ends the Job, is never added.
    fn decide(controller: Controller, view: &View<'_>, key: &Key, ids: &mut Ids) -> Plan {
        let mut plan = controller.reconcile(view, key, ids);
        if controller == Controller::Job {
            let ends = |condition: &JobCondition| matches!(condition.type_.as_str(), "Complete" | "Failed");
            for write in &mut plan.transaction.writes {
                edit(write, |job| {
                    if let Some(status) = &mut job.status {
                        status.conditions.iter_mut().for_each(|list| list.retain(|c| !ends(c)));
                        status.completion_time = None;
                    }
                });
            }
        }
        plan
    }
    let invariants = ["a verdict is carried out", "the controllers come to rest"];
    is_caught("a verdict without an end", decide, &invariants);
}

#[test]
fn a_deadline_that_is_forgotten_when_a_job_resumes() {
    fn decide(controller: Controller, view: &View<'_>, key: &Key, ids: &mut Ids) -> Plan {
        let mut plan = controller.reconcile(view, key, ids);
        if controller == Controller::Job
            && let Some(job) = view.snapshot.get(key)
            && job.json().contains("\"JobResumed\"")
            && plan.wake_at.is_some()
            && plan.wake_at == deadline(&job.decode())
        {
            plan.wake_at = None;
        }
        plan
    }
    is_caught("a forgotten deadline", decide, &["activeDeadlineSeconds ends the Job"]);
}

#[test]
fn a_replacement_beside_a_pod_that_still_ends() {
    /// The controller does not see the pods that are being deleted, whatever `podReplacementPolicy` says.
    fn decide(controller: Controller, view: &View<'_>, key: &Key, ids: &mut Ids) -> Plan {
        if controller != Controller::Job {
            return controller.reconcile(view, key, ids);
        }
        let mut snapshot: Snapshot = view.snapshot.clone();
        let ending: Vec<Key> = snapshot
            .list(Kind::Pod)
            .filter(|pod| pod.meta().deleted.is_some() && !pod.json().contains("\"terminated\""))
            .map(|pod| pod.key().clone())
            .collect();
        let revision = snapshot.revision();
        ending.iter().for_each(|key| drop(snapshot.remove(key, revision)));
        controller.reconcile(&View { snapshot: &snapshot, ..*view }, key, ids)
    }
    let invariants = [
        "at most parallelism pods at once",
        "one pod for each open index",
        "the status shows the pods",
        "a finished Job's pods have ended",
    ];
    is_caught("a replacement that comes too early", decide, &invariants);
}

/// When a Job has been active for too long.
fn deadline(job: &Job) -> Option<Timestamp> {
    let start = job.status.as_ref()?.start_time.as_ref()?.0;
    let limit = job.spec.as_ref()?.active_deadline_seconds?;
    Some(start + SignedDuration::from_secs(limit))
}

fn decode(draft: &Draft) -> Job {
    draft.clone().seal(1).decode()
}

/// Edits the Job that is written, if one is.
fn edit(write: &mut Write, change: impl Fn(&mut Job)) {
    if let Write::Update { draft, .. } = write
        && draft.key().kind == Kind::Job
    {
        let mut job = decode(draft);
        change(&mut job);
        *draft = Draft::new(&Typed::Job(Box::new(job)));
    }
}
