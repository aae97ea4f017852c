//! Jobs over HTTP: every scenario of the vectors and of our own file, with the test as the kubelet.
//!
//! `crates/controller/src/job/tests/scenarios.rs` plays the same steps without a server, on a virtual clock.

use futures_util::future::join_all;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    api::{Api, Report},
    job_expectations::{HOLD, check, index, is_active, is_stray, items, message, refusal},
    testing::Node,
};

/// Seconds within which an expectation comes true unless its step says otherwise.
const WITHIN: u64 = 30;
/// The files whose cases of kind `scenario` are played.
const FILES: [&str; 2] = [
    include_str!("../../../controller/tests/data/job.yaml"),
    include_str!("../../../controller/tests/data/job-scenarios.yaml"),
];

#[test]
fn scenarios_end_as_upstream_does() {
    let cases = scenarios();
    let node = Node::start(&["--runtime", "none"]);
    let failures: Vec<String> = node.client(async |client| {
        let namespaces: Vec<String> =
            cases.iter().map(|case| case["id"].as_str().unwrap().to_owned()).collect();
        let apis = Api::open(&client, &namespaces).await;
        let played = apis.into_iter().zip(&cases).enumerate().map(|(at, (api, case))| {
            let how = [Report::Merge, Report::Put, Report::Strategic][at % 3];
            play(Player { api, how }, case)
        });
        join_all(played).await.into_iter().filter_map(Result::err).collect()
    });
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn scenarios() -> Vec<Value> {
    let files = FILES.iter().map(|text| serde_saphyr::from_str::<Value>(text).expect("the file is YAML"));
    let cases: Vec<Value> = files.flat_map(|file| items(&file["cases"]).to_vec()).collect();
    let cases: Vec<Value> = cases.into_iter().filter(|case| case["kind"] == "scenario").collect();
    assert!(cases.len() > 20, "both files have scenarios");
    cases
}

async fn play(mut player: Player, case: &Value) -> Result<(), String> {
    for (at, step) in items(&case["steps"]).iter().enumerate() {
        let (name, argument) =
            step.as_object().and_then(|step| step.iter().next()).expect("a step has a name");
        if let Err(why) = player.step(name, argument).await {
            let (id, title) = (case["id"].as_str().unwrap(), case["name"].as_str().unwrap());
            let status = player.api.get("jobs/job").await["status"].to_string();
            return Err(format!("{id} ({title}): step {at} ({name}): {why}\n  status: {status}"));
        }
    }
    Ok(())
}

/// Who plays a scenario: a client and a kubelet in one namespace.
struct Player {
    api: Api,
    how: Report,
}

impl Player {
    async fn step(&mut self, name: &str, argument: &Value) -> Result<(), String> {
        let within = argument["within"].as_u64().unwrap_or(WITHIN);
        match name {
            "create" => self.create(argument).await,
            "pods" => self.set_pods(argument).await,
            "patch" => self.patch(argument).await,
            "patchRejected" => self.is_refused(argument).await,
            "deletePods" => self.delete_pods(argument).await,
            "finishTerminating" => self.finish_terminating().await,
            "orphanPod" => self.create_orphan(argument).await,
            "unlabelPod" => self.unlabel_pod().await,
            "deleteJob" => {
                self.api.delete("jobs/job", argument["propagationPolicy"].as_str()).await.map(drop)
            }
            "expect" => self.api.eventually(within, async |api| check(api, argument).await).await,
            "hold" => {
                let seconds = argument["seconds"].as_u64().unwrap_or_default();
                self.api.hold(seconds, async |api| check(api, argument).await).await
            }
            "conditionMessageContains" => {
                self.api.eventually(within, async |api| message(api, argument).await).await
            }
            "events" => self.api.eventually(within, async |api| events(api, argument).await).await,
            "released" => self.count_pods(within, "strays", 1, is_stray).await,
            "orphans" => {
                let wanted = argument["count"].as_u64().unwrap_or(1);
                self.count_pods(within, "orphans", wanted, is_free).await
            }
            "podsGone" => self.count_pods(within, "pods", 0, |_| true).await,
            "jobGone" => {
                let gone = async |api: &Api| {
                    if api.get("jobs/job").await.is_null() {
                        Ok(())
                    } else {
                        Err("the Job is there".to_owned())
                    }
                };
                self.api.eventually(within, gone).await
            }
            _ => Err("unknown step".to_owned()),
        }
    }

    async fn create(&mut self, given: &Value) -> Result<(), String> {
        let mut spec = json!({"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "busybox", "command": ["true"]}],
        }}});
        json_merge(&mut spec, given);
        let holds = spec.as_object_mut().and_then(|spec| spec.remove("holdDeletion"));
        if holds == Some(json!(true)) {
            json_merge(&mut spec, &json!({"template": {"metadata": {"finalizers": [HOLD]}}}));
        }
        self.api.create("jobs", &json!({"metadata": {"name": "job"}, "spec": spec})).await.map(drop)
    }

    async fn patch(&mut self, spec: &Value) -> Result<(), String> {
        let (code, answer) = self.api.patch("jobs/job", &json!({"spec": spec})).await;
        if code == 200 { Ok(()) } else { Err(answer.to_string()) }
    }

    async fn is_refused(&mut self, given: &Value) -> Result<(), String> {
        let answer = self.api.patch("jobs/job", &json!({"spec": given["spec"]})).await;
        refusal(&answer, given["field"].as_str().unwrap_or_default())
    }

    /// The names of the pods that a step is about: the active ones, all or as many as it says, or that of an index.
    async fn chosen(&self, given: &Value) -> Vec<String> {
        let count = given["count"].as_u64().map_or(usize::MAX, |count| usize::try_from(count).unwrap());
        let pods = self.api.list("pods").await.into_iter().filter(is_active);
        let pods = pods.filter(|pod| given["index"].is_null() || index(pod) == given["index"].as_i64());
        let names: Vec<String> =
            pods.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).take(count).collect();
        assert!(!names.is_empty(), "{}: no pod is chosen by {given}", self.api.namespace);
        names
    }

    /// Reports on pods, as the kubelet does.
    async fn set_pods(&mut self, given: &Value) -> Result<(), String> {
        let status = pod_status(given);
        for pod in self.chosen(given).await {
            self.api.report(&pod, &status, self.how).await?;
        }
        Ok(())
    }

    async fn delete_pods(&mut self, given: &Value) -> Result<(), String> {
        for pod in self.chosen(given).await {
            self.api.delete(&format!("pods/{pod}"), None).await?;
        }
        Ok(())
    }

    async fn finish_terminating(&mut self) -> Result<(), String> {
        for pod in self.api.list("pods").await {
            if pod["metadata"]["deletionTimestamp"].is_null() {
                continue;
            }
            let name = pod["metadata"]["name"].as_str().unwrap();
            self.api.report(name, &json!({"phase": "Failed"}), self.how).await?;
            // The controller takes its own finalizer off meanwhile, so this must be a patch of what is there.
            let path = format!("pods/{name}");
            let held = self.api.get(&path).await["metadata"]["finalizers"].clone();
            let at = items(&held).iter().position(|finalizer| *finalizer == HOLD);
            let patch = at.map(|at| {
                json!([{"op": "test", "path": format!("/metadata/finalizers/{at}"), "value": HOLD},
                    {"op": "remove", "path": format!("/metadata/finalizers/{at}")}])
            });
            let mut answer = (0, Value::Null);
            while let Some(patch) = &patch
                && !matches!(answer.0, 200 | 404)
            {
                let path = self.api.path(&path);
                answer =
                    self.api.send(Method::PATCH, &path, "application/json-patch+json", Some(patch)).await;
                if answer.0 == 422 {
                    return Box::pin(self.finish_terminating()).await;
                }
            }
        }
        Ok(())
    }

    /// Creates a pod that nobody controls, with the given labels or those of the Job's pods.
    async fn create_orphan(&mut self, given: &Value) -> Result<(), String> {
        let job = self.api.get("jobs/job").await;
        let own = &job["spec"]["template"]["metadata"]["labels"];
        let labels = if given["labels"].is_object() { &given["labels"] } else { own };
        let pod = json!({
            "metadata": {"name": "orphan", "labels": labels},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]},
        });
        self.api.create("pods", &pod).await.map(drop)
    }

    async fn unlabel_pod(&mut self) -> Result<(), String> {
        let pod = self.chosen(&json!({"count": 1})).await.remove(0);
        let (code, answer) =
            self.api.patch(&format!("pods/{pod}"), &json!({"metadata": {"labels": null}})).await;
        if code == 200 { Ok(()) } else { Err(answer.to_string()) }
    }

    async fn count_pods(
        &mut self,
        within: u64,
        what: &str,
        wanted: u64,
        counts: fn(&Value) -> bool,
    ) -> Result<(), String> {
        let check = async |api: &Api| {
            let pods = api.list("pods").await;
            let found = pods.iter().filter(|pod| counts(pod)).count() as u64;
            if found == wanted {
                Ok(())
            } else {
                Err(format!("{what}: got {found}, want {wanted}: {pods:?}"))
            }
        };
        self.api.eventually(within, check).await
    }
}

/// The status that a kubelet reports.
fn pod_status(given: &Value) -> Value {
    let phase = given["phase"].as_str().expect("a phase is set");
    let ago = SignedDuration::from_secs(given["finishedAgo"].as_i64().unwrap_or_default());
    let code = given["exitCode"].as_i64().unwrap_or(i64::from(phase == "Failed"));
    #[expect(clippy::disallowed_methods, reason = "a kubelet reports the real time")]
    let now = Timestamp::now().round(jiff::Unit::Second).unwrap();
    let ended = |code: i64| {
        json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": now - ago, "finishedAt": now - ago}})
    };
    let state = match phase {
        "Succeeded" | "Failed" => ended(code),
        "Pending" => json!({"waiting": {"reason": "PodInitializing"}}),
        _ => json!({"running": {"startedAt": now}}),
    };
    let ready = given["ready"] == true;
    let mut conditions = vec![json!({"type": "Ready", "status": if ready { "True" } else { "False" },
        "lastTransitionTime": now - ago})];
    conditions.extend(items(&given["conditions"]).iter().cloned());
    let init: Vec<Value> = items(&given["initContainers"])
        .iter()
        .map(|init| {
            let state = init["exitCode"].as_i64().map_or_else(|| json!({"running": {}}), ended);
            json!({"name": init["name"], "image": "busybox", "imageID": "", "state": state, "ready": false,
                "restartCount": init["restartCount"].as_i64().unwrap_or_default()})
        })
        .collect();
    let mut status = json!({"phase": phase, "conditions": conditions,
        "containerStatuses": [{"name": "main", "image": "busybox", "imageID": "", "state": state, "ready": ready,
            "restartCount": given["restartCount"].as_i64().unwrap_or_default()}]});
    if !init.is_empty() {
        status["initContainerStatuses"] = json!(init);
    }
    status
}

/// Whether a deleted Job has let a pod go for good.
fn is_free(pod: &Value) -> bool {
    is_stray(pod) && !pod["metadata"]["finalizers"].to_string().contains("job-tracking")
}

/// Each wanted event has been told of the Job.
async fn events(api: &Api, wanted: &Value) -> Result<(), String> {
    let told = api.list("events").await;
    items(wanted).iter().try_for_each(|wanted| {
        let is_wanted = |event: &&Value| {
            event["involvedObject"]["name"] == "job"
                && wanted.as_object().into_iter().flatten().all(|(field, want)| event[field] == *want)
        };
        told.iter().find(is_wanted).map(drop).ok_or_else(|| {
            let told: Vec<_> = told.iter().map(|event| (&event["reason"], &event["message"])).collect();
            format!("{wanted} is not among {told:?}")
        })
    })
}

/// Merges `patch` into `target` (RFC 7386).
fn json_merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            json_merge(&mut target[name], value);
        }
    }
}
