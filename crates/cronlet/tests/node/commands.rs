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
fn a_namespace_comes_together_with_what_is_in_it() {
    // One object stands before its namespace, and its name is taken in another one.
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: team}\n";
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n";
    let job = job("work", "true").replace("  name: work", "  name: work\n  namespace: team");
    let directory = tempfile::tempdir().unwrap();
    let manifests = directory.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(manifests.join("all.yaml"), format!("{config}---\n{namespace}---\n{job}")).unwrap();
    let path = manifests.to_str().unwrap().to_owned();

    let node = Node::start_in(&["--runtime", "none", "-f", &path], directory);
    assert!(node.stderr().starts_with("namespace/team created\n"), "{}", node.stderr());
    assert_eq!(node.get("/apis/batch/v1/namespaces/team/jobs")["items"].as_array().unwrap().len(), 1);

    let other = Node::start(&["--runtime", "none"]);
    other.cronlet_ok(&["apply", "-f", &other.file("same.yaml", &config.replace("team", "default"))]);
    let trial = other.cronlet_ok(&["apply", "--dry-run", "-f", &path]);
    assert!(trial.contains("job.batch/work created (server dry run)"), "{trial}");
    assert!(other.cronlet_ok(&["apply", "-f", &path]).contains("job.batch/work created"));
}

#[test]
fn a_bad_object_in_a_new_namespace_leaves_nothing_behind() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n";
    let job = job("work", "true").replace("  name: work", "  name: work\n  namespace: team");
    let node = Node::start(&["--runtime", "none"]);
    let bad = node.file("bad.yaml", &format!("{namespace}---\n{}", job.replace("Never", "Sometimes")));
    let output = node.cronlet(&["apply", "--dry-run", "-f", &bad]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("bad.yaml:14:"), "{}", text(&output.stderr));
    assert!(!node.get_text("/api/v1/namespaces").contains("team"));
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
