//! Whose the volumes of a pod are, what they are made of, and which mounts are seen on which side of them.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use cronlet_object::api::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use cronlet_runtime::Config;
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
    process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde_json::{Value, json};

use crate::{
    containers, network,
    node::{Node, config, container, exit_code, is_running, phase},
    servers,
    storage::{run, store_settings, with},
};

crate::tests![
    a_group_does_not_come_to_own_host_paths,
    a_group_comes_to_own_a_claim_that_exists,
    a_group_owns_what_is_made_in_its_volumes,
    a_host_path_without_a_type_is_made,
    binary_data_becomes_files,
    secrets_and_fields_are_volumes_of_their_own,
    files_of_secrets_are_in_memory,
    files_of_secrets_are_there_again_after_a_boot,
    what_a_container_has_mounted_is_not_removed_with_its_pod,
    what_is_mounted_with_sub_path_does_not_follow,
    a_claim_can_be_read_only,
    the_hosts_later_mounts_are_seen_if_wanted,
    what_is_mounted_below_can_be_read_only_too,
    the_host_sees_what_a_privileged_container_mounts,
    what_guards_keep_is_shared_within_a_namespace,
];

/// A group that this machine does not have.
const GROUP: u32 = 4242;

/// Whether a test can run that needs root.
fn has_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("not run: {test} needs root");
    }
    is_root
}

/// The same test in a mount namespace of its own, where it may mount what it likes; whether this is that.
fn is_apart(test: &str) -> bool {
    const INSIDE: &str = "CRONLET_TEST_APART";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !has_root(test) {
        return false;
    }
    let mut program = Command::new("unshare");
    program.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    match program.arg(test).env(INSIDE, "1").status() {
        Ok(status) => assert!(status.success(), "{test}"),
        Err(error) => println!("not run: {test} needs the program unshare: {error}"),
    }
    false
}

fn grouped(mut pod: Pod, policy: &str) -> Pod {
    let context = json!({
        "runAsUser": 65533, "runAsGroup": 65533, "fsGroup": GROUP, "fsGroupChangePolicy": policy,
    });
    pod.spec.as_mut().unwrap().security_context = Some(serde_json::from_value(context).unwrap());
    pod
}

fn store_claim(node: &mut Node) {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": "data", "namespace": "default", "uid": "u-1" },
        "spec": { "volumeName": "pvc-u-1" },
        "status": { "phase": "Bound" },
    }))
    .unwrap();
    node.store(&claim);
}

fn owner_and_mode(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.gid(), found.permissions().mode() & 0o7777)
}

fn a_group_does_not_come_to_own_host_paths() {
    if !has_root("a_group_does_not_come_to_own_host_paths") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut node = Node::new(dir.path());
    let host = dir.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "kept\n").unwrap();
    let before = [owner_and_mode(&host), owner_and_mode(&host.join("file"))];
    let volume = json!({ "hostPath": { "path": host } });
    let pod = with(
        "p",
        "cat /cronlet-test/x/file; touch /cronlet-test/x/new",
        volume,
        json!({ "mountPath": "/cronlet-test/x" }),
    );
    let (code, log) = run(&mut node, &grouped(pod, "Always"));
    assert!(code != Some(0) && log.starts_with("kept\n"), "{log}");
    assert_eq!([owner_and_mode(&host), owner_and_mode(&host.join("file"))], before);
}

fn a_group_comes_to_own_a_claim_that_exists() {
    if !has_root("a_group_comes_to_own_a_claim_that_exists") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_claim(&mut node);
    let claim = dir.path().join("data/volumes/pvc-u-1");
    let outside = dir.path().join("outside");
    fs::create_dir_all(claim.join("sub")).unwrap();
    fs::set_permissions(claim.join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
    for file in [&claim.join("sub/file"), &claim.join("tool"), &outside] {
        fs::write(file, "kept\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(claim.join("tool"), fs::Permissions::from_mode(0o4711)).unwrap();
    symlink(&outside, claim.join("link")).unwrap();
    let volume = json!({ "persistentVolumeClaim": { "claimName": "data" } });
    let mount = json!({ "mountPath": "/cronlet-test/x" });
    let script =
        "cd /cronlet-test/x/sub && cat file && echo more >> file && touch new && stat -c '%g %a' . new";
    let outcome = run(&mut node, &grouped(with("p", script, volume.clone(), mount.clone()), "Always"));
    assert_eq!(outcome, (Some(0), "kept\n4242 2770\n4242 644\n".into()));
    assert_eq!(owner_and_mode(&claim.join("sub/file")), (GROUP, 0o660));
    assert_eq!(owner_and_mode(&claim.join("tool")), (GROUP, 0o4771));
    assert_eq!(owner_and_mode(&claim.join("link")).0, GROUP);
    assert_eq!(owner_and_mode(&outside), (0, 0o600), "links are not followed");

    // What has the right group at its root is taken for granted, if the pod says so.
    fs::set_permissions(claim.join("tool"), fs::Permissions::from_mode(0o600)).unwrap();
    let again = |name: &str, policy: &str| grouped(with(name, "true", volume.clone(), mount.clone()), policy);
    run(&mut node, &again("root", "OnRootMismatch"));
    assert_eq!(owner_and_mode(&claim.join("tool")), (GROUP, 0o600));
    run(&mut node, &again("all", "Always"));
    assert_eq!(owner_and_mode(&claim.join("tool")), (GROUP, 0o660));
}

fn a_group_owns_what_is_made_in_its_volumes() {
    if !has_root("a_group_owns_what_is_made_in_its_volumes") {
        return;
    }
    for (name, source) in [("disk", json!({})), ("memory", json!({ "medium": "Memory" }))] {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut node = Node::new(dir.path());
        let script =
            "cd /cronlet-test/x && touch new && mkdir dir && stat -c '%g %a' . && stat -c %g new dir";
        let pod =
            with(name, script, json!({ "emptyDir": source }), json!({ "mountPath": "/cronlet-test/x" }));
        let expected = "4242 2777\n4242\n4242\n";
        assert_eq!(run(&mut node, &grouped(pod, "Always")), (Some(0), expected.into()), "{name}");
    }
}

fn a_host_path_without_a_type_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let host = dir.path().join("not/there");
    let volume = json!({ "hostPath": { "path": host } });
    let pod = with("p", "echo x > /cronlet-test/x/file", volume, json!({ "mountPath": "/cronlet-test/x" }));
    assert_eq!(run(&mut node, &pod), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(host.join("file")).unwrap(), "x\n");
    assert_eq!(owner_and_mode(&host).1, 0o755);
}

fn binary_data_becomes_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let settings: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": "settings", "namespace": "default" },
        "data": { "text": "t" }, "binaryData": { "bytes": "/wAK" },
    }))
    .unwrap();
    node.store(&settings);
    let volume = json!({ "configMap": { "name": "settings" } });
    let script = "cd /cronlet-test/x; ls; od -An -tx1 bytes";
    let pod = with("p", script, volume, json!({ "mountPath": "/cronlet-test/x" }));
    assert_eq!(run(&mut node, &pod), (Some(0), "bytes\ntext\n ff 00 0a\n".into()));
}

fn secrets_and_fields_are_volumes_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "s", "namespace": "default" }, "data": { "a": "QQ==", "b": "Qg==" },
    }))
    .unwrap();
    node.store(&secret);
    let mount = json!({ "mountPath": "/cronlet-test/x" });
    let volume = json!({ "secret": { "secretName": "s", "defaultMode": 0o400, "items": [{ "key": "b", "path": "only" }] } });
    let script = "cd /cronlet-test/x; ls; cat only; stat -Lc ' %a' only";
    let pod = with("secret", script, volume, mount.clone());
    assert_eq!(run(&mut node, &pod), (Some(0), "only\nB 400\n".into()));
    let items = json!([
        { "path": "name", "fieldRef": { "fieldPath": "metadata.name" }, "mode": 0o440 },
        { "path": "cpu", "resourceFieldRef": { "containerName": "c", "resource": "limits.cpu" } },
    ]);
    let script = "cd /cronlet-test/x; ls; cat name; stat -Lc ' %a' name cpu; cat cpu";
    let mut pod = with("fields", script, json!({ "downwardAPI": { "items": items } }), mount);
    let resources = json!({ "limits": { "cpu": "3" } });
    pod.spec.as_mut().unwrap().containers[0].resources = serde_json::from_value(resources).unwrap();
    assert_eq!(run(&mut node, &pod), (Some(0), "cpu\nname\nfields 440\n 644\n3".into()));
}

/// A node that keeps Secrets in memory.
fn with_memory(dir: &Path) -> Node {
    let run_dir = dir.join("run");
    fs::create_dir_all(&run_dir).unwrap();
    Node::with(dir, Config { run_dir: Some(run_dir), ..config(dir) })
}

fn store_secret(node: &mut Node, value: &str) {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "s", "namespace": "default" }, "data": { "a": value },
    }))
    .unwrap();
    node.store(&secret);
}

/// A pod that has a Secret by itself and beside others.
fn with_secret(script: &str) -> Pod {
    let mut pod = with(
        "p",
        script,
        json!({ "secret": { "secretName": "s" } }),
        json!({ "mountPath": "/cronlet-test/x" }),
    );
    let spec = pod.spec.as_mut().unwrap();
    let projected = json!({ "name": "w", "projected": { "sources": [{ "secret": { "name": "s" } }] } });
    spec.volumes.as_mut().unwrap().push(serde_json::from_value(projected).unwrap());
    let mount = json!({ "name": "w", "mountPath": "/cronlet-test/w" });
    spec.containers[0].volume_mounts.as_mut().unwrap().push(serde_json::from_value(mount).unwrap());
    pod
}

/// The only directory of a node in its directory for what does not outlive a boot.
fn secrets_dir(dir: &Path) -> PathBuf {
    fs::read_dir(dir.join("run")).unwrap().next().unwrap().unwrap().path()
}

/// Ends and removes a pod, and waits until nothing is left of it.
fn remove(mut node: Node, name: &str) {
    node.delete(name, 0);
    node.end(name);
    node.runtime.remove(&node.pod(name).metadata.uid.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.runtime.stop_all());
}

fn files_of_secrets_are_in_memory() {
    if !is_apart("files_of_secrets_are_in_memory") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = with_memory(dir.path());
    store_secret(&mut node, "YmVmb3Jl");
    let script = "cd /cronlet-test; stat -f -c %T x w; cat x/a w/a; echo; \
                  until grep -q after x/a && grep -q after w/a; do sleep 0.02; done; echo seen; exec sleep 1000";
    node.create(&with_secret(script));
    node.wait("p", is_running);
    assert_eq!(node.follow_until("p", "before"), "tmpfs\ntmpfs\nbeforebefore\n");
    store_secret(&mut node, "YWZ0ZXI=");
    node.sync("p");
    node.follow_until("p", "seen");
    assert_eq!(fs::metadata(secrets_dir(dir.path())).unwrap().permissions().mode() & 0o7777, 0o700);
    let on_disk = fs::read_dir(dir.path().join("data/pods/uid-p")).unwrap();
    assert_eq!(
        on_disk.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("volume")).count(),
        0
    );
    node.delete("p", 0);
    node.end("p");
    network::wait_until("they are gone with their pod's end", || {
        !secrets_dir(dir.path()).join("uid-p").exists()
    });
    // A server that was killed may have left some.
    let place = secrets_dir(dir.path());
    let stray = place.join("uid-q");
    fs::create_dir(&stray).unwrap();
    remove(node, "p");
    let node = with_memory(dir.path());
    node.runtime.adopt(node.snapshot());
    network::wait_until("the stray files are gone", || !stray.exists());
    drop(node);
    assert!(!place.exists(), "a node without pods leaves nothing");
}

fn what_a_container_has_mounted_is_not_removed_with_its_pod() {
    if !is_apart("what_a_container_has_mounted_is_not_removed_with_its_pod") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&with("p", "true", json!({ "emptyDir": {} }), json!({ "mountPath": "/cronlet-test" })));
    node.wait("p", |status| phase(status) == "Succeeded");
    node.end("p");
    // As one that is privileged may leave it behind.
    let kept = dir.path().join("kept");
    let below = dir.path().join("data/pods/uid-p/left");
    for place in [&kept, &below] {
        fs::create_dir(place).unwrap();
    }
    fs::write(kept.join("file"), "kept").unwrap();
    mount_bind(&kept, &below).unwrap();
    node.runtime.remove("uid-p");
    network::wait_until("the pod is gone", || !dir.path().join("data/pods/uid-p").exists());
    assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "kept");
}

fn files_of_secrets_are_there_again_after_a_boot() {
    if !is_apart("files_of_secrets_are_there_again_after_a_boot") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = with_memory(dir.path());
    store_secret(&mut node, "YmVmb3Jl");
    let mut pod = with_secret("cat /cronlet-test/x/a; echo; exec sleep 1000");
    pod.spec.as_mut().unwrap().restart_policy = Some("Always".into());
    node.create(&pod);
    node.wait("p", is_running);
    pod.status = node.pod("p").status;
    drop(node);
    let shim = pidfd_open(servers::shim_of(dir.path(), "p"), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&shim, Signal::KILL).unwrap();
    servers::wait_for_end(&shim);
    fs::remove_dir_all(secrets_dir(dir.path()).join("uid-p")).unwrap();
    let mut node = with_memory(dir.path());
    store_secret(&mut node, "YmVmb3Jl");
    node.store(&pod);
    node.runtime.adopt(node.snapshot());
    node.wait("p", |status| is_running(status) && container(status).restart_count == 1);
    assert_eq!(node.follow_until("p", "before"), "before\n");
    remove(node, "p");
}

fn what_is_mounted_with_sub_path_does_not_follow() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_settings(&mut node, "before");
    let script =
        "cd /cronlet-test; until grep -q after whole/greeting; do sleep 0.02; done; cat single; echo";
    let mut pod = with(
        "p",
        script,
        json!({ "configMap": { "name": "settings" } }),
        json!({ "mountPath": "/cronlet-test/whole" }),
    );
    let single = json!({ "name": "v", "mountPath": "/cronlet-test/single", "subPath": "greeting" });
    let mounts = pod.spec.as_mut().unwrap().containers[0].volume_mounts.as_mut().unwrap();
    mounts.push(serde_json::from_value(single).unwrap());
    node.create(&pod);
    node.wait("p", is_running);
    store_settings(&mut node, "after");
    node.sync("p");
    assert_eq!(exit_code(&node.end("p")), Some(0));
    assert_eq!(node.log("p"), "before\n");
}

fn a_claim_can_be_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_claim(&mut node);
    let claim =
        |read_only: bool| json!({ "persistentVolumeClaim": { "claimName": "data", "readOnly": read_only } });
    let mount = json!({ "mountPath": "/cronlet-test/x" });
    let script = "echo kept > /cronlet-test/x/file";
    assert_eq!(run(&mut node, &with("writes", script, claim(false), mount.clone())).0, Some(0));
    let script = "cat /cronlet-test/x/file; echo x > /cronlet-test/x/file";
    let (code, log) = run(&mut node, &with("reads", script, claim(true), mount));
    assert!(code != Some(0) && log.starts_with("kept\n") && log.contains("Read-only file system"), "{log}");
}

/// A directory of the host, in this process's mount namespace, whose later mounts others can see.
fn shared_dir(path: &Path) {
    fs::create_dir(path).unwrap();
    mount_bind(path, path).unwrap();
    mount_change(path, MountPropagationFlags::SHARED).unwrap();
}

fn mount_memory(path: &Path) {
    fs::create_dir(path).unwrap();
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), None).unwrap();
}

/// Mounts of the one volume.
fn mounted(pod: &mut Pod, mounts: Value) {
    pod.spec.as_mut().unwrap().containers[0].volume_mounts = serde_json::from_value(mounts).unwrap();
}

fn the_hosts_later_mounts_are_seen_if_wanted() {
    if !is_apart("the_hosts_later_mounts_are_seen_if_wanted") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    shared_dir(&host);
    let mut node = Node::new(dir.path());
    let script = "cd /cronlet-test; echo ready; until test -e follow/late/file; do sleep 0.02; done; ls apart/late | wc -l";
    let mut pod = with("p", script, json!({ "hostPath": { "path": host } }), json!({ "mountPath": "/x" }));
    mounted(
        &mut pod,
        json!([
            { "name": "v", "mountPath": "/cronlet-test/follow", "mountPropagation": "HostToContainer" },
            { "name": "v", "mountPath": "/cronlet-test/apart", "mountPropagation": "None" },
        ]),
    );
    node.create(&pod);
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    mount_memory(&host.join("late"));
    fs::write(host.join("late/file"), "").unwrap();
    assert_eq!(exit_code(&node.end("p")), Some(0));
    assert_eq!(node.log("p"), "ready\n0\n");
}

fn what_is_mounted_below_can_be_read_only_too() {
    if !is_apart("what_is_mounted_below_can_be_read_only_too") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    fs::create_dir(&host).unwrap();
    mount_memory(&host.join("below"));
    let mut node = Node::new(dir.path());
    let script = "cd /cronlet-test; for way in disabled possible enabled; do \
                  touch $way/here || echo $way; touch $way/below/file || echo $way below; done";
    let mut pod = with("p", script, json!({ "hostPath": { "path": host } }), json!({ "mountPath": "/x" }));
    let way = |name: &str, value: &str| json!({ "name": "v", "mountPath": format!("/cronlet-test/{name}"), "readOnly": true, "recursiveReadOnly": value });
    mounted(
        &mut pod,
        json!([way("disabled", "Disabled"), way("possible", "IfPossible"), way("enabled", "Enabled")]),
    );
    let (_, log) = run(&mut node, &pod);
    let said: Vec<&str> = log.lines().filter(|line| !line.contains("Read-only file system")).collect();
    assert_eq!(said, ["disabled", "possible", "possible below", "enabled", "enabled below"], "{log}");
}

fn the_host_sees_what_a_privileged_container_mounts() {
    if !containers::has_busybox() {
        return println!(
            "not run: the_host_sees_what_a_privileged_container_mounts needs /bin/busybox (Debian's busybox-static)"
        );
    }
    if !is_apart("the_host_sees_what_a_privileged_container_mounts") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    shared_dir(&host);
    let mut node = containers::node(dir.path());
    let pod = |name: &str, path: &Path| {
        let script = "mkdir /share/sub && mount -t tmpfs none /share/sub && touch /share/sub/file";
        let own = json!({
            "securityContext": { "privileged": true },
            "volumeMounts": [{ "name": "v", "mountPath": "/share", "mountPropagation": "Bidirectional" }],
        });
        let mut pod = containers::of_image(name, script, own);
        let volume = json!([{ "name": "v", "hostPath": { "path": path } }]);
        pod.spec.as_mut().unwrap().volumes = serde_json::from_value(volume).unwrap();
        pod
    };
    let (code, log) = run(&mut node, &pod("p", &host));
    assert_eq!(code, Some(0), "{log}");
    assert!(host.join("sub/file").exists(), "the mount outlives the container");
    // What is mounted elsewhere stays there.
    let apart = dir.path().join("apart");
    fs::create_dir(&apart).unwrap();
    node.create(&pod("q", &apart));
    let why = format!("path {apart:?} is mounted on a file system that is not a shared mount");
    while !node.events("q").iter().any(|(reason, text)| *reason == "FailedMount" && text.contains(&why)) {
        node.next();
    }
    node.delete("q", 0);
    assert_eq!(phase(&node.end("q")), "Failed");
}

/// A pod that has what guards keep for its namespace.
fn keeping(mut pod: Pod) -> Pod {
    pod.metadata.annotations = Some([("cronlet.dev/state".to_owned(), "shared".to_owned())].into());
    pod
}

fn what_guards_keep_is_shared_within_a_namespace() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (mut node, of) in [
        (Node::new(dirs[0].path()), crate::node::pod as fn(&str, &str, Value) -> Pod),
        (containers::node(dirs[1].path()), |name, script, _| containers::of_image(name, script, json!({}))),
    ] {
        let script = "echo open > $CRONLET_STATE_DIR/breaker-stock && ls $CRONLET_STATE_DIR";
        node.create(&keeping(of("writes", script, json!({}))));
        assert_eq!(exit_code(&node.end("writes")), Some(0), "{}", node.log("writes"));
        node.create(&keeping(of("reads", "cat $CRONLET_STATE_DIR/breaker-stock", json!({}))));
        assert_eq!(exit_code(&node.end("reads")), Some(0));
        assert_eq!(node.log("reads"), "open\n");
        node.create(&of("plain", "echo ${CRONLET_STATE_DIR-none}", json!({})));
        assert_eq!(exit_code(&node.end("plain")), Some(0));
        assert_eq!(node.log("plain"), "none\n", "it has not asked");
    }
}
