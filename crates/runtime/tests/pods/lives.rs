//! How pods start, restart and end.

use cronlet_object::api::Pod;
use serde_json::json;

use crate::node::{Node, container, exit_code, is_running, phase, pod, processes_with, shell, state};

crate::tests![
    a_pod_that_succeeds_is_reported_with_all_that_upstream_reports,
    an_exit_code_is_kept,
    sigterm_gives_a_container_its_grace_period,
    a_container_that_ignores_sigterm_is_killed,
    a_pod_that_is_deleted_without_grace_is_asked_first,
    a_deadline_ends_a_pod,
    a_deadline_that_is_set_while_a_pod_runs_ends_it,
    a_container_whose_image_is_changed_is_restarted,
    what_a_container_left_behind_is_killed,
    a_crashing_container_backs_off,
    a_container_is_restarted_by_its_own_rules,
    a_failed_init_container_fails_the_pod,
    init_containers_run_one_by_one_and_sidecars_end_last,
    a_program_that_is_not_there_is_a_start_error,
    without_a_command_there_is_nothing_to_run,
    what_is_missing_is_waited_for,
    pods_above_the_limit_wait,
    a_pod_that_is_deleted_before_it_starts_has_failed,
    a_removed_pod_leaves_nothing,
];

fn a_pod_that_succeeds_is_reported_with_all_that_upstream_reports() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "true", json!({})));
    let status = node.end("p");
    assert_eq!(phase(&status), "Succeeded");
    let ended = state(&status).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref(), ended.message), (0, Some("Completed"), None));
    assert!(ended.started_at.unwrap() <= ended.finished_at.unwrap());
    let id = container(&status).container_id.clone().unwrap();
    assert_eq!((id.len(), &id[..10]), ("cronlet://".len() + 64, "cronlet://"));
    assert_eq!(status.host_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(status.pod_ip, status.host_ip);
    let conditions = status.conditions.unwrap();
    let conditions: Vec<_> =
        conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_deref())).collect();
    assert_eq!(
        conditions,
        [
            ("PodReadyToStartContainers", "False", None),
            ("Initialized", "True", Some("PodCompleted")),
            ("Ready", "False", Some("PodCompleted")),
            ("ContainersReady", "False", Some("PodCompleted")),
            ("PodScheduled", "True", None),
        ]
    );
    let reasons: Vec<_> = node.events("p").into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["Created", "Started"]);
}

fn an_exit_code_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("code", "exit 7", json!({})));
    node.create(&pod("signal", "kill -11 $$", json!({})));
    for (name, code) in [("code", 7), ("signal", 139)] {
        let status = node.end(name);
        assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(code)), "{name}");
        assert_eq!(state(&status).terminated.unwrap().reason.as_deref(), Some("Error"));
    }
}

fn sigterm_gives_a_container_its_grace_period() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done";
    node.create(&pod("p", script, json!({})));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 30);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(3)));
    // The shell says that the `sleep` it waits for was terminated: the signal goes to the whole process group.
    assert!(node.log("p").contains("bye\n"));
    assert!(node.events("p").contains(&("Killing", "Stopping container c")), "{:?}", node.events("p"));
}

fn a_container_that_ignores_sigterm_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "trap '' TERM; echo ready; while :; do sleep 0.02; done", json!({})));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 0);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(137)));
}

fn a_pod_that_is_deleted_without_grace_is_asked_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    node.create(&pod("p", script, json!({})));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    node.delete("p", 0);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Succeeded", Some(0)));
    assert!(node.log("p").contains("asked\n"), "{}", node.log("p"));
}

fn a_deadline_ends_a_pod() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "exec sleep 1000", json!({ "activeDeadlineSeconds": 1 })));
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(143)));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    let message = "Pod was active on the node longer than the specified deadline";
    assert_eq!(status.message.as_deref(), Some(message));
    assert!(node.events("p").contains(&("DeadlineExceeded", message)));
}

fn a_deadline_that_is_set_while_a_pod_runs_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    for (name, before) in [("p", json!({})), ("q", json!({ "activeDeadlineSeconds": 1000 }))] {
        node.create(&pod(name, "exec sleep 1000", before));
        node.wait(name, is_running);
        let mut pod = node.pod(name);
        pod.spec.as_mut().unwrap().active_deadline_seconds = Some(1);
        node.create(&pod);
        let status = node.end(name);
        assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(143)), "{name}");
        assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    }
}

fn a_container_whose_image_is_changed_is_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done", json!({})));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    let mut pod = node.pod("p");
    pod.spec.as_mut().unwrap().containers[0].image = Some("other".to_owned());
    node.create(&pod);
    let status = node.wait("p", |status| is_running(status) && container(status).restart_count == 1);
    assert_eq!(container(&status).image, "other");
    let last = container(&status).last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!(last.exit_code, 0);
    let told = ("Killing", "Container c definition changed, will be restarted");
    assert!(node.events("p").contains(&told), "{:?}", node.events("p"));
    node.follow_until("p", "ready");
    // Not by itself.
    node.delete("p", 30);
    let status = node.end("p");
    assert_eq!((phase(&status), container(&status).restart_count), ("Succeeded", 1));
}

/// Gives a pod's container an environment that tells its processes from all others.
fn marked(mut pod: Pod, mark: &str) -> Pod {
    let env = json!([{ "name": "MARK", "value": mark }]);
    pod.spec.as_mut().unwrap().containers[0].env = serde_json::from_value(env).unwrap();
    pod
}

fn what_a_container_left_behind_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    // One stays in the session and holds the output; the other leaves both, and nobody waits for either.
    let script = "sleep 1000 & setsid sh -c 'echo $$; exec sleep 1000 > /dev/null' & \
                  while ! grep -qs sleep /proc/$!/comm; do :; done; exit 4";
    let mark = dir.path().to_str().unwrap();
    node.create(&marked(pod("p", script, json!({})), mark));
    assert_eq!(exit_code(&node.end("p")), Some(4));
    assert_eq!(node.log("p").lines().count(), 1);
    assert_eq!(processes_with(mark), 0);
}

fn a_crashing_container_backs_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "echo again; exit 1", json!({ "restartPolicy": "OnFailure" })));
    let status = node.wait("p", |status| {
        status.container_statuses.is_some()
            && state(status).waiting.is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"))
    });
    assert_eq!(phase(&status), "Running");
    // The first restart comes at once.
    assert_eq!(container(&status).restart_count, 1);
    let message = state(&status).waiting.unwrap().message.unwrap();
    assert_eq!(message, "back-off 10s restarting failed container=c pod=p_default(uid-p)");
    assert_eq!(container(&status).last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 1);
    let told = "Back-off restarting failed container c in pod p_default(uid-p)";
    assert!(node.events("p").contains(&("BackOff", told)), "{:?}", node.events("p"));
    node.delete("p", 30);
    assert_eq!(phase(&node.end("p")), "Failed");
}

fn a_container_is_restarted_by_its_own_rules() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let marker = dir.path().join("marker");
    // The first attempt ends with a code that it is restarted for, the second does not.
    let script = format!("[ -e {0} ] && exit 3; touch {0}; exit 42", marker.display());
    let rules = json!([{ "action": "Restart", "exitCodes": { "operator": "In", "values": [42] } }]);
    let own = json!({ "containers": [{ "restartPolicy": "Never", "restartPolicyRules": rules }] });
    node.create(&pod("p", &script, own));
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(3)));
    assert_eq!(container(&status).restart_count, 1);
    let last = container(&status).last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!(last.exit_code, 42);
}

fn a_failed_init_container_fails_the_pod() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "true", json!({ "initContainers": [shell("i", "exit 9")] })));
    let status = node.end("p");
    assert_eq!(phase(&status), "Failed");
    let init = &status.init_container_statuses.as_ref().unwrap()[0];
    assert_eq!(init.state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 9);
    assert_eq!(state(&status).waiting.unwrap().reason.as_deref(), Some("PodInitializing"));
}

fn init_containers_run_one_by_one_and_sidecars_end_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let order = dir.path().join("order");
    let note = |text: &str| format!("echo {text} >> {}", order.display());
    let mut sidecar =
        shell("s", &format!("trap '{}; exit 0' TERM; while :; do sleep 0.02; done", note("sidecar")));
    sidecar["restartPolicy"] = json!("Always");
    let init = [shell("a", &note("a")), sidecar, shell("b", &note("b"))];
    node.create(&pod("p", &note("c"), json!({ "initContainers": init })));
    let status = node.end("p");
    assert_eq!(phase(&status), "Succeeded");
    assert_eq!(std::fs::read_to_string(order).unwrap(), "a\nb\nc\nsidecar\n");
}

fn a_program_that_is_not_there_is_a_start_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let missing = [
        (
            json!(["no-such-program"]),
            json!(null),
            r#"exec: "no-such-program": executable file not found in $PATH"#,
        ),
        (json!(["/no/such"]), json!(null), r#"exec: "/no/such": stat /no/such: no such file or directory"#),
        (json!(["/etc/passwd"]), json!(null), r#"exec: "/etc/passwd": permission denied"#),
        (
            json!(["true"]),
            json!("/no/dir"),
            r#"cannot enter workingDir "/no/dir": no such file or directory"#,
        ),
    ];
    for (i, (command, dir, message)) in missing.into_iter().enumerate() {
        let name = format!("p{i}");
        node.create(&pod(&name, "", json!({ "containers": [{ "command": command, "workingDir": dir }] })));
        let status = node.end(&name);
        assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(128)));
        let ended = state(&status).terminated.unwrap();
        assert_eq!((ended.reason.as_deref(), ended.message.as_deref()), (Some("StartError"), Some(message)));
        let told = format!("Error: {message}");
        assert!(node.events(&name).contains(&("Failed", &told)));
    }
}

fn without_a_command_there_is_nothing_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "", json!({ "containers": [{ "command": null, "args": ["-x"] }] })));
    let status = node.wait("p", |status| status.container_statuses.is_some());
    assert_eq!(phase(&status), "Pending");
    let waiting = state(&status).waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CreateContainerError"));
    assert!(waiting.message.unwrap().contains("`command` is required"));
}

fn what_is_missing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let env =
        json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "a" } } }]);
    node.create(&pod("p", "echo $A", json!({ "containers": [{ "env": env }] })));
    let status = node.wait("p", |status| status.container_statuses.is_some());
    let waiting = state(&status).waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CreateContainerConfigError"));
    assert_eq!(waiting.message.as_deref(), Some("configmap \"settings\" not found"));
    let mut settings = cronlet_object::api::ConfigMap::default();
    settings.metadata.name = Some("settings".into());
    settings.metadata.namespace = Some("default".into());
    settings.data = Some([("a".to_owned(), "found".to_owned())].into());
    node.store(&settings);
    node.sync("p");
    assert_eq!(phase(&node.end("p")), "Succeeded");
    assert_eq!(node.log("p"), "found\n");
}

fn pods_above_the_limit_wait() {
    let dir = tempfile::tempdir().unwrap();
    let config = cronlet_runtime::Config { pods_max: 1, ..crate::node::config(dir.path()) };
    let mut node = Node::with(dir.path(), config);
    node.create(&pod("first", "echo ready; exec sleep 1000", json!({})));
    node.wait("first", is_running);
    for name in ["second", "third"] {
        node.create(&pod(name, "true", json!({})));
    }
    node.delete("first", 30);
    for name in ["first", "second", "third"] {
        node.end(name);
    }
    let started = |name| state(&node.pod(name).status.unwrap()).terminated.unwrap().started_at.unwrap().0;
    let ended = |name| state(&node.pod(name).status.unwrap()).terminated.unwrap().finished_at.unwrap().0;
    assert!(ended("first") <= started("second") && ended("second") <= started("third"));
}

fn a_pod_that_is_deleted_before_it_starts_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let mut waits =
        pod("p", "true", json!({ "containers": [{ "envFrom": [{ "secretRef": { "name": "s" } }] }] }));
    waits.metadata.deletion_grace_period_seconds = Some(30);
    node.create(&waits);
    node.wait("p", |status| status.container_statuses.is_some());
    node.delete("p", 30);
    assert_eq!(phase(&node.end("p")), "Failed");
}

fn a_removed_pod_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let mark = dir.path().to_str().unwrap();
    node.create(&marked(pod("p", "exec sleep 1000", json!({})), mark));
    node.wait("p", is_running);
    // For a moment it has no environment: when the shell becomes the program.
    while processes_with(mark) < 1 {
        std::thread::yield_now();
    }
    node.runtime.remove("uid-p");
    // It is removed when the runtime has seen it end, and everything before that when all have ended.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.runtime.stop_all());
    assert_eq!(processes_with(mark), 0);
    let dir = node.dir().to_owned();
    drop(node);
    for (path, left) in [("data/pods", 0), ("log/pods", 0), ("log/containers", 0)] {
        assert_eq!(std::fs::read_dir(dir.join(path)).unwrap().count(), left, "{path}");
    }
}
