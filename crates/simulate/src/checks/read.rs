//! Stored objects as the checks read them.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use cronlet_object::{
    Kind, Object, Snapshot,
    api::{CronJob, Job, JobSpec, JobStatus, Pod},
};
use jiff::{SignedDuration, Timestamp};

pub(super) const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const BACKOFF_RECORD: &str = "cronlet.dev/backoff-record";
const START_TIMEOUT: &str = "cronlet.dev/start-timeout";
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Versions of objects that are remembered once they were read; more, and all are forgotten.
const REMEMBERED_MAX: usize = 20_000;

/// Reads each version of an object once: most checks look at what the last ones looked at.
#[derive(Debug, Default)]
pub(super) struct Reader {
    jobs: RefCell<HashMap<u64, Rc<JobRead>>>,
    pods: RefCell<HashMap<u64, Rc<PodRead>>>,
    cron_jobs: RefCell<HashMap<u64, Rc<CronJob>>>,
}

impl Reader {
    pub(super) fn job(&self, object: &Object) -> Rc<JobRead> {
        remembered(&self.jobs, object, JobRead::of)
    }

    pub(super) fn pod(&self, object: &Object) -> Rc<PodRead> {
        remembered(&self.pods, object, PodRead::of)
    }

    pub(super) fn cron_job(&self, object: &Object) -> Rc<CronJob> {
        remembered(&self.cron_jobs, object, Object::decode)
    }

    /// The pods that a Job controls.
    pub(super) fn pods_of(&self, job: &Object, snapshot: &Snapshot) -> Vec<Rc<PodRead>> {
        dependents(job, Kind::Pod, snapshot).map(|pod| self.pod(pod)).collect()
    }
}

/// A revision is that of one version of one object.
fn remembered<T>(known: &RefCell<HashMap<u64, Rc<T>>>, object: &Object, read: fn(&Object) -> T) -> Rc<T> {
    let mut known = known.borrow_mut();
    if known.len() > REMEMBERED_MAX {
        known.clear();
    }
    known.entry(object.revision()).or_insert_with(|| Rc::new(read(object))).clone()
}

/// A Job.
#[derive(Debug)]
pub(super) struct JobRead {
    pub(super) spec: JobSpec,
    pub(super) status: JobStatus,
    /// The time that it was started for, if a CronJob started it.
    pub(super) scheduled: Option<Timestamp>,
    /// The failures that it remembers.
    pub(super) record: Option<String>,
    /// How long its pods may take to start.
    pub(super) start_timeout: Option<SignedDuration>,
}

impl JobRead {
    fn of(object: &Object) -> Self {
        let job: Job = object.decode();
        let annotation = |key: &str| job.metadata.annotations.as_ref()?.get(key).cloned();
        JobRead {
            scheduled: annotation(SCHEDULED).and_then(|time| time.parse().ok()),
            record: annotation(BACKOFF_RECORD),
            start_timeout: annotation(START_TIMEOUT).and_then(|text| text.parse().ok()),
            spec: job.spec.unwrap_or_default(),
            status: job.status.unwrap_or_default(),
        }
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub(super) fn parallelism(&self) -> usize {
        self.spec.parallelism.map_or(1, size)
    }

    /// Whether another controller runs it.
    pub(super) fn is_managed_elsewhere(&self) -> bool {
        self.spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller")
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// Whether pods that are being deleted are replaced, and counted as failed, only when they have ended.
    pub(super) fn waits_for_terminating(&self) -> bool {
        self.spec.pod_failure_policy.is_some()
            || self.spec.pod_replacement_policy.as_deref() == Some("Failed")
    }

    /// When a condition came to hold, if it does.
    pub(super) fn condition(&self, type_: &str) -> Option<&cronlet_object::api::JobCondition> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
    }

    pub(super) fn is_finished(&self) -> bool {
        self.condition("Complete").is_some() || self.condition("Failed").is_some()
    }

    /// Since when it is finished.
    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        let condition = self.condition("Complete").or_else(|| self.condition("Failed"))?;
        Some(condition.last_transition_time.as_ref()?.0)
    }

    pub(super) fn succeeded(&self) -> usize {
        self.status.succeeded.map_or(0, size)
    }

    pub(super) fn failed(&self) -> usize {
        self.status.failed.map_or(0, size)
    }

    pub(super) fn completed_indexes(&self) -> Vec<u32> {
        indexes(self.status.completed_indexes.as_deref())
    }

    pub(super) fn failed_indexes(&self) -> Vec<u32> {
        indexes(self.status.failed_indexes.as_deref())
    }

    /// Whether the Job has an index.
    pub(super) fn has_index(&self, index: Option<u32>) -> bool {
        let completions = self.spec.completions.and_then(|count| u32::try_from(count).ok());
        index.zip(completions).is_some_and(|(index, completions)| index < completions)
    }
}

/// A pod.
#[derive(Debug)]
pub(super) struct PodRead {
    pub(super) name: String,
    pub(super) index: Option<u32>,
    pub(super) phase: String,
    pub(super) deleting: bool,
    pub(super) tracked: bool,
    /// When its last container ended, if all have.
    pub(super) finished: Option<Timestamp>,
    pub(super) restarts: usize,
    /// When its deletion was to be complete, if it was asked for.
    pub(super) deleted: Option<Timestamp>,
    pub(super) created: Option<Timestamp>,
}

impl PodRead {
    fn of(object: &Object) -> Self {
        let pod: Pod = object.decode();
        let annotation = |key: &str| pod.metadata.annotations.as_ref()?.get(key).cloned();
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let ends: Option<Vec<Timestamp>> = containers
            .iter()
            .map(|container| Some(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0))
            .collect();
        PodRead {
            name: object.name().to_owned(),
            index: annotation(INDEX).and_then(|index| index.parse().ok()),
            phase: status.phase.unwrap_or_default(),
            deleting: object.meta().deleted.is_some(),
            deleted: object.meta().deleted,
            tracked: is_tracked(object),
            finished: ends.and_then(|ends| ends.into_iter().max()),
            restarts: containers.iter().map(|container| size(container.restart_count)).sum(),
            created: object.meta().created,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    pub(super) fn is_active(&self) -> bool {
        !self.has_ended() && !self.deleting
    }

    pub(super) fn is_terminating(&self) -> bool {
        !self.has_ended() && self.deleting
    }
}

pub(super) fn is_tracked(object: &Object) -> bool {
    object.meta().finalizers.iter().any(|finalizer| finalizer.as_ref() == TRACKING_FINALIZER)
}

/// The objects of a kind that another controls.
pub(super) fn dependents<'a>(
    of: &'a Object,
    kind: Kind,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = &'a Object> {
    snapshot.dependents(&of.meta().uid).map(AsRef::as_ref).filter(move |object: &&Object| {
        object.kind() == kind && object.meta().controller().is_some_and(|owner| owner.uid == of.meta().uid)
    })
}

/// How long a Job waits after the last of so many failures in a row: 10 s, doubled up to 10 min.
pub(super) fn back_off(failures: usize) -> SignedDuration {
    match u32::try_from(failures) {
        Ok(0) => SignedDuration::ZERO,
        Ok(failures) if failures < 8 => SignedDuration::from_secs((10 << (failures - 1)).min(600)),
        _ => SignedDuration::from_secs(600),
    }
}

/// The indexes that a text like `1,3-5` names.
fn indexes(text: Option<&str>) -> Vec<u32> {
    let parts = text.unwrap_or_default().split(',').filter(|part| !part.is_empty());
    let ranges = parts.map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u32>().expect("a status lists indexes");
        number(first)..=number(last)
    });
    ranges.flatten().collect()
}

pub(super) fn size(count: i32) -> usize {
    usize::try_from(count).unwrap_or_default()
}
