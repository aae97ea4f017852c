//! What the node tells the containers of a Job of their run: when it was due, which attempt it is, and its trace.

use serde_json::{Value, json};

use crate::testing::{Node, has_condition};

/// A Job that fails once, and says at each attempt what it was told.
fn job(name: &str, restart_policy: &str) -> Value {
    let script = r#"echo "$CRONLET_SCHEDULED_TIME $CRONLET_ATTEMPT $TRACEPARENT"; test $CRONLET_ATTEMPT = 2"#;
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name,
            "annotations": { "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-03-01T11:00:00+01:00" },
        },
        "spec": { "backoffLimit": 3, "template": { "spec": {
            "restartPolicy": restart_policy,
            "containers": [{ "name": "c", "image": "busybox", "command": ["sh", "-c", script] }],
        } } },
    })
}

#[test]
fn each_attempt_is_told_its_number_its_time_and_its_trace() {
    let node = Node::start(&[]);
    for (name, policy) in [("pods", "Never"), ("restarts", "OnFailure")] {
        let (code, answer) =
            node.post("/apis/batch/v1/namespaces/default/jobs", job(name, policy).to_string().into_bytes());
        assert_eq!(code, 201, "{answer}");
    }
    for (name, attempts) in [("pods", 2), ("restarts", 1)] {
        // Both fail once, and are tried again.
        let states = node.watch(
            &format!("/apis/batch/v1/namespaces/default/jobs?fieldSelector=metadata.name%3D{name}"),
            |job| has_condition(job, "Complete") || has_condition(job, "Failed"),
        );
        let job = states.last().unwrap();
        assert!(has_condition(job, "Complete"), "{job:#}");
        let pods = node.get(&format!(
            "/api/v1/namespaces/default/pods?labelSelector=batch.kubernetes.io/job-name%3D{name}"
        ));
        let pods = pods["items"].as_array().unwrap();
        assert_eq!(pods.len(), attempts, "{name}");
        let trace = job["metadata"]["uid"].as_str().unwrap().replace('-', "");
        let mut said = Vec::new();
        for pod in pods {
            let pod_name = pod["metadata"]["name"].as_str().unwrap();
            let span = pod["metadata"]["uid"].as_str().unwrap().replace('-', "");
            let log = node.get_text(&format!("/api/v1/namespaces/default/pods/{pod_name}/log"));
            let [time, attempt, parent] = log.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{log}")
            };
            assert_eq!(time, "2026-03-01T11:00:00+01:00");
            assert_eq!(parent, format!("00-{trace}-{}-01", &span[..16]));
            said.push(attempt.to_owned());
        }
        said.sort();
        // The log of a container is that of its last start.
        assert_eq!(said, if attempts == 2 { vec!["1", "2"] } else { vec!["2"] }, "{name}");
    }
}
