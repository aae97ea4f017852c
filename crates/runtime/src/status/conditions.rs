//! The conditions of a pod: upstream's rules, reasons and messages.

use cronlet_object::api::{ContainerStatus, PodCondition};

use super::{Observed, Part, phase, time};
use crate::spec::Role;

/// Whether a condition holds, and if not why.
struct Verdict {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    const HOLDS: Verdict = Verdict { holds: true, reason: None, message: None };

    fn because(holds: bool, reason: &'static str) -> Self {
        Verdict { holds, reason: Some(reason), message: None }
    }
}

/// The types of the conditions that a node keeps of every pod.
const OWN: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
/// The condition of a pod that is ended from outside: by the node, if it has the reason below.
const DISRUPTION: &str = "DisruptionTarget";
const ENDED_BY_NODE: &str = "TerminationByKubelet";

/// The conditions that a node keeps, in the order in which it lists them; then all others as they were.
pub(super) fn conditions(
    observed: Observed<'_>,
    phase: &str,
    parts: &[Part<'_>],
    statuses: &[ContainerStatus],
) -> Vec<PodCondition> {
    let old =
        observed.pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let made = [
        ready_to_start(observed),
        initialized(phase, parts),
        gated(observed, old, ready(phase, parts, statuses)),
        ready(phase, parts, statuses),
        Verdict::HOLDS,
    ];
    let made = OWN.into_iter().zip(made);
    let mut conditions: Vec<PodCondition> =
        made.map(|(kind, verdict)| condition(observed, old, kind, verdict)).collect();
    if let Some(message) = observed.run.and_then(|(_, state)| state.eviction.clone()) {
        let verdict = Verdict { message: Some(message), ..Verdict::because(true, ENDED_BY_NODE) };
        conditions.push(condition(observed, old, DISRUPTION, verdict));
    }
    with_foreign(conditions, old)
}

/// What a node says of its own conditions, and then what is stored of all others.
pub(super) fn merged(stored: &[PodCondition], told: &[PodCondition]) -> Vec<PodCondition> {
    let is_own = |condition: &&PodCondition| {
        let kind = condition.type_.as_str();
        OWN.contains(&kind) || kind == DISRUPTION && condition.reason.as_deref() == Some(ENDED_BY_NODE)
    };
    with_foreign(told.iter().filter(is_own).cloned().collect(), stored)
}

fn with_foreign(mut own: Vec<PodCondition>, stored: &[PodCondition]) -> Vec<PodCondition> {
    let is_foreign = |stored: &&PodCondition| own.iter().all(|own| own.type_ != stored.type_);
    let foreign: Vec<PodCondition> = stored.iter().filter(is_foreign).cloned().collect();
    own.extend(foreign);
    own
}

fn condition(observed: Observed<'_>, old: &[PodCondition], kind: &str, verdict: Verdict) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let old = old.iter().find(|condition| condition.type_ == kind && condition.status == status);
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        last_transition_time: old
            .and_then(|old| old.last_transition_time.clone())
            .or(Some(time(observed.now))),
        last_probe_time: None,
        observed_generation: observed.pod.metadata.generation,
    }
}

/// Whether what the containers need besides themselves is there: a shim has started one and the pod has not ended.
fn ready_to_start(observed: Observed<'_>) -> Verdict {
    let ready = observed.run.is_some_and(|(_, state)| {
        state.finished.is_none() && state.containers.iter().any(|container| container.current.is_some())
    });
    Verdict { holds: ready, reason: None, message: None }
}

fn initialized(phase: &str, parts: &[Part<'_>]) -> Verdict {
    if phase == phase::SUCCEEDED {
        return Verdict::because(true, "PodCompleted");
    }
    if parts.iter().any(|part| part.role == Role::Regular && part.has_started()) {
        return Verdict::HOLDS;
    }
    let incomplete = parts.iter().filter(|part| part.role != Role::Regular && !part.is_passed());
    not_all(incomplete, "ContainersNotInitialized", "incomplete")
}

fn ready(phase: &str, parts: &[Part<'_>], statuses: &[ContainerStatus]) -> Verdict {
    match phase {
        phase::SUCCEEDED => return Verdict::because(false, "PodCompleted"),
        phase::FAILED => return Verdict::because(false, "PodFailed"),
        _ => {}
    }
    let unready =
        parts.iter().zip(statuses).filter(|(part, status)| part.role != Role::Init && !status.ready);
    not_all(unready.map(|(part, _)| part), "ContainersNotReady", "unready")
}

/// Whether the pod is ready whose containers are, or are not for this reason: each of its readiness gates must be open.
fn gated(observed: Observed<'_>, stored: &[PodCondition], containers: Verdict) -> Verdict {
    let gates = observed.pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref());
    let closed = gates.unwrap_or_default().iter().filter_map(|gate| {
        let kind = &gate.condition_type;
        match stored.iter().find(|condition| condition.type_ == *kind) {
            None => Some(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
            Some(PodCondition { status, .. }) if status != "True" => {
                Some(format!("the status of pod readiness gate {kind:?} is not \"True\", but {status}"))
            }
            Some(_) => None,
        }
    });
    let closed: Vec<String> = closed.collect();
    if !containers.holds || closed.is_empty() {
        return containers;
    }
    Verdict { message: Some(closed.join(", ")), ..Verdict::because(false, "ReadinessGatesNotReady") }
}

fn not_all<'a>(lacking: impl Iterator<Item = &'a Part<'a>>, reason: &'static str, state: &str) -> Verdict {
    let names: Vec<&str> = lacking.map(|part| part.container.name.as_str()).collect();
    if names.is_empty() {
        return Verdict::HOLDS;
    }
    let message = format!("containers with {state} status: [{}]", names.join(" "));
    Verdict { message: Some(message), ..Verdict::because(false, reason) }
}
