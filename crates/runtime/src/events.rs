//! What is told about a pod in events: what its new status says that the old one did not.

use cronlet_object::{
    api::{self, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, PodStatus},
    event::EventType,
};

use crate::{
    journal::StopCause,
    state::State,
    status::{DEADLINE_MESSAGE, DEADLINE_REASON, MOUNT_FAILED, pod_text},
};

/// An event about a pod or one of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedEvent {
    /// Normal or Warning.
    pub event_type: EventType,
    /// A word for machines, such as `Started`.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The part of the pod: `spec.containers{name}`; absent for the pod as a whole.
    pub field_path: Option<String>,
}

/// A pod's status, and what has become of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) status: Option<&'a PodStatus>,
    /// Absent if it is not known, as for the status that is found in the store.
    pub(crate) state: Option<&'a State>,
}

/// The events that belong to the step from `old` to `new`. Steps in between that nobody saw are left out.
pub(crate) fn between(pod: &api::Pod, old: Told<'_>, new: Told<'_>) -> Vec<ReportedEvent> {
    let mut events = Vec::new();
    let Some(status) = new.status else { return events };
    for (field, of) in
        [("initContainers", init as fn(&PodStatus) -> &[ContainerStatus]), ("containers", regular)]
    {
        for container in of(status) {
            let before =
                old.status.and_then(|old| of(old).iter().find(|before| before.name == container.name));
            let field_path = format!("spec.{field}{{{}}}", container.name);
            let mut notes = container_notes(pod, before, container);
            notes.extend(killing(container, old.state, new.state));
            events.extend(
                notes
                    .into_iter()
                    .map(|event| ReportedEvent { field_path: Some(field_path.clone()), ..event }),
            );
        }
    }
    mount_failures(old.status, status, &mut events);
    let at_deadline = |state: Option<&State>| {
        state.and_then(|state| state.stop).is_some_and(|stop| stop.cause == StopCause::Deadline)
    };
    if at_deadline(new.state) && !at_deadline(old.state) {
        events.push(note(EventType::Normal, DEADLINE_REASON, DEADLINE_MESSAGE.to_owned()));
    }
    events
}

fn init(status: &PodStatus) -> &[ContainerStatus] {
    status.init_container_statuses.as_deref().unwrap_or_default()
}

fn regular(status: &PodStatus) -> &[ContainerStatus] {
    status.container_statuses.as_deref().unwrap_or_default()
}

fn note(event_type: EventType, reason: &'static str, message: String) -> ReportedEvent {
    ReportedEvent { event_type, reason, message, field_path: None }
}

fn waiting(status: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    status.state.as_ref()?.waiting.as_ref()
}

/// How the latest attempt ended, whether the container waits for another one or not.
fn ended(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let latest = status.state.as_ref()?.terminated.as_ref();
    latest.or_else(|| status.last_state.as_ref()?.terminated.as_ref().filter(|_| waiting(status).is_some()))
}

fn container_notes(
    pod: &api::Pod,
    before: Option<&ContainerStatus>,
    now: &ContainerStatus,
) -> Vec<ReportedEvent> {
    let mut notes = Vec::new();
    let is_new =
        now.container_id.is_some() && before.is_none_or(|before| before.container_id != now.container_id);
    let start_error = ended(now).filter(|ended| ended.reason.as_deref() == Some("StartError"));
    if is_new {
        // Whoever reads it must not think that an image was used that was not.
        let created = if now.image_id.is_empty() { CREATED_WITHOUT_IMAGE } else { "Container created" };
        notes.push(note(EventType::Normal, "Created", created.to_owned()));
        notes.push(match start_error {
            Some(ended) => {
                let why = ended.message.clone().unwrap_or_default();
                note(EventType::Warning, "Failed", format!("Error: {why}"))
            }
            None => note(EventType::Normal, "Started", "Container started".to_owned()),
        });
    }
    let Some(waits) = waiting(now) else { return notes };
    let waited = before.filter(|_| !is_new).and_then(waiting);
    match waits.reason.as_deref().unwrap_or_default() {
        "CrashLoopBackOff" if waited.is_none_or(|before| before.reason != waits.reason) => {
            let pod = pod_text(pod);
            let message = format!("Back-off restarting failed container {} in pod {pod}", now.name);
            notes.push(note(EventType::Warning, "BackOff", message));
        }
        "CreateContainerConfigError" | "CreateContainerError" if waited != Some(waits) => {
            let why = waits.message.clone().unwrap_or_default();
            notes.push(note(EventType::Warning, "Failed", format!("Error: {why}")));
        }
        _ => {}
    }
    notes
}

/// What is told when a container was made that does not use its image.
const CREATED_WITHOUT_IMAGE: &str = "Container created as a process of this host; its image is not used";

fn killing(container: &ContainerStatus, old: Option<&State>, new: Option<&State>) -> Option<ReportedEvent> {
    let is_killing = |state: &State| state.container(&container.name).is_some_and(|c| c.killing.is_some());
    // Without knowledge of what was told before, nothing is told twice.
    let newly = !is_killing(old?) && is_killing(new?);
    let message = || format!("Stopping container {}", container.name);
    newly.then(|| note(EventType::Normal, "Killing", message()))
}

/// Volumes that cannot be mounted show as the reason why containers wait to be created.
fn mount_failures(old: Option<&PodStatus>, new: &PodStatus, events: &mut Vec<ReportedEvent>) {
    let messages = |status: &PodStatus| -> Vec<String> {
        let all = init(status).iter().chain(regular(status)).filter_map(waiting);
        let creating = all.filter(|waiting| {
            matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing"))
        });
        let mut messages: Vec<String> = creating.filter_map(|waiting| waiting.message.clone()).collect();
        messages.dedup();
        messages
    };
    let told = old.map(messages).unwrap_or_default();
    for message in messages(new) {
        if told.contains(&message) {
            continue;
        }
        let reason = if message.starts_with(MOUNT_FAILED) { "FailedMount" } else { "Failed" };
        events.push(note(EventType::Warning, reason, message));
    }
}

#[cfg(test)]
mod tests;
