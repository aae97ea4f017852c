//! What a node does about the volumes of its pods besides mounting them.

use crate::testing::{Node, job};

/// Stores a ConfigMap, or changes it.
fn greet(node: &Node, greeting: &str) {
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{greeting: {greeting}}}\n"
    );
    node.cronlet_ok(&["apply", "-f", &node.file("settings.yaml", &manifest)]);
}

#[test]
fn mounted_settings_follow_changes_while_their_pod_runs() {
    let node = Node::start(&[]);
    greet(&node, "before");
    let script = "until grep -q after /cronlet-test/greeting && grep -q after /cronlet-projected/greeting; \
                  do sleep 0.05; done";
    let volumes = "      volumes:\n      - {name: v, configMap: {name: settings}}\n      \
                   - {name: w, projected: {sources: [{configMap: {name: settings}}]}}\n      containers:";
    let mounts = "image: busybox\n        volumeMounts: [{name: v, mountPath: /cronlet-test}, \
                  {name: w, mountPath: /cronlet-projected}]";
    let manifest =
        job("follows", script).replace("      containers:", volumes).replace("image: busybox", mounts);
    node.cronlet_ok(&["apply", "-f", &node.file("job.yaml", &manifest)]);
    node.wait_for_pod("", "Running");
    // The pod's status is written; from here on nothing changes but the ConfigMap.
    greet(&node, "after");
    node.wait_for_job("follows", "Complete");
}

#[test]
fn a_pod_that_waits_for_something_of_which_nobody_tells_is_tried_again() {
    let node = Node::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("comes-later");
    let volumes = format!(
        "      volumes: [{{name: v, hostPath: {{path: {}, type: Directory}}}}]\n      containers:",
        place.display()
    );
    let manifest = job("waits", "true").replace("      containers:", &volumes);
    node.cronlet_ok(&["apply", "-f", &node.file("job.yaml", &manifest)]);
    let events = "/api/v1/namespaces/default/events";
    node.watch(events, |event| event["reason"] == "FailedMount");
    std::fs::create_dir(&place).unwrap();
    node.wait_for_job("waits", "Complete");
}

#[test]
fn a_volume_of_a_pods_own_is_there_as_long_as_the_pod() {
    let node = Node::start(&[]);
    let claim = "{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}";
    let volumes = format!(
        "      volumes: [{{name: v, ephemeral: {{volumeClaimTemplate: {claim}}}}}]\n      containers:"
    );
    let mounts = "image: busybox\n        volumeMounts: [{name: v, mountPath: /cronlet-test}]";
    let manifest = job("scratch", "echo kept > /cronlet-test/file; grep kept /cronlet-test/file")
        .replace("      containers:", &volumes)
        .replace("image: busybox", mounts);
    node.cronlet_ok(&["apply", "-f", &node.file("job.yaml", &manifest)]);
    node.wait_for_job("scratch", "Complete");
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let listed = node.get(claims);
    let claim = &listed["items"][0];
    assert!(claim["metadata"]["name"].as_str().unwrap().starts_with("scratch-"), "{claim}");
    assert_eq!(claim["status"]["phase"], "Bound");
    let volume = node.get("/api/v1/persistentvolumes")["items"][0].clone();
    let directory = std::path::PathBuf::from(volume["spec"]["local"]["path"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(directory.join("file")).unwrap(), "kept\n");
    node.cronlet_ok(&["delete", "job", "scratch"]);
    let since = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let changes = format!("{claims}?resourceVersion={since}");
    node.watch(&changes, |claim| claim["metadata"]["deletionTimestamp"].is_string());
}
