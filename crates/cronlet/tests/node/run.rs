//! `cronlet run`: outcomes, output, and what is left behind, which is nothing.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::testing::{CRONLET, Node, examples, job, succeeded, text};

/// `cronlet run` where `home` is, without any node on this machine.
fn alone(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(CRONLET);
    command
        .arg("run")
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env("HOME", home)
        .env("XDG_STATE_HOME", home)
        .env("TMPDIR", home);
    command
}

fn run_alone(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    alone(home.path(), arguments).output().unwrap()
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
fn run_ends_its_pods_and_leaves_nothing_when_it_is_told_to_end() {
    for signal in ["-TERM", "-HUP", "-INT"] {
        let home = tempfile::tempdir().unwrap();
        let (_keep, long) = file("long.yaml", &job("long", "echo $$$$; exec sleep 600"));
        let mut command = alone(home.path(), &["-f", &long]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut pid).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists(), "{process:?}");
        assert!(fs::read_dir(home.path()).unwrap().count() > 0, "the node has a directory");

        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{signal}");
        assert!(text(&output.stderr).contains("the pods were ended"), "{}", text(&output.stderr));
        assert!(!process.exists(), "{signal}");
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

/// A Job whose init container fails once and whose container fails twice, each telling where it is.
const RESTARTED: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: restarted}
spec:
  template:
    spec:
      restartPolicy: OnFailure
      volumes: [{name: count, emptyDir: {}}]
      initContainers:
      - &container
        name: init
        image: busybox
        command: [sh, -c, 'echo x >> $0; echo $1 $(wc -l < $0); test $(wc -l < $0) -ge $2', /count/init, init, '2']
        volumeMounts: [{name: count, mountPath: /count}]
      containers:
      - <<: *container
        name: main
        command: [sh, -c, 'echo x >> $0; echo $1 $(wc -l < $0); test $(wc -l < $0) -ge $2', /count/main, main, '2']
";

#[test]
fn the_output_of_every_attempt_is_shown_once_and_in_order() {
    let (_keep, restarted) = file("restarted.yaml", RESTARTED);
    let output = run_alone(&["-f", &restarted]);
    assert_eq!(succeeded(&output), "init 1\ninit 2\nmain 1\nmain 2\n");

    let node = Node::start(&["--logs", "-f", &restarted]);
    node.wait_for_stderr("job/restarted is Complete");
    let stderr = node.wait_for_stderr("| main 2");
    let shown: Vec<&str> = stderr.lines().filter_map(|line| Some(line.split_once(" | ")?.1)).collect();
    assert_eq!(shown, ["init 1", "init 2", "main 1", "main 2"]);
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
fn run_says_why_a_pod_does_not_start() {
    let no_command = job("bare", "").replace("        command: [sh, -c, \"\"]\n", "");
    let (_keep, no_command) = file("bare.yaml", &no_command);
    let output = run_alone(&["-f", &no_command, "--timeout", "1500ms"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let warnings: Vec<&str> = stderr.lines().filter(|line| line.starts_with("warning: pod/bare-")).collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(warnings[0].contains(": Failed: Error: ") && warnings[0].contains("command"), "{stderr}");
    let end = stderr.lines().last().unwrap();
    assert!(end.contains("did not end in time and was deleted: pod/bare-"), "{stderr}");

    let claim = "      volumes: [{name: v, persistentVolumeClaim: {claimName: missing}}]\n      containers:";
    let (_keep, claim) = file("claim.yaml", &job("claim", "true").replace("      containers:", claim));
    let stderr = text(&run_alone(&["-f", &claim, "--timeout", "1500ms"]).stderr);
    assert!(stderr.contains("FailedScheduling: ") && stderr.contains("\"missing\" not found"), "{stderr}");
}

/// A CronJob whose Job prints its own namespace.
const CRONJOB: &str = "apiVersion: batch/v1
kind: CronJob
metadata:
  generateName: nightly-
  namespace: team
spec:
  schedule: '0 2 * * *'
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: c
            image: busybox
            command: [sh, -c, 'echo in $NAMESPACE']
            env:
            - name: NAMESPACE
              valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
";

#[test]
fn run_takes_the_manifest_s_namespace_and_lets_the_server_choose_a_name() {
    let (_keep, cronjob) = file("cronjob.yaml", CRONJOB);
    let output = run_alone(&["-f", &cronjob]);
    assert_eq!(succeeded(&output), "in team\n");
    assert!(text(&output.stderr).contains("job/nightly-manual-"), "{}", text(&output.stderr));

    let generated = job("x", "echo done").replace("name: x", "generateName: x-");
    let (_keep, generated) = file("job.yaml", &generated);
    let output = run_alone(&["-f", &generated, "-n", "other"]);
    assert_eq!(succeeded(&output), "done\n");

    let node = Node::start(&[]);
    assert_eq!(node.cronlet(&["run", "-f", &cronjob]).status.code(), Some(1), "the namespace is missing");
    let team = node.file("team.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n");
    node.cronlet_ok(&["apply", "-f", &team]);
    assert_eq!(node.cronlet_ok(&["run", "-f", &cronjob]), "in team\n");
}

#[test]
fn run_shows_where_a_manifest_is_wrong() {
    let refused = |name: &str, manifest: &str| {
        let (_keep, path) = file(name, manifest);
        let output = run_alone(&["-f", &path]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let unknown = refused("unknown.yaml", &job("x", "true").replace("backoffLimit", "backofLimit"));
    assert!(unknown.contains("unknown.yaml:6:3") && unknown.contains('^'), "{unknown}");
    let invalid = refused("invalid.yaml", &job("x", "true").replace("backoffLimit: 0", "backoffLimit: -1"));
    assert!(invalid.contains("invalid.yaml:6:17"), "{invalid}");
    let schedul = refused("schedul.yaml", &CRONJOB.replace("schedule:", "schedul:"));
    assert!(schedul.contains("schedul.yaml:7:3"), "{schedul}");
    let schedule = refused("schedule.yaml", &CRONJOB.replace("0 2 *", "0 25 *"));
    assert!(schedule.contains("schedule.yaml:7:13"), "{schedule}");
    let zone = refused("zone.yaml", &CRONJOB.replace("schedule:", "timeZone: Mars/Base\n  schedule:"));
    assert!(zone.contains("spec.timeZone: ") && zone.contains("zone.yaml:7:13"), "{zone}");
    let containers = refused("containers.yaml", &CRONJOB.replace("containers:", "container:"));
    assert!(containers.contains("containers.yaml:13:11"), "{containers}");
    let template = refused("template.yaml", &CRONJOB.replace("Never", "Sometimes"));
    assert!(template.contains("template.yaml:12:26"), "{template}");
}
