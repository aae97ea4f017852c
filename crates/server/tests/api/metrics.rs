//! What pods and the node use, as `kubectl top` asks for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cronlet_server::{Gauge, Usage, Used};
use serde_json::json;

use super::{
    PODS,
    harness::{Server, now},
    pod,
};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

/// Where each measurement is a second after the one before: the machine has used 1.5 s of its processors meanwhile, the
/// pod with this UID 0.25 s.
fn ticking(uid: Arc<Mutex<String>>) -> Gauge {
    let calls = AtomicU64::new(0);
    Arc::new(move || {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        let used = |millis| Used { cpu: Duration::from_millis(millis * call), memory_bytes: 3 << 20 };
        let pods = HashMap::from([(uid.lock().unwrap().clone(), vec![("main".to_owned(), used(250))])]);
        Usage { at: now() + Duration::from_secs(call), machine: used(1500), pods }
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_used_is_shown_for_pods_that_run_and_the_node() {
    let uid = Arc::new(Mutex::new(String::new()));
    let server = Server::with_gauge(ticking(uid.clone())).await;
    let created = server.post(PODS, &pod("runs")).await.expect(201);
    server.post(PODS, &pod("waits")).await.expect(201);
    created["metadata"]["uid"].as_str().unwrap().clone_into(&mut uid.lock().unwrap());

    let list = server.get(&format!("{METRICS}/pods")).await.expect(200);
    let metadata = &created["metadata"];
    let mut expected = json!({
        "metadata": {"name": "runs", "namespace": "default", "creationTimestamp": metadata["creationTimestamp"]},
        "timestamp": now() + Duration::from_secs(1),
        "window": "1.000s",
        "containers": [{"name": "main", "usage": {"cpu": "250000000n", "memory": "3072Ki"}}],
    });
    if let Some(labels) = metadata.get("labels") {
        expected["metadata"]["labels"] = labels.clone();
    }
    assert_eq!(list["items"], json!([expected]));
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("PodMetricsList"), &json!("metrics.k8s.io/v1beta1"))
    );

    let one = server.get(&format!("{METRICS}/namespaces/default/pods/runs")).await.expect(200);
    assert_eq!((&one["kind"], &one["containers"]), (&json!("PodMetrics"), &expected["containers"]));
    let refused = server.get(&format!("{METRICS}/namespaces/default/pods/waits")).await;
    assert_eq!(refused.refusal(404, "NotFound"), "podmetrics.metrics.k8s.io \"default/waits\" not found");
    let none = server.get(&format!("{METRICS}/namespaces/other/pods")).await.expect(200);
    assert_eq!(none["items"], json!([]));
    let none = server.get(&format!("{METRICS}/pods?labelSelector=app%3Dother")).await.expect(200);
    assert_eq!(none["items"], json!([]));
    let nodes = server.get(&format!("{METRICS}/nodes")).await.expect(200);
    assert_eq!(
        (&nodes["kind"], &nodes["items"]),
        (&json!("NodeMetricsList"), &json!([])),
        "there is no node"
    );
    server.get(&format!("{METRICS}/nodes/n")).await.refusal(404, "NotFound");
    server.post(&format!("{METRICS}/pods"), &json!({})).await.refusal(405, "MethodNotAllowed");
}

#[tokio::test]
async fn discovery_names_what_is_used() {
    let server = Server::start().await;
    let resources = server.get(METRICS).await.expect(200);
    let names: Vec<&str> =
        resources["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["nodes", "pods"]);
    let groups = server.get("/apis").await.expect(200);
    let has = |group: &serde_json::Value| group["name"] == "metrics.k8s.io";
    assert!(groups["groups"].as_array().unwrap().iter().any(has), "{groups}");
}
