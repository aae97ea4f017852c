//! Strangers: every kubectl found on this machine runs the tutorial's commands against a node.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::testing::{Node, examples, job, succeeded, text};

/// The kubectl on PATH and its versioned neighbours (`kubectl.1.NN`) of 1.29 and later, which need no protobuf schema.
fn kubectls() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(found) = std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|file| file.exists())
    else {
        println!("NOT RUN: there is no kubectl on this machine");
        return Vec::new();
    };
    let real = fs::canonicalize(&found).unwrap();
    let minor = |name: &str| name.strip_prefix("kubectl.1.").and_then(|minor| minor.parse::<u32>().ok());
    let neighbours = fs::read_dir(real.parent().unwrap_or(Path::new("/"))).unwrap().flatten();
    let mut kubectls: Vec<PathBuf> = neighbours
        .filter(|entry| entry.file_name().to_str().and_then(minor).is_some_and(|minor| minor >= 29))
        .map(|entry| entry.path())
        .collect();
    kubectls.sort();
    if kubectls.is_empty() {
        kubectls.push(real);
    }
    kubectls
}

struct Kubectl<'a> {
    program: &'a Path,
    node: &'a Node,
    home: tempfile::TempDir,
}

impl Kubectl<'_> {
    fn output(&self, words: &str) -> Output {
        let mut command = Command::new(self.program);
        command
            .args(words.split(' '))
            .env("KUBECONFIG", self.node.kubeconfig())
            .env("HOME", self.home.path())
            // Versions before 1.31 must be told.
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "true");
        command.current_dir(examples().join("tutorial")).output().unwrap()
    }

    fn ok(&self, words: &str) -> String {
        let output = self.output(words);
        assert!(
            output.status.success(),
            "{} {words}: {}{}",
            self.program.display(),
            text(&output.stdout),
            text(&output.stderr)
        );
        succeeded(&output)
    }
}

#[test]
fn the_tutorial_s_commands_work_with_every_kubectl() {
    for program in kubectls() {
        println!("with {}", program.display());
        let node = Node::start(&[]);
        tutorial(&Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() });
    }
}

#[test]
fn access_is_given_and_asked_for_with_every_kubectl() {
    for program in kubectls() {
        println!("with {}", program.display());
        let node = Node::start(&["--runtime", "none"]);
        access(&Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() });
    }
}

fn access(kubectl: &Kubectl) {
    assert!(kubectl.ok("cluster-info").contains("is running at"));
    kubectl.ok("create serviceaccount robot");
    let token = kubectl.ok("create token robot --duration=20m");
    assert_eq!(token.split('.').count(), 3, "{token}");
    assert_eq!(
        kubectl.ok("create role reader --verb=get,list --resource=pods,pods/log"),
        "role.rbac.authorization.k8s.io/reader created\n"
    );
    kubectl.ok("create rolebinding reader --role=reader --serviceaccount=default:robot --user=ann");
    kubectl.ok("create clusterrole seer --verb=list --resource=nodes");
    kubectl.ok("create clusterrolebinding seer --clusterrole=seer --group=seers");
    let asked = |words: &str| text(&kubectl.output(&format!("auth can-i {words}")).stdout).trim().to_owned();
    let robot = "system:serviceaccount:default:robot";
    assert_eq!(asked(&format!("list pods --as {robot}")), "yes");
    assert_eq!(asked("delete pods --as ann"), "no");
    assert_eq!(asked("list pods -n kube-system --as ann"), "no");
    assert_eq!(asked("list nodes --as eve --as-group seers"), "yes");
    assert!(kubectl.ok("get pods --as ann").is_empty());
    let refused = kubectl.output("get secrets --as ann");
    assert_eq!(
        text(&refused.stderr),
        "Error from server (Forbidden): secrets is forbidden: User \"ann\" cannot list resource \"secrets\" in API group \
         \"\" in the namespace \"default\"\n"
    );
    let rules = kubectl.ok("auth can-i --list --as ann");
    assert!(
        rules.contains("selfsubjectaccessreviews.authorization.k8s.io") && rules.contains("pods/log"),
        "{rules}"
    );
    let table = kubectl.ok("get rolebindings -o wide");
    assert!(table.contains("Role/reader") && table.contains("default/robot"), "{table}");
    assert!(kubectl.ok("describe clusterrole view").contains("cronjobs.batch"));
    assert!(kubectl.ok("get priorityclasses").contains("system-node-critical"));
    kubectl.ok("create priorityclass high --value=1000");
    assert!(kubectl.ok("get services").contains("kubernetes"));
}

fn tutorial(kubectl: &Kubectl) {
    for file in
        ["batch-task", "pi-calculation", "example-job", "nightly-data-cleanup", "app-config", "env-pod"]
    {
        assert!(kubectl.ok(&format!("create -f {file}.yaml")).ends_with("created\n"));
    }
    let list = kubectl.ok("get cronjobs");
    assert!(
        list.starts_with("NAME                   SCHEDULE      TIMEZONE   SUSPEND   ACTIVE   LAST SCHEDULE"),
        "{list}"
    );
    let described = kubectl.ok("describe cronjob batch-task");
    assert!(described.contains("Schedule:                      */5 * * * *"), "{described}");
    kubectl.ok("wait --for=condition=Complete job/pi-calculation --timeout=60s");
    kubectl.ok("wait --for=jsonpath={.status.phase}=Succeeded pod/env-pod --timeout=60s");
    assert_eq!(kubectl.ok("logs env-pod"), "DATABASE_URL=postgres://db.example.com:5432/app\n");
    assert_eq!(
        kubectl.ok(r#"patch cronjob batch-task -p {"spec":{"suspend":true}}"#),
        "cronjob.batch/batch-task patched\n"
    );
    assert_eq!(kubectl.ok("get cronjob batch-task -o jsonpath={.spec.suspend}"), "true");
    kubectl.ok("create job --from=cronjob/nightly-data-cleanup cleanup-now");
    kubectl.ok("wait --for=jsonpath={.status.conditions[0].reason}=Unschedulable pod -l job-name=cleanup-now --timeout=60s");
    kubectl.ok("create -f pvc-backup-data.yaml");
    kubectl.ok("wait --for=condition=Complete job/cleanup-now --timeout=60s");
    everyday(kubectl);
    assert_eq!(
        kubectl.ok("delete cronjob batch-task").split(" deleted").next(),
        Some("cronjob.batch \"batch-task\"")
    );
    assert!(!kubectl.output("get cronjob batch-task").status.success());
}

/// What else people type every day.
fn everyday(kubectl: &Kubectl) {
    assert_eq!(
        kubectl.ok("apply -f batch-task.yaml").lines().last(),
        Some("cronjob.batch/batch-task configured")
    );
    assert_eq!(kubectl.ok("apply -f batch-task.yaml"), "cronjob.batch/batch-task unchanged\n");
    assert_eq!(kubectl.ok("label cronjob batch-task team=a"), "cronjob.batch/batch-task labeled\n");
    assert_eq!(kubectl.ok("annotate cronjob batch-task note=b"), "cronjob.batch/batch-task annotated\n");
    assert!(kubectl.ok("get cronjobs -l team=a -o name").contains("cronjob.batch/batch-task"));
    assert_eq!(kubectl.ok("create configmap more --from-literal=a=b"), "configmap/more created\n");
    assert_eq!(kubectl.ok("create secret generic token --from-literal=a=b"), "secret/token created\n");
    assert_eq!(kubectl.ok("auth can-i create jobs"), "yes\n");
    assert!(kubectl.ok("get events").contains("SuccessfulCreate"));
    assert_eq!(kubectl.ok("create namespace other"), "namespace/other created\n");
    kubectl.ok("create cronjob tick -n other --image=x --schedule=@hourly -- true");
    assert!(kubectl.ok("delete namespace other").contains("deleted"));
}

#[test]
fn programs_run_in_containers_and_files_are_copied_with_every_kubectl() {
    for program in kubectls() {
        let node = Node::start(&[]);
        let kubectl = Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() };
        let sleeper = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
            containers: [{name: c, image: x, command: [sleep, '1000'], env: [{name: A, value: here}]}]\n";
        let file = node.file("pod.yaml", sleeper);
        kubectl.ok(&format!("apply -f {file}"));
        kubectl.ok("wait --for=condition=Ready pod/p --timeout=60s");
        assert_eq!(kubectl.ok("exec p -- printenv A"), "here\n", "{}", program.display());
        assert_eq!(kubectl.output("exec p -- test 1 -gt 2").status.code(), Some(1));
        let missing = kubectl.output("exec p -- no-such-program");
        let missing = text(&missing.stderr);
        assert!(missing.contains("executable file not found in $PATH"), "{}: {missing}", program.display());
        let used = kubectl.ok("top pod --containers");
        let used: Vec<&str> = used.lines().last().unwrap_or_default().split_whitespace().collect();
        assert!(
            matches!(used[..], ["p", "c", cpu, memory] if cpu.ends_with('m') && memory.ends_with("Mi")),
            "{used:?}"
        );
        let node_used = kubectl.ok("top node");
        assert!(node_used.starts_with("NAME") && node_used.contains('%'), "{node_used}");
        let copy = node.file("copy.yaml", "");
        kubectl.ok(&format!("cp {file} p:{copy}"));
        assert_eq!(fs::read_to_string(&copy).unwrap(), sleeper, "{}", program.display());
        kubectl.ok("delete pod p");
    }
}

/// Every kubectl found, those too that speak SPDY alone.
fn all_kubectls() -> Vec<PathBuf> {
    let newer = kubectls();
    let dirs: BTreeSet<&Path> = newer.iter().filter_map(|program| program.parent()).collect();
    let entries = dirs.into_iter().flat_map(|dir| fs::read_dir(dir).unwrap().flatten());
    let versioned = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("kubectl.1."));
    let older: Vec<PathBuf> =
        versioned.map(|entry| entry.path()).filter(|path| !newer.contains(path)).collect();
    // For what is not beside another one: a list of paths.
    let named = std::env::var_os("CRONLET_TEST_KUBECTLS");
    let named = named.iter().flat_map(std::env::split_paths).collect::<Vec<_>>();
    [older, newer, named].concat()
}

/// A pod of processes of this machine.
fn pod_of(script: &str, streams: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
         restartPolicy: Never\n  containers: [{{name: c, image: x, command: [sh, -c, '{script}']{streams}}}]\n"
    )
}

impl Kubectl<'_> {
    /// Creates a pod without asking what it looks like, which old versions cannot.
    fn create(&self, manifest: &str) {
        let file = self.node.file("pod.yaml", manifest);
        self.ok(&format!("create --validate=false -f {file}"));
        self.ok("wait --for=condition=Ready pod/p --timeout=60s");
    }

    /// As [`Kubectl::output`], with something to read, in both ways of speaking.
    fn fed(&self, words: &[&str], input: &str, websockets: bool) -> Output {
        let mut command = Command::new(self.program);
        command
            .args(words)
            .env("KUBECONFIG", self.node.kubeconfig())
            .env("HOME", self.home.path())
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that has ended reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

#[test]
fn containers_are_attached_to_with_every_kubectl() {
    for program in all_kubectls() {
        for websockets in [false, true] {
            println!("with {}, WebSockets: {websockets}", program.display());
            let node = Node::start(&[]);
            let kubectl = Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() };
            let script = "while read -r line; do echo got $line; done; echo closed; sleep 1";
            kubectl.create(&pod_of(script, ", stdin: true, stdinOnce: true"));
            let output = kubectl.fed(&["attach", "p", "-c", "c", "-i"], "one\ntwo\n", websockets);
            assert_eq!(text(&output.stdout), "got one\ngot two\nclosed\n", "{}", text(&output.stderr));
            assert!(output.status.success(), "{}", text(&output.stderr));
            kubectl.ok("wait --for=condition=Ready=false pod/p --timeout=60s");
            assert_eq!(kubectl.ok("logs p"), "got one\ngot two\nclosed\n");
        }
    }
}

#[test]
fn programs_run_in_containers_over_spdy_with_every_kubectl() {
    for program in all_kubectls() {
        println!("with {}", program.display());
        let node = Node::start(&[]);
        let kubectl = Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() };
        kubectl.create(&pod_of("exec sleep 1000", ""));
        let run = |words: &[&str], input: &str| kubectl.fed(words, input, false);
        let output = run(&["exec", "-i", "p", "--", "sh", "-c", "cat; echo error >&2; exit 3"], "input");
        assert_eq!(text(&output.stdout), "input", "{}", text(&output.stderr));
        assert!(text(&output.stderr).starts_with("error"), "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(3));
        let missing = run(&["exec", "p", "--", "no-such-program"], "");
        let missing = text(&missing.stderr);
        assert!(missing.contains("executable file not found in $PATH"), "{missing}");
        let sent = node.file("sent", &"0123456789".repeat(100_000));
        let copy = node.file("copy", "");
        let output = run(&["cp", &sent, &format!("p:{copy}")], "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(fs::read(&sent).unwrap() == fs::read(&copy).unwrap());
    }
}

#[test]
fn ports_are_forwarded_with_every_kubectl() {
    // The pod has the network of this machine.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            let mut line = String::new();
            BufReader::new(&connection).read_line(&mut line).unwrap();
            if line == "end\n" {
                return;
            }
            connection.write_all(line.repeat(20_000).as_bytes()).unwrap();
        }
    });
    for program in all_kubectls() {
        for websockets in ["false", "true"] {
            println!("with {}, WebSockets: {websockets}", program.display());
            let node = Node::start(&[]);
            let kubectl = Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() };
            kubectl.create(&pod_of("exec sleep 1000", ""));
            let mut forwarding = Command::new(&program)
                .args(["port-forward", "p", &format!(":{port}")])
                .env("KUBECONFIG", node.kubeconfig())
                .env("HOME", kubectl.home.path())
                .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = String::new();
            // Kept, for it goes on telling.
            let mut output = BufReader::new(forwarding.stdout.take().unwrap());
            output.read_line(&mut said).unwrap();
            let local =
                said.strip_prefix("Forwarding from 127.0.0.1:").and_then(|said| said.split(' ').next());
            let local: u16 = local.and_then(|local| local.parse().ok()).unwrap_or_else(|| panic!("{said}"));
            for word in ["first", "second"] {
                let mut connection = TcpStream::connect(("127.0.0.1", local)).unwrap();
                connection.write_all(format!("{word}\n").as_bytes()).unwrap();
                let mut answer = String::new();
                connection.read_to_string(&mut answer).unwrap();
                assert!(answer == format!("{word}\n").repeat(20_000), "{} bytes", answer.len());
            }
            forwarding.kill().unwrap();
            forwarding.wait().unwrap();
        }
    }
    TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b"end\n").unwrap();
    serving.join().unwrap();
}

#[test]
fn kubectl_applies_on_the_server_with_every_version() {
    for program in kubectls() {
        let node = Node::start(&[]);
        let kubectl = Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() };
        let told = |file: &str, more: &str| kubectl.output(&format!("apply --server-side -f {file}{more}"));
        let config = |data: &str| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{data}}}\n")
        };
        let file = node.file("c.yaml", &config("a: '1', b: '2'"));
        assert_eq!(succeeded(&told(&file, "")), "configmap/c serverside-applied\n", "{}", program.display());
        let file = node.file("c.yaml", &config("a: '1'"));
        succeeded(&told(&file, ""));
        assert_eq!(kubectl.ok("get configmap c -o jsonpath={.data}"), "{\"a\":\"1\"}");
        // Somebody else wants another value.
        let file = node.file("c.yaml", &config("a: '3'"));
        let refused = told(&file, " --field-manager=other");
        let words = text(&refused.stderr);
        assert!(!refused.status.success() && words.contains("conflict with \"kubectl\": .data.a"), "{words}");
        succeeded(&told(&file, " --field-manager=other --force-conflicts"));
        assert_eq!(kubectl.ok("get configmap c -o jsonpath={.data.a}"), "3");
        // What was applied in the old way comes over without a conflict, and what is left out goes.
        kubectl.ok("apply -f batch-task.yaml");
        succeeded(&told("batch-task.yaml", ""));
        let owners = kubectl.ok(
            "get cronjob batch-task --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}",
        );
        assert!(owners.split(' ').any(|owner| owner == "kubectl"), "{owners}");
        succeeded(&kubectl.output("diff --server-side -f batch-task.yaml"));
    }
}

#[test]
fn apply_and_kubectl_s_apply_take_turns_and_find_nothing_changed() {
    for program in kubectls() {
        let node = Node::start(&["--runtime", "none"]);
        let kubectl = Kubectl { program: &program, node: &node, home: tempfile::tempdir().unwrap() };
        for (name, kubectl_first) in [("first", true), ("second", false)] {
            let file = node.file("job.yaml", &job(name, "test 1 -lt 2 && echo 'a\tb' > /dev/null"));
            let words = format!("apply -f {file}");
            let mut said = Vec::new();
            for by_kubectl in [kubectl_first, !kubectl_first, kubectl_first] {
                let line =
                    if by_kubectl { kubectl.ok(&words) } else { node.cronlet_ok(&["apply", "-f", &file]) };
                said.push(line.trim_end().rsplit(' ').next().unwrap().to_owned());
            }
            assert_eq!(said, ["created", "unchanged", "unchanged"], "{}", program.display());
        }
    }
}
