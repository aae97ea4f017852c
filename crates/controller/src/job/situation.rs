//! What a pass over a Job finds: the Job, its pods, and what they add up to.

use std::collections::HashSet;

use cronlet_object::{
    Object,
    api::{JobCondition, JobStatus},
};
use jiff::Timestamp;

use super::{
    backoff::Record,
    conditions::{self, SUSPENDED},
    failure_policy,
    indexed::Indexed,
    pod::Pod,
    spec::Spec,
};

/// A Job and its pods at one moment.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The stored Job.
    pub(super) object: &'a Object,
    /// What it asks for.
    pub(super) spec: Spec<'a>,
    /// Its status before this pass.
    pub(super) status: &'a JobStatus,
    /// Its pods in the order of their names.
    pub(super) pods: Vec<Pod<'a>>,
    /// The time now.
    pub(super) now: Timestamp,
    /// Its indexes, if it has any.
    pub(super) indexed: Option<Indexed>,
    /// Pods that have succeeded, counted or not; for an Indexed Job its succeeded indexes.
    pub(super) succeeded: usize,
    /// Pods that have failed, counted or not.
    pub(super) failed: usize,
    /// The failures that its next pod has to wait for.
    pub(super) record: Record,
}

impl<'a> Situation<'a> {
    /// Takes stock. `record` is what earlier passes remembered.
    pub(super) fn new(
        object: &'a Object,
        spec: Spec<'a>,
        status: &'a JobStatus,
        pods: Vec<Pod<'a>>,
        record: Record,
        now: Timestamp,
    ) -> Self {
        let indexed = spec.indexes.map(|completions| {
            let completed = status.completed_indexes.as_deref().unwrap_or_default();
            let failed = status.failed_indexes.as_deref().unwrap_or_default();
            Indexed::of(&spec, completions, (completed, failed), &pods)
        });
        let mut situation =
            Situation { object, spec, status, pods, now, indexed, succeeded: 0, failed: 0, record };
        situation.tally();
        situation
    }

    fn tally(&mut self) {
        let (known_succeeded, known_failed) = self.uncounted();
        let new: Vec<&Pod<'a>> = self.pods.iter().filter(|pod| self.is_countable(pod)).collect();
        let succeeded = new.iter().filter(|pod| pod.is_succeeded() && !known_succeeded.contains(pod.uid()));
        let failed: Vec<&Pod<'a>> = new
            .iter()
            .filter(|pod| self.is_failed(pod) && !known_failed.contains(pod.uid()))
            .copied()
            .collect();
        let succeeded_at: Vec<Timestamp> = succeeded.map(|pod| pod.finished_at()).collect();
        let failed_at: Vec<Timestamp> = failed.iter().map(|pod| pod.finished_at()).collect();
        let counting =
            failed.iter().filter(|pod| failure_policy::counts(self.spec.failure_policy, pod)).count();
        self.succeeded = match &self.indexed {
            Some(indexed) => indexed.succeeded.len(),
            None => counter(self.status.succeeded) + succeeded_at.len() + known_succeeded.len(),
        };
        self.failed = counter(self.status.failed) + counting + known_failed.len();
        self.record = self.record.after(&succeeded_at, &failed_at);
    }

    /// The UIDs that a status lists as finished but not yet counted: (succeeded, failed). This controller counts in
    /// one step and leaves none; a status that was written by another may have some.
    pub(super) fn uncounted(&self) -> (HashSet<&'a str>, HashSet<&'a str>) {
        let uids = |list: Option<&'a Vec<String>>| list.into_iter().flatten().map(String::as_str).collect();
        let uncounted = self.status.uncounted_terminated_pods.as_ref();
        (
            uids(uncounted.and_then(|uncounted| uncounted.succeeded.as_ref())),
            uids(uncounted.and_then(|uncounted| uncounted.failed.as_ref())),
        )
    }

    /// Whether the end of a pod has yet to be counted, and will be.
    fn is_countable(&self, pod: &Pod<'_>) -> bool {
        pod.tracked && self.indexed.as_ref().is_none_or(|indexed| indexed.has(pod))
    }

    /// Whether a pod counts as failed.
    pub(super) fn is_failed(&self, pod: &Pod<'_>) -> bool {
        pod.is_failed(self.spec.waits_for_terminating)
    }

    /// The places of the active pods.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.pods.len()).filter(|at| self.pods[*at].is_active()).collect()
    }

    /// Since when the Job has been active without a break: the start, or the last resumption. Absent while it is
    /// suspended.
    pub(super) fn active_since(&self) -> Option<Timestamp> {
        if self.spec.suspended {
            return None;
        }
        let resumes = conditions::find_true(self.conditions(), SUSPENDED).is_some();
        let started = self.status.start_time.as_ref().filter(|_| !resumes);
        Some(started.map_or(self.now, |time| time.0))
    }

    /// The Job's conditions before this pass.
    pub(super) fn conditions(&self) -> &'a [JobCondition] {
        self.status.conditions.as_deref().unwrap_or_default()
    }

    /// Whether the Job's deletion has been asked for.
    pub(super) fn is_deleting(&self) -> bool {
        self.object.meta().deleted.is_some()
    }
}

/// A counter of the status as a number of pods.
pub(super) fn counter(value: Option<i32>) -> usize {
    value.and_then(|value| usize::try_from(value).ok()).unwrap_or_default()
}
