//! What is told about a pod in events: what its new status says that the old one did not.

use cronlet_object::{
    api::{self, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, PodStatus},
    event::EventType,
};

use crate::{
    journal::Said,
    pulls::Pulls,
    spec::ProbeKind,
    state::{self, Condemned, Health, State},
    status::{EVICTED, MOUNT_FAILED, SANDBOX_FAILED, pod_text, stopped_by_node},
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
    /// The same.
    pub(crate) pulls: Option<&'a Pulls>,
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
            let mut notes = pulling(pod, container, old.pulls, new.pulls);
            notes.extend(container_notes(pod, before, container, new.pulls));
            notes.extend(health(container, old.state, new.state));
            notes.extend(killing(pod, container, old.state, new.state));
            events.extend(
                notes
                    .into_iter()
                    .map(|event| ReportedEvent { field_path: Some(field_path.clone()), ..event }),
            );
        }
    }
    mount_failures(old.status, status, &mut events);
    if let Some((reason, message)) = new.state.and_then(stopped_by_node)
        && old.state.and_then(stopped_by_node).is_none()
    {
        let event_type = if reason == EVICTED { EventType::Warning } else { EventType::Normal };
        events.push(note(event_type, reason, message.to_owned()));
    }
    events
}

/// What is told once of a pod of containers that asks for what this node does not do.
pub(crate) fn ignored(fields: &[String]) -> Option<ReportedEvent> {
    let message = format!("This node does not do what these fields ask for: {}", fields.join(", "));
    (!fields.is_empty()).then(|| note(EventType::Warning, "FieldsIgnored", message))
}

/// What is told of something that is wrong with a pod as a whole.
pub(crate) fn fault(reason: &'static str, message: String) -> ReportedEvent {
    note(EventType::Warning, reason, message)
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
    pulls: Option<&Pulls>,
) -> Vec<ReportedEvent> {
    let mut notes = Vec::new();
    let is_new =
        now.container_id.is_some() && before.is_none_or(|before| before.container_id != now.container_id);
    let start_error = ended(now).filter(|ended| ended.reason.as_deref() == Some("StartError"));
    if is_new {
        notes.extend(image_used(pod, before, now, pulls));
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
        reason if is_about_image(reason) && waited.is_none_or(|before| before.reason != waits.reason) => {
            notes.extend(image_missing(image_of(pod, &now.name), waits));
        }
        "CreateContainerConfigError" | "CreateContainerError" if waited != Some(waits) => {
            let why = waits.message.clone().unwrap_or_default();
            notes.push(note(EventType::Warning, "Failed", format!("Error: {why}")));
        }
        _ => {}
    }
    notes
}

/// A container's image, as the pod names it.
fn image_of<'a>(pod: &'a api::Pod, container: &str) -> &'a str {
    let found = containers(pod).find(|candidate| candidate.name == container);
    found.and_then(|container| container.image.as_deref()).unwrap_or_default()
}

fn containers(pod: &api::Pod) -> impl Iterator<Item = &api::Container> {
    pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers))
}

/// Whether an image is pulled for this container: of several that have it, for the first.
fn is_pulled_for(pod: &api::Pod, container: &str, image: &str) -> bool {
    let mut users = containers(pod).filter(|candidate| candidate.image.as_deref() == Some(image));
    users.next().is_some_and(|first| first.name == container)
}

fn pulling(
    pod: &api::Pod,
    container: &ContainerStatus,
    old: Option<&Pulls>,
    new: Option<&Pulls>,
) -> Vec<ReportedEvent> {
    let image = image_of(pod, &container.name);
    let is_under_way = |pulls: Option<&Pulls>| pulls.is_some_and(|pulls| pulls.under_way.contains(image));
    let newly = is_under_way(new) && !is_under_way(old) && is_pulled_for(pod, &container.name, image);
    let told = || note(EventType::Normal, "Pulling", format!("Pulling image {image:?}"));
    newly.then(told).into_iter().collect()
}

/// Where the image of a container that was made came from.
fn image_used(
    pod: &api::Pod,
    before: Option<&ContainerStatus>,
    now: &ContainerStatus,
    pulls: Option<&Pulls>,
) -> Option<ReportedEvent> {
    if now.image_id.is_empty() {
        return None;
    }
    let image = image_of(pod, &now.name);
    let is_first_attempt = before.is_none_or(|before| before.container_id.is_none());
    let pulled = pulls.and_then(|pulls| pulls.done.get(image));
    let message = match pulled.filter(|_| is_first_attempt && is_pulled_for(pod, &now.name, image)) {
        Some(pulled) => pulled.message(image),
        None => {
            format!("Container image {image:?} already present on machine and can be accessed by the pod")
        }
    };
    Some(note(EventType::Normal, "Pulled", message))
}

/// Whether a container waits because its image is not there and is not being pulled.
fn is_about_image(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "RegistryUnavailable"
    )
}

/// What the kubelet tells when a container waits for such a reason: the fault, and that nothing was started.
fn image_missing(image: &str, waits: &ContainerStateWaiting) -> [ReportedEvent; 2] {
    let reason = waits.reason.as_deref().unwrap_or_default();
    let why = waits.message.clone().unwrap_or_default();
    let fault = match reason {
        "ImagePullBackOff" => note(EventType::Normal, "BackOff", format!("Back-off pulling image {image:?}")),
        "ErrImageNeverPull" => note(EventType::Warning, "ErrImageNeverPull", why),
        "InvalidImageName" | "ImageInspectError" => note(EventType::Warning, "InspectFailed", why),
        _ => {
            let why = why.strip_prefix(&format!("failed to pull image {image:?}: ")).unwrap_or(&why);
            note(EventType::Warning, "Failed", format!("Failed to pull image {image:?}: {why}"))
        }
    };
    [fault, note(EventType::Warning, "Failed", format!("Error: {reason}"))]
}

/// What is told when a container was made that does not use its image.
const CREATED_WITHOUT_IMAGE: &str = "Container created as a process of this host; its image is not used";

/// Without knowledge of what was told before, nothing is told twice.
fn both<'a>(
    name: &str,
    old: Option<&'a State>,
    new: Option<&'a State>,
) -> Option<(&'a state::Container, &'a state::Container)> {
    old.and_then(|state| state.container(name)).zip(new.and_then(|state| state.container(name)))
}

/// What hooks and probes complained about, and limits that are not kept.
fn health(container: &ContainerStatus, old: Option<&State>, new: Option<&State>) -> Vec<ReportedEvent> {
    let Some((old, new)) = both(&container.name, old, new) else { return Vec::new() };
    let Some(attempt) = &new.current else { return Vec::new() };
    let none = Health::default();
    let before = old.current.as_ref().filter(|before| before.number == attempt.number);
    let (before, now) = (before.map_or(&none, |before| &before.health), &attempt.health);
    let mut notes = Vec::new();
    if let Some((kind, said)) = now.complaint.as_ref().filter(|_| now.complaints > before.complaints) {
        let kind = match kind {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        };
        let message = match said {
            Said::Unknown(why) => format!("{kind} probe errored and resulted in unknown state: {why}"),
            Said::Failure(why) => format!("{kind} probe failed: {why}"),
            Said::Success => return notes,
        };
        notes.push(note(EventType::Warning, "Unhealthy", message));
    }
    if let Some(why) = now.unlimited.as_ref().filter(|_| before.unlimited.is_none()) {
        let message = format!(
            "Container {} is not held to its limits, as it can have no control group ({why}): run the node as root, or \
             without limits",
            container.name
        );
        notes.push(note(EventType::Warning, "LimitsNotKept", message));
    }
    if now.crowded && !before.crowded {
        let message = "The pod had as many processes as it may, and could start no more".to_owned();
        notes.push(note(EventType::Warning, "PIDLimitReached", message));
    }
    let failed = |before: Option<bool>, now: Option<bool>| now == Some(false) && before != now;
    if failed(before.post_start, now.post_start) {
        notes.push(note(EventType::Warning, "FailedPostStartHook", "PostStartHook failed".to_owned()));
    }
    if failed(before.pre_stop, now.pre_stop) {
        notes.push(note(EventType::Warning, "FailedPreStopHook", "PreStopHook failed".to_owned()));
    }
    notes
}

fn killing(
    pod: &api::Pod,
    container: &ContainerStatus,
    old: Option<&State>,
    new: Option<&State>,
) -> Option<ReportedEvent> {
    let name = &container.name;
    let (old, new) = both(name, old, new)?;
    // Of what was told already, nothing is told again.
    if old.killing.is_some() || old.condemned().is_some() {
        return None;
    }
    // The next attempt may have begun since.
    let seen = old.current.as_ref().map(|attempt| attempt.number);
    let attempts = [&new.current, &new.previous].into_iter().flatten();
    let unseen = attempts.filter(|attempt| seen.is_none_or(|seen| attempt.number >= seen));
    let condemned = unseen.into_iter().find_map(|attempt| attempt.health.condemned());
    if condemned.is_none() && new.killing.is_none() {
        return None;
    }
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    let own = containers(pod).find(|found| found.name == *name);
    let of_container = own.and_then(|own| own.restart_policy.as_deref());
    let has_rules =
        own.and_then(|own| own.restart_policy_rules.as_ref()).is_some_and(|rules| !rules.is_empty());
    let again = of_container.or(of_pod) != Some("Never") || has_rules;
    let again = if again { ", will be restarted" } else { "" };
    let message = match condemned {
        None => format!("Stopping container {name}"),
        Some(Condemned::PostStart) => "FailedPostStartHook".to_owned(),
        // Whatever its policy is.
        Some(Condemned::Changed) => format!("Container {name} definition changed, will be restarted"),
        Some(Condemned::Probe(ProbeKind::Startup)) => format!("Container {name} failed startup probe{again}"),
        Some(Condemned::Probe(_)) => format!("Container {name} failed liveness probe{again}"),
    };
    Some(note(EventType::Normal, "Killing", message))
}

/// Volumes that cannot be mounted show as the reason why containers wait to be created.
fn mount_failures(old: Option<&PodStatus>, new: &PodStatus, events: &mut Vec<ReportedEvent>) {
    let messages = |status: &PodStatus| -> Vec<String> {
        let all = init(status).iter().chain(regular(status)).filter_map(waiting);
        let creating = all.filter(|waiting| {
            matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing"))
        });
        let said = creating.filter_map(|waiting| waiting.message.clone());
        let mut messages: Vec<String> = said.filter(|message| !message.is_empty()).collect();
        messages.dedup();
        messages
    };
    let told = old.map(messages).unwrap_or_default();
    for message in messages(new) {
        if told.contains(&message) {
            continue;
        }
        let reason = match &message {
            message if message.starts_with(MOUNT_FAILED) => "FailedMount",
            message if message.starts_with(SANDBOX_FAILED) => "FailedCreatePodSandBox",
            _ => "Failed",
        };
        events.push(note(EventType::Warning, reason, message));
    }
}

#[cfg(test)]
mod tests;
