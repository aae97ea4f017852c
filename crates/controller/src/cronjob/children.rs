//! The Jobs of a CronJob, as far as its controller looks into them.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use cronlet_object::{Kind, Object, Snapshot};
use jiff::Timestamp;
use serde::Deserialize;

/// How a Job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    Failed,
}

impl Outcome {
    /// The type of the condition that says so.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Complete => "Complete",
            Outcome::Failed => "Failed",
        }
    }
}

/// A Job that the CronJob controls.
#[derive(Clone, Debug)]
pub(super) struct Child {
    /// The stored Job.
    pub object: Arc<Object>,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
    /// `status.startTime`
    pub start_time: Option<Timestamp>,
    /// `status.completionTime`
    pub completion_time: Option<Timestamp>,
}

/// The few fields that are read of every Job at every look: decoding whole Jobs would dominate a tick.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    start_time: Option<Timestamp>,
    completion_time: Option<Timestamp>,
    #[serde(borrow, default)]
    conditions: Vec<Condition<'a>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(rename = "type", borrow)]
    condition_type: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

impl Condition<'_> {
    fn outcome(&self) -> Option<Outcome> {
        match (self.condition_type.as_ref(), self.status.as_ref()) {
            ("Complete", "True") => Some(Outcome::Complete),
            ("Failed", "True") => Some(Outcome::Failed),
            _ => None,
        }
    }
}

impl Child {
    /// Reads a Job.
    pub fn of(object: &Arc<Object>) -> Self {
        let status = object.status_json().and_then(|text| serde_json::from_str::<Status>(text).ok());
        let status = status.unwrap_or_default();
        Child {
            object: object.clone(),
            outcome: status.conditions.iter().find_map(Condition::outcome),
            start_time: status.start_time,
            completion_time: status.completion_time,
        }
    }

    /// The Job's UID.
    pub fn uid(&self) -> &str {
        &self.object.meta().uid
    }

    /// The Job's name.
    pub fn name(&self) -> &str {
        self.object.name()
    }
}

/// The Jobs that `cron_job` controls, in the order of their names.
pub(super) fn of(cron_job: &Object, snapshot: &Snapshot) -> Vec<Child> {
    let uid = &cron_job.meta().uid;
    snapshot
        .dependents(uid)
        .filter(|object| object.kind() == Kind::Job && object.namespace() == cron_job.namespace())
        .filter(|object| object.meta().controller().is_some_and(|owner| owner.uid == *uid))
        .map(Child::of)
        .collect()
}

/// The order in which finished Jobs are forgotten: by start time, then by name; those that never started are the
/// youngest.
pub(super) fn by_start_time(a: &Child, b: &Child) -> Ordering {
    let unstarted = a.start_time.is_none().cmp(&b.start_time.is_none());
    unstarted.then_with(|| a.start_time.cmp(&b.start_time)).then_with(|| a.name().cmp(b.name()))
}
