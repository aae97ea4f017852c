//! What containers see of their volumes, and what the host sees of that.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use cronlet_object::api::{ConfigMap, PersistentVolumeClaim, Secret};
use serde_json::{Value, json};

use crate::node::{Node, exit_code, is_running, phase, pod, state};

crate::tests![
    a_volume_may_be_where_nothing_is,
    a_volume_may_be_next_to_what_is_there,
    files_are_made_of_api_objects,
    files_change_while_their_pod_runs,
    a_single_file_can_be_mounted,
    volumes_can_be_read_only,
    a_claim_outlives_its_pods,
    a_host_path_must_be_what_it_is_said_to_be,
    a_sub_path_stays_in_its_volume,
    a_sub_path_is_made_as_open_as_its_volume,
    memory_is_a_medium,
    memory_outlives_a_server,
    mount_points_in_kernel_file_systems_are_refused,
    a_user_of_its_own_can_use_its_volumes,
];

/// A pod that sees one volume at one place.
pub fn with(name: &str, script: &str, volume: Value, mount: Value) -> cronlet_object::api::Pod {
    let mut volume = volume;
    volume["name"] = json!("v");
    let mut mount = mount;
    mount["name"] = json!("v");
    pod(name, script, json!({ "volumes": [volume], "containers": [{ "volumeMounts": [mount] }] }))
}

pub fn store_settings(node: &mut Node, greeting: &str) {
    let mut settings = ConfigMap::default();
    settings.metadata.name = Some("settings".into());
    settings.metadata.namespace = Some("default".into());
    settings.data = Some([("greeting".to_owned(), greeting.to_owned()), ("other".into(), "o".into())].into());
    node.store(&settings);
}

/// Runs a pod to its end; its exit code and log.
pub fn run(node: &mut Node, pod: &cronlet_object::api::Pod) -> (Option<i32>, String) {
    let name = pod.metadata.name.clone().unwrap();
    node.create(pod);
    let status = node.end(&name);
    (exit_code(&status), node.log(&name))
}

fn a_volume_may_be_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let mount = json!({ "name": "v", "mountPath": "/cronlet-test/a/data" });
    let init = json!({ "name": "i", "command": ["sh", "-c", "echo shared > /cronlet-test/a/data/file"], "volumeMounts": [mount] });
    let mut pod = with(
        "p",
        "cat /cronlet-test/a/data/file; stat -c %a /cronlet-test/a/data; ls -A / | wc -l; test -e /proc/self",
        json!({ "emptyDir": {} }),
        mount.clone(),
    );
    pod.spec.as_mut().unwrap().init_containers = Some(vec![serde_json::from_value(init).unwrap()]);
    let entries = fs::read_dir("/").unwrap().count();
    assert_eq!(run(&mut node, &pod), (Some(0), format!("shared\n777\n{}\n", entries + 1)));
    assert!(!Path::new("/cronlet-test").exists());
}

fn a_volume_may_be_next_to_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let place = dir.path().join("place");
    fs::create_dir_all(place.join("sub")).unwrap();
    fs::write(place.join("file"), "file\n").unwrap();
    symlink("file", place.join("link")).unwrap();
    let script = format!(
        "cd {}; cat file link; echo below > sub/written; echo beside > written; echo kept > data/x; ls; cat data/x",
        place.display()
    );
    let mount = json!({ "mountPath": place.join("data") });
    let (code, log) = run(&mut node, &with("p", &script, json!({ "emptyDir": {} }), mount));
    assert_eq!((code, log.as_str()), (Some(0), "file\nfile\ndata\nfile\nlink\nsub\nwritten\nkept\n"));
    // What is written below an entry is the host's; what is written beside them is the container's own.
    assert!(
        place.join("sub/written").exists() && !place.join("written").exists() && !place.join("data").exists()
    );
}

fn files_are_made_of_api_objects() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_settings(&mut node, "hello");
    let mut secret = Secret::default();
    secret.metadata.name = Some("s".into());
    secret.metadata.namespace = Some("default".into());
    secret.data = Some([("key".to_owned(), k8s_openapi::ByteString(vec![0xff, 0, b'\n']))].into());
    node.store(&secret);
    let sources = json!([
        { "configMap": { "name": "settings", "items": [{ "key": "greeting", "path": "deep/er", "mode": 0o440 }] } },
        { "secret": { "name": "s" } },
        { "secret": { "name": "missing", "optional": true } },
        { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
    ]);
    let volume = json!({ "projected": { "sources": sources, "defaultMode": 0o600 } });
    let script =
        "cd /cronlet-test/files; ls; cat deep/er labels; od -An -tx1 key; stat -Lc %a deep/er key; touch new";
    let mut pod = with("p", script, volume, json!({ "mountPath": "/cronlet-test/files" }));
    pod.metadata.labels = Some([("b".to_owned(), "2\"".to_owned()), ("a".into(), "1".into())].into());
    let (code, log) = run(&mut node, &pod);
    let expected = "deep\nkey\nlabels\nhelloa=\"1\"\nb=\"2\\\"\" ff 00 0a\n440\n600\n";
    assert!(log.starts_with(expected), "{log}");
    assert!(code == Some(1) && log.contains("Read-only file system"), "{log}");
}

fn files_change_while_their_pod_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_settings(&mut node, "before");
    let script =
        "cd /cronlet-test/files; cat greeting; echo; until grep -q after greeting; do sleep 0.02; done; ls";
    let mount = json!({ "mountPath": "/cronlet-test/files" });
    node.create(&with("p", script, json!({ "configMap": { "name": "settings" } }), mount));
    node.wait("p", is_running);
    node.follow_until("p", "before\n");
    store_settings(&mut node, "after");
    node.sync("p");
    assert_eq!(exit_code(&node.end("p")), Some(0));
    assert_eq!(node.log("p"), "before\ngreeting\nother\n");
}

fn a_single_file_can_be_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_settings(&mut node, "hello\n");
    let place = dir.path().join("etc");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("there"), "").unwrap();
    let mount = json!({ "mountPath": place.join("app.conf"), "subPath": "greeting" });
    let script = format!("cat {0}/app.conf; ls {0}", place.display());
    let (code, log) =
        run(&mut node, &with("p", &script, json!({ "configMap": { "name": "settings" } }), mount));
    assert_eq!((code, log.as_str()), (Some(0), "hello\napp.conf\nthere\n"));
    assert!(!place.join("app.conf").exists());
}

fn volumes_can_be_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let host = dir.path().join("host");
    fs::create_dir(&host).unwrap();
    let mount = json!({ "mountPath": "/cronlet-test/ro", "readOnly": true });
    let volume = json!({ "hostPath": { "path": host, "type": "Directory" } });
    let (code, log) = run(&mut node, &with("p", "echo x > /cronlet-test/ro/file", volume, mount));
    assert!(code != Some(0) && log.contains("Read-only file system"), "{log}");
    assert_eq!(fs::read_dir(host).unwrap().count(), 0);
}

fn a_claim_outlives_its_pods() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let volume = json!({ "persistentVolumeClaim": { "claimName": "data" } });
    let mount = json!({ "mountPath": "/cronlet-test/data" });
    node.create(&with("first", "echo kept > /cronlet-test/data/file", volume.clone(), mount.clone()));
    let status = node.wait("first", |status| status.container_statuses.is_some());
    let message = "MountVolume.SetUp failed for volume \"v\" : persistentvolumeclaim \"data\" not found";
    assert_eq!(state(&status).waiting.unwrap().message.as_deref(), Some(message));
    assert_eq!(node.events("first"), [("FailedMount", message)]);
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": "data", "namespace": "default", "uid": "u-1" },
        "spec": { "volumeName": "pvc-u-1" },
        "status": { "phase": "Bound" },
    }))
    .unwrap();
    let claim = node.store(&claim);
    node.sync("first");
    assert_eq!(exit_code(&node.end("first")), Some(0));
    assert_eq!(
        run(&mut node, &with("second", "cat /cronlet-test/data/file", volume, mount)),
        (Some(0), "kept\n".into())
    );
    assert!(dir.path().join("data/volumes/pvc-u-1/file").exists());
    node.runtime.remove_claim(&claim, node.snapshot());
    drop(node);
    assert_eq!(fs::read_dir(dir.path().join("data/volumes")).unwrap().count(), 0);
}

fn a_host_path_must_be_what_it_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let volume = json!({ "hostPath": { "path": path, "type": "Directory" } });
    node.create(&with("p", "touch ran", volume, json!({ "mountPath": "/cronlet-test/x" })));
    let status = node.wait("p", |status| status.container_statuses.is_some());
    assert_eq!(phase(&status), "Pending");
    let (reason, message) = node.events("p")[0];
    assert_eq!(reason, "FailedMount");
    assert!(
        message.contains("hostPath type check failed") && message.ends_with("is not a directory"),
        "{message}"
    );
}

fn a_sub_path_stays_in_its_volume() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let host = dir.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    symlink("../outside", host.join("out")).unwrap();
    let volume = json!({ "hostPath": { "path": host } });
    let mount = |sub_path: &str| json!({ "mountPath": "/cronlet-test/x", "subPath": sub_path });
    node.create(&with("out", "true", volume.clone(), mount("out")));
    let status = node.wait("out", |status| {
        status.container_statuses.is_some()
            && state(status).waiting.is_some_and(|waiting| waiting.message.is_some())
    });
    let message = state(&status).waiting.unwrap().message.unwrap();
    assert!(message.contains("cannot open subPath \"out\""), "{message}");
    assert!(!message.contains(dir.path().to_str().unwrap()), "the host's paths are not the pod's: {message}");
    node.delete("out", 0);
    node.end("out");
    let (code, _) = run(&mut node, &with("in", "touch /cronlet-test/x/file", volume, mount("new/deep")));
    assert_eq!(code, Some(0));
    assert!(host.join("new/deep/file").exists());
}

fn a_sub_path_is_made_as_open_as_its_volume() {
    if !rustix::process::geteuid().is_root() {
        return println!("not run: a_sub_path_is_made_as_open_as_its_volume needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let script = "touch /cronlet-test/x/file && stat -c %a /cronlet-test/x; umask";
    let mount = json!({ "mountPath": "/cronlet-test/x", "subPath": "new/deep" });
    let mut pod = with("p", script, json!({ "emptyDir": {} }), mount);
    let context = json!({ "runAsUser": 65533, "runAsGroup": 65533 });
    pod.spec.as_mut().unwrap().security_context = Some(serde_json::from_value(context).unwrap());
    assert_eq!(run(&mut node, &pod), (Some(0), "777\n0022\n".into()));
}

fn memory_is_a_medium() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let volume = json!({ "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } });
    let script = "stat -fc %T /cronlet-test/m; stat -c %a /cronlet-test/m; head -c 2000000 /dev/zero > /cronlet-test/m/x";
    let (code, log) = run(&mut node, &with("p", script, volume, json!({ "mountPath": "/cronlet-test/m" })));
    assert!(code != Some(0) && log.starts_with("tmpfs\n777\n") && log.contains("No space left"), "{log}");
}

fn memory_outlives_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'cat /cronlet-test/m/file; exit 3' TERM; echo kept > /cronlet-test/m/file; echo ready; \
                  while :; do sleep 0.02; done";
    let volume = json!({ "emptyDir": { "medium": "Memory" } });
    let pod = with("p", script, volume, json!({ "mountPath": "/cronlet-test/m" }));
    let pod = crate::servers::orphan(dir.path(), pod);
    let mut node = crate::servers::adopt(dir.path(), &pod);
    node.follow_until("p", "ready");
    node.delete("p", 30);
    assert_eq!(exit_code(&node.end("p")), Some(3));
    assert!(node.log("p").contains("kept\n"));
}

fn mount_points_in_kernel_file_systems_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&with("p", "true", json!({ "emptyDir": {} }), json!({ "mountPath": "/proc/no/such" })));
    let status = node.wait("p", |status| {
        status.container_statuses.is_some()
            && state(status).waiting.is_some_and(|waiting| waiting.message.is_some())
    });
    let message = state(&status).waiting.unwrap().message.unwrap();
    assert!(message.contains("the mount point /proc/no/such does not exist"), "{message}");
    node.delete("p", 0);
    assert_eq!(phase(&node.end("p")), "Failed");
}

fn a_user_of_its_own_can_use_its_volumes() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    store_settings(&mut node, "hello\n");
    let mut pod = with(
        "p",
        "id -u; echo $(id -G | tr ' ' '\\n' | sort); cat /cronlet-test/f/greeting",
        json!({ "configMap": { "name": "settings", "defaultMode": 0o400 } }),
        json!({ "mountPath": "/cronlet-test/f" }),
    );
    let context =
        json!({ "runAsUser": 65533, "runAsGroup": 65533, "fsGroup": 4242, "supplementalGroups": [4243] });
    pod.spec.as_mut().unwrap().security_context = Some(serde_json::from_value(context).unwrap());
    if !rustix::process::geteuid().is_root() {
        node.create(&pod);
        let status = node.wait("p", |status| status.container_statuses.is_some());
        assert!(
            state(&status).waiting.unwrap().message.unwrap().starts_with("runAsUser 65533 is not the user")
        );
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(run(&mut node, &pod), (Some(0), "65533\n4242 4243 65533\nhello\n".into()));
}
