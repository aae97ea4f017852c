//! The command line of its own: get, describe, logs, delete, kubeconfig, version, completion.

use crate::testing::{Node, examples, job, text};

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
