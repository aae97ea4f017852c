//! Servers that come and go while their pods run, and one that may do less than root.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use cronlet_object::api::{Pod, PodStatus};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::json;

use crate::node::{Node, container, exit_code, is_running, phase, pod, state};
use crate::ranges;

crate::tests![
    a_pod_outlives_its_server,
    a_pod_that_ends_without_a_server_is_reported_by_the_next_one,
    a_server_can_end_its_pods_and_those_of_others,
    a_shim_that_dies_takes_its_containers_along,
    pods_are_started_although_the_process_that_starts_shims_has_died,
    a_restarted_container_goes_on_after_its_shim_has_died,
    a_pod_of_an_earlier_boot_is_lost,
    a_pod_whose_object_is_gone_is_removed,
    a_pod_whose_files_are_gone_does_not_run_twice,
    a_pod_that_has_ended_is_not_started_anew,
    what_a_server_began_to_write_is_written_anew,
    without_root_volumes_are_mounted_in_a_user_namespace,
    without_namespaces_a_pod_with_volumes_does_not_start,
];

/// The first argument of this program when it is executed as a server. The others are its directory and a file with
/// the pod that it runs. It prints the pod's status, as JSON, whenever that changes.
const ARGUMENT: &str = "__server";

pub fn main_if_requested() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, dir, pod] = arguments.as_slice() else { return };
    if first != ARGUMENT {
        return;
    }
    let pod: Pod = serde_json::from_slice(&std::fs::read(pod).unwrap()).unwrap();
    let name = pod.metadata.name.clone().unwrap();
    let ranges = ranges::Use::wanted();
    let new = ranges.as_ref().map_or(Node::new as fn(&Path) -> Node, |ranges| ranges.node(Path::new(dir)));
    let mut node = new(Path::new(dir));
    node.create(&pod);
    if pod.status.as_ref().is_some_and(is_running) {
        ranges.iter().for_each(|ranges| ranges.look(&node));
    }
    loop {
        node.next();
        let status = node.pod(&name).status.unwrap();
        let mut out = std::io::stdout().lock();
        // Whoever reads it may be gone.
        let written = serde_json::to_writer(&mut out, &status).is_ok() && out.write_all(b"\n").is_ok();
        if !written || matches!(phase(&status), "Succeeded" | "Failed") {
            if ranges.is_some() {
                node.end(&name);
                ranges::remove(node, &name);
            }
            std::process::exit(0);
        }
    }
}

/// A server in a process of its own.
pub struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(mut command: Command, dir: &Path, pod: &Pod) -> Self {
        let file = dir.join("pod.json");
        std::fs::write(&file, serde_json::to_vec(pod).unwrap()).unwrap();
        let command = command.arg(ARGUMENT).arg(dir).arg(file);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Server { child, output }
    }

    /// Waits until the pod's status is as wanted.
    pub fn wait(&mut self, wanted: impl Fn(&PodStatus) -> bool) -> PodStatus {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server has ended");
            let status: PodStatus = serde_json::from_str(&line).unwrap();
            if wanted(&status) {
                return status;
            }
        }
    }

    /// Waits until it has ended by itself; whether it says that all was well.
    pub fn ended_well(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// Starts a pod with a server that is killed as soon as the pod runs; the pod with the status it had then.
pub fn orphan(dir: &Path, mut pod: Pod) -> Pod {
    let mut server = Server::start(this_program(), dir, &pod);
    pod.status = Some(server.wait(is_running));
    server.kill();
    pod
}

/// A server that finds a pod of another.
pub fn adopt(dir: &Path, pod: &Pod) -> Node {
    let mut node = Node::new(dir);
    node.store(pod);
    node.runtime.adopt(node.snapshot());
    node
}

/// The process ID of the shim in the first record that says one.
pub fn shim_of(dir: &Path, name: &str) -> Pid {
    let text = std::fs::read_to_string(journal_of(dir, name)).unwrap();
    let opened = text.lines().rfind(|line| line.contains("\"opened\"")).unwrap();
    let record: serde_json::Value = serde_json::from_str(opened.split_once(' ').unwrap().1).unwrap();
    Pid::from_raw(record["event"]["opened"]["pid"].as_i64().unwrap().try_into().unwrap()).unwrap()
}

fn journal_of(dir: &Path, name: &str) -> PathBuf {
    dir.join("data/pods").join(format!("uid-{name}")).join("journal")
}

/// A script that writes a line, waits for a file, and ends.
fn waits_for(file: &Path, code: i32) -> String {
    format!("echo before; while [ ! -e {} ]; do sleep 0.02; done; echo after; exit {code}", file.display())
}

fn a_pod_outlives_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let pod = orphan(dir.path(), pod("p", &waits_for(&go, 5), json!({})));
    let mut node = adopt(dir.path(), &pod);
    std::fs::write(go, "").unwrap();
    let status = node.end("p");
    assert_eq!(exit_code(&status), Some(5));
    assert_eq!(container(&status).container_id, container(pod.status.as_ref().unwrap()).container_id);
    assert_eq!(status.start_time, pod.status.unwrap().start_time);
    assert_eq!(node.log("p"), "before\nafter\n");
    // What the first server told is not told again.
    assert_eq!(node.events("p"), []);
}

fn a_pod_that_ends_without_a_server_is_reported_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let pod = orphan(dir.path(), pod("p", &waits_for(&go, 6), json!({})));
    let shim =
        rustix::process::pidfd_open(shim_of(dir.path(), "p"), rustix::process::PidfdFlags::empty()).unwrap();
    std::fs::write(go, "").unwrap();
    wait_for_end(&shim);
    let mut node = adopt(dir.path(), &pod);
    assert_eq!(exit_code(&node.end("p")), Some(6));
    assert_eq!(node.log("p"), "before\nafter\n");
}

fn a_server_can_end_its_pods_and_those_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let forever = "exec sleep 1000";
    let earlier = orphan(dir.path(), pod("earlier", forever, json!({})));
    let mut node = adopt(dir.path(), &earlier);
    node.create(&pod("own", forever, json!({})));
    node.wait("own", is_running);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.runtime.stop_all());
    node.create(&pod("late", forever, json!({})));
    for name in ["earlier", "own"] {
        let status = node.end(name);
        assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(143)), "{name}");
    }
    assert!(!journal_of(dir.path(), "late").exists());
}

/// Waits until a process has ended.
pub fn wait_for_end(process: &rustix::fd::OwnedFd) {
    let mut fds = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec::try_from(Duration::from_secs(60)).unwrap();
    assert_eq!(rustix::event::poll(&mut fds, Some(&patience)).unwrap(), 1, "the process has not ended");
}

fn a_shim_that_dies_takes_its_containers_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "echo $$; sleep 1000 & exec sleep 1000", json!({})));
    node.wait("p", is_running);
    let leader: i32 = node.follow_until("p", "\n").trim().parse().unwrap();
    let leader =
        rustix::process::pidfd_open(Pid::from_raw(leader).unwrap(), rustix::process::PidfdFlags::empty());
    kill_process(shim_of(dir.path(), "p"), Signal::KILL).unwrap();
    wait_for_end(&leader.unwrap());
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(137)));
    assert_eq!(state(&status).terminated.unwrap().reason.as_deref(), Some("ContainerStatusUnknown"));
}

fn pods_are_started_although_the_process_that_starts_shims_has_died() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "exec sleep 1000", json!({})));
    node.wait("p", is_running);
    let fork_server = fork_server_of(dir.path(), "p");
    let ended = rustix::process::pidfd_open(fork_server, rustix::process::PidfdFlags::empty()).unwrap();
    kill_process(fork_server, Signal::KILL).unwrap();
    wait_for_end(&ended);
    node.create(&pod("q", "exit 3", json!({})));
    assert_eq!(exit_code(&node.end("q")), Some(3));
    // What it started before lives on.
    assert!(is_running(node.pod("p").status.as_ref().unwrap()));
    kill_process(shim_of(dir.path(), "p"), Signal::KILL).unwrap();
    assert_eq!(exit_code(&node.end("p")), Some(137));
}

/// The parent of a pod's shim.
fn fork_server_of(dir: &Path, name: &str) -> Pid {
    let shim = shim_of(dir, name).as_raw_pid();
    let stat = std::fs::read_to_string(format!("/proc/{shim}/stat")).unwrap();
    let (_, behind_name) = stat.rsplit_once(") ").unwrap();
    Pid::from_raw(behind_name.split(' ').nth(1).unwrap().parse().unwrap()).unwrap()
}

fn a_restarted_container_goes_on_after_its_shim_has_died() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let marker = dir.path().join("marker");
    let script = format!("[ -e {0} ] && exit 0; touch {0}; echo ready; exec sleep 1000", marker.display());
    node.create(&pod("p", &script, json!({ "restartPolicy": "OnFailure" })));
    node.wait("p", is_running);
    node.follow_until("p", "ready");
    kill_process(shim_of(dir.path(), "p"), Signal::KILL).unwrap();
    let status = node.end("p");
    assert_eq!(phase(&status), "Succeeded");
    assert_eq!(container(&status).restart_count, 1);
    let lost = container(&status).last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((lost.exit_code, lost.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
}

fn a_pod_of_an_earlier_boot_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let pod = orphan(dir.path(), pod("p", "exec sleep 1000", json!({})));
    kill_process(shim_of(dir.path(), "p"), Signal::KILL).unwrap();
    // The only trace of a boot is its name in the journal. Its checksum has to be right as well.
    let text = std::fs::read_to_string(journal_of(dir.path(), "p")).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let lines = text.lines().map(|line| {
        let record = line.split_once(' ').unwrap().1.replace(boot.trim_end(), "another-boot");
        format!("{:08x} {record}\n", crc32fast::hash(record.as_bytes()))
    });
    std::fs::write(journal_of(dir.path(), "p"), lines.collect::<String>()).unwrap();
    let mut node = adopt(dir.path(), &pod);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(137)));
}

fn a_pod_whose_object_is_gone_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    orphan(dir.path(), pod("p", "exec sleep 1000", json!({})));
    let shim =
        rustix::process::pidfd_open(shim_of(dir.path(), "p"), rustix::process::PidfdFlags::empty()).unwrap();
    let node = Node::new(dir.path());
    node.runtime.adopt(node.snapshot());
    wait_for_end(&shim);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.runtime.stop_all());
    drop(node);
    assert_eq!(std::fs::read_dir(dir.path().join("data/pods")).unwrap().count(), 0);
}

fn a_pod_whose_files_are_gone_does_not_run_twice() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("marker");
    let script = format!("echo run >> {}; echo ready; exec sleep 1000", marker.display());
    let pod = orphan(dir.path(), pod("p", &script, json!({})));
    // Killed before its first line it would leave no trace.
    adopt(dir.path(), &pod).follow_until("p", "ready");
    let shim = shim_of(dir.path(), "p");
    kill_process(shim, Signal::KILL).unwrap();
    std::fs::remove_dir_all(dir.path().join("data/pods/uid-p")).unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod);
    let status = node.end("p");
    assert_eq!((phase(&status), exit_code(&status)), ("Failed", Some(137)));
    assert_eq!(std::fs::read_to_string(marker).unwrap(), "run\n");
}

fn a_pod_that_has_ended_is_not_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("marker");
    for (name, code, ended) in [("p", 0, "Succeeded"), ("q", 1, "Failed")] {
        let script = format!("echo {name} >> {}; exit {code}", marker.display());
        let mut node = Node::new(dir.path());
        node.create(&pod(name, &script, json!({})));
        let status = node.end(name);
        let pod = node.pod(name);
        drop(node);
        std::fs::remove_dir_all(dir.path().join("data/pods").join(format!("uid-{name}"))).unwrap();
        let mut node = Node::new(dir.path());
        node.create(&pod);
        // Whatever becomes of it is told at its end.
        node.delete(name, 30);
        assert_eq!(node.end(name), status);
        assert_eq!(phase(&status), ended);
    }
    assert_eq!(std::fs::read_to_string(marker).unwrap(), "p\nq\n");
}

fn what_a_server_began_to_write_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_of(dir.path(), "p");
    std::fs::create_dir_all(journal.parent().unwrap()).unwrap();
    std::fs::write(&journal, "00000000 {\"seq\":1,\"ti").unwrap();
    let mut node = Node::new(dir.path());
    node.store(&pod("p", "exit 8", json!({})));
    node.runtime.adopt(node.snapshot());
    assert_eq!(exit_code(&node.end("p")), Some(8));
}

/// A pod that sees its volume at a place that does not exist on the host.
fn with_volume(script: &str) -> Pod {
    let spec = json!({
        "volumes": [{ "name": "v", "emptyDir": {} }],
        "containers": [{ "volumeMounts": [{ "name": "v", "mountPath": "/cronlet-test/data" }] }],
    });
    pod("p", script, spec)
}

pub const NOBODY: u32 = 65534;

/// A command that runs this program with no more rights than an ordinary user has, in a directory that is made theirs.
pub fn unprivileged(dir: &Path) -> Command {
    if !geteuid().is_root() {
        return this_program();
    }
    // Where the program was built may be closed to all but root.
    let copy = dir.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new(copy);
    command.uid(NOBODY).gid(NOBODY);
    command
}

fn without_root_volumes_are_mounted_in_a_user_namespace() {
    if !has_user_namespaces() {
        // Then this is what has to be right.
        return without_namespaces_a_pod_with_volumes_does_not_start();
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "id -u; echo kept > /cronlet-test/data/file; cat /cronlet-test/data/file; ls /; \
                  echo message > /dev/termination-log; echo x > /dev/null";
    let mut server = Server::start(unprivileged(dir.path()), dir.path(), &with_volume(script));
    let status = server.wait(|status| matches!(phase(status), "Succeeded" | "Failed"));
    let log = std::fs::read_to_string(dir.path().join("log/pods/default_p_uid-p/c/0.log")).unwrap();
    assert_eq!(exit_code(&status), Some(0), "{log}");
    assert!(log.contains("F kept") && log.contains("F etc") && log.contains("F cronlet-test"), "{log}");
    assert_eq!(state(&status).terminated.unwrap().message.as_deref(), Some("message\n"));
    assert!(!Path::new("/cronlet-test").exists());
}

/// Whether the kernel lets a process without privileges make namespaces.
pub fn has_user_namespaces() -> bool {
    let mut command = Command::new("unshare");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
        .args(["--user", "--mount", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether the tests themselves can make mount namespaces.
pub fn has_namespaces() -> bool {
    let args: &[&str] =
        if geteuid().is_root() { &["--mount", "true"] } else { &["--user", "--mount", "true"] };
    let made = Command::new("unshare").args(args).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success()) || has_user_namespaces()
}

/// A command that runs this program where it can make no namespace: as the root of a user namespace that may have no
/// further ones, with all its capabilities dropped. Where there are no user namespaces, all are confined like that.
fn confined(dir: &Path) -> Command {
    if !has_user_namespaces() {
        return unprivileged(dir);
    }
    let mut command = Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    command
}

/// A directory that whatever user a server runs as can use.
fn directory_for_all() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

fn without_namespaces_a_pod_with_volumes_does_not_start() {
    let dir = directory_for_all();
    let marker = dir.path().join("marker");
    let touch = format!("touch {}", marker.display());
    let mut server = Server::start(confined(dir.path()), dir.path(), &with_volume(&touch));
    let status = server.wait(|status| {
        status.container_statuses.is_some()
            && state(status).waiting.is_some_and(|waiting| waiting.message.is_some())
    });
    assert_eq!(phase(&status), "Pending");
    let waiting = state(&status).waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
    let message = waiting.message.unwrap();
    assert!(
        message.starts_with("MountVolume.SetUp failed for volume \"v\" : this system does not let the node"),
        "{message}"
    );
    let shim = shim_of(dir.path(), "p");
    server.kill();
    kill_process(shim, Signal::KILL).unwrap();
    assert!(!marker.exists(), "the command has run without its volume");
    // A pod without volumes needs no namespace.
    let dir = directory_for_all();
    let mut server = Server::start(confined(dir.path()), dir.path(), &pod("p", &touch, json!({})));
    assert_eq!(phase(&server.wait(|status| matches!(phase(status), "Succeeded" | "Failed"))), "Succeeded");
    assert!(marker.exists());
}
