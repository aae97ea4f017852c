//! What the containers of a Job are told of the run that they are a part of: when it was due, which attempt it is, and
//! the trace it belongs to.
//!
//! Only the node can tell this, and a program need not ask for it. What a container or its image defines itself holds.

use cronlet_object::{Key, Kind, Object};
use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use super::Inputs;
use crate::spec::ATTEMPT_VARIABLE;

/// When the run was due by the schedule of its CronJob, as RFC 3339 in the zone of that.
const SCHEDULED_VARIABLE: &str = "CRONLET_SCHEDULED_TIME";
/// W3C's trace context for processes.
const TRACE_VARIABLE: &str = "TRACEPARENT";

/// The index of a pod of an Indexed Job: label of the pod.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often the index of a pod had failed before: annotation of pods of Jobs with `backoffLimitPerIndex`.
const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// What of a Job tells about its runs.
#[derive(Deserialize)]
struct Job {
    metadata: Metadata,
    #[serde(default)]
    status: JobStatus,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(rename = "batch.kubernetes.io/cronjob-scheduled-timestamp")]
    scheduled: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JobStatus {
    failed: usize,
    uncounted_terminated_pods: Uncounted,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Uncounted {
    failed: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct PodGlance {
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
}

/// Adds what a container is told to its environment, and gives which attempt its first start is if that was told.
/// Pods that no Job manages are told nothing.
pub(super) fn tell(inputs: &Inputs<'_>, environment: &mut Vec<(String, String)>) -> Option<u32> {
    let object = job_of(inputs)?;
    let job: Job = serde_json::from_str(object.json()).ok()?;
    let mut add = |name: &str, value: Option<String>| {
        let is_new = environment.iter().all(|(known, _)| known != name);
        let value = value.filter(|_| is_new)?;
        environment.push((name.to_owned(), value.clone()));
        Some(value)
    };
    let scheduled = job.metadata.annotations.scheduled.as_ref();
    // Whoever makes Jobs may write what they like there.
    add(SCHEDULED_VARIABLE, scheduled.filter(|time| time.parse::<Timestamp>().is_ok()).cloned());
    add(TRACE_VARIABLE, trace_parent(object, inputs));
    let attempt = failures_before(inputs, object, &job.status).saturating_add(1);
    add(ATTEMPT_VARIABLE, Some(attempt.to_string())).map(|_| attempt)
}

/// The Job that manages the pod.
fn job_of<'a>(inputs: &Inputs<'a>) -> Option<&'a Object> {
    let metadata = &inputs.pod.metadata;
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    if owner.kind != "Job" {
        return None;
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let job = inputs.snapshot.get(&Key::new(Kind::Job, namespace, owner.name.as_str()))?;
    (*job.meta().uid == *owner.uid).then_some(job)
}

/// How often what the pod is to do had failed before: as a whole, or with its index.
fn failures_before(inputs: &Inputs<'_>, job: &Object, status: &JobStatus) -> u32 {
    let metadata = &inputs.pod.metadata;
    let counted = metadata.annotations.as_ref().and_then(|own| own.get(INDEX_FAILURES));
    if let Some(count) = counted.and_then(|count| count.parse().ok()) {
        return count;
    }
    let failed = status.failed.saturating_add(status.uncounted_terminated_pods.failed.len());
    let failed = match metadata.labels.as_ref().and_then(|labels| labels.get(INDEX)) {
        Some(index) if failed > 0 => {
            let others = inputs.snapshot.dependents(&job.meta().uid);
            others.filter(|other| other.meta().labels.get(INDEX) == Some(index) && has_failed(other)).count()
        }
        _ => failed,
    };
    u32::try_from(failed).unwrap_or(u32::MAX)
}

fn has_failed(pod: &Object) -> bool {
    let glance = serde_json::from_str::<PodGlance>(pod.json());
    pod.kind() == Kind::Pod && glance.is_ok_and(|pod| pod.status.phase == "Failed")
}

/// All attempts of a Job are in one trace, that of its UID; each pod is a span in it, of its own UID.
fn trace_parent(job: &Object, inputs: &Inputs<'_>) -> Option<String> {
    const SPAN_DIGITS: usize = 16;
    let trace = digits(&job.meta().uid)?;
    let span = digits(inputs.pod.metadata.uid.as_deref()?)?;
    let span = &span[..SPAN_DIGITS];
    // W3C: neither may be zero.
    let is_something = |id: &str| id.bytes().any(|digit| digit != b'0');
    (is_something(&trace) && is_something(span)).then(|| format!("00-{trace}-{span}-01"))
}

/// The 32 digits of a UUID.
fn digits(uid: &str) -> Option<String> {
    let digits: String = uid.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    (digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

#[cfg(test)]
mod tests;
