//! Rest: when nothing is left to do, nothing that is due is undone, and nothing is left over.

use std::{collections::HashSet, iter, rc::Rc};

use cronlet_object::{
    Kind, Object, Snapshot,
    api::{CronJobSpec, ObjectReference},
};
use cronlet_schedule::{Schedule, load_time_zone};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    Checked, ensure,
    read::{JobRead, PodRead, back_off, dependents, is_tracked, size},
};
use crate::{Checks, Simulation};

/// Between how many rests all objects are searched for what is left over.
const SEARCH_INTERVAL_RESTS: u32 = 8;

/// See [`Checks::rest`].
pub(super) fn check(checks: &Checks, simulation: &Simulation) -> Checked {
    let snapshot = simulation.snapshot();
    for object in snapshot.list(Kind::CronJob) {
        checks.references_hold(object, snapshot)?;
        checks.history_is_bounded(object, snapshot)?;
        checks.is_started(object, simulation)?;
    }
    for object in snapshot.list(Kind::Job) {
        checks.job_moves_on(object, snapshot, simulation.now())?;
    }
    if checks.rests.is_multiple_of(SEARCH_INTERVAL_RESTS) {
        checks.nothing_is_left_over(snapshot)
    } else {
        Ok(())
    }
}

impl Checks {
    fn nothing_is_left_over(&self, snapshot: &Snapshot) -> Checked {
        let uids: HashSet<&str> = snapshot.iter().map(|object| object.meta().uid.as_ref()).collect();
        for object in snapshot.iter() {
            let told = || object.key().to_string();
            let namespace = object.namespace();
            let has_namespace = namespace.is_empty() || snapshot.namespace_is_open(namespace);
            ensure(has_namespace, "objects lie in namespaces", told)?;
            let meta = object.meta();
            let owned = meta.owners.is_empty() || meta.owners.iter().any(|owner| uids.contains(&*owner.uid));
            ensure(owned || meta.deleted.is_some(), "nothing outlives its owner", told)?;
            let gone = meta.deleted.is_some() && meta.finalizers.is_empty() && object.kind() != Kind::Pod;
            ensure(!gone, "what is deleted goes", told)?;
            if object.kind() == Kind::Pod && is_tracked(object) {
                let job = super::owner(object, Kind::Job, snapshot);
                let open = job.is_some_and(|job| !self.reader.job(job).is_finished());
                ensure(open, "only the pods of Jobs that run are held", told)?;
            }
        }
        Ok(())
    }

    /// `status.active` lists the Jobs that run.
    fn references_hold(&self, object: &Object, snapshot: &Snapshot) -> Checked {
        let listed: Vec<ObjectReference> = self
            .reader
            .cron_job(object)
            .status
            .iter()
            .flat_map(|status| status.active.clone())
            .flatten()
            .collect();
        let told = || format!("{}: {listed:?}", object.name());
        let running = |job: &&Object| !self.reader.job(job).is_finished();
        for reference in &listed {
            let found = dependents(object, Kind::Job, snapshot)
                .filter(running)
                .any(|job| Some(job.meta().uid.as_ref()) == reference.uid.as_deref());
            ensure(found, "status.active lists Jobs that run", told)?;
        }
        if object.meta().deleted.is_some() {
            return Ok(());
        }
        for job in dependents(object, Kind::Job, snapshot).filter(running) {
            let is_listed = listed.iter().any(|reference| reference.uid.as_deref() == Some(&*job.meta().uid));
            let excused = self.edited.contains(&object.meta().uid);
            ensure(
                is_listed || excused || self.reader.job(job).scheduled.is_none(),
                "status.active lists what was started",
                told,
            )?;
        }
        Ok(())
    }

    fn history_is_bounded(&self, object: &Object, snapshot: &Snapshot) -> Checked {
        let cron_job = self.reader.cron_job(object);
        let spec = &cron_job.spec;
        let finished: Vec<Rc<JobRead>> = dependents(object, Kind::Job, snapshot)
            .filter(|job| job.meta().deleted.is_none())
            .map(|job| self.reader.job(job))
            .filter(|job| job.is_finished())
            .collect();
        let successful = finished.iter().filter(|job| job.condition("Complete").is_some()).count();
        let limits = [
            (successful, spec.successful_jobs_history_limit.unwrap_or(3)),
            (finished.len() - successful, spec.failed_jobs_history_limit.unwrap_or(1)),
        ];
        let holds =
            object.meta().deleted.is_some() || limits.iter().all(|(count, limit)| *count <= size(*limit));
        ensure(holds, "history limits hold", || format!("{}: {limits:?}", object.name()))
    }

    /// A scheduled time that has come was started, unless the spec has a reason why not.
    fn is_started(&self, object: &Object, simulation: &Simulation) -> Checked {
        let snapshot = simulation.snapshot();
        let cron_job = self.reader.cron_job(object);
        let spec = &cron_job.spec;
        let status = cron_job.status.clone().unwrap_or_default();
        if spec.suspend == Some(true) || object.meta().deleted.is_some() {
            return Ok(());
        }
        let Some(due) = due(spec, object, status.last_schedule_time.map(|time| time.0), simulation) else {
            return Ok(());
        };
        let forbidden = spec.concurrency_policy.as_deref() == Some("Forbid")
            && status.active.as_ref().is_some_and(|active| !active.is_empty());
        // A name belongs to a minute, and to who had it first.
        let name = format!("{}-{}", object.name(), due.as_second() / 60);
        let taken = snapshot.list_namespace(Kind::Job, object.namespace()).any(|job| job.name() == name);
        ensure(forbidden || taken, "what is due is started", || {
            format!("{} at {}: due {due}", object.name(), simulation.now())
        })
    }
}

/// The latest scheduled time that may still be started; none where upstream's own search may find none.
fn due(
    spec: &CronJobSpec,
    object: &Object,
    last: Option<Timestamp>,
    simulation: &Simulation,
) -> Option<Timestamp> {
    let schedule = Schedule::parse(&spec.schedule).ok()?;
    let zone = match &spec.time_zone {
        Some(name) => load_time_zone(name).ok()?,
        None => simulation.settings().time_zone.clone(),
    };
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if schedule.interval_seconds().is_some() && deadline.is_some() {
        // The times of an interval are counted from the first that may still be started, which the deadline moves.
        return None;
    }
    let now = simulation.now();
    let since = last.or(object.meta().created)?;
    let earliest = deadline.and_then(|deadline| now.checked_sub(deadline).ok());
    let from = earliest.map_or(since, |earliest| earliest.max(since));
    let due = schedule.latest_within(from, now, &zone)?;
    if !is_found_from_before(&schedule, since, due, &zone) {
        return None;
    }
    // Upstream extrapolates from the first two times; where they are not typical, it may look too late.
    let first = schedule.next_after(from, &zone)?;
    let second = schedule.next_after(first, &zone)?;
    let step = second.duration_since(first);
    let after = schedule.next_after(due, &zone)?;
    let regular = second > now || due == first || after.duration_since(due) <= step;
    regular.then_some(due)
}

/// Whether the search finds a time from wherever a controller may begin it. Around a change of the clocks upstream's
/// library does not: there it finds some times from an hour before and from a second before, but not from between.
fn is_found_from_before(schedule: &Schedule, since: Timestamp, due: Timestamp, zone: &TimeZone) -> bool {
    const MISREAD: SignedDuration = SignedDuration::from_hours(3);
    const STEP: SignedDuration = SignedDuration::from_mins(1);
    let finds = |from: Timestamp| schedule.between(from, due, zone).any(|time| time == due);
    let begin = due.checked_sub(MISREAD).map_or(since, |begin| begin.max(since));
    let changed =
        zone.preceding(due + STEP).next().is_some_and(|change| change.timestamp() >= begin - MISREAD);
    let minutes = iter::successors(Some(begin), |from| from.checked_add(STEP).ok());
    finds(since) && (!changed || minutes.take_while(|from| *from < due).all(finds))
}

impl Checks {
    fn job_moves_on(&self, object: &Object, snapshot: &Snapshot, now: Timestamp) -> Checked {
        let job = self.reader.job(object);
        let pods = self.reader.pods_of(object, snapshot);
        let told = || {
            let pods: Vec<String> = pods.iter().map(|pod| format!("{} {}", pod.name, pod.phase)).collect();
            format!("{} at {now}: {:?}, pods {pods:?}", object.name(), job.status)
        };
        if object.meta().deleted.is_some() || job.is_managed_elsewhere() {
            return Ok(());
        }
        if job.is_finished() {
            let ttl = job.spec.ttl_seconds_after_finished.map(|ttl| SignedDuration::from_secs(ttl.into()));
            let over = job.finished_at().zip(ttl).is_some_and(|(at, ttl)| at + ttl <= now);
            return ensure(!over, "ttlSecondsAfterFinished removes the Job", told);
        }
        let running = pods.iter().filter(|pod| pod.is_active()).count();
        let terminating = pods.iter().filter(|pod| pod.is_terminating()).count();
        let status = &job.status;
        let shown = [status.active, status.terminating].map(|count| count.map_or(0, size));
        ensure(shown == [running, terminating], "the status shows the pods", told)?;
        let overdue = |pod: &Rc<PodRead>| {
            let over = pod.created.zip(job.start_timeout).map(|(created, timeout)| created + timeout);
            pod.phase == "Pending" && !pod.deleting && over.is_some_and(|over| over <= now)
        };
        ensure(!pods.iter().any(overdue), "a pod that does not start in time is given up", told)?;
        let ending = job.condition("FailureTarget").or_else(|| job.condition("SuccessCriteriaMet")).is_some();
        if ending {
            return ensure(running == 0 && terminating > 0, "a verdict is carried out", told);
        }
        if job.is_suspended() {
            ensure(job.condition("Suspended").is_some(), "a suspended Job says so", told)?;
            return ensure(running == 0, "a suspended Job has no pods", told);
        }
        if let (Some(start), Some(limit)) = (&status.start_time, job.spec.active_deadline_seconds) {
            let passed = now.duration_since(start.0).as_secs() >= limit;
            ensure(!passed, "activeDeadlineSeconds ends the Job", told)?;
        }
        // One that is being deleted counts as failed already, unless the Job waits for its end.
        let failed = pods.iter().filter(|pod| pod.phase == "Failed" || pod.is_terminating());
        let seen: Vec<Timestamp> =
            failed.filter_map(|pod| pod.finished.or(pod.deleted).or(pod.created)).collect();
        let (commits, last_counted) = self.failures_counted.get(&object.meta().uid).copied().unzip();
        // Failures that a policy has ignored are counted nowhere.
        let ignored = if job.spec.pod_failure_policy.is_some() { usize::MAX } else { 0 };
        let longest = back_off((job.failed() + seen.len()).max(commits.unwrap_or_default()).max(ignored));
        let last = seen.into_iter().chain(last_counted).max();
        let over = last.map(|last| last.saturating_add(longest).unwrap_or(Timestamp::MAX));
        let is_delayed = over.is_some_and(|over| self.clock_set_back || now <= over);
        pods_are_enough(&job, &pods, is_delayed, told)
    }
}

/// The pods that a Job wants run, unless a failure delays them.
fn pods_are_enough(
    job: &JobRead,
    pods: &[Rc<PodRead>],
    is_delayed: bool,
    told: impl Fn() -> String,
) -> Checked {
    let running = pods.iter().filter(|pod| pod.is_active()).count();
    let terminating = pods.iter().filter(|pod| pod.is_terminating()).count();
    let wanted = match job.spec.completions.map(size) {
        _ if job.is_indexed() => {
            let failed = job.failed_indexes().len();
            let open = job.spec.completions.map_or(0, size).saturating_sub(job.succeeded() + failed);
            open.min(job.parallelism())
        }
        Some(completions) => completions.saturating_sub(job.succeeded()).min(job.parallelism()),
        None if job.succeeded() > 0 => {
            return ensure(running + terminating > 0, "a work queue without workers is done", told);
        }
        None => job.parallelism(),
    };
    let held = if job.waits_for_terminating() { terminating } else { 0 };
    let nothing_wanted = wanted == 0 && running == 0 && terminating == 0 && job.parallelism() > 0;
    ensure(!nothing_wanted, "a Job that needs nothing more is done", &told)?;
    ensure(running + held >= wanted || is_delayed, "a Job has the pods it wants", told)
}
