//! Hooks and probes, of processes of the host. Those of containers with images are in `containers.rs`.

use std::path::Path;

use cronlet_object::api::{ContainerStatus, PodStatus};
use serde_json::json;

use crate::node::{Node, container, exit_code, is_running, phase, pod, processes_with, shell, state};

crate::tests![
    a_hook_runs_in_the_container_before_it_counts_as_running,
    a_container_whose_post_start_hook_fails_is_ended,
    a_hook_runs_before_a_container_is_asked_to_end,
    a_hook_runs_however_short_the_grace_period_and_not_without_one,
    the_hooks_of_sidecars_are_called_before_their_turn_to_end,
    a_hook_that_does_not_end_leaves_the_container_the_least_time,
    what_a_container_left_behind_ends_although_its_hook_is_running,
    a_container_is_ready_when_its_probe_says_so,
    a_container_whose_liveness_probe_fails_is_restarted,
    a_container_that_does_not_come_up_is_ended,
    a_probe_that_takes_too_long_has_failed,
    a_probe_that_cannot_be_made_does_not_count,
    a_sidecar_that_has_come_up_lets_the_others_start,
];

fn touch(path: &Path) {
    std::fs::write(path, "").unwrap();
}

fn has_event(node: &Node, reason: &str, message: &str) -> bool {
    node.events("p").iter().any(|(of, text)| *of == reason && *text == message)
}

/// Takes in reports until an event has been told.
fn wait_for_event(node: &mut Node, reason: &str, message: &str) {
    while !has_event(node, reason, message) {
        node.next();
    }
}

fn a_hook_runs_in_the_container_before_it_counts_as_running() {
    let dir = tempfile::tempdir().unwrap();
    let (go, seen) = (dir.path().join("go"), dir.path().join("seen"));
    let hook =
        format!("until [ -e {} ]; do sleep 0.02; done; echo $$A in $$PWD > {}", go.display(), seen.display());
    let mut node = Node::new(dir.path());
    node.create(&pod(
        "p",
        "exec sleep 1000",
        json!({ "containers": [{
            "env": [{ "name": "A", "value": "a" }],
            "workingDir": "/usr",
            "lifecycle": { "postStart": { "exec": { "command": ["sh", "-c", hook.replace("$$", "$")] } } },
        }] }),
    ));
    let status = node
        .wait("p", |status| status.container_statuses.is_some() && container(status).container_id.is_some());
    assert_eq!(state(&status).waiting.unwrap().reason.as_deref(), Some("ContainerCreating"));
    assert_eq!((phase(&status), container(&status).started), ("Pending", Some(false)));
    touch(&go);
    let status = node.wait("p", is_running);
    assert_eq!(
        (phase(&status), container(&status).started, container(&status).ready),
        ("Running", Some(true), true)
    );
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "a in /usr\n");
    node.delete("p", 0);
    node.end("p");
}

fn a_container_whose_post_start_hook_fails_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let hook = json!({ "postStart": { "exec": { "command": ["no-such-program"] } } });
    node.create(&pod("p", "exec sleep 1000", json!({ "containers": [{ "lifecycle": hook }] })));
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(143)));
    assert!(has_event(&node, "FailedPostStartHook", "PostStartHook failed"));
    assert!(has_event(&node, "Killing", "FailedPostStartHook"));
}

fn a_hook_runs_before_a_container_is_asked_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let order = dir.path().join("order");
    let note = |text: &str| format!("echo {text} >> {}", order.display());
    let script = format!("trap '{}; exit 3' TERM; echo ready; while :; do sleep 0.02; done", note("term"));
    let hook =
        json!({ "preStop": { "exec": { "command": ["sh", "-c", format!("sleep 0.2; {}", note("hook"))] } } });
    let mut node = Node::new(dir.path());
    node.create(&pod("p", &script, json!({ "containers": [{ "lifecycle": hook }] })));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 30);
    assert_eq!(exit_code(&node.end("p")), Some(3));
    assert_eq!(std::fs::read_to_string(order).unwrap(), "hook\nterm\n");
}

fn a_hook_runs_however_short_the_grace_period_and_not_without_one() {
    for (grace_seconds, expected) in [(1, "hook\nterm\n"), (0, "term\n")] {
        let dir = tempfile::tempdir().unwrap();
        let order = dir.path().join("order");
        let note = |text: &str| format!("echo {text} >> {}", order.display());
        let script =
            format!("trap '{}; exit 3' TERM; echo ready; while :; do sleep 0.02; done", note("term"));
        let hook = json!({ "preStop": { "exec": { "command": ["sh", "-c", note("hook")] } } });
        let mut node = Node::new(dir.path());
        node.create(&pod("p", &script, json!({ "containers": [{ "lifecycle": hook }] })));
        node.wait("p", is_running);
        node.follow_until("p", "ready");
        node.delete("p", grace_seconds);
        assert_eq!(exit_code(&node.end("p")), Some(3));
        assert_eq!(std::fs::read_to_string(order).unwrap(), expected, "{grace_seconds} s");
    }
}

fn the_hooks_of_sidecars_are_called_before_their_turn_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let hooked = dir.path().join("hooked");
    // It ends when the hook of the sidecar has been called, which waits for its end.
    let script = format!("trap '' TERM; echo ready; until [ -e {} ]; do sleep 0.02; done", hooked.display());
    let mut sidecar = shell("s", "trap 'exit 0' TERM; while :; do sleep 0.02; done");
    sidecar["restartPolicy"] = json!("Always");
    sidecar["lifecycle"] =
        json!({ "preStop": { "exec": { "command": ["touch", hooked.to_str().unwrap()] } } });
    let mut node = Node::new(dir.path());
    node.create(&pod("p", &script, json!({ "initContainers": [sidecar] })));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 1000);
    assert_eq!(exit_code(&node.end("p")), Some(0));
}

fn a_hook_that_does_not_end_leaves_the_container_the_least_time() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done";
    let hook = json!({ "preStop": { "exec": { "command": ["sleep", "1000"] } } });
    let mut node = Node::new(dir.path());
    node.create(&pod("p", script, json!({ "containers": [{ "lifecycle": hook }] })));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 3);
    assert_eq!(exit_code(&node.end("p")), Some(3));
    assert!(has_event(&node, "FailedPreStopHook", "PreStopHook failed"));
}

fn what_a_container_left_behind_ends_although_its_hook_is_running() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().to_str().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("setsid sleep 1000 & echo $$ > {}; echo ready; exec sleep 1000", pid.display());
    let hook = format!("kill -9 $(cat {}); sleep 1000", pid.display());
    let lifecycle = json!({ "preStop": { "exec": { "command": ["sh", "-c", hook] } } });
    let env = json!([{ "name": "MARK", "value": mark }]);
    let mut node = Node::new(dir.path());
    node.create(&pod("p", &script, json!({ "containers": [{ "lifecycle": lifecycle, "env": env }] })));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 30);
    assert_eq!(exit_code(&node.end("p")), Some(137));
    assert_eq!(processes_with(mark), 0);
}

fn a_container_is_ready_when_its_probe_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let up = dir.path().join("up");
    let probe = json!({
        "exec": { "command": ["sh", "-c", format!("cat {0} >&2 || exit 1", up.display())] },
        "periodSeconds": 1, "failureThreshold": 1,
    });
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "exec sleep 1000", json!({ "containers": [{ "readinessProbe": probe }] })));
    let status = node.wait("p", is_running);
    assert_eq!((container(&status).started, container(&status).ready), (Some(true), false));
    let message = format!("Readiness probe failed: cat: {}: No such file or directory\n", up.display());
    wait_for_event(&mut node, "Unhealthy", &message);
    touch(&up);
    node.wait("p", |status| container(status).ready);
    std::fs::remove_file(&up).unwrap();
    node.wait("p", |status| !container(status).ready);
    node.delete("p", 0);
    node.end("p");
}

fn a_container_whose_liveness_probe_fails_is_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let probe = json!({
        "tcpSocket": { "port": 1 }, "periodSeconds": 1, "failureThreshold": 2, "terminationGracePeriodSeconds": 5,
    });
    let mut node = Node::new(dir.path());
    // Whatever exit code it makes of it.
    let script = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let spec = json!({ "restartPolicy": "OnFailure", "containers": [{ "livenessProbe": probe }] });
    node.create(&pod("p", script, spec));
    node.wait("p", |status| status.container_statuses.is_some() && container(status).restart_count == 1);
    let refused = "Liveness probe failed: dial tcp 127.0.0.1:1: connect: connection refused";
    assert!(has_event(&node, "Unhealthy", refused));
    assert!(has_event(&node, "Killing", "Container c failed liveness probe, will be restarted"));
    node.delete("p", 0);
    node.end("p");
}

fn a_container_that_does_not_come_up_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let startup = json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 2 });
    let readiness = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    let mut node = Node::new(dir.path());
    let spec = json!({ "containers": [{ "startupProbe": startup, "readinessProbe": readiness }] });
    node.create(&pod("p", "exec sleep 1000", spec));
    let is_up = |status: &ContainerStatus| status.started == Some(true) || status.ready;
    let all = |status: &PodStatus| status.container_statuses.clone().unwrap_or_default();
    let status = node.wait("p", |status| {
        assert!(!all(status).iter().any(is_up));
        matches!(phase(status), "Failed")
    });
    assert_eq!(exit_code(&status), Some(143));
    assert!(has_event(&node, "Killing", "Container c failed startup probe"));
    node.end("p");
}

fn a_probe_that_takes_too_long_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let probe =
        json!({ "exec": { "command": ["sleep", "1000"] }, "timeoutSeconds": 1, "failureThreshold": 1 });
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "exec sleep 1000", json!({ "containers": [{ "livenessProbe": probe }] })));
    assert_eq!(exit_code(&node.end("p")), Some(143));
    assert!(has_event(&node, "Unhealthy", "Liveness probe failed: command \"sleep 1000\" timed out"));
}

fn a_probe_that_cannot_be_made_does_not_count() {
    for (action, why) in [
        (
            json!({ "exec": { "command": ["no-such-program"] } }),
            "failed to exec in container: exec: \"no-such-program\": executable file not found in $PATH",
        ),
        (json!({ "httpGet": { "port": "web" } }), "couldn't find port: web"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut probe = action;
        (probe["periodSeconds"], probe["failureThreshold"]) = (json!(1), json!(1));
        let mut node = Node::new(dir.path());
        node.create(&pod("p", "sleep 2.5", json!({ "containers": [{ "livenessProbe": probe }] })));
        assert_eq!(phase(&node.end("p")), "Succeeded");
        let told = format!("Liveness probe errored and resulted in unknown state: {why}");
        assert!(has_event(&node, "Unhealthy", &told));
    }
}

fn a_sidecar_that_has_come_up_lets_the_others_start() {
    let dir = tempfile::tempdir().unwrap();
    let up = dir.path().join("up");
    let mut sidecar = shell("s", "exec sleep 1000");
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] =
        json!({ "exec": { "command": ["test", "-e", up] }, "periodSeconds": 1, "failureThreshold": 60 });
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "true", json!({ "initContainers": [sidecar] })));
    let running = |status: &PodStatus| {
        let sidecar = status.init_container_statuses.as_ref().map(|all| all[0].clone());
        sidecar.and_then(|sidecar| sidecar.state).is_some_and(|state| state.running.is_some())
    };
    let status = node.wait("p", running);
    assert_eq!(state(&status).waiting.unwrap().reason.as_deref(), Some("PodInitializing"));
    touch(&up);
    assert_eq!(phase(&node.end("p")), "Succeeded");
}
