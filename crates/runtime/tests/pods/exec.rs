//! Programs that are run in containers which run already.

use cronlet_runtime::{ExecRequest, Execution};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::node::{Node, is_running, pod, processes_with};

crate::tests![
    a_program_runs_in_a_container,
    input_goes_to_the_program_until_it_ends,
    a_program_that_is_not_there_is_said_to_be_missing,
    in_a_container_that_does_not_run_nothing_can_be,
    a_program_ends_with_whoever_wanted_it,
    what_a_program_leaves_behind_ends_with_the_container,
    a_program_can_have_a_terminal,
];

pub fn request(argv: &[&str]) -> ExecRequest {
    let argv = argv.iter().map(|&part| part.to_owned()).collect();
    ExecRequest { uid: "uid-p".to_owned(), container: "c".to_owned(), argv, tty: false }
}

/// A node with a running pod `p`, whose container has the environment variable `MARK`.
fn node(dir: &std::path::Path) -> Node {
    let mut node = Node::new(dir);
    let env = json!([{ "name": "MARK", "value": dir }]);
    node.create(&pod(
        "p",
        "exec sleep 1000",
        json!({ "containers": [{ "env": env, "workingDir": "/usr" }] }),
    ));
    node.wait("p", is_running);
    node
}

fn end(node: &mut Node) {
    node.delete("p", 0);
    node.end("p");
}

/// Runs a future where programs are run.
pub fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What a program writes to its output and errors, and how it ends. It has no input.
pub async fn outcome(execution: Execution) -> (String, String, Option<i32>) {
    let Execution { stdin, mut stdout, stderr, mut exit, .. } = execution;
    drop(stdin);
    let (mut output, mut errors) = (String::new(), String::new());
    stdout.read_to_string(&mut output).await.unwrap();
    stderr.unwrap().read_to_string(&mut errors).await.unwrap();
    (output, errors, exit.code().await)
}

fn a_program_runs_in_a_container() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let (output, errors, code) = within(async {
        let script = "echo $MARK in $PWD; echo error >&2; exit 3";
        outcome(node.runtime.exec(request(&["sh", "-c", script])).unwrap()).await
    });
    assert_eq!(output, format!("{} in /usr\n", dir.path().display()));
    assert_eq!((errors.as_str(), code), ("error\n", Some(3)));
    let (.., code) =
        within(async { outcome(node.runtime.exec(request(&["sh", "-c", "kill -9 $$"])).unwrap()).await });
    assert_eq!(code, Some(137));
    end(&mut node);
}

fn input_goes_to_the_program_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    within(async {
        let Execution { mut stdin, mut stdout, mut exit, .. } = node.runtime.exec(request(&["cat"])).unwrap();
        let text = "x".repeat(1 << 20);
        let sent = text.clone();
        let sending = tokio::spawn(async move { stdin.write_all(sent.as_bytes()).await });
        let mut output = String::new();
        stdout.read_to_string(&mut output).await.unwrap();
        sending.await.unwrap().unwrap();
        assert_eq!((output == text, exit.code().await), (true, Some(0)));
    });
    end(&mut node);
}

fn a_program_that_is_not_there_is_said_to_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let error = within(async { node.runtime.exec(request(&["no-such-program"])).unwrap_err() });
    assert_eq!(error.to_string(), r#"exec: "no-such-program": executable file not found in $PATH"#);
    end(&mut node);
}

fn in_a_container_that_does_not_run_nothing_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    end(&mut node);
    let error = within(async { node.runtime.exec(request(&["true"])).unwrap_err() });
    assert_eq!(error.to_string(), r#"container not found ("c")"#);
    let other = ExecRequest { container: "d".to_owned(), ..request(&["true"]) };
    let error = within(async { node.runtime.exec(other).unwrap_err() });
    assert_eq!(error.to_string(), r#"container not found ("d")"#);
}

fn a_program_ends_with_whoever_wanted_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = dir.path().to_str().unwrap();
    within(async {
        let mut execution = node.runtime.exec(request(&["sh", "-c", "echo up; sleep 1000; true"])).unwrap();
        let mut up = [0; 3];
        execution.stdout.read_exact(&mut up).await.unwrap();
        drop(execution);
        // The container itself is what remains.
        while processes_with(mark) > 1 {
            tokio::task::yield_now().await;
        }
    });
    end(&mut node);
}

fn what_a_program_leaves_behind_ends_with_the_container() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let mark = dir.path().to_str().unwrap();
    let script = "sleep 1000 > /dev/null 2>&1 & setsid sleep 1000 > /dev/null 2>&1 & echo done";
    let (output, _, code) =
        within(async { outcome(node.runtime.exec(request(&["sh", "-c", script])).unwrap()).await });
    assert_eq!((output.as_str(), code), ("done\n", Some(0)));
    // They may be about to become what they are to be.
    while processes_with(mark) < 3 {
        std::thread::yield_now();
    }
    end(&mut node);
    // They are ended by a process of which nobody hears.
    while processes_with(mark) > 0 {
        std::thread::yield_now();
    }
}

fn a_program_can_have_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    within(async {
        let script = "test -t 0 && test -t 1 && test -t 2 && read -r line && stty size && echo \"got $line\"";
        let tty = ExecRequest { tty: true, ..request(&["sh", "-c", script]) };
        let Execution { mut stdin, mut stdout, stderr, terminal, mut exit } = node.runtime.exec(tty).unwrap();
        assert!(stderr.is_none());
        terminal.unwrap().resize(120, 40);
        stdin.write_all(b"hello\n").await.unwrap();
        let mut output = Vec::new();
        // The end of a terminal is an error.
        let _end = stdout.read_to_end(&mut output).await;
        assert_eq!(String::from_utf8(output).unwrap(), "hello\r\n40 120\r\ngot hello\r\n");
        assert_eq!(exit.code().await, Some(0));
    });
    end(&mut node);
}
