//! Containers made of an image: what they see, what they may do, and what is left of them.
//!
//! The image is made from Debian's static busybox. Without it, or where there are no namespaces, these tests are not
//! run, and are named.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cronlet_image::{Digest, Store, archive};
use cronlet_object::api::{Pod, Secret};
use cronlet_runtime::{Config, ExecRequest, Execution, ImageConfig};
use rustix::process::geteuid;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::exec::{outcome, request, within};
use crate::external;
use crate::node::{Node, config, container, exit_code, is_running, phase, pod, processes_with, state};

crate::tests![
    a_container_sees_its_image_and_not_the_host,
    a_container_writes_to_a_layer_of_its_own,
    the_image_says_what_runs_unless_the_pod_does,
    a_container_sees_only_its_own_processes,
    volumes_are_mounted_into_the_image,
    a_volume_is_not_mounted_outside_of_the_image_through_a_link,
    what_belongs_to_the_kernel_is_hidden_or_protected,
    dangerous_system_calls_are_denied,
    a_read_only_root_cannot_be_written_to,
    a_container_runs_as_the_user_it_names,
    the_termination_message_is_read,
    a_container_ends_with_all_its_processes,
    a_missing_program_is_a_start_error,
    a_network_of_none_has_loopback_alone,
    an_image_that_is_never_pulled_is_waited_for,
    a_changed_image_is_used_when_it_is_there,
    a_pull_that_fails_is_told_and_backs_off,
    a_memory_limit_ends_a_container,
    a_limit_that_cannot_be_kept_is_told,
    what_a_pod_asks_for_in_vain_is_told,
    a_hook_has_what_its_container_has_and_no_more,
    a_probe_in_a_container_ends_with_its_time,
    a_program_that_is_run_has_what_its_container_has_and_no_more,
    what_starts_in_a_container_does_not_show_it_the_program_of_the_host,
];

const BUSYBOX: &str = "/bin/busybox";

/// Whether there is what the image is made of.
pub fn has_busybox() -> bool {
    Path::new(BUSYBOX).exists()
}

fn tar_of(entries: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Two layers: busybox under some of its names, and a link that leads out of the image.
fn layers() -> Vec<Vec<u8>> {
    let busybox = fs::read(BUSYBOX).unwrap();
    let passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\n";
    let mut first = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(busybox.len() as u64);
    header.set_mode(0o755);
    first.append_data(&mut header, "bin/busybox", busybox.as_slice()).unwrap();
    let names = "sh cat echo ls ps id sleep mount umount unshare hostname touch kill true env pwd dd mkdir wc ip grep head tail rm readlink tty mknod ping nc cp cmp";
    for name in names.split(' ') {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        first.append_link(&mut link, format!("bin/{name}"), "busybox").unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    first.append_link(&mut link, "escape", "/../../../../../../../../tmp").unwrap();
    let mut own = tar::Header::new_gnu();
    own.set_size(0);
    own.set_mode(0o644);
    own.set_uid(1000);
    own.set_gid(1000);
    first.append_data(&mut own, "home/app/own", &[][..]).unwrap();
    let mut home = tar::Header::new_gnu();
    home.set_entry_type(tar::EntryType::Directory);
    home.set_size(0);
    home.set_mode(0o755);
    home.set_uid(1000);
    home.set_gid(1000);
    first.append_data(&mut home, "home/app", &[][..]).unwrap();
    let second = tar_of(&[
        ("etc/passwd", passwd, 0o644),
        ("etc/group", b"root:x:0:\nother:x:50:app\n", 0o644),
        ("etc/motd", b"from the image\n", 0o644),
        ("tmp/.keep", b"", 0o644),
    ]);
    vec![first.into_inner().unwrap(), second]
}

/// A node with the image `app` in its store.
pub fn node(dir: &Path) -> Node {
    let images = dir.join("data/images");
    import(&images, dir);
    let images = ImageConfig { dir: images, insecure_registries: Vec::new() };
    Node::with(dir, Config { images: Some(images), oci_runtime: external::current(), ..config(dir) })
}

fn import(images: &PathBuf, dir: &Path) {
    let layers = layers();
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let image = json!({
        "os": "linux", "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "config": { "Cmd": ["cat", "/etc/motd"], "Env": ["PATH=/bin", "ORIGIN=image"], "WorkingDir": "/srv" },
    })
    .to_string();
    let manifest =
        json!([{ "Config": "c.json", "RepoTags": ["app:1", "app:2"], "Layers": ["0.tar", "1.tar"] }])
            .to_string();
    let archive = dir.join("app.tar");
    let entries = [
        ("c.json", image.as_bytes(), 0o644),
        ("0.tar", &layers[0], 0o644),
        ("1.tar", &layers[1], 0o644),
        ("manifest.json", manifest.as_bytes(), 0o644),
    ];
    fs::write(&archive, tar_of(&entries)).unwrap();
    archive::import(&Store::open(images).unwrap(), &archive, None).unwrap();
}

/// A pod whose container runs a script in the image.
pub fn of_image(name: &str, script: &str, container: impl Into<Value>) -> Pod {
    let container = container.into();
    let mut all = json!({ "image": "app:1", "imagePullPolicy": "Never" });
    all.as_object_mut().unwrap().extend(container.as_object().cloned().unwrap());
    pod(name, script, json!({ "containers": [all] }))
}

/// Runs a script in the image to its end: its exit code, and what it wrote.
pub fn run(script: &str, container: Value) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", script, container));
    let status = node.end("p");
    (exit_code(&status), node.log("p"))
}

fn output(script: &str) -> String {
    let (code, output) = run(script, json!({}));
    assert_eq!(code, Some(0), "{output}");
    output
}

fn a_container_sees_its_image_and_not_the_host() {
    let output = output("cat /etc/motd; ls /; hostname; test -e /proc/self/exe && ls -l /dev/null");
    assert!(output.starts_with("from the image\n"), "{output}");
    assert!(!output.contains("boot") && !output.contains("usr"), "{output}");
    assert!(output.contains("\np\n"), "the pod's name is the host's: {output}");
    assert!(output.contains("crw-rw-rw-"), "{output}");
}

fn a_container_writes_to_a_layer_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("a", "echo mine > /etc/motd; rm /etc/passwd; cat /etc/motd", json!({})));
    node.end("a");
    assert_eq!(node.log("a"), "mine\n");
    node.create(&of_image("b", "cat /etc/motd; head -n 1 /etc/passwd", json!({})));
    node.end("b");
    assert!(node.log("b").starts_with("from the image\nroot:"), "{}", node.log("b"));
}

fn the_image_says_what_runs_unless_the_pod_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({ "containers": [
        { "name": "c", "image": "app:1", "imagePullPolicy": "Never", "command": null }] });
    node.create(&pod("p", "", own));
    let status = node.end("p");
    assert_eq!((exit_code(&status), node.log("p").as_str()), (Some(0), "from the image\n"));
    let id = &container(&status).image_id;
    assert!(id.starts_with("docker.io/library/app@sha256:"), "{id}");
    assert_eq!(node.events("p")[1], ("Created", "Container created"));
    node.create(&of_image("q", "pwd; echo $ORIGIN $HOME", json!({})));
    node.end("q");
    assert_eq!(node.log("q"), "/srv\nimage /root\n");
}

fn a_container_sees_only_its_own_processes() {
    let output = output("echo $$; ps | wc -l");
    // A heading, the shell, `ps`, and perhaps `wc` already.
    let (first, count) = output.trim_end().split_once('\n').unwrap();
    let count: u32 = count.parse().unwrap();
    assert!(first == "1" && (2..=4).contains(&count), "{output}");
}

fn volumes_are_mounted_into_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({ "volumeMounts": [
        { "name": "work", "mountPath": "/new/place" }, { "name": "work", "mountPath": "/srv/ro", "readOnly": true }] });
    let mut all = of_image("p", "echo x > /new/place/f && cat /srv/ro/f && ! touch /srv/ro/g", own);
    all.spec.as_mut().unwrap().volumes =
        Some(serde_json::from_value(json!([{ "name": "work", "emptyDir": {} }])).unwrap());
    node.create(&all);
    let status = node.end("p");
    assert_eq!(exit_code(&status), Some(0), "{}", node.log("p"));
    assert!(node.log("p").starts_with("x\n"));
}

fn a_volume_is_not_mounted_outside_of_the_image_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({ "volumeMounts": [{ "name": "work", "mountPath": "/escape/from-a-container" }] });
    let mut all = of_image("p", "echo x > /tmp/from-a-container/f; ls /tmp", own);
    all.spec.as_mut().unwrap().volumes =
        Some(serde_json::from_value(json!([{ "name": "work", "emptyDir": {} }])).unwrap());
    node.create(&all);
    let status = node.end("p");
    assert_eq!((exit_code(&status), node.log("p").as_str()), (Some(0), "from-a-container\n"));
    assert!(!Path::new("/tmp/from-a-container").exists());
}

fn what_belongs_to_the_kernel_is_hidden_or_protected() {
    let output = output(
        "wc -c < /proc/interrupts; ls /sys/firmware | wc -l; echo x > /proc/sys/kernel/hostname || echo refused; \
         touch /sys/x || echo refused; ls /proc/1/root/etc/motd",
    );
    assert!(output.starts_with("0\n0\n"), "{output}");
    assert_eq!(output.lines().filter(|line| *line == "refused").count(), 2, "{output}");
}

fn dangerous_system_calls_are_denied() {
    let (_, output) = run("mount -t tmpfs none /srv; unshare -U true; echo end", json!({}));
    assert!(output.contains("end"), "{output}");
    assert_eq!(
        output.matches("not permitted").count() + output.matches("ermission denied").count(),
        2,
        "{output}"
    );
}

fn a_read_only_root_cannot_be_written_to() {
    let security = json!({ "securityContext": { "readOnlyRootFilesystem": true } });
    let (code, output) = run("touch /x && echo written; echo note > /dev/termination-log", security);
    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains("written") && output.contains("Read-only"), "{output}");
}

fn a_container_runs_as_the_user_it_names() {
    let own = json!({ "securityContext": { "runAsUser": 1000, "allowPrivilegeEscalation": false } });
    let (code, output) =
        run("id -u; echo $HOME; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status", own);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.starts_with("1000\n/home/app\n"), "{output}");
    assert!(output.contains("CapEff:\t0000000000000000") && output.contains("NoNewPrivs:\t1"), "{output}");
}

fn the_termination_message_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "echo told > /dev/termination-log; exit 3", json!({})));
    let status = node.end("p");
    let ended = state(&status).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.message.as_deref()), (3, Some("told\n")));
}

fn a_container_ends_with_all_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = format!("MARK=containers-{}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let own = json!({ "env": [{ "name": name, "value": value }] });
    // The first process of a container that has no handler for SIGTERM does not see it.
    node.create(&of_image("p", "sleep 1000 & sleep 1000 & echo up; wait", own));
    node.wait("p", is_running);
    node.follow_until("p", "up");
    assert!(processes_with(&mark) >= 3);
    node.delete("p", 0);
    let status = node.end("p");
    assert_eq!(exit_code(&status), Some(137));
    assert_eq!(processes_with(&mark), 0);
}

fn a_missing_program_is_a_start_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "", json!({ "command": ["/no/such/program"] })));
    let status = node.end("p");
    let ended = state(&status).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    let message = ended.message.unwrap();
    assert!(message.to_lowercase().contains("no such file or directory"), "{message}");
}

fn a_network_of_none_has_loopback_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mut all = of_image("p", "ip -o link | wc -l; ip -o addr show lo | head -n 1", json!({}));
    all.metadata.annotations = Some([("cronlet.dev/network".to_owned(), "none".to_owned())].into());
    node.create(&all);
    let status = node.end("p");
    let log = node.log("p");
    assert_eq!(exit_code(&status), Some(0), "{log}");
    assert!(log.contains("127.0.0.1"), "{log}");
}

fn an_image_that_is_never_pulled_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "true", json!({ "image": "absent:1" })));
    let status = node.wait("p", |status| status.container_statuses.is_some());
    let waiting = state(&status).waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ErrImageNeverPull"));
    assert_eq!(phase(&status), "Pending");
    node.create(&of_image("q", "true", json!({ "image": "Not A Name" })));
    let status = node.wait("q", |status| status.container_statuses.is_some());
    assert_eq!(state(&status).waiting.unwrap().reason.as_deref(), Some("InvalidImageName"));
}

fn a_changed_image_is_used_when_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done", json!({})));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    let change = |node: &mut Node, image: &str| {
        let mut pod = node.pod("p");
        pod.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
        node.create(&pod);
    };
    change(&mut node, "absent:1");
    let told = "A changed image cannot be used: Container image \"absent:1\" is not present with pull policy of Never";
    while !node.events("p").contains(&("Failed", told)) {
        node.next();
    }
    let status = node.pod("p").status.unwrap();
    assert!(is_running(&status) && container(&status).image == "app:1", "{status:?}");
    change(&mut node, "app:2");
    let status = node.wait("p", |status| is_running(status) && container(status).restart_count == 1);
    assert_eq!(container(&status).image, "app:2");
    node.follow_until("p", "ready");
    let (output, ..) =
        within(async { outcome(node.runtime.exec(request(&["cat", "/etc/motd"])).unwrap()).await });
    assert_eq!(output, "from the image\n");
    node.delete("p", 30);
    assert_eq!(phase(&node.end("p")), "Succeeded");
}

fn a_pull_that_fails_is_told_and_backs_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/app:1", listener.local_addr().unwrap());
    // Nobody answers there any more.
    drop(listener);
    node.create(&of_image("p", "true", json!({ "image": image, "imagePullPolicy": "Always" })));
    let reason = |status: &cronlet_object::api::PodStatus| {
        let waiting = status.container_statuses.as_ref().and_then(|_| state(status).waiting);
        waiting.and_then(|waiting| waiting.reason).unwrap_or_default()
    };
    node.wait("p", |status| reason(status) == "RegistryUnavailable");
    node.sync("p");
    let status = node.wait("p", |status| reason(status) == "ImagePullBackOff");
    assert_eq!(phase(&status), "Pending");
    assert!(state(&status).waiting.unwrap().message.unwrap().starts_with("Back-off pulling image"));
    let events = node.events("p");
    let reasons: Vec<&str> = events.iter().map(|event| event.0).collect();
    assert_eq!(reasons, ["Pulling", "Failed", "Failed", "BackOff", "Failed"]);
    assert_eq!(events[0].1, format!("Pulling image {image:?}"));
    assert!(events[1].1.starts_with(&format!("Failed to pull image {image:?}: ")), "{events:?}");
    assert_eq!((events[2].1, events[4].1), ("Error: RegistryUnavailable", "Error: ImagePullBackOff"));
    // Another pod does not wait for what this one has tried in vain, whether it has the same password or another.
    node.create(&of_image("same", "true", json!({ "image": image, "imagePullPolicy": "Always" })));
    node.wait("same", |status| reason(status) == "RegistryUnavailable");
    assert_eq!(node.events("same")[0].0, "Pulling");
    node.sync("same");
    node.wait("same", |status| reason(status) == "ImagePullBackOff");
    let host = image.split('/').next().unwrap();
    let config = json!({ "auths": { host: { "username": "u", "password": "p" } } }).to_string();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "login", "namespace": "default" },
        "data": { ".dockerconfigjson": k8s_openapi::ByteString(config.into_bytes()) },
    }))
    .unwrap();
    node.store(&secret);
    let mut other = of_image("other", "true", json!({ "image": image, "imagePullPolicy": "Always" }));
    other.spec.as_mut().unwrap().image_pull_secrets =
        Some(serde_json::from_value(json!([{ "name": "login" }])).unwrap());
    node.create(&other);
    node.wait("other", |status| reason(status) == "RegistryUnavailable");
    assert_eq!(node.events("other")[0].0, "Pulling");
}

fn a_memory_limit_ends_a_container() {
    let own = json!({ "resources": { "limits": { "memory": "16Mi" } } });
    if !geteuid().is_root() || !Path::new("/sys/fs/cgroup").exists() {
        println!("not run: a_memory_limit_ends_a_container needs root and control groups");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "dd if=/dev/zero of=/dev/null bs=64M count=1", own));
    let status = node.end("p");
    let ended = state(&status).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (137, Some("OOMKilled")), "{}", node.log("p"));
}

/// What a process can tell about where it is and what it may do.
const SELF: &str = "cat /etc/motd; id; pwd; echo $ORIGIN; grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups)' /proc/self/status;
    for n in mnt pid user ipc uts net; do readlink /proc/self/ns/$n; done; ls /proc/1/root; ls /proc/self/fd | wc -l";

fn a_limit_that_cannot_be_kept_is_told() {
    if geteuid().is_root() {
        println!("not run: a_limit_that_cannot_be_kept_is_told needs a user who is not root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "sleep 1000", json!({ "resources": { "limits": { "memory": "16Mi" } } })));
    node.wait("p", is_running);
    let is_told = |node: &Node| node.events("p").iter().any(|(reason, _)| *reason == "LimitsNotKept");
    while !is_told(&node) {
        node.next();
    }
    node.delete("p", 0);
    node.end("p");
    node.create(&of_image("q", "true", json!({})));
    node.end("q");
    assert!(node.events("q").iter().all(|(reason, _)| *reason != "LimitsNotKept"));
}

fn what_a_pod_asks_for_in_vain_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mut pod = of_image("p", "true", json!({}));
    let labelled = json!({ "seLinuxOptions": { "level": "s0" } });
    pod.spec.as_mut().unwrap().security_context = Some(serde_json::from_value(labelled).unwrap());
    node.create(&pod);
    node.end("p");
    let told = (
        "FieldsIgnored",
        "This node does not do what these fields ask for: spec.securityContext.seLinuxOptions",
    );
    assert_eq!(node.events("p").iter().filter(|event| **event == told).count(), 1, "{:?}", node.events("p"));
    node.create(&of_image("q", "true", json!({})));
    node.end("q");
    assert!(node.events("q").iter().all(|(reason, _)| *reason != "FieldsIgnored"));
}

fn a_hook_has_what_its_container_has_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let hook = json!({ "postStart": { "exec": { "command": ["sh", "-c", format!("{{ {SELF}; }} > /dev/shm/hook; touch /dev/shm/done")] } } });
    let script = format!(
        "{{ {SELF}; }} > /dev/shm/own; until [ -e /dev/shm/done ]; do sleep 0.02; done; cat /dev/shm/own; echo; cat /dev/shm/hook"
    );
    let user = if geteuid().is_root() { json!({ "runAsUser": 1000, "runAsGroup": 1000 }) } else { json!({}) };
    let mut security = user;
    security["capabilities"] = json!({ "drop": ["CHOWN"] });
    node.create(&of_image("p", &script, json!({ "lifecycle": hook, "securityContext": security })));
    assert_eq!(phase(&node.end("p")), "Succeeded");
    let log = node.log("p");
    let (own, hook) = log.split_once("\n\n").unwrap();
    assert!(own.contains("from the image") && own.contains("Seccomp:\t2") && own.contains("/srv"), "{own}");
    assert_eq!(own, hook.trim_end());
}

fn a_probe_in_a_container_ends_with_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = dir.path().to_str().unwrap();
    let probe = json!({
        "exec": { "command": ["sh", "-c", "sleep 1000; true"] },
        "timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 1,
    });
    let spec = json!({ "readinessProbe": probe, "env": [{ "name": "MARK", "value": mark }] });
    node.create(&of_image("p", "sleep 1000", spec));
    let is_told = |node: &Node| node.events("p").iter().any(|(_, text)| text.ends_with("timed out"));
    while !is_told(&node) {
        node.next();
    }
    // The container itself, and at most one probe that is under way.
    assert!(processes_with(mark) <= 4, "{}", processes_with(mark));
    node.delete("p", 0);
    node.end("p");
    assert_eq!(processes_with(mark), 0);
}

fn a_program_that_is_run_has_what_its_container_has_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let user = if geteuid().is_root() { json!({ "runAsUser": 1000, "runAsGroup": 1000 }) } else { json!({}) };
    let script = format!("{{ {SELF}; }} && echo ready && exec sleep 1000");
    node.create(&of_image("p", &script, json!({ "securityContext": user })));
    node.wait("p", is_running);
    let own = node.follow_until("p", "ready");
    let run = |argv: &[&str]| within(async { outcome(node.runtime.exec(request(argv)).unwrap()).await });
    let (output, errors, code) = run(&["sh", "-c", SELF]);
    assert_eq!((format!("{output}ready\n"), errors.as_str(), code), (own, "", Some(0)));
    // What is left behind ends with the container, whose first process becomes its parent.
    let (output, ..) = run(&["sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo done"]);
    assert_eq!(output, "done\n");
    let terminal = ExecRequest { tty: true, ..request(&["sh", "-c", "test -t 0 && tty && echo > $(tty)"]) };
    within(async {
        let Execution { mut stdout, mut exit, .. } = node.runtime.exec(terminal).unwrap();
        let mut output = Vec::new();
        // The end of a terminal is an error.
        let _end = stdout.read_to_end(&mut output).await;
        assert_eq!(String::from_utf8(output).unwrap(), "/dev/pts/0\r\n\r\n");
        assert_eq!(exit.code().await, Some(0));
    });
    node.delete("p", 0);
    node.end("p");
}

fn what_starts_in_a_container_does_not_show_it_the_program_of_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    // Tells of every program that is seen running and is not the image's.
    let script = "echo ready
        while :; do for p in /proc/[0-9]*; do /bin/readlink $p/exe; done; done | /bin/grep -v -x -F /bin/busybox";
    // Where a program is looked for in many places, there is time to see who looks.
    let path = format!("{}/bin", "/x:".repeat(30_000));
    node.create(&of_image("p", script, json!({ "env": [{ "name": "PATH", "value": path }] })));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    for _ in 0..20 {
        let (.., code) = within(async { outcome(node.runtime.exec(request(&["true"])).unwrap()).await });
        assert_eq!(code, Some(0));
    }
    node.delete("p", 0);
    node.end("p");
    assert_eq!(node.log("p"), "ready\n");
}
