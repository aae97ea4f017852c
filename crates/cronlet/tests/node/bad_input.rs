//! Bad input of every sort gets a clear answer that names place, cause and remedy, and leaves nothing behind.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use crate::testing::{CRONLET, Node, text};

/// Applies a manifest that must be refused; returns what was printed. Afterwards nothing of it is there.
fn refused(node: &Node, name: &str, manifest: &str) -> String {
    let file = node.file(name, manifest);
    let output = node.cronlet(&["apply", "-f", &file]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    for resource in ["cronjobs", "jobs"] {
        let list = node.get(&format!("/apis/batch/v1/namespaces/default/{resource}"));
        assert_eq!(list["items"].as_array().map(Vec::len), Some(0), "{resource} were left behind");
    }
    text(&output.stderr)
}

const CRONJOB: &str = "apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: \"0 2 * * *\"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: c
            image: busybox
            command: [\"true\"]
";

#[test]
fn faults_in_a_manifest_are_shown_where_they_are() {
    let node = Node::start(&["--runtime", "none"]);
    let malformed = refused(&node, "malformed.yaml", &CRONJOB.replace("metadata:", "metadata: [oops"));
    assert!(malformed.contains("malformed.yaml:"), "{malformed}");
    assert!(malformed.contains('^'), "{malformed}");

    let unknown = refused(&node, "unknown.yaml", &CRONJOB.replace("schedule:", "scheduel: x\n  schedule:"));
    assert!(unknown.contains("unknown field \"spec.scheduel\""), "{unknown}");
    assert!(unknown.contains("unknown.yaml:6:"), "{unknown}");

    let unknown = CRONJOB
        .replace("schedule:", "scheduel: x\n  schedule:")
        .replace("name: c", "nam: x\n            name: c");
    let unknown = refused(&node, "several.yaml", &unknown);
    assert!(unknown.contains("unknown field \"spec.scheduel\""), "{unknown}");
    assert!(unknown.contains("several.yaml:6:3") && unknown.contains("several.yaml:14:13"), "{unknown}");

    let mistyped = refused(
        &node,
        "type.yaml",
        &CRONJOB.replace("spec:\n  schedule", "spec:\n  suspend: maybe\n  schedule"),
    );
    assert!(mistyped.contains("cannot unmarshal string into Go struct field"), "{mistyped}");
    assert!(mistyped.contains("type.yaml:6:12"), "{mistyped}");

    let two = CRONJOB.replace("\"0 2 * * *\"", "\"61 * * * *\"").replace("Never", "Sometimes");
    let two = refused(&node, "two.yaml", &two);
    assert!(two.contains("two.yaml:6:13"), "{two}");
    assert!(two.contains("end of range (61) above maximum (59): 61"), "{two}");
    assert!(two.contains("two.yaml:11:26"), "{two}");

    let invalid = refused(&node, "schedule.yaml", &CRONJOB.replace("0 2 * * *", "every day"));
    assert!(invalid.contains("expected exactly 5 fields, found 2: [every day]"), "{invalid}");

    let long = refused(&node, "long.yaml", &CRONJOB.replace("nightly", &"n".repeat(53)));
    assert!(long.contains("must be no more than 52 characters"), "{long}");
    assert!(long.contains("long.yaml:4:9"), "{long}");

    let kind = refused(&node, "kind.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n");
    assert!(kind.contains("no matches for kind \"Deployment\" in version \"apps/v1\""), "{kind}");
    assert!(kind.contains("kind.yaml:2:7"), "{kind}");
}

#[test]
fn the_api_answers_with_upstream_s_status() {
    let node = Node::start(&["--runtime", "none"]);
    let jobs = "/apis/batch/v1/namespaces/default/jobs?fieldValidation=Strict";
    let (code, status) = node.post(jobs, b"{bad".to_vec());
    assert_eq!((code, status["reason"].as_str()), (400, Some("BadRequest")));
    let (code, status) = node.post(jobs, br#"{"metadata":{"name":"x"},"spec":{"parallelism":-1}}"#.to_vec());
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(status["details"]["causes"].as_array().map(Vec::len), Some(3), "{status}");
    let (code, status) = node.post(jobs, vec![b' '; 10 << 20]);
    assert_eq!((code, status["reason"].as_str()), (413, Some("RequestEntityTooLarge")), "{status}");
    let (code, status) = node.post("/apis/apps/v1/namespaces/default/deployments", b"{}".to_vec());
    assert_eq!((code, status["reason"].as_str()), (404, Some("NotFound")));
}

/// Runs `cronlet up`, which must refuse to start; returns what it printed.
fn does_not_start(command: &mut Command) -> String {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let mut node = Node::start(&["--runtime", "none"]);
    let held = does_not_start(&mut node.command());
    assert!(held.contains("data") && held.contains("another node"), "{held}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let elsewhere = node.path("elsewhere");
    let up = |arguments: &[&str]| {
        let mut command = Command::new(CRONLET);
        command.arg("up").args(arguments).stdin(Stdio::null());
        does_not_start(&mut command)
    };
    let port = up(&["--listen", &address, "--data-dir", elsewhere.to_str().unwrap()]);
    assert!(port.contains(&address) && port.contains("in use"), "{port}");
    assert!(!elsewhere.exists(), "nothing was left behind");

    let foreign = up(&["--listen", "192.0.2.1:99", "--data-dir", elsewhere.to_str().unwrap()]);
    assert!(foreign.contains("hint: the address must be one of this machine's own"), "{foreign}");

    let processes = up(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        elsewhere.to_str().unwrap(),
        "--pod-network",
        "bridge",
        "--runtime",
        "process",
    ]);
    assert!(processes.contains("hint: add `--runtime oci`"), "{processes}");
    let output = Command::new(CRONLET).args(["up", "--pod-cidr", "10.0.0.1/24"]).output().unwrap();
    let bits = text(&output.stderr);
    assert!(output.status.code() == Some(2) && bits.contains("write 10.0.0.0/24"), "{bits}");

    let file = node.file("file", "");
    let not_a_directory = up(&["--listen", "127.0.0.1:0", "--data-dir", &file]);
    assert!(not_a_directory.contains(&file), "{not_a_directory}");

    let unreadable = up(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        elsewhere.to_str().unwrap(),
        "-f",
        &node.file("x.yaml", "a: ["),
    ]);
    assert!(unreadable.contains("x.yaml:1:"), "{unreadable}");
    assert!(!elsewhere.exists(), "nothing was left behind");

    let refused = node.file("refused.yaml", &CRONJOB.replace("Never", "Sometimes"));
    let kubeconfig = node.path("elsewhere.kubeconfig");
    let up_refused = |data_dir: &Path| {
        let paths = [data_dir, &data_dir.join("log"), &kubeconfig].map(|path| path.display().to_string());
        let [data_dir, log_root, kubeconfig] = &paths;
        let directories = ["--data-dir", data_dir, "--log-root", log_root, "--kubeconfig", kubeconfig];
        up(&[&["--listen", "127.0.0.1:0", "-f", &refused], &directories[..]].concat())
    };
    let message = up_refused(&elsewhere);
    assert!(message.contains("nothing was applied"), "{message}");
    assert!(!elsewhere.exists() && !kubeconfig.exists(), "nothing was left behind");
    node.terminate();
    up_refused(&node.data_dir());
    // Not how long it is: the node itself writes at every start.
    let database = fs::read(node.data_dir().join("cronlet.db")).unwrap();
    let refused_text = b"Sometimes".as_slice();
    assert!(!database.windows(refused_text.len()).any(|bytes| bytes == refused_text), "nothing was applied");
    node.restart();
}

#[test]
fn a_foreign_or_damaged_database_is_refused_and_left_as_it_is() {
    let mut node = Node::start(&["--runtime", "none"]);
    node.terminate();
    let database = node.data_dir().join("cronlet.db");
    for garbage in [
        &b"not a database, but somebody's notes, which are longer than a page header ................"[..],
        b"",
    ] {
        let mut content = garbage.to_vec();
        content.resize(garbage.len().max(1) * 64, b'.');
        fs::write(&database, &content).unwrap();
        let message = does_not_start(&mut node.command());
        assert!(message.contains("cronlet.db"), "{message}");
        assert_eq!(fs::read(&database).unwrap(), content);
    }
}

#[test]
fn a_read_only_data_directory_is_refused() {
    if rustix::process::geteuid().is_root() {
        // Permissions do not bind root; a read-only mount does.
        let made =
            Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
        if !made {
            println!("NOT RUN: mount namespaces are not available");
            return;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let script = if rustix::process::geteuid().is_root() {
        format!("mount -t tmpfs -o ro none {path} && exec \"$0\" up --listen 127.0.0.1:0 --data-dir {path}")
    } else {
        format!("chmod 555 {path} && exec \"$0\" up --listen 127.0.0.1:0 --data-dir {path}")
    };
    let mut command = Command::new("unshare");
    if rustix::process::geteuid().is_root() {
        command.args(["--mount", "sh", "-c", &script, CRONLET]);
    } else {
        command = Command::new("sh");
        command.args(["-c", &script, CRONLET]);
    }
    let message = does_not_start(&mut command);
    assert!(message.contains(path), "{message}");
    if rustix::process::geteuid().is_root() {
        assert!(message.contains("read-only: mount it for writing"), "{message}");
    }
}

/// A directory whose `data` is a file system of 4 MiB; nothing where it cannot be mounted.
fn small_disk() -> Option<(tempfile::TempDir, Unmount)> {
    if !rustix::process::geteuid().is_root() {
        println!("NOT RUN: only root can mount a small file system");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&data).status().unwrap();
    if !mounted.success() {
        println!("NOT RUN: a small file system cannot be mounted");
        return None;
    }
    Some((directory, Unmount(data)))
}

#[test]
fn a_node_that_finds_its_disk_full_says_so() {
    let Some((directory, unmount)) = small_disk() else { return };
    let mut node = Node::start_in(&["--runtime", "none"], directory);
    assert!(node.terminate().success());
    let filler = node.data_dir().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let message = does_not_start(&mut node.command());
    assert!(message.contains("no space left for") && message.contains("free some"), "{message}");
    fs::remove_file(filler).unwrap();
    node.restart();
    drop(node);
    drop(unmount);
}

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    // A quarter of the disk is somebody else's file; the rest is filled through the node's own API.
    let Some((directory, unmount)) = small_disk() else { return };
    let data = directory.path().join("data");
    let filler = data.join("filler");
    fs::write(&filler, vec![0; 1 << 20]).unwrap();
    let node = Node::start_in(&["--runtime", "none"], directory);
    let path = "/api/v1/namespaces/default/configmaps";
    let config_map = |name: &str, bytes: usize| {
        serde_json::json!({"metadata": {"name": name}, "data": {"x": "x".repeat(bytes)}})
            .to_string()
            .into_bytes()
    };
    let mut accepted = 0;
    let refusal = loop {
        let (code, status) = node.post(path, config_map(&format!("filler-{accepted}"), 200_000));
        if code != 201 {
            break status;
        }
        accepted += 1;
        assert!(accepted < 100, "4 MiB hold no more than that");
    };
    assert_eq!(refusal["code"], 500, "{refusal}");
    let stderr = node.wait_for_stderr("no space left");
    assert_eq!(stderr.matches("no space left").count(), 1, "told once: {stderr}");
    assert!(!stderr.contains('\x1b'), "no colours where there is no terminal: {stderr}");
    assert!(refusal["message"].as_str().unwrap().contains("no space left"), "{refusal}");
    let list = node.get(path);
    let fillers = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["metadata"]["name"].as_str().unwrap().starts_with("filler"));
    assert_eq!(fillers.count(), accepted, "what was refused is not there");
    fs::remove_file(filler).unwrap();
    let (code, status) = node.post(path, config_map("afterwards", 100_000));
    assert_eq!(code, 201, "with room on the disk, writing resumes: {status}");
    drop(node);
    drop(unmount);
}

/// Unmounts a file system at the end of a test, whatever happened.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}
