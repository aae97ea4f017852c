//! `scenario`: steps through the API, with the test as the kubelet on a virtual clock.

use cronlet_object::{
    ApiError, Ids, Key, Kind, Object, Resource, Transaction, Typed, Write,
    admit::{self, Subresource, Updated},
    api::{Job, JobStatus, Pod},
    deletion::replace,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    given::{merge, settle, world},
    vectors::{Case, check, compare_conditions, items, same},
};
use crate::{
    deletion::{self, Propagation},
    testing::World,
};

/// Seconds within which an expectation comes true unless its step says otherwise.
const WITHIN: i64 = 30;
/// A finalizer of the test's own, which keeps deleted pods.
const HOLD: &str = "example.com/hold";

#[test]
fn scenarios_end_as_upstream_does() {
    check("scenario", play);
}

fn play(case: &Case) -> Result<(), String> {
    let mut stage = Stage::new();
    for (at, step) in case.list("steps").iter().enumerate() {
        let (name, argument) =
            step.as_object().and_then(|step| step.iter().next()).expect("a step has a name");
        stage.step(name, argument).map_err(|why| format!("step {at} ({name}): {why}"))?;
    }
    Ok(())
}

/// A world with one Job, without a node: pods stay as they are until the test moves them on.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) key: Key,
}

impl Stage {
    pub(super) fn new() -> Self {
        let mut world = world();
        world.settings.node_name = None;
        Stage { world, key: Key::new(Kind::Job, "default", "job") }
    }

    fn step(&mut self, name: &str, argument: &Value) -> Result<(), String> {
        match name {
            "create" => self.create(argument),
            "pods" => self.set_pods(argument),
            "patch" => self.patch(argument),
            "patchRejected" => return self.is_refused(argument),
            "deletePods" => self.delete_pods(argument),
            "finishTerminating" => self.finish_terminating(),
            "unlabelPod" => self.unlabel_pod(),
            "deleteJob" => self.delete_job(argument),
            "expect" => return self.eventually(argument, |stage| stage.is_as(argument)),
            "hold" => return self.hold(argument),
            "conditionMessageContains" => return self.has_message(argument),
            "released" => {
                return self.eventually(argument, |stage| {
                    same("strays", stage.pods().iter().filter(|pod| is_stray(pod)).count(), 1)
                });
            }
            "jobGone" => {
                return self.eventually(argument, |stage| {
                    same("the Job exists", stage.world.get(&stage.key).is_some(), false)
                });
            }
            "podsGone" => {
                return self.eventually(argument, |stage| same("pods", stage.pods().len(), 0));
            }
            _ => return Err("unknown step".to_owned()),
        }
        self.settle();
        Ok(())
    }

    /// Creates the Job as the API server would.
    pub(super) fn create(&mut self, given: &Value) {
        let mut spec = json!({"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "busybox", "command": ["true"]}],
        }}});
        merge(&mut spec, given);
        let holds = spec.as_object_mut().and_then(|spec| spec.remove("holdDeletion"));
        if holds == Some(json!(true)) {
            merge(&mut spec, &json!({"template": {"metadata": {"finalizers": [HOLD]}}}));
        }
        let job = json!({"metadata": {"name": "job", "namespace": "default"}, "spec": spec});
        let job: Job = serde_json::from_value(job).expect("the spec of a case is a Job's");
        let mut ids = Ids::seeded(self.world.snapshot.revision());
        let mut context = admit::Context { now: self.world.now, ids: &mut ids };
        let admitted = admit::create(Typed::from(job), &mut context).expect("the Job of a case is valid");
        self.write(Write::Create(admitted.draft));
    }

    /// Commits one write.
    pub(super) fn write(&mut self, write: Write) {
        self.world.commit(Transaction { writes: vec![write], ..Transaction::default() });
    }

    /// Changes a stored object, as a client does.
    pub(super) fn change<T: Resource>(&mut self, key: &Key, change: impl FnOnce(&mut T)) {
        let stored = self.world.get(key).unwrap_or_else(|| panic!("{key} is missing")).clone();
        let mut object: T = stored.decode();
        change(&mut object);
        if let Some(write) = replace(&stored, &Into::<Typed>::into(object)) {
            self.write(write);
        }
    }

    /// Merges a patch into the Job's spec.
    pub(super) fn patch(&mut self, spec: &Value) {
        let updated = self.patched(spec).expect("the patch is accepted");
        let Updated::Replace(admitted) = updated else { panic!("the patch changes nothing: {spec}") };
        let expect = self.world.get(&self.key).expect("the Job exists").revision();
        self.write(Write::Update { draft: admitted.draft, expect });
    }

    fn patched(&self, spec: &Value) -> Result<Updated, ApiError> {
        let stored = self.world.get(&self.key).expect("the Job exists");
        let mut job = stored.value();
        merge(&mut job["spec"], spec);
        let job: Job = serde_json::from_value(job).expect("the patch of a case keeps the Job a Job");
        let mut context = admit::Context { now: self.world.now, ids: &mut Ids::seeded(1) };
        admit::update(stored, Typed::from(job), Subresource::Main, &mut context)
    }

    fn is_refused(&self, given: &Value) -> Result<(), String> {
        let Err(error) = self.patched(&given["spec"]) else { return Err("accepted".to_owned()) };
        let details = json!(error.status().details);
        let named = items(&details["causes"]).iter().any(|cause| cause["field"] == given["field"]);
        if named { Ok(()) } else { Err(format!("refused for another reason: {error}")) }
    }

    /// Lets the controllers answer to what has happened.
    pub(super) fn settle(&mut self) {
        settle(&mut self.world);
    }

    pub(super) fn pods(&self) -> Vec<Pod> {
        self.world.snapshot.list(Kind::Pod).map(|pod| pod.decode()).collect()
    }

    pub(super) fn status(&self) -> JobStatus {
        self.world.decode::<Job>(&self.key).status.unwrap_or_default()
    }

    /// The pods that a step is about: the active ones, all or as many as it says, or that of an index.
    fn chosen(&self, given: &Value) -> Vec<Key> {
        let count = given["count"].as_u64().map_or(usize::MAX, |count| usize::try_from(count).unwrap());
        let pods = self.pods().into_iter().filter(is_active);
        let pods = pods.filter(|pod| given["index"].is_null() || index(pod) == given["index"].as_i64());
        let keys = pods.map(|pod| Key::new(Kind::Pod, "default", pod.metadata.name.unwrap_or_default()));
        let keys: Vec<Key> = keys.take(count).collect();
        assert!(!keys.is_empty(), "no pod is chosen by {given}");
        keys
    }

    /// Reports on pods, as the kubelet does.
    pub(super) fn set_pods(&mut self, given: &Value) {
        let phase = given["phase"].as_str().expect("a phase is set");
        let ago = SignedDuration::from_secs(given["finishedAgo"].as_i64().unwrap_or_default());
        let code = given["exitCode"].as_i64().unwrap_or(i64::from(phase == "Failed"));
        let state = match phase {
            "Succeeded" | "Failed" => json!({"terminated": {"exitCode": code, "reason": "Error",
                "finishedAt": self.world.now - ago}}),
            _ => json!({"running": {}}),
        };
        let ready = given["ready"] == true;
        let mut conditions = vec![json!({"type": "Ready", "status": if ready { "True" } else { "False" }})];
        conditions.extend(items(&given["conditions"]).iter().cloned());
        let status = json!({"phase": phase, "conditions": conditions,
            "containerStatuses": [{"name": "main", "state": state, "ready": ready,
                "restartCount": given["restartCount"].as_i64().unwrap_or_default()}]});
        for key in self.chosen(given) {
            self.change(&key, |pod: &mut Pod| {
                pod.status = serde_json::from_value(status.clone()).expect("the status is a pod's");
            });
        }
    }

    fn delete(&mut self, object: &Object, propagation: Propagation) {
        if let Some(write) = deletion::write(object, propagation, self.world.now).expect("it may be deleted")
        {
            self.write(write);
        }
    }

    /// Deletes pods, as a client does.
    pub(super) fn delete_pods(&mut self, given: &Value) {
        for key in self.chosen(given) {
            let pod = self.world.get(&key).expect("it was just found").clone();
            self.delete(&pod, Propagation::Background);
        }
    }

    fn finish_terminating(&mut self) {
        for pod in self.pods().iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
            let key = Key::new(Kind::Pod, "default", pod.metadata.name.as_deref().unwrap_or_default());
            self.change(&key, |pod: &mut Pod| {
                pod.status.get_or_insert_default().phase = Some("Failed".to_owned());
                pod.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != HOLD);
            });
        }
    }

    fn unlabel_pod(&mut self) {
        let key = self.chosen(&json!({"count": 1})).remove(0);
        self.change(&key, |pod: &mut Pod| pod.metadata.labels = None);
    }

    fn delete_job(&mut self, given: &Value) {
        let propagation = match given["propagationPolicy"].as_str() {
            Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            _ => Propagation::Orphan,
        };
        let job = self.world.get(&self.key).expect("the Job exists").clone();
        self.delete(&job, propagation);
    }

    /// Lets seconds pass until `holds` is true, or too many have.
    fn eventually(
        &mut self,
        step: &Value,
        holds: impl Fn(&Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let within = step["within"].as_i64().unwrap_or(WITHIN);
        let mut result = holds(self);
        for _ in 0..within {
            if result.is_ok() {
                break;
            }
            self.pass_second();
            result = holds(self);
        }
        result
    }

    fn hold(&mut self, step: &Value) -> Result<(), String> {
        for _ in 0..step["seconds"].as_i64().unwrap_or_default() {
            self.is_as(step)?;
            self.pass_second();
        }
        self.is_as(step)
    }

    /// Lets a second pass and the controllers answer to it.
    pub(super) fn pass_second(&mut self) {
        self.world.now += SignedDuration::from_secs(1);
        self.settle();
    }

    fn is_as(&self, expected: &Value) -> Result<(), String> {
        let job = self.world.decode::<Job>(&self.key);
        let status = json!(job.status);
        for (field, want) in expected.as_object().into_iter().flatten() {
            match field.as_str() {
                "within" | "seconds" => {}
                "active" | "ready" | "succeeded" | "failed" | "terminating" => {
                    same(field, status[field].as_i64().unwrap_or_default(), want.as_i64().unwrap_or(-1))?;
                }
                "completedIndexes" | "failedIndexes" => {
                    same(
                        field,
                        status[field].as_str().unwrap_or_default(),
                        want.as_str().unwrap_or_default(),
                    )?;
                }
                "startTime" | "completionTime" => same(field, status[field].is_string(), want == true)?,
                "pods" => same(field, self.pods().len() as u64, want.as_u64().unwrap_or_default())?,
                "conditions" => has_conditions(items(&status["conditions"]), items(want))?,
                "conditionsAbsent" => {
                    let held = items(&status["conditions"]).iter().filter(|c| c["status"] == "True");
                    let found = held.filter(|c| items(want).contains(&c["type"])).count();
                    same(field, found, 0)?;
                }
                "activeIndexes" => same(field, json!(self.active_indexes()), want.clone())?,
                "indexedPodShape" => self.pods().iter().try_for_each(has_indexed_shape)?,
                "generatedLabels" => has_generated_labels(&job, &self.pods())?,
                "spec" => {
                    let spec = json!(job.spec);
                    for (name, want) in want.as_object().into_iter().flatten() {
                        same(name, &spec[name], want)?;
                    }
                }
                _ => return Err(format!("unknown expectation {field}")),
            }
        }
        Ok(())
    }

    fn active_indexes(&self) -> Vec<i64> {
        let mut indexes: Vec<i64> =
            self.pods().iter().filter(|pod| is_active(pod)).filter_map(index).collect();
        indexes.sort_unstable();
        indexes
    }

    fn has_message(&self, given: &Value) -> Result<(), String> {
        let status = json!(self.status());
        let mut conditions = items(&status["conditions"]).iter().filter(|c| c["type"] == given["type"]);
        let text = given["text"].as_str().unwrap_or_default();
        let found = conditions.any(|c| c["message"].as_str().unwrap_or_default().contains(text));
        if found { Ok(()) } else { Err(format!("{text:?} is not in {status}")) }
    }
}

/// Each wanted condition is there; others may be.
fn has_conditions(got: &[Value], want: &[Value]) -> Result<(), String> {
    want.iter().try_for_each(|want| {
        let found: Vec<Value> = got.iter().filter(|got| got["type"] == want["type"]).cloned().collect();
        compare_conditions(&found, std::slice::from_ref(want))
    })
}

fn is_active(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none()
        && !matches!(phase, Some("Succeeded" | "Failed"))
        && !is_stray(pod)
}

fn is_stray(pod: &Pod) -> bool {
    pod.metadata.owner_references.is_none()
}

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

fn index(pod: &Pod) -> Option<i64> {
    pod.metadata.annotations.as_ref()?.get(INDEX)?.parse().ok()
}

fn has_indexed_shape(pod: &Pod) -> Result<(), String> {
    let index = index(pod).ok_or("no index annotation")?.to_string();
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(INDEX));
    same("label", label, Some(&index))?;
    let spec = pod.spec.as_ref().ok_or("no spec")?;
    same("hostname", spec.hostname.clone(), Some(format!("job-{index}")))?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    same("name", name.starts_with(&format!("job-{index}-")), true)?;
    let env = spec.containers[0].env.iter().flatten().find(|env| env.name == "JOB_COMPLETION_INDEX");
    let path = env.and_then(|env| env.value_from.as_ref()?.field_ref.as_ref());
    same("field", path.map(|field| field.field_path.clone()), Some(format!("metadata.labels['{INDEX}']")))
}

fn has_generated_labels(job: &Job, pods: &[Pod]) -> Result<(), String> {
    let uid = job.metadata.uid.clone();
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref()?.match_labels.as_ref());
    let selected = selector.and_then(|labels| labels.get("batch.kubernetes.io/controller-uid")).cloned();
    same("selector", selected, uid.clone())?;
    pods.iter().try_for_each(|pod| {
        let label = |name: &str| pod.metadata.labels.as_ref()?.get(name).cloned();
        same("uid", label("batch.kubernetes.io/controller-uid"), uid.clone())?;
        same("uid", label("controller-uid"), uid.clone())?;
        same("name", label("batch.kubernetes.io/job-name"), Some("job".to_owned()))?;
        same("name", label("job-name"), Some("job".to_owned()))
    })
}
