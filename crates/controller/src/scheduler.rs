//! Binds pods to the one node, or says why they cannot run on it.

mod fit;
mod volumes;

use std::borrow::Cow;

use cronlet_object::{
    Ids, Key, Kind, Object, Unchanged, Write,
    api::{Node, Pod, PodCondition, PodStatus, Time},
    deletion::replace,
    event::{self, Note, Recorder},
};
use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use crate::{Plan, View};

/// The scheduler that pods name unless they want another, and the component its events come from.
const SCHEDULER: &str = "default-scheduler";
/// The condition of a pod that tells whether it has a node.
const POD_SCHEDULED: &str = "PodScheduled";

/// Looks at one pod.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(node_name) = &view.settings.node_name else { return plan };
    let Some(object) = view.snapshot.get(key).filter(|pod| is_waiting(pod)) else { return plan };
    let mut pod = object.decode::<Pod>();
    let mut found = Found::default();
    let verdict = judge(view, node_name, &pod, object.namespace(), &mut found);
    if verdict.is_ok() && found.waits {
        // Its claims are bound next, now that it is known where it is to run.
        plan.transaction.writes = found.writes;
        return plan;
    }
    let (condition, message) = match &verdict {
        Ok(()) => {
            pod.spec.get_or_insert_default().node_name = Some(node_name.clone());
            let pod = format!("{}/{}", object.namespace(), object.name());
            (scheduled(object, None), format!("Successfully assigned {pod} to {node_name}"))
        }
        Err(problem) => (scheduled(object, Some(problem)), problem.clone()),
    };
    set_condition(pod.status.get_or_insert_default(), condition, view.now);
    // Nothing new to say: the pod waits for the same as before.
    let Some(write) = replace(object, &pod.into()) else { return plan };
    let note = match &verdict {
        Ok(()) => Note::normal("Scheduled", &message),
        Err(_) => Note::warning("FailedScheduling", &message),
    };
    plan.transaction.require = found.read;
    plan.transaction.writes.push(write);
    if verdict.is_ok() {
        plan.transaction.writes.extend(found.writes);
    }
    let recorder = Recorder { snapshot: view.snapshot, now: view.now, component: SCHEDULER, host: None };
    recorder.record(&mut plan.transaction.writes, &event::reference(object), &note, ids);
    plan
}

/// Whether a pod waits for this scheduler.
pub(crate) fn is_waiting(pod: &Object) -> bool {
    #[derive(Deserialize)]
    struct Glance<'a> {
        #[serde(borrow)]
        spec: Spec<'a>,
        #[serde(borrow, default)]
        status: Status<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec<'a> {
        #[serde(borrow)]
        node_name: Option<Cow<'a, str>>,
        #[serde(borrow)]
        scheduler_name: Option<Cow<'a, str>>,
        #[serde(default)]
        scheduling_gates: Vec<IgnoredAny>,
    }
    #[derive(Default, Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        phase: Option<Cow<'a, str>>,
    }
    let Ok(Glance { spec, status }) = serde_json::from_str(pod.json()) else { return false };
    pod.meta().deleted.is_none()
        && spec.node_name.is_none_or(|name| name.is_empty())
        && spec.scheduler_name.is_none_or(|name| name == SCHEDULER)
        && spec.scheduling_gates.is_empty()
        && !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// What is found out about a pod's claims.
#[derive(Default)]
struct Found {
    /// What the answer rests on.
    read: Vec<Unchanged>,
    /// What is to be said of the claims if the pod can run.
    writes: Vec<Write>,
    /// Whether claims must be bound before the pod can have the node.
    waits: bool,
}

/// Whether a pod can run on the node, or why not.
fn judge(view: &View, node_name: &str, pod: &Pod, namespace: &str, found: &mut Found) -> Result<(), String> {
    let Some(node) = view.snapshot.get(&Key::new(Kind::Node, "", node_name)) else {
        return Err("no nodes available to schedule pods".to_owned());
    };
    let mut claims = Vec::new();
    for claim in fit::claims(pod) {
        let stored =
            view.snapshot.get(&Key::new(Kind::PersistentVolumeClaim, namespace, claim.name.as_ref()));
        let stored = fit::check_claim(&claim, pod, stored.map(AsRef::as_ref), view.snapshot)
            .map_err(|problem| unavailable(&problem))?;
        claims.push(stored);
    }
    let node = node.decode::<Node>();
    fit::check_node(pod, &node).map_err(|problem| unavailable(&format!("1 {problem}")))?;
    for claim in claims {
        volumes::check(view, claim, &node, pod, found)?;
    }
    Ok(())
}

/// The words of kube-scheduler in a cluster of one node.
fn unavailable(problem: &str) -> String {
    format!(
        "0/1 nodes are available: {problem}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for \
         scheduling."
    )
}

/// The condition that says that a pod has a node, or what keeps it from having one.
fn scheduled(pod: &Object, problem: Option<&String>) -> PodCondition {
    PodCondition {
        type_: POD_SCHEDULED.to_owned(),
        status: if problem.is_none() { "True" } else { "False" }.to_owned(),
        reason: problem.map(|_| "Unschedulable".to_owned()),
        message: problem.cloned(),
        observed_generation: (pod.meta().generation > 0).then_some(pod.meta().generation),
        ..PodCondition::default()
    }
}

/// Sets a condition; its transition time is that of the last change of its status.
fn set_condition(status: &mut PodStatus, mut condition: PodCondition, now: Timestamp) {
    let conditions = status.conditions.get_or_insert_default();
    match conditions.iter_mut().find(|existing| existing.type_ == condition.type_) {
        Some(existing) => {
            let same = existing.status == condition.status;
            let since = existing.last_transition_time.take().filter(|_| same);
            condition.last_transition_time = since.or(Some(Time(now)));
            condition.last_probe_time = existing.last_probe_time.take();
            *existing = condition;
        }
        None => {
            condition.last_transition_time = Some(Time(now));
            conditions.push(condition);
        }
    }
}

#[cfg(test)]
mod tests;
