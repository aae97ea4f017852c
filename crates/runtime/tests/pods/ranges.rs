//! A node of an ordinary user with ranges of further users and groups.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    process::Command,
};

use rustix::process::geteuid;
use serde_json::json;

use crate::containers::{self, of_image};
use crate::exec::{outcome, request, within};
use crate::node::{Node, exit_code, is_running, phase, pod, state};
use crate::servers::{NOBODY, Server, has_user_namespaces};

crate::tests![
    with_ranges_containers_run_as_anybody_and_images_keep_their_owners,
    a_later_server_enters_the_ranges_of_the_pods_it_finds,
    with_ranges_processes_of_the_machine_are_their_users_own,
];

/// Set in the environment of a server that is to use its ranges: to what it is to do then.
const VARIABLE: &str = "CRONLET_TEST_RANGES";

/// The first number of the range that the tests give.
const FIRST: u32 = 200_000;

/// What a server that uses its ranges runs.
pub enum Use {
    Containers,
    /// The same, and a program in one that runs already.
    Exec,
    Processes,
}

impl Use {
    fn name(&self) -> &'static str {
        match self {
            Use::Containers => "containers",
            Use::Exec => "exec",
            Use::Processes => "processes",
        }
    }

    /// What this process is to do.
    pub fn wanted() -> Option<Self> {
        let wanted = std::env::var_os(VARIABLE)?;
        [Use::Containers, Use::Exec, Use::Processes].into_iter().find(|known| wanted == known.name())
    }

    /// Makes a node in the ranges of this process's user.
    pub fn node(&self, dir: &Path) -> fn(&Path) -> Node {
        let data_dir = dir.join("data");
        assert!(cronlet_runtime::users::enter_ranges(Some(&data_dir)), "the ranges can be used");
        if matches!(self, Use::Processes) { Node::new } else { containers::node }
    }

    /// Looks after a pod `p` that an earlier server has left.
    pub fn look(&self, node: &Node) {
        if matches!(self, Use::Exec) {
            let script = "{ id -u; id -G; } > /data/who && touch /data/go";
            let execution =
                within(async { outcome(node.runtime.exec(request(&["sh", "-c", script])).unwrap()).await });
            assert_eq!(execution, (String::new(), String::new(), Some(0)));
        }
    }
}

/// Removes a pod, and checks that nothing is left of it.
pub fn remove(node: Node, name: &str) {
    let dir = node.dir().to_owned();
    node.runtime.remove(&node.pod(name).metadata.uid.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.runtime.stop_all());
    drop(node);
    assert_eq!(fs::read_dir(dir.join("data/pods")).unwrap().count(), 0);
}

/// A command that runs this program as an ordinary user who has ranges, in a directory that is made theirs. Only it sees
/// the tables that say so.
fn with_ranges(dir: &Path, what: &Use) -> Command {
    let copy = dir.join("program");
    if !copy.exists() {
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    }
    let table = dir.join("ranges");
    fs::write(&table, format!("nobody:{FIRST}:65536\n")).unwrap();
    fs::set_permissions(&table, fs::Permissions::from_mode(0o644)).unwrap();
    chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
    let script = "mount --bind \"$1\" /etc/subuid && mount --bind \"$1\" /etc/subgid && shift && \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(table).arg(copy).env(VARIABLE, what.name());
    command
}

/// Whether these tests cannot be run here; it is said why.
fn is_missing(test: &str) -> bool {
    let has = |program: &str| Path::new("/usr/bin").join(program).exists();
    let has_tables = ["/etc/subuid", "/etc/subgid"].iter().all(|path| Path::new(path).exists());
    let why = match () {
        () if !geteuid().is_root() => Some("only root can give ranges"),
        () if !has("newuidmap") || !has("newgidmap") || !has_tables => {
            Some("there is no newuidmap (Debian's uidmap)")
        }
        () if !has_user_namespaces() => Some("this system does not let users make namespaces"),
        () => None,
    };
    why.iter().for_each(|why| println!("not run: {test}: {why}"));
    why.is_some()
}

fn with_ranges_containers_run_as_anybody_and_images_keep_their_owners() {
    if is_missing("with_ranges_containers_run_as_anybody_and_images_keep_their_owners") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "{ id -u; id -G; ls -ln /home/app/own; echo x > /home/app/own && echo changed; \
                  touch /data/file && ls -ln /data/file; mkdir /home/app/new; touch /home/app/new/file; \
                  ls -ln /etc/motd; touch /etc/motd || echo refused; } > /dev/termination-log 2>&1";
    let own = json!({
        "securityContext": { "runAsUser": 1000 },
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    });
    let mut pod = of_image("p", script, own);
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = Some(serde_json::from_value(json!([{ "name": "data", "emptyDir": {} }])).unwrap());
    spec.security_context = Some(serde_json::from_value(json!({ "fsGroup": 2000 })).unwrap());
    let mut server = Server::start(with_ranges(dir.path(), &Use::Containers), dir.path(), &pod);
    let status = server.wait(|status| matches!(phase(status), "Succeeded" | "Failed"));
    let message = state(&status).terminated.unwrap().message.unwrap_or_default();
    assert_eq!(exit_code(&status), Some(0), "{message}");
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[..2], ["1000", "1000 50 2000"], "{message}");
    let owners = |line: &str| line.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ");
    assert_eq!((owners(lines[2]).as_str(), lines[3]), ("1000 1000", "changed"), "{message}");
    assert_eq!(owners(lines[4]), "1000 2000", "the group owns what is made in the volume: {message}");
    assert_eq!(owners(lines[5]), "0 0", "{message}");
    assert_eq!(lines.last(), Some(&"refused"), "root's files are not everybody's: {message}");
    // The server has removed the pod with what belonged to users of the range, and ended without a complaint.
    assert!(server.ended_well());
    // On the machine the image's files belong to the user and to the range.
    let layers = dir.path().join("data/images").join(format!("layers-{FIRST}-{FIRST}"));
    let mut owners = std::collections::BTreeSet::new();
    for layer in fs::read_dir(layers).unwrap() {
        let fs_dir = layer.unwrap().path().join("fs");
        for path in ["bin/busybox", "home/app/own"] {
            owners.extend(fs::symlink_metadata(fs_dir.join(path)).ok().map(|metadata| metadata.uid()));
        }
    }
    assert_eq!(owners.into_iter().collect::<Vec<_>>(), [NOBODY, FIRST + 999]);
}

fn a_later_server_enters_the_ranges_of_the_pods_it_finds() {
    if is_missing("a_later_server_enters_the_ranges_of_the_pods_it_finds") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "until test -e /data/go; do sleep 0.05; done; cat /data/who > /dev/termination-log";
    let own = json!({
        "securityContext": { "runAsUser": 1000 },
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    });
    let mut pod = of_image("p", script, own);
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = Some(serde_json::from_value(json!([{ "name": "data", "emptyDir": {} }])).unwrap());
    spec.security_context = Some(serde_json::from_value(json!({ "supplementalGroups": [3000] })).unwrap());
    let mut server = Server::start(with_ranges(dir.path(), &Use::Containers), dir.path(), &pod);
    pod.status = Some(server.wait(is_running));
    server.kill();
    // Only within the same namespace can it run a program in the container.
    let mut server = Server::start(with_ranges(dir.path(), &Use::Exec), dir.path(), &pod);
    let status = server.wait(|status| matches!(phase(status), "Succeeded" | "Failed"));
    let message = state(&status).terminated.unwrap().message.unwrap_or_default();
    assert_eq!((exit_code(&status), message.as_str()), (Some(0), "1000\n1000 50 3000\n"));
    assert!(server.ended_well());
}

fn with_ranges_processes_of_the_machine_are_their_users_own() {
    if is_missing("with_ranges_processes_of_the_machine_are_their_users_own") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pod = pod("p", "{ id -u; id -g; } > /dev/termination-log", json!({}));
    let mut server = Server::start(with_ranges(dir.path(), &Use::Processes), dir.path(), &pod);
    let status = server.wait(|status| matches!(phase(status), "Succeeded" | "Failed"));
    let message = state(&status).terminated.unwrap().message.unwrap_or_default();
    assert_eq!((exit_code(&status), message), (Some(0), format!("{NOBODY}\n{NOBODY}\n")));
    assert!(server.ended_well());
}
