//! What a container may do and what it is denied, and who is asked when it is to end.

use std::{fs, os::unix::fs::FileTypeExt as _, path::Path};

use rustix::process::{Signal, geteuid, kill_process};
use serde_json::json;

use crate::containers::{node, of_image, run};
use crate::network::wait_until;
use crate::node::{exit_code, is_running, phase, state};
use crate::servers::shim_of;

crate::tests![
    root_has_the_default_capabilities_and_others_have_them_in_the_bounding_set_alone,
    an_unconfined_container_has_no_filter,
    a_profile_of_the_nodes_is_kept,
    a_profile_that_is_not_there_is_told_and_waited_for,
    a_privileged_container_is_denied_nothing,
    volumes_can_be_written_below_a_read_only_root,
    every_user_may_write_to_the_termination_message,
    only_the_first_process_is_asked_to_end,
    a_container_that_succeeds_was_not_killed_for_want_of_memory,
    groups_that_a_killed_shim_left_go_with_the_pod,
];

/// The fourteen default capabilities, as `/proc` shows them.
const DEFAULT: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";

fn root_has_the_default_capabilities_and_others_have_them_in_the_bounding_set_alone() {
    for (user, own) in [(0, DEFAULT), (1000, NONE)] {
        let security = json!({ "securityContext": { "runAsUser": user } });
        let (code, output) = run("grep ^Cap /proc/self/status", security);
        let expected =
            format!("CapInh:\t{NONE}\nCapPrm:\t{own}\nCapEff:\t{own}\nCapBnd:\t{DEFAULT}\nCapAmb:\t{NONE}\n");
        assert_eq!((code, output), (Some(0), expected), "user {user}");
    }
}

fn an_unconfined_container_has_no_filter() {
    for (profile, mode) in [("Unconfined", "0"), ("RuntimeDefault", "2")] {
        let security = json!({ "securityContext": { "seccompProfile": { "type": profile } } });
        let (code, output) = run("grep ^Seccomp: /proc/self/status", security);
        assert_eq!((code, output), (Some(0), format!("Seccomp:\t{mode}\n")), "{profile}");
    }
}

/// Denies what our own filter does not, and allows the rest.
const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }],
    "syscalls": [
        { "names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30 },
        { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_EQ" }] }
    ]
}"#;

fn a_profile_of_the_nodes_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    fs::create_dir_all(dir.path().join("data/seccomp/own")).unwrap();
    fs::write(dir.path().join("data/seccomp/own/profile.json"), PROFILE).unwrap();
    let profile = json!({ "type": "Localhost", "localhostProfile": "own/profile.json" });
    let script = "grep ^Seccomp: /proc/self/status; mkdir /srv/d 2>&1; trap 'echo heard' USR2; kill -USR1 $$ 2>&1; \
                  kill -USR2 $$; mknod /srv/disk b 7 0 2>&1; mknod /srv/pipe p && echo made";
    node.create(&of_image("p", script, json!({ "securityContext": { "seccompProfile": profile } })));
    let status = node.end("p");
    let log = node.log("p");
    assert_eq!(exit_code(&status), Some(0), "{log}");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "Seccomp:\t2");
    assert!(lines[1].contains("Read-only file system"), "{log}");
    assert!(lines[2].contains("not permitted") && lines[3] == "heard", "{log}");
    assert!(lines[4].contains("not permitted") && lines[5] == "made", "{log}");
    // What is done before the program is executed is no business of a profile's, if there are no new privileges.
    let strict = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["setresuid", "setresgid", "setgroups", "capset"], "action": "SCMP_ACT_ERRNO" }] }"#;
    fs::write(dir.path().join("data/seccomp/strict.json"), strict).unwrap();
    let profile = json!({ "type": "Localhost", "localhostProfile": "strict.json" });
    let user = if geteuid().is_root() { 1000 } else { geteuid().as_raw() };
    let own = json!({ "seccompProfile": profile, "allowPrivilegeEscalation": false, "runAsUser": user });
    node.create(&of_image("q", "id -u", json!({ "securityContext": own })));
    let status = node.end("q");
    assert_eq!((exit_code(&status), node.log("q")), (Some(0), format!("{user}\n")), "{:?}", state(&status));
}

fn a_profile_that_is_not_there_is_told_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let profile = json!({ "type": "Localhost", "localhostProfile": "late.json" });
    node.create(&of_image("p", "true", json!({ "securityContext": { "seccompProfile": profile } })));
    let status = node.wait("p", |status| status.container_statuses.is_some());
    let waiting = state(&status).waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CreateContainerError"));
    let path = dir.path().join("data/seccomp/late.json");
    let expected =
        format!("cannot load seccomp profile {path:?}: open {}: no such file or directory", path.display());
    assert_eq!(waiting.message, Some(expected));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, PROFILE).unwrap();
    node.sync("p");
    assert_eq!(phase(&node.end("p")), "Succeeded");
}

fn a_privileged_container_is_denied_nothing() {
    if !geteuid().is_root() {
        println!("not run: a_privileged_container_is_denied_nothing needs root");
        return;
    }
    // Opened and not written to.
    const SETTING: &str = "/sys/kernel/rcu_expedited";
    if fs::OpenOptions::new().append(true).open(SETTING).is_err() {
        println!("not run: a_privileged_container_is_denied_nothing needs a /sys that can be written to");
        return;
    }
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    let devices = fs::read_dir("/dev").unwrap().flatten().filter(|entry| {
        let kind = entry.file_type().unwrap();
        (kind.is_char_device() || kind.is_block_device()) && entry.file_name() != "console"
    });
    let devices: Vec<String> = devices.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let script = format!(
        "grep -E '^(CapEff|Seccomp:)' /proc/self/status; [ $(wc -c < /proc/interrupts) -gt 0 ] && echo shown; \
         : >> {SETTING} && echo written; ls /dev"
    );
    let (code, output) = run(&script, json!({ "securityContext": { "privileged": true } }));
    let expected = format!("CapEff:\t{bounding}\nSeccomp:\t0\nshown\nwritten\n");
    assert_eq!(code, Some(0), "{output}");
    let listed: Vec<&str> =
        output.strip_prefix(&expected).unwrap_or_else(|| panic!("{output}")).lines().collect();
    let missing: Vec<_> = devices.iter().filter(|device| !listed.contains(&device.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} of the host's devices are not in {listed:?}");
    assert!(!Path::new("/dev/termination-log").exists(), "something was made on the host");
}

fn volumes_can_be_written_below_a_read_only_root() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({
        "securityContext": { "readOnlyRootFilesystem": true },
        "volumeMounts": [{ "name": "work", "mountPath": "/work" }, { "name": "memory", "mountPath": "/srv/memory" }],
    });
    let script = "for d in /work /srv/memory; do echo kept > $d/f && cat $d/f; done; ! echo x > /srv/x";
    let mut pod = of_image("p", script, own);
    let volumes =
        json!([{ "name": "work", "emptyDir": {} }, { "name": "memory", "emptyDir": { "medium": "Memory" } }]);
    pod.spec.as_mut().unwrap().volumes = serde_json::from_value(volumes).unwrap();
    node.create(&pod);
    let status = node.end("p");
    assert_eq!(exit_code(&status), Some(0), "{}", node.log("p"));
    assert!(node.log("p").starts_with("kept\nkept\n"), "{}", node.log("p"));
}

fn every_user_may_write_to_the_termination_message() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({ "securityContext": { "runAsUser": 1000 }, "terminationMessagePath": "/srv/last" });
    node.create(&of_image("p", "id -u > /srv/last", own));
    let ended = state(&node.end("p")).terminated.unwrap();
    assert_eq!((ended.exit_code, ended.message.as_deref()), (0, Some("1000\n")), "{}", node.log("p"));
}

fn only_the_first_process_is_asked_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    // Shells act on the signals that they have got in the order of their numbers: the question comes last.
    let child = "trap 'asked=yes' TERM; trap 'echo the other one was asked: ${asked:-no}; exit' WINCH; \
                 echo up; while :; do sleep 0.02; done";
    let script = "sh -c \"$CHILD\" & child=$!; \
                  trap 'echo asked; kill -WINCH $child; wait $child; exit 0' TERM; wait $child; wait $child";
    let env = json!({ "env": [{ "name": "CHILD", "value": child }] });
    node.create(&of_image("p", script, env));
    node.wait("p", is_running);
    node.follow_until("p", "up");
    node.delete("p", 30);
    assert_eq!(phase(&node.end("p")), "Succeeded", "{}", node.log("p"));
    assert_eq!(node.log("p"), "up\nasked\nthe other one was asked: no\n");
}

fn a_container_that_succeeds_was_not_killed_for_want_of_memory() {
    // In version 2 of control groups the container is killed as a whole.
    if !geteuid().is_root() || !Path::new("/sys/fs/cgroup/memory").exists() {
        println!(
            "not run: a_container_that_succeeds_was_not_killed_for_want_of_memory needs root and version 1 of control \
             groups"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    // Less than what is asked for, and more than runtimes need for themselves.
    let own = json!({ "resources": { "limits": { "memory": "32Mi" } } });
    node.create(&of_image("p", "dd if=/dev/zero of=/dev/null bs=64M count=1; echo code $?; exit 0", own));
    let ended = state(&node.end("p")).terminated.unwrap();
    assert!(node.log("p").contains("code 137\n"), "{}", node.log("p"));
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (0, Some("Completed")));
}

fn groups_that_a_killed_shim_left_go_with_the_pod() {
    const HIERARCHY: &str = "/sys/fs/cgroup/memory";
    if !geteuid().is_root() || !Path::new(HIERARCHY).exists() {
        println!("not run: groups_that_a_killed_shim_left_go_with_the_pod needs root and {HIERARCHY}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let own = json!({ "resources": { "limits": { "memory": "16Mi" } } });
    node.create(&of_image("killed", "exec sleep 1000", own));
    node.wait("killed", is_running);
    let group = Path::new(HIERARCHY).join("cronlet/uid-killed");
    assert!(group.join("c").exists());
    kill_process(shim_of(dir.path(), "killed"), Signal::KILL).unwrap();
    assert_eq!(phase(&node.end("killed")), "Failed");
    assert!(group.join("c").exists(), "nobody else has removed it");
    node.runtime.remove("uid-killed");
    wait_until("the groups are gone", || !group.exists());
}
