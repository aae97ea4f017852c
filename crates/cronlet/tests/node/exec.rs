//! `cronlet exec`: retries, time limits and breakers for commands, without any node.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use crate::testing::{CRONLET, text};

fn exec(arguments: &[&str]) -> Command {
    let mut command = Command::new(CRONLET);
    command.arg("exec").args(arguments).env_remove("CRONLET_STATE_DIR");
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = exec(arguments).output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn a_command_is_tried_again_and_its_last_code_is_the_exit_code() {
    let script = "echo $CRONLET_ATTEMPT; exit $((3 - CRONLET_ATTEMPT))";
    let (code, out, err) = output(&["--retry", "2", "--delay", "1ms", "--", "sh", "-c", script]);
    assert_eq!((code, out.as_str()), (Some(0), "1\n2\n3\n"));
    assert_eq!(
        err,
        "cronlet exec: attempt 1 ended with 2; again in 1ms\ncronlet exec: attempt 2 ended with 1; again in 1ms\n"
    );
    assert_eq!(output(&["--", "sh", "-c", "exit 7"]), (Some(7), String::new(), String::new()));
    let permanent = ["--retry", "5", "--permanent", "2,65", "--", "sh", "-c", "echo once; exit 65"];
    assert_eq!(output(&permanent), (Some(65), "once\n".to_owned(), String::new()));
    let (code, _, _) = output(&["--timeout", "100ms", "--grace", "100ms", "--", "sleep", "600"]);
    assert_eq!(code, Some(124));
}

#[test]
fn what_cannot_be_run_is_told_and_not_tried_again() {
    let (code, _, err) = output(&["--retry", "5", "--", "/no/such/command"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(127), "cronlet exec: cannot run \"/no/such/command\": entity not found\n")
    );
    assert_eq!(output(&["--", "/"]).0, Some(126));
    let (code, _, err) = output(&["--delay", "soon", "--", "true"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("expected a length of time such as 500ms, 10s or 1m30s"), "{err}");
    assert_eq!(output(&["--retry", "1"]).0, Some(2), "there is no command");
}

#[test]
fn a_breaker_is_shared_by_runs_that_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let breaker = ["--state-dir", place, "--breaker", "stock", "--breaker-window", "2", "--"];
    let run = |script: &str| output(&[&breaker[..], &["sh", "-c", script]].concat());
    assert_eq!(run("exit 1").0, Some(1));
    assert_eq!(run("exit 1").0, Some(1));
    let refused = "cronlet exec: circuit breaker \"stock\" is open: no further attempt\n";
    assert_eq!(run("echo reached"), (Some(75), String::new(), refused.to_owned()));

    // Without a directory it says that it will forget.
    let (code, _, err) = output(&["--breaker", "stock", "--", "true"]);
    assert_eq!(code, Some(0));
    assert!(err.contains("knows this run alone"), "{err}");
    let (code, _, err) = output(&["--state-dir", "/dev/null/x", "--breaker", "stock", "--", "true"]);
    assert_eq!(code, Some(0));
    assert!(err.contains("keeps its state to itself"), "{err}");
}

#[test]
fn a_signal_ends_the_command_and_the_attempts() {
    let script = "trap 'echo ended; exit 3' TERM; echo began; while :; do sleep 0.01; done";
    let mut child = exec(&["--retry", "5", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "began");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["ended"]);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
