//! The conditions of a Job's status: finding, setting, and what they mean.

use cronlet_object::api::{JobCondition, JobStatus, Time};
use jiff::Timestamp;

/// The Job reached its end by succeeding.
pub(super) const COMPLETE: &str = "Complete";
/// The Job reached its end by failing.
pub(super) const FAILED: &str = "Failed";
/// The Job is going to fail once its pods have ended.
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
/// The Job is going to succeed once its pods have ended.
pub(super) const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
/// The Job runs no pods by wish of its spec.
pub(super) const SUSPENDED: &str = "Suspended";

/// The condition of a type, if it holds.
pub(super) fn find_true<'a>(conditions: &'a [JobCondition], type_: &str) -> Option<&'a JobCondition> {
    conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Whether a Job has reached its end.
pub(super) fn is_finished(status: &JobStatus) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    [COMPLETE, FAILED].iter().any(|type_| find_true(conditions, type_).is_some())
}

/// A condition that came to hold, or not to, at `now`.
pub(super) fn condition(
    type_: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> JobCondition {
    JobCondition {
        type_: type_.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Brings the condition of `wanted`'s type to `wanted`. One that does not hold is not added, since from nothing to
/// False nothing has changed. Returns whether the list was changed.
pub(super) fn ensure(conditions: &mut Vec<JobCondition>, wanted: JobCondition) -> bool {
    match conditions.iter_mut().find(|condition| condition.type_ == wanted.type_) {
        Some(found)
            if found.status == wanted.status
                && found.reason == wanted.reason
                && found.message == wanted.message =>
        {
            false
        }
        Some(found) => {
            *found = wanted;
            true
        }
        None if wanted.status == "False" => false,
        None => {
            conditions.push(wanted);
            true
        }
    }
}
