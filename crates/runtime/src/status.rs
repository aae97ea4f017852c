//! The status of a pod as the API shows it: a function of the pod, what has become of it, and what holds it up.

mod conditions;
mod phase;

use cronlet_object::api::{
    self, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, PodStatus, Time,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{HostIP, PodIP};

use crate::{
    journal::{ExitKind, StopCause},
    lifecycle,
    resolve::{Blocked, roles},
    spec::{self, Role},
    state::{self, Attempt, Condemned, State, container_id},
};

/// All that a pod's status depends on.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The pod as stored, with the status it had.
    pub pod: &'a api::Pod,
    /// What its shim was told and what has become of it; nothing if it was not started yet.
    pub run: Option<(&'a spec::Pod, &'a State)>,
    /// What keeps it from being started.
    pub blocked: &'a [Blocked],
    /// The address of the node, which is that of its pods unless they have their own.
    pub node_ip: &'a str,
    /// When the node first saw the pod.
    pub start_time: Timestamp,
    /// The time now, at which conditions change that change.
    pub now: Timestamp,
}

/// One of a pod's containers.
#[derive(Clone, Copy)]
struct Part<'a> {
    role: Role,
    container: &'a api::Container,
    record: Option<&'a state::Container>,
    /// What its shim was told of it.
    spec: Option<&'a spec::Container>,
    /// When it will be started again, if it has ended and will be.
    restart_at: Option<Timestamp>,
}

/// A pod's phase when it has ended, and why it has: `status.phase`, `reason`, `message`.
pub(crate) const DEADLINE_REASON: &str = "DeadlineExceeded";
/// See [`DEADLINE_REASON`].
pub(crate) const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// The reason of a pod's end that kept more on the disk than it may.
pub(crate) const EVICTED: &str = "Evicted";

/// Computes the status of a pod. What the node does not know about stays as it was.
pub fn pod_status(observed: Observed<'_>) -> PodStatus {
    let pod = observed.pod;
    let mut status = pod.status.clone().unwrap_or_default();
    let Some(spec) = &pod.spec else { return status };
    let parts: Vec<Part<'_>> = parts(observed, spec).collect();
    let initialized = parts.iter().any(|part| part.role == Role::Regular && part.has_started());
    let statuses: Vec<ContainerStatus> =
        parts.iter().map(|part| container_status(observed, *part, initialized)).collect();
    let phase = phase::phase(observed, &parts, &statuses);
    if status.phase.as_deref() != Some(phase) {
        (status.reason, status.message) = (None, None);
    }
    if phase == phase::FAILED
        && let Some((reason, message)) = ended_by_node(observed)
    {
        status.reason = Some(reason.to_owned());
        status.message = Some(message);
    }
    status.conditions = Some(conditions::conditions(observed, phase, &parts, &statuses));
    let init_count = parts.iter().filter(|part| part.role != Role::Regular).count();
    let mut init = statuses;
    let regular = init.split_off(init_count);
    status.init_container_statuses = (!init.is_empty()).then_some(init);
    status.container_statuses = Some(regular);
    status.phase = Some(phase.to_owned());
    status.start_time = Some(time(observed.start_time));
    status.observed_generation = pod.metadata.generation;
    let ip = || observed.node_ip.to_owned();
    status.host_ip = Some(ip());
    status.host_ips = Some(vec![HostIP { ip: ip() }]);
    // It does not change any more, whatever becomes of the node's.
    if let Some((spec, _)) = observed.run
        && status.pod_ip.as_deref().is_none_or(str::is_empty)
    {
        let own = spec.sandbox.bridge.as_ref().map(|bridge| bridge.address.to_string());
        let ip = own.unwrap_or_else(ip);
        status.pod_ips = Some(vec![PodIP { ip: ip.clone() }]);
        status.pod_ip = Some(ip);
    }
    status
}

/// A pod's status as it is to be stored: what the node tells, and of all else what is stored by now. The one it tells
/// was made from an older one, and others may have written since.
pub fn over_stored(stored: PodStatus, told: &PodStatus) -> PodStatus {
    let list = |status: &PodStatus| status.conditions.clone().unwrap_or_default();
    let conditions = conditions::merged(&list(&stored), &list(told));
    let (reason, message) = if told.reason.is_none() && told.phase == stored.phase {
        (stored.reason.clone(), stored.message.clone())
    } else {
        (told.reason.clone(), told.message.clone())
    };
    let told = told.clone();
    PodStatus {
        phase: told.phase,
        reason,
        message,
        conditions: (!conditions.is_empty()).then_some(conditions),
        init_container_statuses: told.init_container_statuses,
        container_statuses: told.container_statuses,
        start_time: told.start_time,
        observed_generation: told.observed_generation,
        host_ip: told.host_ip,
        host_ips: told.host_ips,
        pod_ip: told.pod_ip,
        pod_ips: told.pod_ips,
        ..stored
    }
}

/// When a pod has been active for as long as it may, if that is bounded.
pub(crate) fn deadline(pod: &api::Pod, start_time: Timestamp) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    start_time.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Whether a pod has been active for longer than it may.
pub(crate) fn is_past_deadline(pod: &api::Pod, start_time: Timestamp, now: Timestamp) -> bool {
    deadline(pod, start_time).is_some_and(|deadline| deadline <= now)
}

/// Why the node ended the pod, or never started it: reason and message.
fn ended_by_node(observed: Observed<'_>) -> Option<(&'static str, String)> {
    if let Some((_, state)) = observed.run {
        return stopped_by_node(state).map(|(reason, message)| (reason, message.to_owned()));
    }
    let rejected = observed.blocked.iter().find_map(|blocked| match blocked {
        Blocked::Pod { reason, message } => Some((*reason, format!("Pod was rejected: {message}"))),
        _ => None,
    });
    let is_late = is_past_deadline(observed.pod, observed.start_time, observed.now);
    rejected.or_else(|| is_late.then(|| (DEADLINE_REASON, DEADLINE_MESSAGE.to_owned())))
}

/// Why the node ended a pod that it had started: because it was active for too long, or kept too much on the disk.
pub(crate) fn stopped_by_node(state: &State) -> Option<(&'static str, &str)> {
    match state.stop?.cause {
        StopCause::Request => None,
        StopCause::Deadline => Some((DEADLINE_REASON, DEADLINE_MESSAGE)),
        StopCause::Evicted => Some((EVICTED, state.eviction.as_deref().unwrap_or_default())),
    }
}

fn parts<'a>(observed: Observed<'a>, spec: &'a api::PodSpec) -> impl Iterator<Item = Part<'a>> {
    roles(spec).map(move |(role, container)| {
        let position = observed.run.and_then(|(spec, _)| spec.position(&container.name));
        let run = observed.run.zip(position);
        Part {
            role,
            container,
            record: run.and_then(|((_, state), position)| state.containers.get(position)),
            spec: run.and_then(|((spec, _), position)| spec.containers.get(position)),
            restart_at: run
                .and_then(|((spec, state), position)| lifecycle::restart_at(spec, state, position)),
        }
    })
}

impl<'a> Part<'a> {
    fn current(&self) -> Option<&'a Attempt> {
        self.record.and_then(|record| record.current.as_ref())
    }

    fn has_started(&self) -> bool {
        self.current().is_some()
    }

    /// Whether its latest attempt has ended with exit code 0.
    fn has_succeeded(&self) -> bool {
        self.record.and_then(state::Container::exit).is_some_and(|(_, exit)| exit.code == 0)
    }

    /// Whether it has come up.
    fn is_started(&self) -> bool {
        self.record.zip(self.spec).is_some_and(|(record, spec)| record.is_started(spec))
    }

    /// Whether its `postStart` hook is not done. Until then the kubelet does not say that it runs.
    fn is_being_hooked(&self) -> bool {
        self.record.zip(self.spec).is_some_and(|(record, spec)| record.is_being_hooked(spec))
    }

    /// Whether what follows it among the init containers may start.
    fn is_passed(&self) -> bool {
        if self.role == Role::Init { self.has_succeeded() } else { self.is_started() }
    }

    /// Whether it does what the pod needs of it.
    fn is_ready(&self) -> bool {
        if self.role == Role::Init {
            return self.has_succeeded();
        }
        self.record.zip(self.spec).is_some_and(|(record, spec)| record.is_ready(spec))
    }
}

fn container_status(observed: Observed<'_>, part: Part<'_>, initialized: bool) -> ContainerStatus {
    let uid = observed.pod.metadata.uid.as_deref().unwrap_or_default();
    let name = &part.container.name;
    let terminated = |attempt: &Attempt| terminated(attempt, uid, name);
    let previous = part.record.and_then(|record| record.previous.as_ref()).and_then(terminated);
    let (state, last) = match part.current() {
        Some(_) if part.is_being_hooked() => (waiting(creating(observed), None), previous),
        Some(attempt) if attempt.exit.is_none() => {
            let running = ContainerStateRunning { started_at: Some(time(attempt.started)) };
            (ContainerState { running: Some(running), ..ContainerState::default() }, previous)
        }
        Some(attempt) => match waiting_again(observed, part) {
            Some(waiting) => (waiting, terminated(attempt)),
            None => (terminated(attempt).unwrap_or_default(), previous),
        },
        None => (not_started(observed, part, initialized), None),
    };
    // What it runs with, until a changed one is there.
    let told = part.spec.map(|spec| spec.image.clone()).filter(|image| !image.is_empty());
    let image = told.or_else(|| part.container.image.clone()).unwrap_or_default();
    ContainerStatus {
        name: name.clone(),
        container_id: part.current().map(|attempt| api_id(uid, name, attempt.number)),
        image,
        image_id: image_id(observed, name),
        state: Some(state),
        last_state: Some(last.unwrap_or_default()),
        ready: part.is_ready(),
        started: Some(part.is_started()),
        restart_count: part.current().map_or(0, |attempt| restart_count(observed, attempt)),
        ..ContainerStatus::default()
    }
}

/// How often a container was restarted. One whose end nobody saw is counted as if it had been already, unless its pod is
/// to go (the kubelet's rule).
fn restart_count(observed: Observed<'_>, attempt: &Attempt) -> i32 {
    let is_lost = attempt.exit.as_ref().is_some_and(|(_, exit)| exit.kind == ExitKind::Lost);
    let counts = is_lost && observed.pod.metadata.deletion_timestamp.is_none();
    i32::try_from(attempt.number).unwrap_or(i32::MAX).saturating_add(i32::from(counts))
}

/// The image that a container runs, as it was found by its digest; nothing for a process of the host.
fn image_id(observed: Observed<'_>, container: &str) -> String {
    let spec = observed.run.map(|(spec, _)| spec);
    let root = spec.and_then(|spec| spec.containers[spec.position(container)?].root.as_ref());
    root.map(|root| root.image_id.clone()).unwrap_or_default()
}

/// A time as the API shows it, in whole seconds: finer, a status would differ from itself once it is stored.
pub(crate) fn time(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// A container's ID as the API shows it.
fn api_id(uid: &str, container: &str, attempt: u32) -> String {
    format!("cronlet://{}", container_id(uid, container, attempt))
}

/// The reasons that say how a container ended; of others its exit code tells.
const REASONS: [(ExitKind, &str); 3] =
    [(ExitKind::StartError, "StartError"), (ExitKind::Lost, UNKNOWN), (ExitKind::OutOfMemory, "OOMKilled")];
/// The reason of an end that nobody saw.
const UNKNOWN: &str = "ContainerStatusUnknown";

/// How a container ended, by the reason that the API shows.
pub(crate) fn exit_kind(reason: &str) -> ExitKind {
    let named = REASONS.iter().find(|(_, known)| *known == reason);
    named.map_or(ExitKind::Ended, |(kind, _)| *kind)
}

fn terminated(attempt: &Attempt, uid: &str, container: &str) -> Option<ContainerState> {
    let (finished, exit) = attempt.exit.as_ref()?;
    let named = REASONS.iter().find(|(kind, _)| *kind == exit.kind).map(|(_, reason)| *reason);
    let reason = named.unwrap_or(if exit.code == 0 { "Completed" } else { "Error" });
    let terminated = ContainerStateTerminated {
        container_id: Some(api_id(uid, container, attempt.number)),
        exit_code: exit.code,
        reason: Some(reason.to_owned()),
        message: (!exit.message.is_empty()).then(|| exit.message.clone()),
        started_at: Some(time(attempt.started)),
        finished_at: Some(time(*finished)),
        signal: None,
    };
    Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() })
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// What a container that has ended waits for, if it does.
fn waiting_again(observed: Observed<'_>, part: Part<'_>) -> Option<ContainerState> {
    part.restart_at?;
    let record = part.record?;
    if let Some(refusal) = &record.refusal {
        let message = volume_message(&refusal.volume, &refusal.message);
        return Some(waiting(creating(observed), Some(message)));
    }
    let delay = record.restart_delay().as_secs();
    if delay > 0 {
        let message = back_off_message(observed.pod, part.container, delay);
        return Some(waiting("CrashLoopBackOff", Some(message)));
    }
    // Restarted at once the first time, it does not wait, unless it did not come to run at all.
    let (_, exit) = record.exit()?;
    match record.condemned() {
        _ if exit.kind == ExitKind::StartError => {
            Some(waiting("RunContainerError", Some(exit.message.clone())))
        }
        Some(Condemned::PostStart) => Some(waiting("PostStartHookError", None)),
        _ => None,
    }
}

fn back_off_message(pod: &api::Pod, container: &api::Container, delay_seconds: i64) -> String {
    let pod = pod_text(pod);
    // Written as Go writes durations: 10s, 1m20s.
    let delay = match (delay_seconds / 60, delay_seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    };
    format!("back-off {delay} restarting failed container={} pod={pod}", container.name)
}

/// A pod as the kubelet names it in messages.
pub(crate) fn pod_text(pod: &api::Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    format!("{}_{}({})", text(&metadata.name), text(&metadata.namespace), text(&metadata.uid))
}

/// What is told of a volume that cannot be mounted, or of something else that keeps a container from being made.
pub(crate) fn volume_message(volume: &str, message: &str) -> String {
    if volume.is_empty() {
        message.to_owned()
    } else {
        format!("{MOUNT_FAILED} for volume {volume:?} : {message}")
    }
}

/// How the kubelet begins to say that a pod cannot have its network or its host name.
pub(crate) const SANDBOX_FAILED: &str = "Failed to create pod sandbox";

/// How the kubelet begins to say that a volume cannot be mounted.
pub(crate) const MOUNT_FAILED: &str = "MountVolume.SetUp failed";

/// What a container waits for that is being started.
fn creating(observed: Observed<'_>) -> &'static str {
    let has_init = observed.pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
    if has_init.is_some_and(|init| !init.is_empty()) { "PodInitializing" } else { "ContainerCreating" }
}

/// The state of a container that was never started.
fn not_started(observed: Observed<'_>, part: Part<'_>, initialized: bool) -> ContainerState {
    if initialized && observed.run.is_some_and(|(_, state)| state.finished.is_some()) {
        let lost = ContainerStateTerminated {
            exit_code: 137,
            reason: Some(UNKNOWN.to_owned()),
            message: Some("The container could not be located when the pod was terminated".to_owned()),
            ..ContainerStateTerminated::default()
        };
        return ContainerState { terminated: Some(lost), ..ContainerState::default() };
    }
    let own = observed.blocked.iter().find_map(|blocked| match blocked {
        Blocked::Container { container, reason, message } if *container == part.container.name => {
            Some(waiting(reason, Some(message.clone())))
        }
        _ => None,
    });
    let volume = || {
        observed.blocked.iter().find_map(|blocked| match blocked {
            Blocked::Volume { volume, message } => Some(volume_message(volume, message)),
            Blocked::Container { .. } | Blocked::Pod { .. } => None,
        })
    };
    let refusal = part.record.and_then(|record| record.refusal.as_ref());
    let refused = || refusal.map(|refusal| volume_message(&refusal.volume, &refusal.message));
    own.unwrap_or_else(|| waiting(creating(observed), refused().or_else(volume)))
}

#[cfg(test)]
mod tests;
