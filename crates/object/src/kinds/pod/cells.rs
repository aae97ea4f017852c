//! The row of a pod: what its containers are doing, in one word.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    age::age,
    api::{Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus},
    table::{self, Row, RowCondition},
};

/// The row of a pod, by upstream's rules.
pub(super) fn row(pod: &Pod, now: Timestamp) -> Row {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let summary = Summary::of(pod, spec, status);
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container)).count();
    let ip = status.pod_ips.as_ref().and_then(|ips| ips.first()).map(|ip| ip.ip.as_str());
    let cells: [Value; 9] = [
        table::name(&pod.metadata),
        format!("{}/{}", summary.ready, spec.containers.len() + sidecars).into(),
        summary.reason.into(),
        summary.restarts.show(now).into(),
        table::age_of(&pod.metadata, now),
        table::text_or(ip, "<none>"),
        table::text_or(spec.node_name.as_deref(), "<none>"),
        table::text_or(status.nominated_node_name.as_deref(), "<none>"),
        readiness_gates(spec, status).into(),
    ];
    Row { conditions: Vec::from_iter(condition(status)), ..Row::of(cells) }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn condition(status: &PodStatus) -> Option<RowCondition> {
    let (reason, message) = match status.phase.as_deref()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(RowCondition { type_: "Completed", status: "True", reason, message })
}

fn readiness_gates(spec: &PodSpec, status: &PodStatus) -> String {
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let passed = gates.iter().filter(|gate| has_condition(status, &gate.condition_type)).count();
    format!("{passed}/{}", gates.len())
}

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

/// How often containers were restarted, and when the last of them had ended.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i32,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &ContainerStatus) {
        self.count += status.restart_count;
        let terminated = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        self.last = self.last.max(terminated.and_then(|state| state.finished_at.as_ref()).map(|time| time.0));
    }

    fn show(self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count > 0 => format!("{} ({} ago)", self.count, age(now, Some(last))),
            _ => self.count.to_string(),
        }
    }
}

/// What the Status, Ready and Restarts columns say.
struct Summary {
    reason: String,
    ready: usize,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &Pod, spec: &PodSpec, status: &PodStatus) -> Self {
        let phase = status.phase.as_deref().unwrap_or_default();
        let own_reason = status.reason.as_deref().filter(|reason| !reason.is_empty());
        let mut summary = Summary {
            reason: own_reason.unwrap_or(phase).to_owned(),
            ready: 0,
            restarts: Restarts::default(),
        };
        let mut conditions = status.conditions.iter().flatten();
        let gated = |reason: &Option<String>| reason.as_deref() == Some("SchedulingGated");
        if conditions.any(|condition| condition.type_ == "PodScheduled" && gated(&condition.reason)) {
            summary.reason = "SchedulingGated".to_owned();
        }
        let mut sidecars = Restarts::default();
        let initializing = summary.add_init_containers(spec, status, &mut sidecars);
        if !initializing || has_condition(status, "Initialized") {
            summary.restarts = sidecars;
            summary.add_containers(status);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if own_reason == Some("NodeLost") {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Adds the init containers up to the one that the pod is waiting for. Returns whether there is one.
    fn add_init_containers(&mut self, spec: &PodSpec, status: &PodStatus, sidecars: &mut Restarts) -> bool {
        let inits = spec.init_containers.as_deref().unwrap_or_default();
        for (i, container) in status.init_container_statuses.iter().flatten().enumerate() {
            let sidecar = inits.iter().any(|init| init.name == container.name && is_sidecar(init));
            self.restarts.add(container);
            if sidecar {
                sidecars.add(container);
            }
            let state = container.state.clone().unwrap_or_default();
            if state.terminated.as_ref().is_some_and(|terminated| terminated.exit_code == 0) {
                continue;
            }
            if sidecar && container.started == Some(true) {
                self.ready += usize::from(container.ready);
                continue;
            }
            self.reason = match init_reason(&state) {
                Some(reason) => format!("Init:{reason}"),
                None => format!("Init:{i}/{}", inits.len()),
            };
            return true;
        }
        false
    }

    fn add_containers(&mut self, status: &PodStatus) {
        let (mut running, mut failure) = (false, None);
        for container in status.container_statuses.iter().flatten().rev() {
            self.restarts.add(container);
            let state = container.state.clone().unwrap_or_default();
            if let Some(reason) = waiting_reason(&state) {
                self.reason = reason.to_owned();
            } else if let Some(terminated) = &state.terminated {
                self.reason = end_reason(terminated);
                if terminated.exit_code != 0 {
                    failure = Some(self.reason.clone());
                }
            } else if container.ready && state.running.is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && has_condition(status, "Ready") {
                self.reason = "Running".to_owned();
            } else if let Some(failure) = failure {
                self.reason = failure;
            } else if running {
                self.reason = "NotReady".to_owned();
            }
        }
    }
}

fn waiting_reason(state: &ContainerState) -> Option<&str> {
    state.waiting.as_ref()?.reason.as_deref().filter(|reason| !reason.is_empty())
}

fn init_reason(state: &ContainerState) -> Option<String> {
    match &state.terminated {
        Some(terminated) => Some(end_reason(terminated)),
        None => waiting_reason(state).filter(|reason| *reason != "PodInitializing").map(str::to_owned),
    }
}

fn end_reason(terminated: &ContainerStateTerminated) -> String {
    let reason = terminated.reason.as_deref().filter(|reason| !reason.is_empty());
    match (reason, terminated.signal.filter(|signal| *signal != 0)) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(signal)) => format!("Signal:{signal}"),
        (None, None) => format!("ExitCode:{}", terminated.exit_code),
    }
}
