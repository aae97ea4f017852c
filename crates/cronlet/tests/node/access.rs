//! People with roles and programs with tokens, as they meet a node.

use std::{fs, process::Command};

use serde_json::json;

use crate::testing::{CRONLET, Node, examples, text};

/// Runs `cronlet` with another kubeconfig than the administrator's.
fn with(kubeconfig: &str, arguments: &[&str]) -> std::process::Output {
    Command::new(CRONLET).args(arguments).env("KUBECONFIG", kubeconfig).output().unwrap()
}

#[test]
fn a_user_may_do_what_their_role_says() {
    let node = Node::start(&["--runtime", "none"]);
    let data_dir = node.data_dir();
    let data_dir = data_dir.to_str().unwrap();
    let make = |arguments: &[&str]| {
        let all = [&["kubeconfig", "--data-dir", data_dir, "--user", "ann"], arguments].concat();
        node.file("ann.kubeconfig", &node.cronlet_ok(&all))
    };
    let ann = make(&["--role", "view", "-n", "default"]);
    let shown = with(&ann, &["get", "cronjobs"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let refused = with(&ann, &["get", "cronjobs", "-n", "kube-system"]);
    assert_eq!(
        text(&refused.stderr),
        "error: from server (Forbidden): cronjobs.batch is forbidden: User \"ann\" cannot list resource \"cronjobs\" in \
         API group \"batch\" in the namespace \"kube-system\"\n"
    );
    let quickstart = examples().join("quickstart");
    let quickstart = quickstart.to_str().unwrap();
    assert!(!with(&ann, &["apply", "-f", quickstart]).status.success());

    // Twice is no more than once, and a second role is one more.
    make(&["--role", "view", "-n", "default"]);
    let ann = make(&["--role", "edit"]);
    let applied = with(&ann, &["apply", "-f", quickstart]);
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    assert!(with(&ann, &["get", "cronjobs", "-n", "kube-system"]).status.success());
    assert!(!with(&ann, &["get", "nodes"]).status.success());

    let system =
        node.cronlet(&["kubeconfig", "--data-dir", data_dir, "--user", "system:admin", "--role", "view"]);
    assert!(text(&system.stderr).contains("no name for a user"), "{}", text(&system.stderr));
}

#[test]
fn a_node_has_what_clients_expect_also_after_a_restart() {
    let mut node = Node::start(&["--runtime", "none"]);
    let names = |node: &Node, path: &str| -> Vec<String> {
        let list = node.get(path);
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let check = |node: &Node| {
        assert_eq!(
            names(node, "/api/v1/namespaces"),
            ["default", "kube-node-lease", "kube-public", "kube-system"]
        );
        assert_eq!(
            names(node, "/apis/scheduling.k8s.io/v1/priorityclasses"),
            ["system-cluster-critical", "system-node-critical"]
        );
        let view = node.get(&format!("{roles}/view"));
        assert!(!view["rules"].as_array().unwrap().is_empty(), "{view}");
        node.get("/api/v1/namespaces/default/services/kubernetes")["spec"]["ports"][0].clone()
    };
    let port = check(&node);
    assert_eq!((&port["port"], &port["name"]), (&json!(443), &json!("https")));
    let kubeconfig = fs::read_to_string(node.kubeconfig()).unwrap();
    assert!(kubeconfig.contains(&format!("https://127.0.0.1:{}\n", port["targetPort"])), "{port}");
    let (version, view) = {
        let view = node.get(&format!("{roles}/view"));
        (view["metadata"]["resourceVersion"].clone(), view["rules"].clone())
    };
    node.restart();
    check(&node);
    let again = node.get(&format!("{roles}/view"));
    assert_eq!(
        (&again["metadata"]["resourceVersion"], &again["rules"]),
        (&version, &view),
        "it was complete"
    );
}

#[test]
fn a_pod_that_asks_for_a_token_gets_one_of_its_account() {
    let node = Node::start(&[]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asker"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "t", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
            ]}}],
            "containers": [{
                "name": "c", "image": "host", "volumeMounts": [{"name": "t", "mountPath": "/cronlet-test"}],
                "command": ["/bin/sh", "-c", "cat /cronlet-test/token; echo; echo https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"],
            }],
        },
    });
    let (code, answer) = node.post("/api/v1/namespaces/default/pods", pod.to_string().into_bytes());
    assert_eq!(code, 201, "{answer}");
    node.wait_for_pod("fieldSelector=metadata.name%3Dasker", "Succeeded");
    let log = node.get_text("/api/v1/namespaces/default/pods/asker/log");
    let (token, server) = log.trim_end().split_once('\n').unwrap_or_else(|| panic!("{log:?}"));
    let kubeconfig = fs::read_to_string(node.kubeconfig()).unwrap();
    assert!(kubeconfig.contains(&format!("server: {server}\n")), "{server}");
    let review = json!({"spec": {"token": token}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, answer) = node.post(reviews, review.to_string().into_bytes());
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:default:default", "{answer}");
    let pod = &answer["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"];
    assert_eq!(pod, &json!(["asker"]));
}
