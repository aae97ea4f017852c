//! The status of a pod as the node tells it, in the kubelet's terms.

use cronlet_object::api::{
    self, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, PodCondition, PodStatus, Time,
};
use jiff::Timestamp;

use super::pod::{Exit, Pod, Stage};

/// What the node says of a pod, on top of what others said.
pub(super) fn status(object: &api::Pod, pod: &Pod) -> PodStatus {
    let mut status = object.status.clone().unwrap_or_default();
    let containers = object.spec.iter().flat_map(|spec| &spec.containers);
    status.container_statuses = Some(containers.map(|container| container_status(container, pod)).collect());
    status.phase = Some(phase(pod).to_owned());
    status.start_time = Some(seconds(pod.since));
    let is_ready = matches!(pod.stage, Stage::Running { .. });
    let since = match &pod.stage {
        Stage::Running { since, .. } => *since,
        Stage::Ended(Some(exit)) => exit.finished,
        _ => pod.last.as_ref().map_or(pod.since, |exit| exit.finished),
    };
    let conditions = status.conditions.get_or_insert_default();
    for kind in ["Ready", "ContainersReady"] {
        let wanted = PodCondition {
            type_: kind.to_owned(),
            status: if is_ready { "True" } else { "False" }.to_owned(),
            last_transition_time: Some(seconds(since)),
            ..PodCondition::default()
        };
        match conditions.iter_mut().find(|condition| condition.type_ == kind) {
            Some(found) if found.status == wanted.status => {}
            Some(found) => *found = wanted,
            None => conditions.push(wanted),
        }
    }
    status
}

fn phase(pod: &Pod) -> &'static str {
    match &pod.stage {
        Stage::Preparing(_) => "Pending",
        Stage::Running { .. } | Stage::Waiting(_) => "Running",
        Stage::Ended(Some(Exit { code: 0, .. })) => "Succeeded",
        Stage::Ended(_) => "Failed",
    }
}

fn container_status(container: &api::Container, pod: &Pod) -> ContainerStatus {
    let waiting = |reason: &str| ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message: None }),
        ..ContainerState::default()
    };
    let state = match &pod.stage {
        Stage::Preparing(_) => waiting(pod.behaviour.never_starts.as_deref().unwrap_or("ContainerCreating")),
        Stage::Running { since, .. } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(seconds(*since)) }),
            ..ContainerState::default()
        },
        Stage::Waiting(_) => waiting("CrashLoopBackOff"),
        Stage::Ended(Some(exit)) => terminated(exit),
        Stage::Ended(None) => waiting("ContainerCreating"),
    };
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        ready: matches!(pod.stage, Stage::Running { .. }),
        started: Some(matches!(pod.stage, Stage::Running { .. })),
        restart_count: i32::try_from(pod.restarts).unwrap_or(i32::MAX),
        last_state: pod.last.as_ref().filter(|_| !pod.has_ended()).map(terminated),
        state: Some(state),
        ..ContainerStatus::default()
    }
}

fn terminated(exit: &Exit) -> ContainerState {
    let terminated = ContainerStateTerminated {
        exit_code: exit.code,
        reason: Some(exit.reason.to_owned()),
        started_at: Some(seconds(exit.started)),
        finished_at: Some(seconds(exit.finished)),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// The API keeps times to the second.
fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
