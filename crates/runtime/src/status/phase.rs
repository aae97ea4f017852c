//! The phase of a pod: upstream's rules over the states of its containers.

use cronlet_object::api::ContainerStatus;

use super::{Observed, Part, ended_by_node};
use crate::spec::Role;

pub(super) const PENDING: &str = "Pending";
pub(super) const RUNNING: &str = "Running";
pub(super) const SUCCEEDED: &str = "Succeeded";
pub(super) const FAILED: &str = "Failed";

/// How many containers are in which state.
#[derive(Default)]
struct Count {
    waiting: usize,
    running: usize,
    stopped: usize,
    pending_init: usize,
}

/// The phase of a pod, whose containers and their statuses are in the same order.
///
/// A pod is not `Succeeded` or `Failed` before its last process has ended, and then stays so.
pub(super) fn phase(
    observed: Observed<'_>,
    parts: &[Part<'_>],
    statuses: &[ContainerStatus],
) -> &'static str {
    let Some((_, state)) = observed.run else {
        // A pod that is deleted before it was started has failed (upstream's rule).
        let deleted = observed.pod.metadata.deletion_timestamp.is_some();
        return if deleted || ended_by_node(observed).is_some() { FAILED } else { PENDING };
    };
    let regular = || parts.iter().filter(|part| part.role == Role::Regular);
    if state.finished.is_some() {
        let succeeded = regular().all(Part::has_succeeded) && ended_by_node(observed).is_none();
        return if succeeded { SUCCEEDED } else { FAILED };
    }
    let count = count(parts, statuses);
    let initialized = regular().any(Part::has_started);
    if count.pending_init > 0 && !initialized || count.waiting > 0 {
        PENDING
    } else if count.running + count.stopped > 0 {
        // Containers that have stopped are either restarted, or something else of the pod has not ended yet.
        RUNNING
    } else {
        PENDING
    }
}

fn count(parts: &[Part<'_>], statuses: &[ContainerStatus]) -> Count {
    let mut count = Count::default();
    for (part, status) in parts.iter().zip(statuses) {
        let ended_before = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
        let state = status.state.clone().unwrap_or_default();
        match part.role {
            Role::Init => {
                let succeeded = state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
                count.pending_init += usize::from(!succeeded);
            }
            Role::Sidecar if state.running.is_some() => count.running += 1,
            Role::Sidecar => count.pending_init += usize::from(state.waiting.is_some() && !ended_before),
            Role::Regular if state.running.is_some() => count.running += 1,
            Role::Regular => match &state.terminated {
                None if !ended_before => count.waiting += 1,
                _ => count.stopped += 1,
            },
        }
    }
    count
}
