//! `pass`: one reconciliation of a Job.

use cronlet_object::{
    ApiError, Draft, Ids, Kind, Typed, Write, admit,
    api::{Job, JobStatus, Pod as FullPod},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::super::{
    given::{check_status, job, job_key, merge, pod, world},
    vectors::{Case, check, compare_conditions, items, same},
};
use crate::{
    View,
    job::{
        conditions::{FAILURE_TARGET, SUCCESS_CRITERIA_MET, find_true},
        reconcile_admitting,
    },
    testing::World,
};

/// How long ago everything happened that a case gives no time for: longer than any back-off.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(24);

#[test]
fn one_pass_does_what_upstream_does() {
    check("pass", play);
}

/// What a pass did to the pods.
#[derive(Default)]
struct Done {
    created: Vec<Draft>,
    deleted: usize,
    writes: usize,
}

fn play(case: &Case) -> Result<(), String> {
    let mut world = world();
    let created = world.now - LONG_AGO;
    let mut object = job(&spec(case), &status(case, world.now), created);
    if let Some(backoff) = case.get("backoff").as_object() {
        let last = world.now - SignedDuration::from_secs(backoff["lastFailureSecondsAgo"].as_i64().unwrap());
        let record = format!("failures={},last={last}", backoff["failuresSinceLastSuccess"]);
        object.metadata.annotations = Some([("cronlet.dev/backoff-record".to_owned(), record)].into());
    }
    world.put(&object);
    for (at, patch) in pods(case, world.now).iter().enumerate() {
        world.put(&pod(&format!("pod-{at:03}"), created, patch));
    }
    let limit = case.number("podCreateLimit").map(|limit| usize::try_from(limit).unwrap());
    let mut done = pass(&mut world, limit);
    // Upstream adds the final condition in the same pass when there is nothing to wait for.
    if is_interim(&job_status(&world)) {
        let more = pass(&mut world, Some(0));
        done.created.extend(more.created);
        done.deleted += more.deleted;
    }
    compare(case, &world, &done)
}

fn is_interim(status: &JobStatus) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    [SUCCESS_CRITERIA_MET, FAILURE_TARGET].iter().any(|type_| find_true(conditions, type_).is_some())
}

fn compare(case: &Case, world: &World, done: &Done) -> Result<(), String> {
    if case.expect("unchanged") == true {
        return same("writes", done.writes, 0);
    }
    same("created", done.created.len() as u64, case.expect("create").as_u64().unwrap_or_default())?;
    same("deleted", done.deleted as u64, case.expect("delete").as_u64().unwrap_or_default())?;
    if let Some(indexes) = case.expect("createIndexes").as_array() {
        let mut got: Vec<i64> = done.created.iter().map(index).collect();
        got.sort_unstable();
        same("indexes", got, indexes.iter().filter_map(Value::as_i64).collect())?;
    }
    let got = serde_json::to_value(job_status(world)).unwrap();
    for (field, want) in case.expect("status").as_object().into_iter().flatten() {
        if field == "startTimeSet" {
            same(field, got["startTime"].is_string(), want == true)?;
        } else {
            same(field, with_zero(&got[field], want), want.clone())?;
        }
    }
    compare_conditions(items(&got["conditions"]), items(case.expect("conditions")))?;
    let messages = got["conditions"].to_string();
    let part = case.text("messageContains").unwrap_or_default();
    if messages.contains(part) { Ok(()) } else { Err(format!("{part:?} is not in {messages}")) }
}

/// Counters and lists that are empty may be left out.
fn with_zero(got: &Value, want: &Value) -> Value {
    match want {
        Value::Number(_) if got.is_null() => json!(0),
        Value::String(_) if got.is_null() => json!(""),
        _ => got.clone(),
    }
}

fn job_status(world: &World) -> JobStatus {
    world.decode::<Job>(&job_key()).status.unwrap_or_default()
}

fn index(draft: &Draft) -> i64 {
    let text = draft.meta().labels.get("batch.kubernetes.io/job-completion-index");
    text.and_then(|text| text.parse().ok()).unwrap_or(-1)
}

fn pass(world: &mut World, mut limit: Option<usize>) -> Done {
    let mut ids = Ids::seeded(world.snapshot.revision());
    let now = world.now;
    let mut admit = |pod: FullPod, ids: &mut Ids| -> Result<Draft, ApiError> {
        if let Some(left) = &mut limit {
            *left =
                left.checked_sub(1).ok_or_else(|| ApiError::forbidden(Kind::Pod, "", "exceeded quota"))?;
        }
        admit::create(Typed::from(pod), &mut admit::Context { now, ids }).map(|admitted| admitted.draft)
    };
    let view = View { snapshot: &world.snapshot, now, settings: &world.settings };
    let plan = reconcile_admitting(&view, &job_key(), &mut ids, &mut admit);
    let mut done = Done { writes: plan.transaction.writes.len(), ..Done::default() };
    for write in plan.transaction.writes.iter().filter(|write| write.key().kind == Kind::Pod) {
        match write {
            Write::Create(draft) => done.created.push(draft.clone()),
            Write::Delete { .. } => done.deleted += 1,
            Write::Update { draft, .. } => {
                let before = world.snapshot.get(draft.key()).unwrap();
                done.deleted +=
                    usize::from(before.meta().deleted.is_none() && draft.meta().deleted.is_some());
            }
        }
    }
    check_status(world, &plan.transaction);
    world.commit(plan.transaction);
    done
}

fn spec(case: &Case) -> Value {
    let mut spec = case.get("job").clone();
    if let Some(policy) = spec.as_object_mut().unwrap().remove("restartPolicy") {
        merge(&mut spec, &json!({"template": {"spec": {"restartPolicy": policy}}}));
    }
    spec
}

fn status(case: &Case, now: Timestamp) -> Value {
    let Some(given) = case.get("status").as_object() else { return json!({}) };
    let mut status = Map::new();
    for (field, value) in given {
        match (field.as_str(), value.as_i64()) {
            ("startTimeSet", _) => status.insert("startTime".to_owned(), json!(now - LONG_AGO)),
            ("startTimeSecondsAgo", Some(ago)) => {
                status.insert("startTime".to_owned(), json!(now - SignedDuration::from_secs(ago)))
            }
            _ => status.insert(field.clone(), value.clone()),
        };
    }
    Value::Object(status)
}

fn pods(case: &Case, now: Timestamp) -> Vec<Value> {
    let ago = case.number("podFinishedSecondsAgo").map_or(LONG_AGO, SignedDuration::from_secs);
    let mut pods = Vec::new();
    for given in case.list("pods") {
        for _ in 0..given["count"].as_u64().unwrap_or(1) {
            pods.push(patch(given, now, now - ago));
        }
    }
    pods
}

/// A pod of a case as a patch of a plain pod.
pub(super) fn patch(given: &Value, now: Timestamp, finished: Timestamp) -> Value {
    let ended = matches!(given["phase"].as_str(), Some("Succeeded" | "Failed"));
    let terminated = |code: i64| json!({"terminated": {"exitCode": code, "finishedAt": finished}});
    let containers = |list: &Value| -> Vec<Value> {
        let state = |c: &Value| c["exitCode"].as_i64().map_or(json!({"running": {}}), terminated);
        items(list)
            .iter()
            .map(|c| json!({"name": c["name"], "state": state(c), "restartCount": 0, "ready": false}))
            .collect()
    };
    let mut statuses = containers(&given["containers"]);
    if statuses.is_empty() {
        let code = i64::from(given["phase"] != "Succeeded");
        let state = if ended { terminated(code) } else { json!({"running": {}}) };
        let restarts = given["restartCount"].as_i64().unwrap_or_default();
        statuses.push(json!({"name": "main", "state": state, "restartCount": restarts, "ready": false}));
    }
    let mut conditions = items(&given["conditions"]).to_vec();
    if given["ready"] == true {
        conditions.push(json!({"type": "Ready", "status": "True"}));
    }
    let mut metadata = json!({"annotations": {}, "labels": {}});
    if let Some(index) = given["index"].as_str() {
        metadata["annotations"]["batch.kubernetes.io/job-completion-index"] = json!(index);
    }
    if let Some(failures) = given["indexFailureCount"].as_i64() {
        metadata["annotations"]["batch.kubernetes.io/job-index-failure-count"] = json!(failures.to_string());
    }
    if given["deleting"] == true {
        metadata["deletionTimestamp"] = json!(now);
        metadata["deletionGracePeriodSeconds"] = json!(30);
    }
    json!({
        "metadata": metadata,
        "status": {
            "phase": given["phase"],
            "conditions": conditions,
            "containerStatuses": statuses,
            "initContainerStatuses": containers(&given["initContainers"]),
        },
    })
}
