//! Containers that OCI runtimes of this machine make: the same tests as for our own, and what is theirs alone.
//!
//! They need root, as the node does for that. Where a runtime is missing, its tests are named as not run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cronlet_runtime::spec::OciRuntime;
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;

use crate::{
    attach,
    containers::{self, node, of_image},
    hostile,
    node::{exit_code, is_running, phase, processes_with, state},
    rights,
    servers::{shim_of, wait_for_end},
    sharing, volumes,
};

/// The runtimes that are tested.
pub const RUNTIMES: [&str; 2] = ["crun", "runc"];

/// What is theirs alone.
const OWN: &[crate::Test] = &[
    ("external::what_a_runtime_says_is_told", what_a_runtime_says_is_told),
    ("external::nothing_is_left_of_a_container", nothing_is_left_of_a_container),
    ("external::a_restarted_container_is_another", a_restarted_container_is_another),
    ("external::what_a_shim_that_died_has_left_is_ended", what_a_shim_that_died_has_left_is_ended),
    ("external::a_runtime_that_is_gone_is_told", a_runtime_that_is_gone_is_told),
];

/// Tests of containers that are about something else than how they are made.
const NOT_ABOUT_THEM: [&str; 10] = [
    "an_image_that_is_never_pulled_is_waited_for",
    "a_pull_that_fails_is_told_and_backs_off",
    "what_a_pod_asks_for_in_vain_is_told",
    "a_limit_that_cannot_be_kept_is_told",
    "without_root_processes_are_not_shared_and_that_is_told",
    "kernel_settings_of_the_machine_are_refused",
    "an_empty_dir_that_is_too_full_evicts_its_pod",
    "a_node_that_is_short_of_disk_evicts_the_pod_that_keeps_the_most",
    "groups_that_a_killed_shim_left_go_with_the_pod",
    "a_line_without_an_end_fills_neither_the_disk_nor_memory",
];

/// What makes the containers of the test that is being run, if not we ourselves.
static CURRENT: Mutex<Option<OciRuntime>> = Mutex::new(None);

pub fn current() -> Option<OciRuntime> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

pub fn set(runtime: Option<OciRuntime>) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = runtime;
}

/// A runtime of this machine, or why it cannot be tested.
pub fn find(name: &str) -> Result<OciRuntime, &'static str> {
    if !cronlet_runtime::users::is_machine_root() {
        return Err("that needs root");
    }
    let dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    let path = dirs.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    path.map(|path| OciRuntime { path, name: name.to_owned() }).ok_or("it is not installed")
}

/// The tests that hold for any runtime.
pub fn tests() -> Vec<crate::Test> {
    let of_images =
        [containers::TESTS, attach::IN_IMAGES, rights::TESTS, sharing::TESTS, hostile::TESTS].concat();
    let of_mounts = volumes::TESTS.iter().copied();
    let of_mounts =
        of_mounts.filter(|(name, _)| name.ends_with("the_host_sees_what_a_privileged_container_mounts"));
    let is_about_them = |(name, _): &crate::Test| !NOT_ABOUT_THEM.iter().any(|other| name.ends_with(other));
    of_images.into_iter().filter(is_about_them).chain(of_mounts).chain(OWN.iter().copied()).collect()
}

fn what_a_runtime_says_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    node.create(&of_image("p", "", json!({ "command": ["nosuch"] })));
    let status = node.end("p");
    let ended = state(&status).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    let message = ended.message.unwrap();
    assert!(message.starts_with("OCI runtime create failed: "), "{message}");
    assert!(message.contains("nosuch") && message.contains("$PATH"), "{message}");
    assert_eq!(node.log("p"), "", "it is the container's log");
}

/// What there is of a pod in control groups.
fn groups_of(uid: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let dirs = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    dirs.map(|dir| dir.join("cronlet").join(uid)).filter(|dir| dir.exists()).collect()
}

fn nothing_is_left_of_a_container() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({ "resources": { "limits": { "memory": "64Mi", "cpu": "1" } } });
    node.create(&of_image("left", "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done", own));
    node.wait("left", is_running);
    node.follow_until("left", "up");
    assert!(!groups_of("uid-left").is_empty());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(dir.path().to_str().unwrap()), "something is mounted on the host");
    let shim = pidfd_open(shim_of(dir.path(), "left"), PidfdFlags::empty()).unwrap();
    node.delete("left", 30);
    assert_eq!(phase(&node.end("left")), "Succeeded");
    // It is told of first.
    wait_for_end(&shim);
    let pod_dir = dir.path().join("data/pods/uid-left");
    let kept: Vec<_> = fs::read_dir(pod_dir.join("runtime")).unwrap().flatten().collect();
    assert!(kept.is_empty(), "{kept:?}");
    assert!(groups_of("uid-left").is_empty(), "{:?}", groups_of("uid-left"));
}

fn a_restarted_container_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let script =
        "test -e /mine && exit 9; touch /mine; test -e /work/again && exit 0; touch /work/again; exit 1";
    let mut pod =
        of_image("p", script, json!({ "volumeMounts": [{ "name": "work", "mountPath": "/work" }] }));
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = serde_json::from_value(json!([{ "name": "work", "emptyDir": {} }])).unwrap();
    spec.restart_policy = Some("OnFailure".to_owned());
    node.create(&pod);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Succeeded", Some(0)));
}

fn what_a_shim_that_died_has_left_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = format!("MARK={}", dir.path().display());
    let (name, value) = mark.split_once('=').unwrap();
    let env = json!({ "env": [{ "name": name, "value": value }] });
    node.create(&of_image("p", "echo up; sleep 1000 & sleep 1000", env));
    node.wait("p", is_running);
    node.follow_until("p", "up");
    let shim = shim_of(dir.path(), "p");
    let ended = pidfd_open(shim, PidfdFlags::empty()).unwrap();
    kill_process(shim, Signal::KILL).unwrap();
    wait_for_end(&ended);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(137)));
    assert_eq!(state(&status).terminated.unwrap().reason.as_deref(), Some("ContainerStatusUnknown"));
    assert_eq!(processes_with(&mark), 0);
    let kept: Vec<_> = fs::read_dir(dir.path().join("data/pods/uid-p/runtime")).unwrap().flatten().collect();
    assert!(kept.is_empty(), "{kept:?}");
}

fn a_runtime_that_is_gone_is_told() {
    let own = current();
    set(Some(OciRuntime { path: "/no/such/runtime".into(), name: "crun".to_owned() }));
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    set(own);
    node.create(&of_image("p", "true", json!({})));
    let status = node.end("p");
    let ended = state(&status).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    assert!(ended.message.unwrap().contains("/no/such/runtime"));
}
