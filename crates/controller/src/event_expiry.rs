//! Removes Events: an hour after they last happened, and the oldest when there are too many.

use std::sync::Arc;

use cronlet_object::{Ids, Key, Kind, Object, Write, event};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Plan, View,
    limits::{BATCH_OBJECTS_MAX, EVENT_AGE_MAX, EVENT_SWEEP_INTERVAL, EVENTS_MAX},
};

/// The one key under which all Events are looked through. One look a minute over all of them costs less than an
/// alarm for each, and the changes of Events need not wake anyone.
pub fn sweep_key() -> Key {
    Key::new(Kind::Event, "", "")
}

/// Looks through all Events.
pub fn reconcile(view: &View, _: &Key, _: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let oldest_kept = view.now.checked_sub(EVENT_AGE_MAX).unwrap_or(Timestamp::MIN);
    // What was created within the hour cannot have expired, so only older events have to be read.
    let expired = |event: &Object| {
        event.meta().created.is_none_or(|created| created < oldest_kept)
            && event::last_seen(event).is_none_or(|seen| seen < oldest_kept)
    };
    let (expired, mut kept): (Vec<_>, Vec<_>) =
        view.snapshot.list(Kind::Event).partition(|event| expired(event));
    let surplus = kept.len().saturating_sub(EVENTS_MAX);
    // A repetition rewrites its event: the lowest revisions are those that were not heard of for longest.
    kept.sort_unstable_by_key(|event| event.revision());
    let mut doomed = expired.into_iter().chain(kept.into_iter().take(surplus));
    plan.transaction.writes.extend(doomed.by_ref().take(BATCH_OBJECTS_MAX).map(remove));
    let more = doomed.next().is_some();
    let pause = if more { SignedDuration::ZERO } else { EVENT_SWEEP_INTERVAL };
    plan.wake_at = view.now.checked_add(pause).ok();
    plan
}

fn remove(event: &Arc<Object>) -> Write {
    Write::Delete { key: event.key().clone(), expect: event.revision() }
}

#[cfg(test)]
mod tests;
