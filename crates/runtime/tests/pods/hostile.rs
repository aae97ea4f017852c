//! Containers that mean harm, or have gone wrong as if they did: the node and the other pods go on, and it is said what
//! was the matter.

use std::{fs, path::Path};

use cronlet_object::api::{Pod, PodStatus};
use cronlet_runtime::limits;
use serde_json::json;

use crate::{
    containers::{node, of_image, run},
    node::{Node, config, exit_code, is_running, phase, pod, processes_with, shell, wait_for_files},
};

crate::tests![
    a_fork_bomb_ends_with_its_container_and_is_told,
    a_full_disk_of_a_containers_own_making_evicts_its_pod,
    the_containers_of_a_pod_have_one_bound_together,
    a_node_that_is_short_of_disk_evicts_the_pod_that_keeps_the_most,
    an_empty_dir_that_is_too_full_evicts_its_pod,
    a_line_without_an_end_fills_neither_the_disk_nor_memory,
    a_container_leaves_no_trace_in_the_kernels_settings,
    a_container_has_no_descriptor_of_the_hosts,
    a_container_cannot_have_the_kernel_run_a_program_for_it,
    a_device_of_the_host_cannot_be_made,
];

/// A pod that goes on as if nothing was the matter, beside one that does not.
fn neighbour(node: &mut Node) {
    node.create(&of_image("neighbour", "echo up; exec sleep 1000", json!({})));
    node.wait("neighbour", is_running);
    node.follow_until("neighbour", "up");
}

/// Others still start, and those that ran still do.
fn all_is_well(node: &mut Node) {
    node.create(&of_image("after", "echo fine", json!({})));
    assert_eq!(phase(&node.end("after")), "Succeeded");
    assert!(is_running(&node.pod("neighbour").status.unwrap()));
    node.delete("neighbour", 0);
    node.end("neighbour");
}

fn has_event(node: &Node, pod: &str, reason: &str) -> bool {
    node.events(pod).iter().any(|event| event.0 == reason)
}

fn a_fork_bomb_ends_with_its_container_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    neighbour(&mut node);
    let mark = format!("MARK=bomb-{}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    // Each runs two more of itself. The first process goes on until it can run no more.
    let script = "bomb() { bomb | bomb & }; bomb 2> /dev/null; while true; do sleep 1000 & done";
    let own = json!({ "env": [{ "name": name, "value": value }] });
    node.create(&of_image("bomb", script, own));
    let status = node.end("bomb");
    assert_ne!(exit_code(&status), Some(0));
    assert!(node.log("bomb").contains("can't fork"), "{}", node.log("bomb"));
    assert_eq!(processes_with(&mark), 0);
    if rustix::process::geteuid().is_root() {
        assert!(has_event(&node, "bomb", "PIDLimitReached"), "{:?}", node.events("bomb"));
    }
    all_is_well(&mut node);
}

/// A container that writes a file and waits.
fn writes(path: &str, mebibytes: u32) -> String {
    format!("dd if=/dev/zero of={path} bs=1M count={mebibytes}; echo full; exec sleep 1000")
}

fn evicted(status: &PodStatus) -> String {
    assert_eq!((phase(status), status.reason.as_deref()), ("Failed", Some("Evicted")), "{status:?}");
    let message = status.message.clone().unwrap();
    let conditions = status.conditions.as_ref().unwrap();
    let disrupted = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
    assert_eq!(
        (disrupted.status.as_str(), disrupted.reason.as_deref()),
        ("True", Some("TerminationByKubelet"))
    );
    assert_eq!(disrupted.message.as_deref(), Some(message.as_str()));
    message
}

fn a_full_disk_of_a_containers_own_making_evicts_its_pod() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    neighbour(&mut node);
    let own = json!({ "resources": { "limits": { "ephemeral-storage": "8Mi" } } });
    node.create(&of_image("p", &writes("/srv/file", 12), own));
    let status = node.end("p");
    let message = evicted(&status);
    assert_eq!(message, "Pod ephemeral local storage usage exceeds the total limit of containers 8Mi. ");
    assert_eq!(exit_code(&status), Some(137));
    assert!(node.events("p").contains(&("Evicted", message.as_str())), "{:?}", node.events("p"));
    all_is_well(&mut node);
}

fn the_containers_of_a_pod_have_one_bound_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let limits = |size: &str| json!({ "limits": { "ephemeral-storage": size } });
    let talker = |name: &str, size: &str| {
        let mut talker = shell(name, "while true; do echo 0123456789012345678901234567890123456789; done");
        talker["resources"] = limits(size);
        talker
    };
    // A log counts as what its container wrote; the one that says nothing leaves the others its share.
    let mut quiet = shell("quiet", "exec sleep 1000");
    quiet["resources"] = limits("100Mi");
    node.create(&pod(
        "p",
        "",
        json!({ "containers": [talker("c", "1Mi"), quiet] , "terminationGracePeriodSeconds": 0 }),
    ));
    let status = node.end("p");
    assert_eq!(evicted(&status), "Container c exceeded its local ephemeral storage limit \"1Mi\". ");
}

/// A node of whose disk no byte may be in use.
fn short_of_disk(dir: &Path) -> Node {
    let threshold = "nodefs.available<100%".parse().unwrap();
    Node::with(dir, cronlet_runtime::Config { disk_threshold: Some(threshold), ..config(dir) })
}

fn a_node_that_is_short_of_disk_evicts_the_pod_that_keeps_the_most() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    for (name, kibibytes) in [("small", 1), ("large", 3_000)] {
        let script = format!("head -c {kibibytes}000 /dev/zero > $DIR/x; echo written; exec sleep 1000");
        let volume = json!({ "volumes": [{ "name": "v", "emptyDir": {} }], "containers": [
            { "name": "c", "image": "i", "command": ["sh", "-c", script.replace('$', "$$").replace("$$DIR", "/cronlet-test")],
              "volumeMounts": [{ "name": "v", "mountPath": "/cronlet-test" }] },
        ] });
        node.create(&pod(name, "", volume));
        node.wait(name, is_running);
        node.follow_until(name, "written");
    }
    let pods = [node.pod("small"), node.pod("large")];
    drop(node);

    let mut node = short_of_disk(dir.path());
    pods.iter().for_each(|pod| node.create(pod));
    let message = evicted(&node.end("large"));
    let short = "The node was low on resource: ephemeral-storage. Threshold quantity: 100%, available: ";
    assert!(message.starts_with(short), "{message}");
    // What it kept is gone with it.
    let dir = dir.path().join("data/pods/uid-large");
    wait_for_files(&dir, |names| !names.iter().any(|name| name.starts_with("volume-")));
    node.delete("small", 0);
    node.end("small");

    node.create(&pod("later", "true", json!({})));
    let told = loop {
        node.next();
        if let Some((_, message)) = node.events("later").first() {
            break message.to_string();
        }
    };
    assert!(told.starts_with(short), "{told}");
    assert_eq!(phase(&node.pod("later").status.unwrap_or_default()), "Pending");
}

fn an_empty_dir_that_is_too_full_evicts_its_pod() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let volumes = json!([{ "name": "work", "emptyDir": { "sizeLimit": "4Mi" } }]);
    let with_volume = |name: &str, mebibytes: u32| -> Pod {
        let own = json!({ "volumeMounts": [{ "name": "work", "mountPath": "/work" }] });
        let mut pod = of_image(name, &writes("/work/file", mebibytes), own);
        pod.spec.as_mut().unwrap().volumes = Some(serde_json::from_value(volumes.clone()).unwrap());
        pod
    };
    node.create(&with_volume("small", 2));
    node.create(&with_volume("large", 6));
    let message = evicted(&node.end("large"));
    assert_eq!(message, "Usage of EmptyDir volume \"work\" exceeds the limit \"4Mi\". ");
    // It was measured as well, for as long as the other.
    assert!(is_running(&node.pod("small").status.unwrap()));
    node.delete("small", 0);
    node.end("small");
}

fn a_line_without_an_end_fills_neither_the_disk_nor_memory() {
    const MEBIBYTES: u64 = 1024;
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    neighbour(&mut node);
    let script = format!("dd if=/dev/zero bs=1M count={MEBIBYTES} 2> /dev/null; echo; echo end");
    node.create(&of_image("p", &script, json!({})));
    let status = node.end("p");
    assert_eq!(phase(&status), "Succeeded");
    let log = node.runtime.logs();
    let tail = cronlet_runtime::logs::LogOptions { tail_lines: Some(1), ..Default::default() };
    assert_eq!(crate::node::read(&log, &node.source("p", "c"), tail, |_| true), "end\n");
    let kept = size_of(&dir.path().join("log"));
    let kept_max = limits::LOG_FILE_BYTES_MAX * limits::LOG_FILES_MAX as u64;
    assert!(kept <= kept_max + (1 << 20), "{kept} bytes of {MEBIBYTES} MiB are kept");
    all_is_well(&mut node);
}

fn size_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let size = |entry: fs::DirEntry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            size_of(&entry.path())
        } else if kind.is_file() {
            entry.metadata().unwrap().len()
        } else {
            0
        }
    };
    entries.map(size).sum()
}

fn a_container_leaves_no_trace_in_the_kernels_settings() {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    // As root of the machine without privileges: the mount, not the user, is what stands in the way.
    let (_, output) = run(
        "for f in kernel/core_pattern kernel/modprobe vm/panic_on_oom; do
             echo '|/bin/evil' > /proc/sys/$f && echo written || echo refused; done
         echo c > /proc/sysrq-trigger && echo written || echo refused
         for p in /sys/kernel/uevent_helper /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do
             echo /evil > $p && echo written || echo refused; done",
        json!({}),
    );
    let count = |answer: &str| output.lines().filter(|line| *line == answer).count();
    // How many groups there are is the machine's matter.
    assert!(count("refused") >= 6 && count("written") == 0, "{output}");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
}

fn a_container_has_no_descriptor_of_the_hosts() {
    // What the shell holds open: its input and its outputs.
    let (code, output) = run("ls -l /proc/1/fd; true", json!({}));
    assert_eq!(code, Some(0), "{output}");
    let names = output.lines().filter_map(|line| line.split_once(" -> "));
    let open: Vec<_> = names.filter_map(|(line, target)| Some((line.rsplit_once(' ')?.1, target))).collect();
    assert_eq!(open.iter().map(|(number, _)| *number).collect::<Vec<_>>(), ["0", "1", "2"], "{output}");
    // Opened on the host, of which the container sees no more than the name, or anew by the runtime.
    assert!(["/null", "/dev/null"].contains(&open[0].1), "{output}");
    assert!(open[1..].iter().all(|(_, target)| target.starts_with("pipe:[")), "{output}");
}

fn a_container_cannot_have_the_kernel_run_a_program_for_it() {
    // The escape by a cgroup's release_agent begins with a mount of the hierarchy, in a namespace of one's own if need
    // be.
    let (_, output) = run(
        "mkdir -p /tmp/cg
         mount -t cgroup -o rdma cgroup /tmp/cg && echo escaped
         mount -t cgroup2 cgroup /tmp/cg && echo escaped
         unshare -m mount -t cgroup2 cgroup /tmp/cg && echo escaped
         unshare -Ur mount -t proc proc /tmp/cg && echo escaped
         mount --bind /proc/self/exe /tmp/.keep && echo escaped
         echo end",
        json!({}),
    );
    assert!(output.contains("end") && !output.contains("escaped"), "{output}");
}

fn a_device_of_the_host_cannot_be_made() {
    let (_, output) = run(
        "mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk && echo escaped; mknod /dev/mem2 c 1 1 && head -c 1 /dev/mem2 \
         && echo escaped; echo end",
        json!({}),
    );
    assert!(output.contains("end") && !output.contains("escaped"), "{output}");
}
