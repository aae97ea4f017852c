//! What a step of a Job's scenario may expect, checked on what the API answers.

use serde_json::{Value, json};

use crate::api::Api;

/// A finalizer of the test's own, which keeps deleted pods.
pub const HOLD: &str = "example.com/hold";
/// The label and annotation of a pod's completion index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation of the failures before a pod's own.
const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// Whether the Job and its pods are as expected now.
pub async fn check(api: &Api, expected: &Value) -> Result<(), String> {
    let job = api.get("jobs/job").await;
    let pods = api.list("pods").await;
    if job.is_null() {
        return Err("there is no Job".to_owned());
    }
    expected.as_object().into_iter().flatten().try_for_each(|(field, want)| {
        is_as(&job, &pods, field, want).map_err(|why| format!("{field}: {why}"))
    })
}

fn is_as(job: &Value, pods: &[Value], field: &str, want: &Value) -> Result<(), String> {
    let status = &job["status"];
    match field {
        "within" | "seconds" => Ok(()),
        "active" | "ready" | "succeeded" | "failed" | "terminating" => {
            same(&json!(status[field].as_i64().unwrap_or_default()), want)
        }
        "completedIndexes" | "failedIndexes" => {
            same(&json!(status[field].as_str().unwrap_or_default()), want)
        }
        "startTime" | "completionTime" | "deletionTimestamp" => {
            let found = if field == "deletionTimestamp" { &job["metadata"] } else { status };
            same(&json!(found[field].is_string()), want)
        }
        "pods" => same(&json!(pods.len()), want),
        "conditions" => has_conditions(items(&status["conditions"]), items(want)),
        "conditionsAbsent" => {
            let held = items(&status["conditions"]).iter().filter(|c| c["status"] == "True");
            let found: Vec<&Value> = held.filter(|c| items(want).contains(&c["type"])).collect();
            if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
        }
        "activeIndexes" => {
            let mut indexes: Vec<i64> = pods.iter().filter(|pod| is_active(pod)).filter_map(index).collect();
            indexes.sort_unstable();
            same(&json!(indexes), want)
        }
        "indexFailureCounts" => {
            let counts = pods.iter().filter(|pod| is_active(pod)).map(|pod| {
                let index = index(pod).unwrap_or(-1).to_string();
                (index, pod["metadata"]["annotations"][INDEX_FAILURES].clone())
            });
            same(&Value::Object(counts.collect()), want)
        }
        "indexedPodShape" => pods.iter().try_for_each(has_indexed_shape),
        "generatedLabels" => has_generated_labels(job, pods),
        "podNodeSelector" => pods.iter().try_for_each(|pod| same(&pod["spec"]["nodeSelector"], want)),
        "spec" => want.as_object().into_iter().flatten().try_for_each(|(name, want)| {
            same(&job["spec"][name], want).map_err(|why| format!("{name}: {why}"))
        }),
        _ => Err("unknown expectation".to_owned()),
    }
}

/// Whether a condition's message contains a text.
pub async fn message(api: &Api, given: &Value) -> Result<(), String> {
    let status = api.get("jobs/job").await["status"].clone();
    let mut conditions = items(&status["conditions"]).iter().filter(|c| c["type"] == given["type"]);
    let text = given["text"].as_str().unwrap_or_default();
    let found = conditions.any(|c| c["message"].as_str().unwrap_or_default().contains(text));
    if found { Ok(()) } else { Err(format!("{text:?} is not in {status}")) }
}

/// An answer is a refusal that names the field.
pub fn refusal((code, answer): &(u16, Value), field: &str) -> Result<(), String> {
    let named = items(&answer["details"]["causes"]).iter().any(|cause| cause["field"] == field);
    if *code == 422 && named { Ok(()) } else { Err(format!("{code}: {answer}")) }
}

/// The items of a list; none if it is not one.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn same(got: &Value, want: &Value) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("got {got}, want {want}")) }
}

/// Each wanted condition is there, as far as it is given; others may be.
fn has_conditions(got: &[Value], want: &[Value]) -> Result<(), String> {
    want.iter().try_for_each(|want| {
        let is_wanted =
            |got: &&Value| want.as_object().into_iter().flatten().all(|(name, want)| got[name] == *want);
        got.iter().find(is_wanted).map(drop).ok_or_else(|| format!("{want} is not among {got:?}"))
    })
}

/// Whether a pod runs or will, and is some Job's.
pub fn is_active(pod: &Value) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    pod["metadata"]["deletionTimestamp"].is_null() && !ended && !is_stray(pod)
}

/// Whether a pod belongs to nobody.
pub fn is_stray(pod: &Value) -> bool {
    items(&pod["metadata"]["ownerReferences"]).is_empty()
}

/// A pod's completion index.
pub fn index(pod: &Value) -> Option<i64> {
    pod["metadata"]["annotations"][INDEX].as_str()?.parse().ok()
}

fn has_indexed_shape(pod: &Value) -> Result<(), String> {
    let index = index(pod).ok_or("no index annotation")?.to_string();
    same(&pod["metadata"]["labels"][INDEX], &json!(index))?;
    same(&pod["spec"]["hostname"], &json!(format!("job-{index}")))?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if !name.starts_with(&format!("job-{index}-")) {
        return Err(format!("the pod is named {name}"));
    }
    let env = items(&pod["spec"]["containers"][0]["env"]);
    let variable = env.iter().find(|env| env["name"] == "JOB_COMPLETION_INDEX").ok_or("no variable")?;
    let path = json!(format!("metadata.labels['{INDEX}']"));
    same(&variable["valueFrom"]["fieldRef"]["fieldPath"], &path)
}

fn has_generated_labels(job: &Value, pods: &[Value]) -> Result<(), String> {
    let uid = &job["metadata"]["uid"];
    same(&job["spec"]["selector"]["matchLabels"], &json!({"batch.kubernetes.io/controller-uid": uid}))?;
    pods.iter().try_for_each(|pod| {
        let labels = &pod["metadata"]["labels"];
        ["batch.kubernetes.io/controller-uid", "controller-uid"]
            .iter()
            .try_for_each(|name| same(&labels[name], uid))?;
        ["batch.kubernetes.io/job-name", "job-name"]
            .iter()
            .try_for_each(|name| same(&labels[name], &json!("job")))
    })
}
