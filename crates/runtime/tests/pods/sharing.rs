//! What containers of a pod share with each other and with the machine.

use rustix::process::geteuid;
use serde_json::{Value, json};

use cronlet_object::api::Pod;

use crate::containers::{node, of_image};
use crate::node::{container, exit_code, is_running, phase, pod, processes_with, shell, state};

crate::tests![
    containers_that_share_processes_see_each_other,
    what_a_container_left_behind_among_shared_processes_is_killed,
    the_others_go_on_when_a_container_that_shares_processes_ends,
    without_root_processes_are_not_shared_and_that_is_told,
    a_container_of_the_hosts_processes_sees_them,
    containers_of_a_pod_share_memory_and_message_queues,
    a_container_may_have_the_hosts_message_queues,
    kernel_settings_are_the_pods_own,
    kernel_settings_of_the_machine_are_refused,
    groups_of_the_image_are_left_out_if_asked_for,
];

/// A container `name` of the image that runs a script.
fn another(name: &str, script: &str) -> Value {
    let mut container = shell(name, script);
    container["image"] = json!("app:1");
    container["imagePullPolicy"] = json!("Never");
    container
}

/// A pod whose containers share their processes.
fn sharing(name: &str, containers: &[Value]) -> Pod {
    pod(name, "", json!({ "containers": containers, "shareProcessNamespace": true }))
}

fn is_root(test: &str) -> bool {
    if !geteuid().is_root() {
        println!("not run: {test} needs root");
    }
    geteuid().is_root()
}

fn containers_that_share_processes_see_each_other() {
    if !is_root("containers_that_share_processes_see_each_other") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    // The one says who it is and waits for a signal, which the other sends to it.
    let mut waits = another(
        "c",
        "trap 'echo heard; exit 4' USR1; echo $$; echo $$ > /dev/shm/pid; while :; do sleep 0.02; done",
    );
    let mut asks = another(
        "d",
        "until [ -s /dev/shm/pid ]; do sleep 0.02; done; pid=$(cat /dev/shm/pid); \
         grep -E '^(Uid|CapEff):' /proc/1/status; readlink /proc/1/root || echo hidden; \
         grep -q NAME=waits /proc/$pid/environ && kill -USR1 $pid",
    );
    waits["env"] = json!([{ "name": "NAME", "value": "waits" }]);
    asks["env"] = json!([{ "name": "NAME", "value": "asks" }]);
    node.create(&sharing("p", &[waits, asks]));
    let status = node.end("p");
    let log = node.log_of("p", "d");
    assert_eq!(exit_code(&status), Some(4), "{log}\n{}", node.log("p"));
    assert!(node.log("p").ends_with("heard\n") && !node.log("p").starts_with("1\n"), "{}", node.log("p"));
    // Nobody, who may do nothing.
    assert!(log.contains("Uid:\t65535\t65535\t65535\t65535\nCapEff:\t0000000000000000\n"), "{log}");
    assert!(log.ends_with("hidden\n"), "{log}");
    assert!(node.events("p").iter().all(|(reason, _)| *reason != "FieldsIgnored"), "{:?}", node.events("p"));
}

fn what_a_container_left_behind_among_shared_processes_is_killed() {
    if !is_root("what_a_container_left_behind_among_shared_processes_is_killed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = format!("MARK=sharing-{}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    // Daemons of a container that ends while another one runs: one has its session, one another.
    let mut leaves = another(
        "c",
        "sleep 1000 & (busybox setsid sh -c 'sleep 1000; true' > /dev/null 2>&1 &); echo up; exit 5",
    );
    leaves["env"] = json!([{ "name": name, "value": value }]);
    node.create(&sharing("p", &[leaves, another("d", "exec sleep 1000")]));
    let status = node.wait("p", |status| status.container_statuses.is_some() && exit_code(status).is_some());
    assert_eq!(exit_code(&status), Some(5));
    assert_eq!(processes_with(&mark), 0);
    assert!(status.container_statuses.as_ref().unwrap()[1].state.as_ref().unwrap().running.is_some());
    node.delete("p", 0);
    assert_eq!(phase(&node.end("p")), "Failed");
}

fn the_others_go_on_when_a_container_that_shares_processes_ends() {
    if !is_root("the_others_go_on_when_a_container_that_shares_processes_ends") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = format!("MARK=sharing-end-{}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let env = json!([{ "name": name, "value": value }]);
    let mut first = another("c", "echo up; exec sleep 1000");
    let mut second = another("d", "exit 1");
    first["env"] = env.clone();
    second["env"] = env;
    second["restartPolicy"] = json!("OnFailure");
    node.create(&sharing("p", &[first, second]));
    let status = node
        .wait("p", |status| status.container_statuses.as_ref().is_some_and(|all| all[1].restart_count > 0));
    assert!(is_running(&status));
    node.follow_until("p", "up");
    node.delete("p", 0);
    // The first process of a container is not that of the namespace, which ignores signals without a handler.
    assert_eq!(exit_code(&node.end("p")), Some(143));
    assert_eq!(processes_with(&mark), 0);
}

fn without_root_processes_are_not_shared_and_that_is_told() {
    if geteuid().is_root() {
        println!(
            "not run: without_root_processes_are_not_shared_and_that_is_told needs a user who is not root"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&sharing("p", &[another("c", "echo $$")]));
    node.end("p");
    assert_eq!(node.log("p"), "1\n");
    let told = "This node does not do what these fields ask for: spec.shareProcessNamespace (the node must be root for \
                that)";
    assert!(node.events("p").contains(&("FieldsIgnored", told)), "{:?}", node.events("p"));
}

fn a_container_of_the_hosts_processes_sees_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = std::process::id();
    let mark = format!("MARK=host-{own}");
    let (name, value) = mark.split_once('=').unwrap();
    let env = json!({ "env": [{ "name": name, "value": value }] });
    let script = format!(
        "[ $$ -ne 1 ] && [ -d /proc/{own} ] && echo seen; (busybox setsid sleep 1000 > /dev/null 2>&1 &); exit 6"
    );
    let mut pod = of_image("p", &script, env);
    pod.spec.as_mut().unwrap().host_pid = Some(true);
    node.create(&pod);
    assert_eq!((exit_code(&node.end("p")), node.log("p").as_str()), (Some(6), "seen\n"));
    assert_eq!(processes_with(&mark), 0);
}

fn containers_of_a_pod_share_memory_and_message_queues() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    let init = another("i", "echo from the first > /dev/shm/f; readlink /proc/self/ns/ipc > /dev/shm/ns");
    let script = "cat /dev/shm/f; [ $(cat /dev/shm/ns) = $(readlink /proc/self/ns/ipc) ] && echo same; cat /dev/shm/ns; \
                  grep ' /dev/shm ' /proc/mounts; ls -ld /dev/shm";
    node.create(&pod("p", "", json!({ "initContainers": [init], "containers": [another("c", script)] })));
    let status = node.end("p");
    let log = node.log("p");
    assert_eq!(exit_code(&status), Some(0), "{log}");
    assert!(log.starts_with("from the first\nsame\n") && !log.contains(own.to_str().unwrap()), "{log}");
    assert!(log.contains("noexec") && log.contains("size=65536k") && log.contains("drwxrwxrwt"), "{log}");
}

fn a_container_may_have_the_hosts_message_queues() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mut pod = of_image("p", "readlink /proc/self/ns/ipc; echo x > /dev/shm/$HOSTNAME", json!({}));
    pod.spec.as_mut().unwrap().host_ipc = Some(true);
    pod.spec.as_mut().unwrap().hostname = Some(format!("cronlet-test-{}", std::process::id()));
    let file = std::path::Path::new("/dev/shm").join(format!("cronlet-test-{}", std::process::id()));
    node.create(&pod);
    let status = node.end("p");
    let written = std::fs::read_to_string(&file);
    let _ = std::fs::remove_file(file);
    let own = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    assert_eq!((exit_code(&status), node.log("p")), (Some(0), format!("{}\n", own.display())));
    assert_eq!(written.unwrap(), "x\n");
}

fn kernel_settings_are_the_pods_own() {
    if !is_root("kernel_settings_are_the_pods_own") {
        return;
    }
    const FILES: [&str; 2] =
        ["/proc/sys/kernel/shm_rmid_forced", "/proc/sys/net/ipv4/ip_unprivileged_port_start"];
    let own = || FILES.map(|path| std::fs::read_to_string(path).unwrap());
    let before = own();
    // Whatever the machine's are.
    let value =
        |text: &str, one: &'static str, other: &'static str| if text.trim() == one { other } else { one };
    let values = [value(&before[0], "1", "0"), value(&before[1], "80", "81")];
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mut pod = of_image("p", &format!("cat {} {}", FILES[0], FILES[1]), json!({}));
    pod.metadata.annotations = Some([("cronlet.dev/network".to_owned(), "none".to_owned())].into());
    let sysctls = json!({ "sysctls": [
        { "name": "kernel.shm_rmid_forced", "value": values[0] },
        { "name": "net/ipv4/ip_unprivileged_port_start", "value": values[1] },
    ] });
    pod.spec.as_mut().unwrap().security_context = serde_json::from_value(sysctls).unwrap();
    node.create(&pod);
    let status = node.end("p");
    assert_eq!((exit_code(&status), node.log("p")), (Some(0), format!("{}\n{}\n", values[0], values[1])));
    assert_eq!(own(), before);
}

fn kernel_settings_of_the_machine_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    for (name, sysctl, why) in [
        ("p", "kernel.msgmax", "not allowlisted"),
        ("q", "net.ipv4.tcp_syncookies", "not allowed with host Net enabled"),
    ] {
        let mut pod = of_image(name, "true", json!({}));
        let sysctls = json!({ "sysctls": [{ "name": sysctl, "value": "1" }] });
        pod.spec.as_mut().unwrap().security_context = serde_json::from_value(sysctls).unwrap();
        node.create(&pod);
        let status = node.end(name);
        let why = format!("forbidden sysctl: {sysctl:?} {why}");
        assert_eq!((phase(&status), status.reason.as_deref()), ("Failed", Some("SysctlForbidden")));
        assert_eq!(status.message, Some(format!("Pod was rejected: {why}")));
        assert_eq!(node.events(name), [("SysctlForbidden", why.as_str())]);
    }
}

fn groups_of_the_image_are_left_out_if_asked_for() {
    if !is_root("groups_of_the_image_are_left_out_if_asked_for") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    for (name, policy, groups) in [("p", "Merge", "1000 44 50"), ("q", "Strict", "1000 44")] {
        let own = json!({ "securityContext": { "runAsUser": 1000, "runAsGroup": 1000 } });
        let mut pod = of_image(name, "id -G", own);
        let context = json!({ "supplementalGroups": [44], "supplementalGroupsPolicy": policy });
        pod.spec.as_mut().unwrap().security_context = serde_json::from_value(context).unwrap();
        node.create(&pod);
        node.end(name);
        assert_eq!(node.log(name), format!("{groups}\n"), "{policy}");
        assert_eq!(state(node.pod(name).status.as_ref().unwrap()).terminated.unwrap().exit_code, 0);
        assert_eq!(container(node.pod(name).status.as_ref().unwrap()).restart_count, 0);
    }
}
