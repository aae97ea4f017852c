//! Pods of Jobs that do not start: told of after a while, and given up where their Job says so.
//!
//! Upstream waits for ever: a Job whose image has a typing error neither runs nor fails. So this does too, unless the
//! Job (or the CronJob that made it) carries `cronlet.dev/start-timeout`. A pod of which no container has started by
//! then is deleted, which the Job counts as a failure of the pod like any other; its condition
//! `cronlet.dev/StartTimeout` says why, for people and for rules of a pod failure policy.

use cronlet_object::{
    Ids, Key, Kind, Object, Snapshot, Typed, Write,
    api::{ContainerStatus, Job, Pod, PodCondition, PodStatus, Time},
    deletion::{self, Deletion},
    event::{self, Note, Recorder},
};
use cronlet_schedule::parse_duration;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

use crate::{Plan, View, limits::UNSTARTED_WARNING_AFTER};

/// Annotation of a Job or CronJob: how long its pods may take to start, as a Go duration such as `10m`.
pub const START_TIMEOUT: &str = "cronlet.dev/start-timeout";
/// The condition of a pod that was given up.
const CONDITION: &str = "cronlet.dev/StartTimeout";
/// The component that speaks in events, as of everything about a Job.
const COMPONENT: &str = "job-controller";

/// Looks at one pod.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.snapshot.get(key).filter(|pod| pod.meta().deleted.is_none()) else { return plan };
    let (Some(job), Some(created)) = (job_of(object, view.snapshot), object.meta().created) else {
        return plan;
    };
    let pod: Pod = object.decode();
    if !is_to_start(&pod) {
        return plan;
    }
    let timeout = start_timeout(job);
    let at = |after: SignedDuration| created.saturating_add(after).unwrap_or(Timestamp::MAX);
    let recorder = Recorder { snapshot: view.snapshot, now: view.now, component: COMPONENT, host: None };
    let about = event::reference(job);
    let mut tell = |plan: &mut Plan, note: Note<'_>| {
        if recorder.last_told(&about, &note).is_none_or(|told| told < created) {
            recorder.record(&mut plan.transaction.writes, &about, &note, ids);
        }
    };
    if let Err(error) = &timeout {
        tell(&mut plan, Note::warning("InvalidStartTimeout", error));
    }
    let (reason, why) = waits_for(&pod);
    if let Some(over) = timeout.ok().flatten().map(at) {
        if over <= view.now {
            let waited = view.now.duration_since(created).as_secs();
            let message = format!("Pod {} has not started within {waited} s: {why}", object.name());
            tell(&mut plan, Note::warning("StartTimeout", &message));
            plan.transaction.writes.extend(give_up(object, pod, &reason, &message, view.now));
            return plan;
        }
        plan.wake_at = Some(over);
    }
    // Where no node runs pods, somebody else does, and takes the time that it takes.
    if view.settings.node_name.is_some() {
        let warn_at = at(UNSTARTED_WARNING_AFTER);
        if warn_at > view.now {
            plan.wake_at = Some(plan.wake_at.map_or(warn_at, |over| over.min(warn_at)));
        } else {
            // Worded without the time, so that it is told once.
            let message = format!("Pod {} has not started yet: {why}", object.name());
            tell(&mut plan, Note::warning("PodNotStarted", &message));
        }
    }
    plan
}

/// The pods to look at when a Job has changed: its timeout may have.
pub(crate) fn concerned<'a>(
    job: &'a Object,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = &'a Object> + use<'a> {
    let pods = job.json().contains(START_TIMEOUT).then(|| snapshot.dependents(&job.meta().uid));
    pods.into_iter().flatten().map(AsRef::as_ref).filter(|pod: &&Object| pod.kind() == Kind::Pod)
}

fn job_of<'a>(pod: &Object, snapshot: &'a Snapshot) -> Option<&'a Object> {
    let owner = pod.meta().controller().filter(|owner| owner.kind.as_ref() == "Job")?;
    let job = snapshot.get(&Key::new(Kind::Job, pod.namespace(), owner.name.as_ref()))?;
    (job.meta().uid == owner.uid).then_some(job)
}

/// How long the pods of a Job may take to start: `None` for ever.
fn start_timeout(job: &Object) -> Result<Option<SignedDuration>, String> {
    if !job.json().contains(START_TIMEOUT) {
        return Ok(None);
    }
    let annotations = job.decode::<Job>().metadata.annotations.unwrap_or_default();
    let Some(text) = annotations.get(START_TIMEOUT) else { return Ok(None) };
    match parse_duration(text) {
        Ok(timeout) if timeout.is_positive() => Ok(Some(timeout)),
        Ok(_) => Err(format!("annotation {START_TIMEOUT} is ignored: {text} is not more than nothing")),
        Err(error) => Err(format!("annotation {START_TIMEOUT} is ignored: {error}")),
    }
}

/// Whether a pod is expected to start and has not: none of its containers has ever run. One that its scheduling gates
/// hold back is not expected to.
fn is_to_start(pod: &Pod) -> bool {
    let status = pod.status.clone().unwrap_or_default();
    let has_run = |container: &ContainerStatus| {
        let state = container.state.clone().unwrap_or_default();
        state.running.is_some() || state.terminated.is_some() || container.restart_count > 0
    };
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    status.phase.as_deref().is_none_or(|phase| phase == "Pending")
        && gates.is_none_or(Vec::is_empty)
        && !containers(&status).any(has_run)
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().chain(&status.container_statuses).flatten()
}

/// What a pod waits for: a reason as a code, and in words.
fn waits_for(pod: &Pod) -> (String, String) {
    let status = pod.status.clone().unwrap_or_default();
    let waiting = containers(&status).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone()?;
        let words = waiting.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        Some((reason.clone(), format!("container {} is waiting, {reason}{words}", container.name)))
    });
    let unscheduled = status.conditions.iter().flatten().find_map(|condition| {
        let holds = condition.type_ == "PodScheduled" && condition.status == "False";
        let reason = condition.reason.clone().unwrap_or_default();
        holds.then(|| (reason, condition.message.clone().unwrap_or_default()))
    });
    waiting.or(unscheduled).unwrap_or_else(|| ("Pending".to_owned(), "it is pending".to_owned()))
}

/// Deletes a pod, with a condition that says why.
fn give_up(object: &Object, pod: Pod, reason: &str, message: &str, now: Timestamp) -> Option<Write> {
    let marked = deletion::delete(object, &DeleteOptions::default(), now).ok()?;
    let expect = object.revision();
    let mut pod: Pod = match marked {
        Deletion::Mark(draft) => Pod { status: pod.status, ..draft.seal(expect).decode() },
        Deletion::Remove => return Some(Write::Delete { key: object.key().clone(), expect }),
        Deletion::Unchanged => return None,
    };
    pod.status.get_or_insert_default().conditions.get_or_insert_default().push(PodCondition {
        type_: CONDITION.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    });
    deletion::replace(object, &Typed::from(pod))
}

#[cfg(test)]
mod tests;
