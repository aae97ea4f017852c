//! `counting`, `completedIndexes`, `failedIndexes`, `adoption`, `orphanFinalizer`: what is counted, and who lets go.

use cronlet_object::{
    Draft, Object, Write,
    api::{Job, JobStatus, Pod as FullPod},
    selector::Selector,
};
use serde_json::{Map, Value, json};

use super::{
    super::{
        given::{job, job_key, merge, pod, world},
        vectors::{Case, check, items, same},
    },
    pass::patch,
};
use crate::{
    Controller,
    job::{
        accounting, adoption,
        backoff::Record,
        indexed::Indexed,
        pod::{Pod, has_tracking_finalizer},
        situation::Situation,
        spec::Spec,
        verdict::Verdict,
        writes::Edit,
    },
    testing::World,
};

#[test]
fn finished_pods_are_counted_and_let_go() {
    check("counting", |case| {
        let (spec, status) = split_before(case.get("before"));
        let objects = objects(case.list("pods"));
        with_situation(&spec, &status, &objects, |situation| {
            let verdict = case.expect("finishedBy").as_str().map(|type_| Verdict {
                success: type_ == "Complete",
                reason: String::new(),
                message: String::new(),
                stands: false,
            });
            // A Job that ends has its active pods deleted in the same pass.
            let removed = if verdict.is_some() { situation.active() } else { Vec::new() };
            let account = accounting::count(situation, verdict.as_ref(), &removed, Record::default());
            let released = case.expect("finalizersRemoved").as_u64().unwrap_or_default();
            same("released", account.release.len() as u64, released)?;
            let writes = items(case.expect("statusWrites"));
            let Some(last) = writes.last() else { return Ok(()) };
            same("succeeded", json!(account.succeeded), last["succeeded"].clone())?;
            same("failed", json!(account.failed), last["failed"].clone())?;
            let indexed = situation.indexed.as_ref();
            let completed = indexed.map(|indexed| json!(indexed.succeeded.to_string()));
            if last.get("completedIndexes").is_some() {
                same("completedIndexes", completed, last.get("completedIndexes").cloned())?;
            }
            let failed = indexed.and_then(|indexed| indexed.failed.as_ref());
            same(
                "failedIndexes",
                failed.map(|failed| json!(failed.to_string())),
                last.get("failedIndexes").cloned(),
            )
        })
    });
}

#[test]
fn succeeded_indexes_are_added_to_those_before() {
    check("completedIndexes", |case| {
        let pods: Vec<Value> = case
            .list("newlySucceeded")
            .iter()
            .map(|index| json!({"phase": "Succeeded", "finalizer": true, "index": index}))
            .collect();
        let objects = objects(&pods);
        let pods: Vec<Pod<'_>> = objects.iter().map(|object| Pod::read(object, false)).collect();
        let indexed = indexes(case, &pods, None);
        same(
            "completedIndexes",
            json!(indexed.succeeded.to_string()),
            case.expect("completedIndexes").clone(),
        )
    });
}

#[test]
fn failed_indexes_are_added_to_those_before() {
    check("failedIndexes", |case| {
        let objects = objects(case.list("pods"));
        let pods: Vec<Pod<'_>> = objects.iter().map(|object| Pod::read(object, false)).collect();
        let indexed = indexes(case, &pods, case.number("backoffLimitPerIndex"));
        let failed = indexed.failed.map(|failed| failed.to_string());
        same("failedIndexes", json!(failed), case.expect("failedIndexes").clone())
    });
}

#[test]
fn pods_are_claimed_by_owner_and_selector() {
    check("adoption", |case| {
        let mut world = world();
        let mut object = job(&json!({}), &json!({}), world.now);
        if case.get("jobDeleting") == true {
            object.metadata.deletion_timestamp = Some(cronlet_object::api::Time(world.now));
        }
        world.put(&object);
        for given in case.list("pods") {
            world.put(&stray(given, &world));
        }
        let stored = world.snapshot.get(&job_key()).unwrap();
        let spec = object.spec.unwrap();
        let selector = Selector::from_label_selector(spec.selector.as_ref()).unwrap();
        let claim = adoption::claim(&world.snapshot, stored, &selector);
        let names = |wanted: &dyn Fn(&Pod<'_>) -> bool| -> Vec<Value> {
            let mut names: Vec<&str> =
                claim.pods.iter().filter(|pod| wanted(pod)).map(|pod| pod.object.name()).collect();
            names.sort_unstable();
            names.into_iter().map(|name| json!(name)).collect()
        };
        same("claimed", names(&|_| true).as_slice(), items(case.expect("claimed")))?;
        let held = |pod: &Pod<'_>| {
            let edit = Edit { adopt: pod.adopted, ..Edit::default() };
            match edit.write(pod.object, stored, world.now).unwrap() {
                Some(Write::Update { draft, .. }) => has_tracking_finalizer(&draft.seal(99)),
                _ => has_tracking_finalizer(pod.object),
            }
        };
        same("finalizer", names(&held).as_slice(), items(case.expect("withFinalizerAfter")))
    });
}

fn stray(given: &Value, world: &World) -> FullPod {
    let name = given["name"].as_str().unwrap();
    let mut patch =
        json!({"metadata": {}, "status": {"phase": given["phase"].as_str().unwrap_or("Running")}});
    match given["owner"].as_str() {
        Some("self") => {}
        Some(_) => {
            patch["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "Job",
                "name": "other", "uid": "other-uid", "controller": true}]);
        }
        None => patch["metadata"]["ownerReferences"] = Value::Null,
    }
    if given["labels"] != "match" {
        patch["metadata"]["labels"] = Value::Null;
    }
    if given["finalizer"] != true {
        patch["metadata"]["finalizers"] = Value::Null;
    }
    if given["deleting"] == true {
        patch["metadata"]["deletionTimestamp"] = json!(world.now);
    }
    pod(name, world.now, &patch)
}

#[test]
fn orphans_are_let_go() {
    check("orphanFinalizer", |case| {
        let mut world = world();
        let given = case.get("pod");
        let mut patch = json!({"metadata": {"ownerReferences": null}});
        if given["deleting"] == true {
            patch["metadata"]["deletionTimestamp"] = json!(world.now);
            patch["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        }
        if given["finalizer"] != true {
            patch["metadata"]["finalizers"] = Value::Null;
        }
        if let Some(owner) = given["owner"].as_object() {
            let mut owner = Value::Object(owner.clone());
            merge(&mut owner, &json!({"name": "job", "uid": "job-uid"}));
            patch["metadata"]["ownerReferences"] = json!([owner]);
        }
        if let Some(state) = case.text("job") {
            let status = match state {
                "running" => json!({}),
                _ => json!({"conditions": [{"type": "Complete", "status": "True"}]}),
            };
            world.put(&job(&json!({}), &status, world.now));
        }
        let pod = pod("pod", world.now, &patch);
        let before = Draft::of(&pod).seal(1);
        world.put(&pod);
        let plan = world.plan(Controller::JobPod, before.key());
        let removed = plan.transaction.writes.iter().any(|write| match write {
            Write::Update { draft, .. } => !has_tracking_finalizer(&draft.clone().seal(2)),
            Write::Delete { .. } => true,
            Write::Create(_) => false,
        });
        same("removed", json!(removed), case.expect("finalizerRemoved").clone())
    });
}

/// The status and the spec that `before` mixes.
fn split_before(before: &Value) -> (Value, Value) {
    let (mut spec, mut status) = (Map::new(), Map::new());
    for (field, value) in before.as_object().into_iter().flatten() {
        match field.as_str() {
            "active" | "ready" | "succeeded" | "failed" | "completedIndexes" | "failedIndexes"
            | "conditions" => status.insert(field.clone(), value.clone()),
            "uncounted" => status.insert("uncountedTerminatedPods".to_owned(), value.clone()),
            _ => spec.insert(field.clone(), value.clone()),
        };
    }
    (Value::Object(spec), Value::Object(status))
}

/// The pods of a case as they are stored.
pub(super) fn objects(pods: &[Value]) -> Vec<Object> {
    let now = world().now;
    let pods = pods.iter().enumerate().map(|(at, given)| {
        let name = given["uid"].as_str().map_or_else(|| format!("pod-{at}"), str::to_owned);
        let mut patch = patch(given, now, now);
        if given["finalizer"] == false {
            patch["metadata"]["finalizers"] = Value::Null;
        }
        pod(&name, now, &patch)
    });
    pods.map(|pod| Draft::of(&pod).seal(1)).collect()
}

fn with_situation<T>(
    spec: &Value,
    status: &Value,
    objects: &[Object],
    then: impl FnOnce(&Situation<'_>) -> T,
) -> T {
    let now = world().now;
    let object: Job = job(spec, status, now);
    let stored = Draft::of(&object).seal(1);
    let status: JobStatus = object.status.unwrap_or_default();
    let spec = object.spec.unwrap();
    let pods = objects.iter().map(|object| Pod::read(object, false)).collect();
    then(&Situation::new(&stored, Spec::of(&spec), &status, pods, Record::default(), now))
}

fn indexes(case: &Case, pods: &[Pod<'_>], per_index: Option<i64>) -> Indexed {
    let completions = case.number("completions").unwrap();
    let spec = json!({"completions": completions, "parallelism": 1, "completionMode": "Indexed",
        "backoffLimitPerIndex": per_index, "podFailurePolicy": case.get("podFailurePolicy")});
    let object = job(&spec, &json!({}), world().now);
    let previous = case.text("previous").unwrap_or_default();
    let previous = if per_index.is_some() { ("", previous) } else { (previous, "") };
    let spec = object.spec.unwrap();
    Indexed::of(&Spec::of(&spec), u32::try_from(completions).unwrap(), previous, pods)
}
