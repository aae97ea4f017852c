//! The pods of this node: handed to the runtime as they change, and what it reports of them committed.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cronlet_object::{
    Change, Ids, Key, Kind, Object, Snapshot, Transaction, Typed,
    api::Pod,
    deletion,
    event::{self, Note, Recorder},
};
use cronlet_runtime::{Report, Runtime, status::over_stored, tokens};
use cronlet_store::{Committed, Refusal, Store};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tracing::warn;

use super::{Inbox, Input};
use crate::limits::{BLOCKED_POD_RETRY_SECONDS, REFUSED_RETRY_SECONDS};

/// The component that speaks in events about pods, as on a cluster.
const COMPONENT: &str = "kubelet";

/// What is known of the pods while the node runs.
pub struct Pods {
    store: Store,
    runtime: Option<Arc<Runtime>>,
    inbox: Inbox,
    node_name: String,
    ids: Ids,
    reports: HashMap<Arc<str>, Reports>,
    /// Pods whose start is blocked or whose report was refused, by the time they are tried again.
    retries: BTreeSet<(Timestamp, Key)>,
    /// When pods that have tokens are handed over again, so that those are replaced in time: at the start, and after a
    /// while if there are such pods.
    tokens_at: Option<Timestamp>,
}

/// The reports of one pod: at most one is being committed, and only the latest waits.
#[derive(Default)]
struct Reports {
    committing: Option<Report>,
    waiting: Option<Report>,
}

impl Pods {
    /// No pod is known yet.
    pub fn new(
        store: Store,
        runtime: Option<Arc<Runtime>>,
        inbox: Inbox,
        node_name: String,
        ids: Ids,
    ) -> Self {
        Pods {
            store,
            runtime,
            inbox,
            node_name,
            ids,
            reports: HashMap::new(),
            retries: BTreeSet::new(),
            tokens_at: Some(Timestamp::MIN),
        }
    }

    /// Hands a pod to the runtime if it is bound to this node. The runtime looks itself whether there is anything to do.
    pub fn sync(&self, pod: &Arc<Object>, snapshot: &Snapshot) {
        if let Some(runtime) = self.runtime.as_ref().filter(|_| is_bound(pod)) {
            runtime.sync(pod, snapshot);
        }
    }

    /// Follows a commit.
    pub fn committed(&mut self, change: &Change, snapshot: &Snapshot) {
        let Some(runtime) = &self.runtime else { return };
        let object = change.object();
        match (object.kind(), &change.new) {
            (Kind::Pod, Some(pod)) => self.sync(pod, snapshot),
            (Kind::Pod, None) => {
                self.reports.remove(&object.meta().uid);
                runtime.remove(&object.meta().uid);
            }
            (Kind::PersistentVolumeClaim, None) => runtime.remove_claim(object, snapshot),
            (Kind::PersistentVolume, None) => runtime.remove_volume(object),
            (Kind::Namespace, None) => runtime.remove_namespace(object.name()),
            (Kind::ConfigMap | Kind::Secret | Kind::PersistentVolumeClaim, Some(_)) => {
                self.retry_namespace(object.namespace(), snapshot);
                self.refresh(object, snapshot);
            }
            _ => {}
        }
    }

    /// Pods that run may have files that are made of this object.
    fn refresh(&self, object: &Object, snapshot: &Snapshot) {
        for pod in snapshot.list_namespace(Kind::Pod, object.namespace()) {
            if has_files_of(pod, object) {
                self.sync(pod, snapshot);
            }
        }
    }

    /// What a blocked pod of this namespace waits for may be there now.
    fn retry_namespace(&mut self, namespace: &str, snapshot: &Snapshot) {
        for (_, key) in self.retries.iter().filter(|(_, key)| key.namespace.as_ref() == namespace) {
            if let Some(pod) = snapshot.get(key) {
                self.sync(pod, snapshot);
            }
        }
    }

    /// Has the tokens of pods looked at in a while, unless that is so already.
    fn look_at_tokens_later(&mut self, now: Timestamp) {
        if self.tokens_at.is_none() {
            self.tokens_at = now.checked_add(SignedDuration::from_secs(tokens::LOOK_SECONDS)).ok();
        }
    }

    /// Hands over again the pods that run and have tokens.
    fn look_at_tokens(&mut self, now: Timestamp) {
        self.tokens_at = None;
        let snapshot = self.store.snapshot();
        let mut any = false;
        for pod in snapshot.list(Kind::Pod).filter(|pod| has_token(pod)) {
            self.sync(pod, &snapshot);
            any = true;
        }
        if any {
            self.look_at_tokens_later(now);
        }
    }

    /// Tries again what is due.
    pub fn fire(&mut self, now: Timestamp) {
        if self.tokens_at.is_some_and(|at| at <= now) {
            self.look_at_tokens(now);
        }
        while let Some((at, _)) = self.retries.first()
            && *at <= now
        {
            let Some((_, key)) = self.retries.pop_first() else { return };
            let snapshot = self.store.snapshot();
            if let Some(pod) = snapshot.get(&key) {
                self.sync(pod, &snapshot);
                let uid = pod.meta().uid.clone();
                self.commit_next(&uid, now);
            }
        }
    }

    /// When something must be tried again.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let retry = self.retries.first().map(|(at, _)| *at);
        retry.into_iter().chain(self.tokens_at).min()
    }

    /// Takes in what the runtime saw. An older report that waits is superseded.
    pub fn report(&mut self, mut report: Report, now: Timestamp) {
        self.retries.retain(|(_, key)| *key != report.pod);
        if report.blocked {
            self.retry_after(report.pod.clone(), BLOCKED_POD_RETRY_SECONDS, now);
        }
        let uid = report.uid.clone();
        let reports = self.reports.entry(uid.clone()).or_default();
        if let Some(older) = reports.waiting.take() {
            // Statuses replace each other; events have all happened.
            report.events.splice(0..0, older.events);
        }
        let has_token = self.store.snapshot().get(&report.pod).is_some_and(|pod| has_token(pod));
        reports.waiting = Some(report);
        if has_token {
            self.look_at_tokens_later(now);
        }
        self.commit_next(&uid, now);
    }

    fn commit_next(&mut self, uid: &Arc<str>, now: Timestamp) {
        let Some(reports) = self.reports.get_mut(uid).filter(|reports| reports.committing.is_none()) else {
            return;
        };
        let Some(report) = reports.waiting.take() else { return };
        let snapshot = self.store.snapshot();
        let Some(pod) = snapshot.get(&report.pod).filter(|pod| pod.meta().uid == *uid) else {
            self.reports.remove(uid);
            return;
        };
        let recorder =
            Recorder { snapshot: &snapshot, now, component: COMPONENT, host: Some(&self.node_name) };
        let transaction = told(pod, &report, &recorder, &mut self.ids);
        if transaction.is_empty() {
            self.reports.remove(uid);
            return;
        }
        reports.committing = Some(report);
        let (inbox, uid) = (self.inbox.clone(), uid.clone());
        self.store.submit(transaction, move |result| inbox.send(Input::Reported(uid, result)));
    }

    /// Takes in the outcome of a report's commit.
    pub fn reported(&mut self, uid: &Arc<str>, result: Result<Committed, Refusal>, now: Timestamp) {
        let Some(reports) = self.reports.get_mut(uid) else { return };
        let committed = reports.committing.take();
        if let (Err(refusal), Some(report)) = (result, committed) {
            let key = report.pod.clone();
            // The report is not lost: it waits again, unless a newer one has its place.
            match &mut reports.waiting {
                Some(newer) => drop(newer.events.splice(0..0, report.events)),
                waiting @ None => *waiting = Some(report),
            }
            if matches!(refusal, Refusal::Disk { .. } | Refusal::Overloaded | Refusal::Stopped) {
                warn!(pod = %key, %refusal, "the pod's status is not committed; trying again later");
                return self.retry_after(key, REFUSED_RETRY_SECONDS, now);
            }
        }
        if reports.waiting.is_none() {
            self.reports.remove(uid);
            return;
        }
        self.commit_next(uid, now);
    }

    fn retry_after(&mut self, key: Key, seconds: i64, now: Timestamp) {
        if let Ok(at) = now.checked_add(SignedDuration::from_secs(seconds)) {
            self.retries.insert((at, key));
        }
    }
}

/// Whether a pod has been given to a node, of which there is one.
fn is_bound(pod: &Object) -> bool {
    #[derive(Deserialize)]
    struct Binding {
        spec: Spec,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        #[serde(default)]
        node_name: String,
    }
    serde_json::from_str::<Binding>(pod.json()).is_ok_and(|binding| !binding.spec.node_name.is_empty())
}

/// Whether a pod that has not finished has a token.
fn has_token(pod: &Object) -> bool {
    if !pod.json().contains("\"serviceAccountToken\":") {
        return false;
    }
    let glance = serde_json::from_str::<PodGlance<'_>>(pod.json());
    glance.is_ok_and(|pod| !matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed")))
}

/// The fields of a pod that tell of which objects its files are made.
#[derive(Deserialize)]
struct PodGlance<'a> {
    #[serde(borrow, default)]
    spec: SpecGlance<'a>,
    #[serde(borrow, default)]
    status: StatusGlance<'a>,
}

#[derive(Default, Deserialize)]
struct SpecGlance<'a> {
    #[serde(borrow, default)]
    volumes: Vec<SourceGlance<'a>>,
}

/// A volume, or one source of a projected one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceGlance<'a> {
    #[serde(borrow)]
    config_map: Option<NameGlance<'a>>,
    #[serde(borrow)]
    secret: Option<NameGlance<'a>>,
    #[serde(borrow)]
    projected: Option<ProjectedGlance<'a>>,
}

#[derive(Deserialize)]
struct ProjectedGlance<'a> {
    #[serde(borrow, default)]
    sources: Vec<SourceGlance<'a>>,
}

#[derive(Deserialize)]
struct NameGlance<'a> {
    #[serde(borrow, default, alias = "secretName")]
    name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct StatusGlance<'a> {
    #[serde(borrow)]
    phase: Option<Cow<'a, str>>,
}

/// Whether a pod that has not finished has a volume that is made of a ConfigMap or a Secret.
fn has_files_of(pod: &Object, object: &Object) -> bool {
    // Most pods do not even mention it.
    if !pod.json().contains(object.name()) {
        return false;
    }
    let Ok(PodGlance { spec, status }) = serde_json::from_str(pod.json()) else { return false };
    let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let named = |source: &SourceGlance<'_>| {
        let name = match object.kind() {
            Kind::ConfigMap => source.config_map.as_ref(),
            Kind::Secret => source.secret.as_ref(),
            _ => None,
        };
        name.is_some_and(|source| source.name == object.name())
    };
    let is_made_of = |volume: &SourceGlance<'_>| {
        named(volume) || volume.projected.iter().flat_map(|projected| &projected.sources).any(named)
    };
    !finished && spec.volumes.iter().any(is_made_of)
}

/// The writes that say what a report says: the pod's status, the end of a deleted pod, and the events.
fn told(old: &Arc<Object>, report: &Report, recorder: &Recorder, ids: &mut Ids) -> Transaction {
    let mut pod: Pod = old.decode();
    pod.status = Some(over_stored(pod.status.take().unwrap_or_default(), &report.status));
    if report.stopped && pod.metadata.deletion_timestamp.is_some() {
        // What the kubelet does when nothing of the pod is left: it deletes without grace.
        pod.metadata.deletion_grace_period_seconds = Some(0);
    }
    let mut transaction = Transaction::default();
    transaction.writes.extend(deletion::replace(old, &Typed::from(pod)));
    for happened in &report.events {
        let mut about = event::reference(old);
        about.field_path = happened.field_path.clone();
        let note =
            Note { event_type: happened.event_type, reason: happened.reason, message: &happened.message };
        recorder.record(&mut transaction.writes, &about, &note, ids);
    }
    transaction
}

#[cfg(test)]
mod tests {
    use cronlet_object::{
        Draft, Write,
        api::{PodCondition, PodStatus},
    };
    use serde_json::{Value, json};

    use super::*;

    fn stored(status: &Value) -> Arc<Object> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "default", "uid": "u" },
            "spec": { "containers": [{ "name": "c" }] },
            "status": status,
        }))
        .unwrap();
        Arc::new(Draft::of(&pod).seal(1))
    }

    /// The status that is stored after the node has told another one.
    fn after(stored: &Arc<Object>, told_status: Value) -> PodStatus {
        let report = Report {
            pod: stored.key().clone(),
            uid: stored.meta().uid.clone(),
            status: serde_json::from_value(told_status).unwrap(),
            events: Vec::new(),
            stopped: false,
            blocked: false,
        };
        let snapshot = Snapshot::default();
        let recorder =
            Recorder { snapshot: &snapshot, now: Timestamp::UNIX_EPOCH, component: COMPONENT, host: None };
        let transaction = told(stored, &report, &recorder, &mut Ids::seeded(1));
        match transaction.writes.into_iter().next() {
            Some(Write::Update { draft, .. }) => draft.seal(2).decode::<Pod>().status.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_leaves_what_others_have_written_meanwhile() {
        let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status });
        let stored = stored(&json!({
            "phase": "Running", "qosClass": "Burstable", "nominatedNodeName": "here", "reason": "Held",
            "conditions": [
                condition("Ready", "True"),
                condition("DisruptionTarget", "True"),
                condition("cronlet.dev/StartTimeout", "True"),
            ],
        }));
        // Made before that was written, of which it knows nothing.
        let status = after(
            &stored,
            json!({
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [condition("Ready", "False"), condition("gone.example/since", "True")],
            }),
        );
        let short = |condition: &PodCondition| format!("{} {}", condition.type_, condition.status);
        let conditions: Vec<String> = status.conditions.iter().flatten().map(short).collect();
        assert_eq!(conditions, ["Ready False", "DisruptionTarget True", "cronlet.dev/StartTimeout True"]);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        assert_eq!(
            [&status.qos_class, &status.nominated_node_name, &status.reason, &status.pod_ip].map(text),
            ["Burstable", "here", "Held", "10.0.0.1"]
        );
    }

    #[test]
    fn a_pod_that_the_node_has_evicted_is_said_to_be() {
        let disrupted =
            |reason: &str| json!({ "type": "DisruptionTarget", "status": "True", "reason": reason });
        let stored =
            stored(&json!({ "phase": "Running", "conditions": [disrupted("DeletionByTaintManager")] }));
        let told = json!({ "phase": "Failed", "reason": "Evicted", "conditions": [disrupted("TerminationByKubelet")] });
        let status = after(&stored, told);
        assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("Evicted")));
        let reasons: Vec<_> = status.conditions.into_iter().flatten().map(|c| c.reason.unwrap()).collect();
        assert_eq!(reasons, ["TerminationByKubelet"]);
    }
}
