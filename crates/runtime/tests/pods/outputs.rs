//! What containers print, and what they say last.

use std::os::unix::fs::PermissionsExt as _;

use cronlet_runtime::logs::{LogError, LogOptions};
use jiff::SignedDuration;
use serde_json::json;

use crate::node::{Node, container, exit_code, is_running, pod, read, shell, state, wait_for_files};

crate::tests![
    ten_thousand_lines_arrive_whole_and_in_order,
    what_is_not_a_line_arrives_as_it_was_written,
    both_streams_are_kept_under_the_conventional_paths,
    others_may_read_the_directories_of_logs_and_a_group_their_files,
    a_followed_log_ends_with_its_container,
    parts_of_a_log_can_be_asked_for,
    the_log_of_the_attempt_before_is_kept,
    what_was_rotated_is_compressed_when_the_container_has_ended,
    the_last_message_is_reported,
    the_end_of_the_log_stands_in_for_the_last_message,
    the_environment_is_the_containers_alone,
];

fn ten_thousand_lines_arrive_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod(
        "p",
        "i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done; exit 7",
        json!({}),
    ));
    assert_eq!(exit_code(&node.end("p")), Some(7));
    let expected: String = (0..10_000).map(|i| format!("line {i}\n")).collect();
    assert!(node.log("p") == expected, "lines are missing or out of order");
}

fn what_is_not_a_line_arrives_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let script = "head -c 100000 /dev/zero | tr '\\0' x; printf '\\n\\r\\n  no end'";
    node.create(&pod("p", script, json!({})));
    node.end("p");
    assert!(node.log("p") == format!("{}\n\r\n  no end", "x".repeat(100_000)));
}

fn both_streams_are_kept_under_the_conventional_paths() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "echo out; sleep 0.02; echo err >&2", json!({})));
    let status = node.end("p");
    let id = container(&status).container_id.clone().unwrap().replace("cronlet://", "");
    let link = dir.path().join("log/containers").join(format!("p_default_c-{id}.log"));
    assert_eq!(std::fs::read_link(&link).unwrap(), dir.path().join("log/pods/default_p_uid-p/c/0.log"));
    let text = std::fs::read_to_string(link).unwrap();
    let records: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(records, ["stdout F out", "stderr F err"]);
}

fn others_may_read_the_directories_of_logs_and_a_group_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "echo out", json!({})));
    node.end("p");
    let mode =
        |path: &str| dir.path().join("log").join(path).metadata().unwrap().permissions().mode() & 0o7777;
    for path in ["pods", "pods/default_p_uid-p", "pods/default_p_uid-p/c", "containers"] {
        assert_eq!(mode(path), 0o755, "{path}");
    }
    assert_eq!(mode("pods/default_p_uid-p/c/0.log"), 0o640);
}

fn a_followed_log_ends_with_its_container() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "echo one; sleep 0.1; echo two; sleep 0.1; printf three", json!({})));
    node.wait("p", is_running);
    assert_eq!(node.follow_until("p", "never written"), "one\ntwo\nthree");
    node.end("p");
    assert_eq!(node.follow_until("p", "never written"), "one\ntwo\nthree");
}

fn parts_of_a_log_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("p", "echo one; sleep 0.05; echo two; sleep 0.05; echo three", json!({})));
    node.end("p");
    let (logs, source) = (node.runtime.logs(), node.source("p", "c"));
    let part = |options| read(&logs, &source, options, |_| true);
    let all = || LogOptions::default();
    assert_eq!(part(LogOptions { tail_lines: Some(2), ..all() }), "two\nthree\n");
    assert_eq!(part(LogOptions { tail_lines: Some(0), ..all() }), "");
    assert_eq!(part(LogOptions { tail_lines: Some(9), ..all() }), "one\ntwo\nthree\n");
    assert_eq!(part(LogOptions { limit_bytes: Some(5), ..all() }), "one\nt");
    let stamped = part(LogOptions { timestamps: true, ..all() });
    let times: Vec<jiff::Timestamp> =
        stamped.lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
    assert_eq!(times.len(), 3);
    assert_eq!(part(LogOptions { since: Some(times[1]), ..all() }), "two\nthree\n");
    let later = times[2] + SignedDuration::from_nanos(1);
    assert_eq!(part(LogOptions { since: Some(later), ..all() }), "");
    let missing = node.source("p", "other");
    assert!(matches!(logs.read(&missing, all()).err(), Some(LogError::NotStarted(name)) if name == "other"));
    let previous = LogOptions { previous: true, ..all() };
    assert!(matches!(logs.read(&source, previous).err(), Some(LogError::NoPrevious(_))));
}

fn the_log_of_the_attempt_before_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let marker = dir.path().join("marker");
    let script =
        format!("[ -e {0} ] && {{ echo second; exit 0; }}; touch {0}; echo first; exit 1", marker.display());
    node.create(&pod("p", &script, json!({ "restartPolicy": "OnFailure" })));
    let status = node.end("p");
    assert_eq!(container(&status).restart_count, 1);
    assert_eq!(node.log("p"), "second\n");
    let previous = LogOptions { previous: true, ..LogOptions::default() };
    assert_eq!(read(&node.runtime.logs(), &node.source("p", "c"), previous, |_| true), "first\n");
}

fn message_of(node: &mut Node, name: &str) -> Option<String> {
    state(&node.end(name)).terminated.unwrap().message
}

fn what_was_rotated_is_compressed_when_the_container_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    // With the time in front of each line, three files are full.
    node.create(&pod("p", "seq -f %01000.0f 1 34000", json!({})));
    node.end("p");
    let logs = dir.path().join("log/pods/default_p_uid-p/c");
    // The name of the current file sorts before those of what was rotated.
    let compressed = |names: &[String]| names.iter().map(|name| name.ends_with(".gz")).collect::<Vec<_>>();
    wait_for_files(&logs, |names| compressed(names) == [false, true, true, false]);
    assert!(
        node.log("p").lines().map(|line| line.parse::<i32>().unwrap()).eq(1..=34_000),
        "lines are missing"
    );
    let options = LogOptions { tail_lines: Some(30_000), ..LogOptions::default() };
    let tail = read(&node.runtime.logs(), &node.source("p", "c"), options, |_| true);
    assert!(tail.lines().map(|line| line.parse::<i32>().unwrap()).eq(4_001..=34_000), "the tail is another");
}

fn the_last_message_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    node.create(&pod("default", "echo done > /dev/termination-log; [ -c /dev/null ]", json!({})));
    assert_eq!(message_of(&mut node, "default").as_deref(), Some("done\n"));
    let own = json!({ "containers": [{ "terminationMessagePath": "/cronlet-test/message" }] });
    node.create(&pod("own", "yes 0123456 | head -c 8192 > /cronlet-test/message; exit 1", own));
    assert_eq!(message_of(&mut node, "own").unwrap(), "0123456\n".repeat(512));
    // Four containers share what a pod may say.
    let others: Vec<_> = ["c", "d", "e", "f"]
        .iter()
        .map(|name| shell(name, "yes 123 | head -c 5000 > /dev/termination-log"))
        .collect();
    node.create(&pod("shared", "", json!({ "containers": others })));
    assert_eq!(message_of(&mut node, "shared").unwrap().len(), 12 * 1024 / 4);
    assert!(!std::path::Path::new("/dev/termination-log").exists());
}

fn the_end_of_the_log_stands_in_for_the_last_message() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let policy = json!({ "containers": [{ "terminationMessagePolicy": "FallbackToLogsOnError" }] });
    node.create(&pod("few", "for i in $(seq 100); do echo $i; done; exit 1", policy.clone()));
    let last: String = (21..=100).map(|i| format!("{i}\n")).collect();
    assert_eq!(message_of(&mut node, "few").unwrap(), last);
    let line = format!("{}\n", "x".repeat(63));
    node.create(&pod("long", &format!("yes {} | head -c 6400; exit 1", line.trim_end()), policy.clone()));
    assert_eq!(message_of(&mut node, "long").unwrap(), line.repeat(2048 / 64));
    node.create(&pod("good", "echo fine", policy.clone()));
    assert_eq!(message_of(&mut node, "good"), None);
    node.create(&pod("said", "echo log; echo message > /dev/termination-log; exit 1", policy));
    assert_eq!(message_of(&mut node, "said").as_deref(), Some("message\n"));
}

fn the_environment_is_the_containers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::new(dir.path());
    let env =
        json!([{ "name": "GREETING", "value": "hi $(HOST_PORT) $(TEXT)" }, { "name": "TEXT", "value": "x" }]);
    node.create(&pod("p", "", json!({ "containers": [{ "command": ["env"], "env": env }] })));
    node.end("p");
    let log = node.log("p");
    let mut names: Vec<_> = log.lines().map(|line| line.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(names, ["GREETING", "HOME", "HOSTNAME", "PATH", "TEXT"]);
    assert!(log.contains("GREETING=hi $(HOST_PORT) $(TEXT)\n") && log.contains("HOSTNAME=p\n"));
}
