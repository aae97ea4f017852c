//! Deletes finished Jobs when `spec.ttlSecondsAfterFinished` have passed, as the TTL-after-finished controller does.

use cronlet_object::{Ids, Key, api::Job};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Plan, View,
    deletion::{self, Propagation},
};

/// Looks at one Job: deletes it, its pods first, if its time is over, or waits until it is.
pub fn reconcile(view: &View, key: &Key, _: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.snapshot.get(key).filter(|job| job.meta().deleted.is_none()) else { return plan };
    // Most Jobs have no such limit, and to look for its name in the text is much cheaper than to decode it.
    if !object.json().contains("ttlSecondsAfterFinished") {
        return plan;
    }
    let Some(expiry) = expiry(&object.decode()) else { return plan };
    if expiry > view.now {
        plan.wake_at = Some(expiry);
    } else if let Ok(write) = deletion::write(object, Propagation::Foreground, view.now) {
        plan.transaction.writes.extend(write);
    }
    plan
}

/// When a Job is to be deleted: absent as long as it is not finished, and without a limit.
fn expiry(job: &Job) -> Option<Timestamp> {
    let ttl = i64::from(job.spec.as_ref()?.ttl_seconds_after_finished?);
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let finished = conditions.iter().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })?;
    let at = finished.last_transition_time.as_ref()?.0;
    Some(at.checked_add(SignedDuration::from_secs(ttl)).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests;
