//! The command line of its own: run, get, describe, logs, delete, kubeconfig, version, completion.

use std::{fs, process::Command};

use crate::testing::{CRONLET, Node, examples, job, succeeded, text};

/// Runs `cronlet run` without any node on this machine.
fn run_alone(arguments: &[&str]) -> std::process::Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(CRONLET)
        .arg("run")
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .output()
        .unwrap()
}

fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn run_exits_with_the_job_s_outcome() {
    let (_keep, good) = file("good.yaml", &job("good", "echo hello; sleep 0.1; echo world"));
    let output = run_alone(&["-f", &good]);
    assert_eq!(succeeded(&output), "hello\nworld\n");

    let (_keep, bad) = file("bad.yaml", &job("bad", "echo oops; exit 3"));
    let output = run_alone(&["-f", &bad]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), "oops\n"));
    assert!(
        text(&output.stderr).contains("Job has reached the specified backoff limit"),
        "{}",
        text(&output.stderr)
    );

    let (_keep, broken) = file("broken.yaml", "kind: Job\nmetadata: [");
    assert_eq!(run_alone(&["-f", &broken]).status.code(), Some(2));
    assert_eq!(run_alone(&[]).status.code(), Some(2));
}

#[test]
fn run_gives_up_in_time() {
    let (_keep, slow) = file("slow.yaml", &job("slow", "sleep 600"));
    let output = run_alone(&["-f", &slow, "--timeout", "500ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did not end in time"), "{}", text(&output.stderr));
}

#[test]
fn run_starts_a_cronjob_now_with_overrides() {
    let node = Node::start(&["-f", examples().join("quickstart").to_str().unwrap()]);
    let output = node.cronlet_ok(&["run", "cronjob/hello", "--env", "MESSAGE=Overridden"]);
    assert!(output.starts_with("Overridden: it is "), "{output}");
    let jobs = node.get("/apis/batch/v1/namespaces/default/jobs");
    let job = jobs["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual");
    assert!(job.unwrap()["metadata"]["name"].as_str().unwrap().starts_with("hello-manual-"));
}

#[test]
fn objects_are_applied_listed_described_and_deleted() {
    let node = Node::start(&["--runtime", "none"]);
    let quickstart = examples().join("quickstart");
    let quickstart = quickstart.to_str().unwrap();
    assert_eq!(
        node.cronlet_ok(&["apply", "-f", quickstart]),
        "configmap/hello created\ncronjob.batch/hello created\n"
    );
    assert_eq!(
        node.cronlet_ok(&["apply", "-f", quickstart]),
        "configmap/hello unchanged\ncronjob.batch/hello unchanged\n"
    );
    let table = node.cronlet_ok(&["get", "cronjobs"]);
    assert!(
        table.starts_with("NAME    SCHEDULE    TIMEZONE   SUSPEND   ACTIVE   LAST SCHEDULE   AGE\nhello"),
        "{table}"
    );
    assert_eq!(node.cronlet_ok(&["get", "cj", "-o", "name"]), "cronjob.batch/hello\n");
    assert!(node.cronlet_ok(&["get", "cj/hello", "-o", "yaml"]).contains("concurrencyPolicy: Forbid"));
    let description = node.cronlet_ok(&["describe", "cronjob", "hello"]);
    assert!(description.contains("Concurrency Policy:          Forbid"), "{description}");
    assert_eq!(node.cronlet_ok(&["delete", "cronjob", "hello"]), "cronjob.batch \"hello\" deleted\n");
    let again = node.cronlet(&["delete", "cronjob", "hello"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(text(&again.stderr), "error: from server (NotFound): cronjobs.batch \"hello\" not found\n");
}

#[test]
fn a_running_pod_is_deleted_within_its_grace() {
    let node = Node::start(&[]);
    let manifest =
        node.file("job.yaml", &job("long", "trap 'echo bye; exit 0' TERM; while true; do sleep 0.05; done"));
    node.cronlet_ok(&["apply", "-f", &manifest]);
    let pod = node.wait_for_pod("", "Running");
    let name = pod["metadata"]["name"].as_str().unwrap();
    assert_eq!(node.cronlet_ok(&["delete", "pod", name]), format!("pod \"{name}\" deleted\n"));
    assert!(!node.get_text("/api/v1/namespaces/default/pods").contains(name));
}

#[test]
fn small_commands_say_what_they_should() {
    let node = Node::start(&["--runtime", "none"]);
    let data_dir = node.data_dir();
    let path = node.cronlet_ok(&["kubeconfig", "--path", "--data-dir", data_dir.to_str().unwrap()]);
    assert_eq!(path.trim_end(), node.kubeconfig().to_str().unwrap());
    assert!(node.cronlet_ok(&["version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(node.cronlet_ok(&["completion", "bash"]).contains("_cronlet"));
}
