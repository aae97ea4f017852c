//! What the status of a Job may say, and how it may change. Clients of Jobs rely on these rules, whoever
//! manages the Job; each is enforced only where the write changes what it speaks of, so that a status that
//! breaks one of them can still be mended.

use std::collections::HashSet;

use super::{has_condition, indexes, is_indexed};
use crate::{
    FieldErrors, Path,
    api::{Job, JobSpec, JobStatus, UncountedTerminatedPods},
    validate::{IMMUTABLE, equal, optional_non_negative},
};

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";

/// A status and the one it replaces, with the specification they belong to.
struct Update<'a> {
    spec: &'a JobSpec,
    new: &'a JobStatus,
    old: &'a JobStatus,
}

/// The status of `new`, which replaces that of `old`.
pub(super) fn validate_update(new: &Job, old: &Job, errors: &mut FieldErrors) {
    let (no_spec, no_status) = (JobSpec::default(), JobStatus::default());
    let update = Update {
        spec: new.spec.as_ref().unwrap_or(&no_spec),
        new: new.status.as_ref().unwrap_or(&no_status),
        old: old.status.as_ref().unwrap_or(&no_status),
    };
    update.validate_counters(errors);
    update.validate_completion(errors);
    update.validate_finished(errors);
    update.validate_indexes(errors);
    update.validate_success_criteria(errors);
    update.validate_transition(errors);
}

fn field(name: &str) -> Path {
    Path::root("status").child(name)
}

impl Update<'_> {
    fn has(&self, kind: &str) -> bool {
        has_condition(Some(self.new), kind)
    }

    fn had(&self, kind: &str) -> bool {
        has_condition(Some(self.old), kind)
    }

    fn changed(&self, kind: &str) -> bool {
        self.has(kind) != self.had(kind)
    }

    fn is_finished(&self) -> bool {
        self.has(COMPLETE) || self.has(FAILED)
    }

    fn finished_changed(&self) -> bool {
        self.is_finished() != (self.had(COMPLETE) || self.had(FAILED))
    }

    fn validate_counters(&self, errors: &mut FieldErrors) {
        let status = Path::root("status");
        let counters = [
            ("active", self.new.active),
            ("succeeded", self.new.succeeded),
            ("failed", self.new.failed),
            ("ready", self.new.ready),
            ("terminating", self.new.terminating),
        ];
        for (name, value) in counters {
            optional_non_negative(value, &status, name, errors);
        }
        if let Some(uncounted) = &self.new.uncounted_terminated_pods {
            validate_uncounted(uncounted, errors);
        }
    }

    /// What `Complete` and `Failed` ask of other conditions and of the times.
    fn validate_completion(&self, errors: &mut FieldErrors) {
        let conditions = field("conditions");
        let (new, old) = (self.new, self.old);
        let complete_changed = self.changed(COMPLETE);
        let completion_changed = complete_changed || new.completion_time != old.completion_time;
        if (complete_changed || self.changed(FAILED)) && self.has(COMPLETE) && self.has(FAILED) {
            errors.invalid_unshown(&conditions, "cannot set Complete=True and Failed=true conditions");
        }
        let target_changed = self.changed(FAILURE_TARGET);
        if (complete_changed || target_changed) && self.has(COMPLETE) && self.has(FAILURE_TARGET) {
            errors.invalid_unshown(&conditions, "cannot set Complete=True and FailureTarget=true conditions");
        }
        if completion_changed {
            let at = field("completionTime");
            match &new.completion_time {
                Some(time) if !self.has(COMPLETE) => {
                    let detail = "cannot set completionTime when there is no Complete=True condition";
                    errors.invalid(&at, time, detail);
                }
                None if self.has(COMPLETE) => {
                    errors.required(&at, "completionTime is required for Complete jobs");
                }
                _ => {}
            }
        }
        let times_changed = new.start_time != old.start_time || new.completion_time != old.completion_time;
        if let (true, Some(start), Some(end)) = (times_changed, &new.start_time, &new.completion_time)
            && end < start
        {
            errors.invalid(&field("completionTime"), end, "must be equal to or after `startTime`");
        }
        if (self.changed(FAILED) || target_changed) && self.has(FAILED) && !self.has(FAILURE_TARGET) {
            let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
            errors.invalid_unshown(&conditions, detail);
        }
        let criteria_changed = self.changed(SUCCESS_CRITERIA_MET);
        if (complete_changed || criteria_changed) && self.has(COMPLETE) && !self.has(SUCCESS_CRITERIA_MET) {
            let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
            errors.invalid_unshown(&conditions, detail);
        }
    }

    /// What a Job that has ended may no longer have.
    fn validate_finished(&self, errors: &mut FieldErrors) {
        let (new, old) = (self.new, self.old);
        let (finished, changed) = (self.is_finished(), self.finished_changed());
        let (active, terminating) = (new.active.unwrap_or_default(), new.terminating.unwrap_or_default());
        if (changed || new.active != old.active) && finished && active > 0 {
            errors.invalid(&field("active"), active, "active>0 is invalid for finished job");
        }
        let never_runs = self.spec.suspend == Some(true) && self.spec.completions == Some(0);
        if (changed || new.start_time != old.start_time)
            && finished
            && new.start_time.is_none()
            && !never_runs
        {
            errors.required(&field("startTime"), "startTime is required for finished job");
        }
        if changed || !equal(&new.uncounted_terminated_pods, &old.uncounted_terminated_pods) {
            let uncounted = new.uncounted_terminated_pods.iter();
            let mut lists = uncounted.flat_map(|pods| [&pods.failed, &pods.succeeded]).flatten();
            if finished && lists.any(|list| !list.is_empty()) {
                let detail = "must be empty for finished job";
                errors.invalid(&field("uncountedTerminatedPods"), &new.uncounted_terminated_pods, detail);
            }
        }
        if (changed || new.terminating != old.terminating) && finished && terminating > 0 {
            errors.invalid(&field("terminating"), terminating, "terminating>0 is invalid for finished job");
        }
        let ready = new.ready.unwrap_or_default();
        if (new.ready != old.ready || new.active != old.active) && ready > active {
            errors.invalid(&field("ready"), ready, "cannot set more ready pods than active");
        }
    }

    fn validate_indexes(&self, errors: &mut FieldErrors) {
        let list = |status: &JobStatus| status.completed_indexes.clone().unwrap_or_default();
        let (completed, failed) = (list(self.new), self.new.failed_indexes.as_deref());
        let completed_changed = completed != list(self.old);
        let failed_changed = self.new.failed_indexes != self.old.failed_indexes;
        let per_index = self.spec.backoff_limit_per_index.is_some();
        let unreadable = |text: &str| indexes::parse(text, self.spec.completions?).err();
        if completed_changed && let Some(error) = unreadable(&completed) {
            let detail = format!("error parsing completedIndexes: {error}");
            errors.invalid(&field("completedIndexes"), &completed, detail);
        }
        if failed_changed
            && per_index
            && let Some(error) = failed.and_then(unreadable)
        {
            errors.invalid(&field("failedIndexes"), failed, format!("error parsing failedIndexes: {error}"));
        }
        if completed_changed && !completed.is_empty() && !is_indexed(self.spec) {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.invalid(&field("completedIndexes"), &completed, detail);
        }
        if failed_changed && !per_index && failed.is_some() {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.invalid(&field("failedIndexes"), failed, detail);
        }
        if let (true, Some(failed), Some(completions)) =
            (completed_changed || failed_changed, failed, self.spec.completions)
            && let Some(index) = indexes::overlap(&completed, failed, completions)
        {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            errors.invalid(&field("failedIndexes"), failed, detail);
        }
    }

    fn validate_success_criteria(&self, errors: &mut FieldErrors) {
        let conditions = field("conditions");
        let met = self.has(SUCCESS_CRITERIA_MET);
        if met && self.has(FAILED) {
            errors.invalid_unshown(
                &conditions,
                "cannot set SuccessCriteriaMet=True and Failed=true conditions",
            );
        }
        if met && self.has(FAILURE_TARGET) {
            let detail = "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions";
            errors.invalid_unshown(&conditions, detail);
        }
        if self.spec.success_policy.is_some() && !met && self.has(COMPLETE) {
            let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
            errors.invalid_unshown(&conditions, detail);
        }
    }

    /// What may not be taken back.
    fn validate_transition(&self, errors: &mut FieldErrors) {
        let conditions = field("conditions");
        let (new, old) = (self.new, self.old);
        for kind in
            [FAILED, COMPLETE, FAILURE_TARGET].into_iter().filter(|kind| self.had(kind) && !self.has(kind))
        {
            errors.invalid_unshown(&conditions, format!("cannot disable the terminal {kind}=True condition"));
        }
        let (failed, succeeded) = (new.failed.unwrap_or_default(), new.succeeded.unwrap_or_default());
        if failed < old.failed.unwrap_or_default() {
            errors.invalid(&field("failed"), failed, "cannot decrease the failed counter");
        }
        // An indexed Job that was made smaller forgets the indexes it no longer has.
        let elastic = is_indexed(self.spec) && self.spec.completions == self.spec.parallelism;
        if succeeded < old.succeeded.unwrap_or_default() && !elastic {
            errors.invalid(&field("succeeded"), succeeded, "cannot decrease the succeeded counter");
        }
        if old.completion_time.is_some()
            && new.completion_time.is_some()
            && new.completion_time != old.completion_time
        {
            errors.invalid(&field("completionTime"), &new.completion_time, IMMUTABLE);
        }
        let suspended = self.spec.suspend == Some(true);
        if old.start_time.is_some() && new.start_time != old.start_time && !suspended {
            errors.required(&field("startTime"), "startTime cannot be removed for unsuspended job");
        }
        if self.had(SUCCESS_CRITERIA_MET) && !self.has(SUCCESS_CRITERIA_MET) {
            errors.invalid_unshown(&conditions, "cannot disable the SuccessCriteriaMet=True condition");
        }
        if self.had(COMPLETE) && !self.had(SUCCESS_CRITERIA_MET) && self.has(SUCCESS_CRITERIA_MET) {
            let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
            errors.invalid_unshown(&conditions, detail);
        }
    }
}

fn validate_uncounted(pods: &UncountedTerminatedPods, errors: &mut FieldErrors) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (name, list) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        for (i, uid) in list.iter().flatten().enumerate() {
            let at = || field("uncountedTerminatedPods").child(name).index(i);
            if uid.is_empty() {
                errors.invalid(&at(), uid, "must not be empty");
            } else if !seen.insert(uid) {
                errors.duplicate(&at(), uid);
            }
        }
    }
}
