//! A pod as its Job sees it: which of the Job's states it is in.

use std::cmp::{Ordering, Reverse};

use cronlet_object::{Object, api::Pod as FullPod};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Holds a pod back from removal until its Job has counted it.
pub(super) const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The completion index of a pod: annotation and label.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation: how many pods of this index failed before this one.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: how many failures of this index were ignored by the pod failure policy.
pub(super) const INDEX_IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// `status.phase`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Phase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    #[serde(other)]
    Unknown,
}

/// The part of a stored pod that its Job looks at; the rest of the text is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodView {
    metadata: Metadata,
    spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    annotations: Annotations,
    deletion_grace_period_seconds: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "batch.kubernetes.io/job-completion-index")]
    index: Option<String>,
    #[serde(rename = "batch.kubernetes.io/job-index-failure-count")]
    index_failures: Option<String>,
    #[serde(rename = "batch.kubernetes.io/job-index-ignored-failure-count")]
    index_ignored_failures: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    init_containers: Vec<InitContainer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InitContainer {
    name: String,
    restart_policy: String,
}

/// `status` of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: Phase,
    pub(super) conditions: Vec<PodCondition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

/// One of `status.conditions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodCondition {
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) status: String,
    last_transition_time: Option<Timestamp>,
}

/// One of `status.containerStatuses` or `status.initContainerStatuses`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) restart_count: u32,
    state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerState {
    terminated: Option<Terminated>,
}

/// How a container ended.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) reason: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
}

impl ContainerStatus {
    /// How the container ended, if it has.
    pub(super) fn terminated(&self) -> Option<&Terminated> {
        self.state.terminated.as_ref()
    }
}

/// A pod of a Job.
#[derive(Debug)]
pub(super) struct Pod<'a> {
    /// The stored pod.
    pub(super) object: &'a Object,
    /// What its text says.
    pub(super) view: PodView,
    /// Its completion index, if it has a readable one.
    pub(super) index: Option<u32>,
    /// Whether it still has to be counted: it carries the tracking finalizer, or gets it by being adopted.
    pub(super) tracked: bool,
    /// Whether this pass makes it the Job's.
    pub(super) adopted: bool,
}

impl<'a> Pod<'a> {
    /// Reads a stored pod that belongs to the Job, or is `adopted` by it in this pass.
    pub(super) fn read(object: &'a Object, adopted: bool) -> Self {
        let view: PodView = serde_json::from_str(object.json()).expect("stored pods are decodable as pods");
        let index = view.metadata.annotations.index.as_deref().and_then(count);
        Pod { tracked: adopted || has_tracking_finalizer(object), object, view, index, adopted }
    }

    /// The pod's UID.
    pub(super) fn uid(&self) -> &str {
        &self.object.meta().uid
    }

    /// Whether its deletion has been asked for.
    pub(super) fn is_deleting(&self) -> bool {
        self.object.meta().deleted.is_some()
    }

    /// Whether it ran to success.
    pub(super) fn is_succeeded(&self) -> bool {
        self.view.status.phase == Phase::Succeeded
    }

    fn has_ended(&self) -> bool {
        matches!(self.view.status.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether it is pending or running and not being deleted.
    pub(super) fn is_active(&self) -> bool {
        !self.has_ended() && !self.is_deleting()
    }

    /// Whether it is being deleted and has not ended yet.
    pub(super) fn is_terminating(&self) -> bool {
        !self.has_ended() && self.is_deleting()
    }

    /// Whether it counts as failed. A pod that is being deleted does so at once, as it may never get the chance to
    /// reach the phase Failed, unless the Job waits for the end of terminating pods.
    pub(super) fn is_failed(&self, waits_for_terminating: bool) -> bool {
        self.view.status.phase == Phase::Failed || (self.is_terminating() && !waits_for_terminating)
    }

    fn ready(&self) -> Option<&PodCondition> {
        self.view.status.conditions.iter().find(|condition| condition.type_ == "Ready")
    }

    /// Whether its Ready condition holds.
    pub(super) fn is_ready(&self) -> bool {
        self.ready().is_some_and(|condition| condition.status == "True")
    }

    /// Restarts of all its containers, if it is not at its end.
    pub(super) fn restarts_while_alive(&self) -> u64 {
        let status = &self.view.status;
        if !matches!(status.phase, Phase::Pending | Phase::Running) {
            return 0;
        }
        let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
        containers.map(|container| u64::from(container.restart_count)).sum()
    }

    /// Failures of its index before it that were counted.
    pub(super) fn index_failures(&self) -> u32 {
        self.view.metadata.annotations.index_failures.as_deref().and_then(count).unwrap_or_default()
    }

    /// Failures of its index before it that the pod failure policy ignored.
    pub(super) fn index_ignored_failures(&self) -> u32 {
        self.view.metadata.annotations.index_ignored_failures.as_deref().and_then(count).unwrap_or_default()
    }

    /// When it ended, as far as that can be told: the end of its last container, else since when it is not ready,
    /// else when its deletion was asked for, else its creation.
    pub(super) fn finished_at(&self) -> Timestamp {
        let meta = self.object.meta();
        let asked = |deadline: Timestamp| {
            let grace = SignedDuration::from_secs(self.view.metadata.deletion_grace_period_seconds);
            deadline.saturating_sub(grace).unwrap_or(deadline)
        };
        self.containers_finished_at()
            .or_else(|| self.ready().filter(|ready| ready.status == "False")?.last_transition_time)
            .or_else(|| meta.deleted.map(asked))
            .or(meta.created)
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When the last container ended, sidecars included; absent while one runs.
    fn containers_finished_at(&self) -> Option<Timestamp> {
        let status = &self.view.status;
        let sidecars = status.init_container_statuses.iter().filter(|c| self.is_sidecar(&c.name));
        let mut last = None;
        for container in status.container_statuses.iter().chain(sidecars) {
            last = last.max(Some(container.terminated()?.finished_at?));
        }
        last
    }

    fn is_sidecar(&self, container: &str) -> bool {
        let containers = &self.view.spec.init_containers;
        containers.iter().any(|c| c.name == container && c.restart_policy == "Always")
    }

    /// Orders pods by how little is lost with them: unscheduled before scheduled, pending before running, not ready
    /// before ready, ready for a short before a long time, often before seldom restarted, young before old.
    pub(super) fn removal_order(&self, other: &Self) -> Ordering {
        self.removal_rank().cmp(&other.removal_rank())
    }

    fn removal_rank(&self) -> impl Ord {
        let phase = match self.view.status.phase {
            Phase::Pending => 0,
            Phase::Unknown => 1,
            _ => 2,
        };
        let ready = self.ready().filter(|ready| ready.status == "True");
        let ready_since = ready.and_then(|ready| ready.last_transition_time);
        let status = &self.view.status;
        let restarts = status.container_statuses.iter().map(|c| c.restart_count).max();
        let sidecars = status.init_container_statuses.iter().filter(|c| self.is_sidecar(&c.name));
        let sidecar_restarts = sidecars.map(|c| c.restart_count).max();
        (
            !self.view.spec.node_name.is_empty(),
            phase,
            ready.is_some(),
            ready_since.map(Reverse),
            Reverse((restarts.unwrap_or_default(), sidecar_restarts.unwrap_or_default())),
            self.object.meta().created.map(Reverse),
        )
    }
}

/// Whether a stored pod carries the tracking finalizer.
pub(super) fn has_tracking_finalizer(object: &Object) -> bool {
    object.meta().finalizers.iter().any(|finalizer| finalizer.as_ref() == TRACKING_FINALIZER)
}

/// Whether a stored pod has ended and been counted.
///
/// The phase is looked for in the text because reading a pod costs a hundred times as much. In text that is written by
/// the type's own serialisation the last field of this name is `status.phase`: no field after it holds keys of the
/// user's choice, and quotes inside of values are escaped.
pub(super) fn is_settled(object: &Object) -> bool {
    const PHASE: &str = "\"phase\":\"";
    let phase = || object.json().rfind(PHASE).map(|at| &object.json()[at + PHASE.len()..]);
    !has_tracking_finalizer(object)
        && phase().is_some_and(|rest| rest.starts_with("Succeeded\"") || rest.starts_with("Failed\""))
}

/// Takes the tracking finalizer off a pod.
pub(super) fn remove_tracking_finalizer(pod: &mut FullPod) {
    if let Some(finalizers) = &mut pod.metadata.finalizers {
        finalizers.retain(|finalizer| finalizer != TRACKING_FINALIZER);
        if finalizers.is_empty() {
            pod.metadata.finalizers = None;
        }
    }
}

/// A count as annotations hold it; what is not one, since anybody may have written it, is as good as absent.
fn count(text: &str) -> Option<u32> {
    text.parse::<i32>().ok().and_then(|value| u32::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use cronlet_object::Draft;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_phase_is_found_beside_misleading_text() {
        let settled = |phase: &str, finalizers: &[&str]| {
            let pod: FullPod = serde_json::from_value(json!({
                "metadata": {"name": "p", "finalizers": finalizers,
                    "annotations": {"phase": "Failed", "x": "\"phase\":\"Failed\""}},
                "status": {"phase": phase, "message": "{\"phase\":\"Failed\"}", "reason": "\"phase\":\"Failed",
                    "conditions": [{"type": "phase", "status": "Failed"}], "qosClass": "BestEffort"},
            }))
            .unwrap();
            is_settled(&Draft::of(&pod).seal(1))
        };
        assert!(settled("Succeeded", &[]) && settled("Failed", &["example.com/other"]));
        assert!(!settled("Running", &[]) && !settled("Pending", &[]) && !settled("Unknown", &[]));
        assert!(!settled("Failed", &[TRACKING_FINALIZER]));
    }
}
