//! What a Job's pods look like to a client: names, labels, annotations, owner, finalizer, environment.

use serde_json::{Value, json};

use crate::{
    api::{Api, Report},
    job_expectations::items,
    testing::Node,
};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

#[test]
fn pods_are_made_as_upstream_makes_them() {
    let node = Node::start(&["--runtime", "none"]);
    node.client(async |client| {
        let namespaces = ["plain", "indexed"].map(str::to_owned);
        let mut apis = Api::open(&client, &namespaces).await;
        let (indexed, plain) = (apis.pop().unwrap(), apis.pop().unwrap());
        tokio::join!(plain_pods(plain), indexed_pods(indexed));
    });
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}, "finalizers": ["example.com/hold"]},
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [{"name": "prepare", "image": "busybox", "command": ["true"]}],
            "containers": [{"name": "main", "image": "busybox", "command": ["true"], "env": [{"name": "A", "value": "1"}]}],
        },
    })
}

async fn pods_of(api: &mut Api, count: usize) -> Vec<Value> {
    let all = async |api: &Api| {
        let pods = api.list("pods").await;
        if pods.len() == count { Ok(pods) } else { Err(format!("{} pods", pods.len())) }
    };
    api.eventually(20, all).await.unwrap()
}

fn has_family_marks(pod: &Value, job: &Value) {
    let (uid, labels) = (&job["metadata"]["uid"], &pod["metadata"]["labels"]);
    assert_eq!(labels["team"], "a");
    for name in ["batch.kubernetes.io/controller-uid", "controller-uid"] {
        assert_eq!(&labels[name], uid, "{name}");
    }
    for name in ["batch.kubernetes.io/job-name", "job-name"] {
        assert_eq!(labels[name], "long.name", "{name}");
    }
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "long.name", "uid": uid,
        "controller": true, "blockOwnerDeletion": true}]);
    assert_eq!(pod["metadata"]["ownerReferences"], owner);
    assert_eq!(
        pod["metadata"]["finalizers"],
        json!(["example.com/hold", "batch.kubernetes.io/job-tracking"])
    );
    assert_eq!(pod["metadata"]["annotations"]["note"], "b");
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    let generated = pod["metadata"]["generateName"].as_str().unwrap();
    let suffix = pod["metadata"]["name"].as_str().unwrap().strip_prefix(generated).unwrap();
    assert_eq!(suffix.len(), 5, "{suffix}");
}

async fn plain_pods(mut api: Api) {
    let spec = json!({"parallelism": 2, "completions": 2, "template": template()});
    let job = api.create("jobs", &json!({"metadata": {"name": "long.name"}, "spec": spec})).await.unwrap();
    assert_eq!(job["metadata"]["labels"]["team"], "a", "a Job without labels shows its pods'");
    assert_eq!(job["spec"]["podReplacementPolicy"], "TerminatingOrFailed");
    for pod in pods_of(&mut api, 2).await {
        has_family_marks(&pod, &job);
        assert_eq!(pod["metadata"]["generateName"], "long.name-");
        assert_eq!(pod["metadata"]["annotations"].as_object().unwrap().len(), 1);
        assert!(pod["spec"]["hostname"].is_null());
        assert_eq!(items(&pod["spec"]["containers"][0]["env"]).len(), 1);
        assert_eq!(pod["status"]["phase"], "Pending");
    }
}

async fn indexed_pods(mut api: Api) {
    let spec = json!({"parallelism": 2, "completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 3,
        "template": template(),
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]}});
    // A name with a dot is warned of, but makes no host name: see the refusal.
    let refused = api.create("jobs", &json!({"metadata": {"name": "long.name"}, "spec": spec})).await;
    assert!(refused.unwrap_err().contains("will not able to create pod with invalid DNS label: long.name-1"));
    let name = "long-name-".repeat(6);
    let metadata = json!({"name": format!("{name}x")});
    let job = api.create("jobs", &json!({"metadata": metadata, "spec": spec})).await.unwrap();
    for pod in pods_of(&mut api, 2).await {
        let index = pod["metadata"]["annotations"][INDEX].as_str().unwrap();
        assert_eq!(pod["metadata"]["labels"][INDEX], *index);
        assert_eq!(pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"], "0");
        assert_eq!(pod["spec"]["hostname"], format!("{name}x-{index}"));
        let base = format!("{}-{index}-", &name[..55]);
        assert_eq!(pod["metadata"]["generateName"], base, "a long Job name is cut, not the index");
        let env = |container: &Value| items(&container["env"]).last().cloned().unwrap();
        for container in [&pod["spec"]["containers"][0], &pod["spec"]["initContainers"][0]] {
            let variable = env(container);
            assert_eq!(variable["name"], "JOB_COMPLETION_INDEX");
            let path = &variable["valueFrom"]["fieldRef"]["fieldPath"];
            assert_eq!(*path, format!("metadata.labels['{INDEX}']"));
        }
        assert_eq!(pod["spec"]["containers"][0]["env"][0], json!({"name": "A", "value": "1"}));
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"]);
    }
    ignored_failure_is_noted(&mut api).await;
}

/// The pod after an ignored failure says so, and that none was counted.
async fn ignored_failure_is_noted(api: &mut Api) {
    let pods = api.list("pods").await;
    let first = pods.iter().find(|pod| pod["metadata"]["annotations"][INDEX] == "0").unwrap();
    let status = json!({"phase": "Failed", "containerStatuses": [{"name": "main", "image": "busybox", "imageID": "",
        "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 7,
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:00Z"}}}]});
    api.report(first["metadata"]["name"].as_str().unwrap(), &status, Report::Strategic).await.unwrap();
    let replaced = async |api: &Api| {
        let pods = api.list("pods").await;
        let next = pods.iter().find(|pod| {
            pod["metadata"]["annotations"][INDEX] == "0" && pod["metadata"]["uid"] != first["metadata"]["uid"]
        });
        next.map(|pod| pod["metadata"]["annotations"].clone()).ok_or_else(|| "not replaced".to_owned())
    };
    let annotations = api.eventually(20, replaced).await.unwrap();
    assert_eq!(annotations["batch.kubernetes.io/job-index-failure-count"], "0");
    assert_eq!(annotations["batch.kubernetes.io/job-index-ignored-failure-count"], "1");
}
