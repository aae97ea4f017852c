//! The tutorial's manifests, as files in `examples/tutorial/`, do what the tutorial says.

use std::path::PathBuf;

use serde_json::Value;

use crate::testing::{Node, examples};

fn apply(node: &Node, file: &str) {
    node.cronlet_ok(&["apply", "-f", examples().join("tutorial").join(file).to_str().unwrap()]);
}

#[test]
fn pi_completes_three_times_with_at_most_two_at_once() {
    let node = Node::start(&[]);
    apply(&node, "pi-calculation.yaml");
    let states = node.wait_for_job("pi-calculation", "Complete");
    assert_eq!(states.last().unwrap()["status"]["succeeded"], 3);
    let active: Vec<i64> = states.iter().filter_map(|job| job["status"]["active"].as_i64()).collect();
    assert!(active.iter().all(|active| *active <= 2), "{active:?}");
    // SuccessCriteriaMet is seen before Complete.
    let interim = states.iter().any(|job| {
        crate::testing::has_condition(job, "SuccessCriteriaMet")
            && !crate::testing::has_condition(job, "Complete")
    });
    assert!(interim, "the interim condition was not seen");
    let log = node.cronlet_ok(&["logs", "job/pi-calculation"]);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["3.1415926535897932385"; 3]);
}

#[test]
fn cleanup_waits_for_its_claim_and_then_runs_in_it() {
    let node = Node::start(&[]);
    apply(&node, "nightly-data-cleanup.yaml");
    let run = node.file("run.yaml", &run_of(&node, "nightly-data-cleanup"));
    node.cronlet_ok(&["apply", "-f", &run]);
    let unschedulable = |pod: &Value| {
        pod["status"]["conditions"]
            .as_array()
            .is_some_and(|list| list.iter().any(|c| c["reason"] == "Unschedulable"))
    };
    let pod = node.watch("/api/v1/namespaces/default/pods", unschedulable).pop().unwrap();
    assert_eq!(pod["status"]["phase"], "Pending");
    let events = node.get_text("/api/v1/namespaces/default/events");
    assert!(events.contains("persistentvolumeclaim \\\"pvc-backup-data\\\" not found"), "{events}");
    apply(&node, "pvc-backup-data.yaml");
    node.wait_for_job("cleanup-now", "Complete");
    let claim = node.get("/api/v1/namespaces/default/persistentvolumeclaims/pvc-backup-data");
    assert_eq!(claim["status"]["phase"], "Bound");

    let name = claim["spec"]["volumeName"].as_str().unwrap();
    let volume = node.get(&format!("/api/v1/persistentvolumes/{name}"));
    assert_eq!(volume["status"]["phase"], "Bound");
    assert_eq!(volume["spec"]["storageClassName"], "standard");
    let data = PathBuf::from(volume["spec"]["local"]["path"].as_str().unwrap());
    assert!(data.is_dir(), "{volume}");
    let classes = node.cronlet_ok(&["get", "sc"]);
    assert!(classes.contains("standard (default)"), "{classes}");
    node.cronlet_ok(&["delete", "pvc", "pvc-backup-data"]);
    let gone = || !node.get_text("/api/v1/persistentvolumes").contains(name) && !data.exists();
    assert!((0..2000).any(|_| gone()), "the volume goes with its claim, and its data with the volume");
}

/// A Job from a CronJob's template, as `kubectl create job --from` makes it.
fn run_of(node: &Node, cronjob: &str) -> String {
    let cronjob = node.get(&format!("/apis/batch/v1/namespaces/default/cronjobs/{cronjob}"));
    let mut job =
        serde_json::json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "cleanup-now"}});
    job["spec"] = cronjob["spec"]["jobTemplate"]["spec"].clone();
    job.to_string()
}

#[test]
fn the_database_url_arrives_from_the_config_map() {
    let node = Node::start(&[]);
    // The pod comes first: it waits for the ConfigMap.
    apply(&node, "env-pod.yaml");
    let waiting = |pod: &Value| {
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    };
    node.watch("/api/v1/namespaces/default/pods", waiting);
    apply(&node, "app-config.yaml");
    node.wait_for_pod("fieldSelector=metadata.name%3Denv-pod", "Succeeded");
    assert_eq!(node.cronlet_ok(&["logs", "env-pod"]), "DATABASE_URL=postgres://db.example.com:5432/app\n");
}
