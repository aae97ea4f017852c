//! Clients that are attached to containers, and connections into their networks.

use std::{path::Path, time::Duration};

use cronlet_object::api::Pod;
use cronlet_runtime::{AttachError, AttachRequest, Attachment, ConnectError};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use crate::{
    containers,
    exec::within,
    node::{Node, exit_code, is_running, pod},
};

crate::tests![
    a_client_writes_and_hears_and_the_log_has_it_all,
    input_ends_with_its_first_client_if_it_is_to,
    input_stays_open_for_the_next_client,
    a_terminal_is_attached,
    a_client_that_reads_nothing_holds_nothing_up,
    a_later_server_attaches_its_clients,
    what_does_not_run_has_no_clients,
    a_port_of_a_pod_is_one_of_its_network,
];

/// The same for a container with an image.
pub const IN_IMAGES: &[crate::Test] = &[
    ("attach::a_client_writes_to_a_container_with_an_image", a_client_writes_to_a_container_with_an_image),
    (
        "attach::a_container_with_an_image_has_its_own_terminal",
        a_container_with_an_image_has_its_own_terminal,
    ),
    ("attach::a_port_is_found_in_a_network_of_its_own", a_port_is_found_in_a_network_of_its_own),
];

const PATIENCE: Duration = Duration::from_secs(60);

fn with_streams(script: &str, streams: &Value) -> Pod {
    pod("p", script, json!({ "containers": [streams] }))
}

fn running(dir: &Path, pod: &Pod) -> Node {
    let mut node = Node::new(dir);
    node.create(pod);
    node.wait("p", is_running);
    node
}

fn attach(node: &Node, stdin: bool) -> Result<Attachment, AttachError> {
    node.runtime.attach(AttachRequest { uid: "uid-p".into(), container: "c".into(), stdin })
}

/// Reads until a text has come.
async fn read_until(stream: &mut (impl tokio::io::AsyncRead + Unpin), text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("output in time");
        read.push(byte.unwrap_or_else(|_| panic!("{:?} is all", String::from_utf8_lossy(&read))));
    }
    String::from_utf8(read).unwrap()
}

const GREETER: &str =
    "while read -r line; do echo \"got $line\"; echo error >&2; [ $line = end ] && exit 3; done; echo closed";

fn a_client_writes_and_hears(node: &mut Node) {
    within(async {
        let mut one = attach(node, true).unwrap();
        // Who is attached without input hears the same, and its end is nothing to the container.
        let mut other = attach(node, false).unwrap();
        drop(other.stdin);
        one.stdin.write_all(b"one\n").await.unwrap();
        assert_eq!(read_until(&mut one.stdout, "\n").await, "got one\n");
        assert_eq!(read_until(&mut one.stderr, "\n").await, "error\n");
        assert_eq!(read_until(&mut other.stdout, "\n").await, "got one\n");
        one.stdin.write_all(b"end\n").await.unwrap();
        for client in [&mut one.stdout, &mut other.stdout] {
            let mut rest = String::new();
            client.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "got end\n");
        }
        assert!(one.end.reached().await && other.end.reached().await);
    });
    assert_eq!(exit_code(&node.end("p")), Some(3));
    assert_eq!(node.log("p"), "got one\nerror\ngot end\nerror\n");
}

fn a_client_writes_and_hears_and_the_log_has_it_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = running(dir.path(), &with_streams(GREETER, &json!({ "stdin": true })));
    a_client_writes_and_hears(&mut node);
}

fn a_client_writes_to_a_container_with_an_image() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = containers::node(dir.path());
    node.create(&containers::of_image("p", GREETER, json!({ "stdin": true })));
    node.wait("p", is_running);
    a_client_writes_and_hears(&mut node);
}

fn input_ends_with_its_first_client_if_it_is_to() {
    let dir = tempfile::tempdir().unwrap();
    let streams = json!({ "stdin": true, "stdinOnce": true });
    // The end of the input alone does not end a client: there is more to hear.
    let mut node = running(dir.path(), &with_streams(GREETER, &streams));
    within(async {
        let mut client = attach(&node, true).unwrap();
        client.stdin.write_all(b"last").await.unwrap();
        drop(client.stdin);
        let mut all = String::new();
        client.stdout.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "closed\n");
        assert!(client.end.reached().await);
    });
    assert_eq!(exit_code(&node.end("p")), Some(0));
    // Nor does it matter how the client ends.
    let dir = tempfile::tempdir().unwrap();
    let mut node = running(dir.path(), &with_streams(GREETER, &streams));
    within(async { drop(attach(&node, true).unwrap()) });
    assert_eq!(exit_code(&node.end("p")), Some(0));
    assert_eq!(node.log("p"), "closed\n");
}

fn input_stays_open_for_the_next_client() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = running(dir.path(), &with_streams(GREETER, &json!({ "stdin": true })));
    within(async {
        let mut first = attach(&node, true).unwrap();
        first.stdin.write_all(b"first\n").await.unwrap();
        read_until(&mut first.stdout, "got first\n").await;
        // Without input there is nothing more to do.
        drop(first.stdin);
        assert!(first.end.reached().await);
        let mut second = attach(&node, true).unwrap();
        second.stdin.write_all(b"end\n").await.unwrap();
        assert_eq!(read_until(&mut second.stdout, "\n").await, "got end\n");
        assert!(second.end.reached().await);
    });
    assert_eq!(exit_code(&node.end("p")), Some(3));
}

/// The size and the input come on different ways: neither waits for the other.
const TERMINAL: &str = "test -t 0 && test -t 1 && test -t 2 && read -r line && \
                        until stty size | grep -qv '^0 0'; do sleep 0.02; done && stty size && \
                        echo \"got $line\" > $(tty)";

fn a_terminal_hears_and_shows(node: &mut Node) {
    within(async {
        let mut client = attach(node, true).unwrap();
        client.size.send((120, 40)).unwrap();
        client.stdin.write_all(b"hello\n").await.unwrap();
        let mut all = String::new();
        client.stdout.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "hello\r\n40 120\r\ngot hello\r\n");
        assert!(client.end.reached().await);
    });
    assert_eq!(exit_code(&node.end("p")), Some(0));
    assert_eq!(node.log("p"), "hello\r\n40 120\r\ngot hello\r\n");
}

fn a_terminal_is_attached() {
    let dir = tempfile::tempdir().unwrap();
    let streams = json!({ "stdin": true, "stdinOnce": true, "tty": true });
    let mut node = running(dir.path(), &with_streams(TERMINAL, &streams));
    // One comes back to a terminal.
    within(async { drop(attach(&node, true).unwrap()) });
    a_terminal_hears_and_shows(&mut node);
}

fn a_container_with_an_image_has_its_own_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = containers::node(dir.path());
    let script = TERMINAL.replace("stty size", "busybox stty size");
    node.create(&containers::of_image("p", &script, json!({ "stdin": true, "tty": true })));
    node.wait("p", is_running);
    a_terminal_hears_and_shows(&mut node);
}

fn a_client_that_reads_nothing_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read -r line; head -c 4000000 /dev/zero | tr '\\0' x; echo; echo done";
    let mut node = running(dir.path(), &with_streams(script, &json!({ "stdin": true })));
    within(async {
        let mut slow = attach(&node, true).unwrap();
        slow.stdin.write_all(b"go\n").await.unwrap();
        node.follow_until_within("p", "done").await;
        let mut rest = String::new();
        let mut errors = String::new();
        let (out, err) =
            tokio::join!(slow.stdout.read_to_string(&mut rest), slow.stderr.read_to_string(&mut errors));
        out.unwrap();
        err.unwrap();
        assert!(rest.len() < 4_000_000, "all of it was kept: {}", rest.len());
    });
    assert_eq!(exit_code(&node.end("p")), Some(0));
    assert!(node.log("p").len() > 4_000_000);
}

fn a_later_server_attaches_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let pod = with_streams(GREETER, &json!({ "stdin": true }));
    let node = running(dir.path(), &pod);
    let left = within(async { attach(&node, true).unwrap() });
    drop(node);
    let mut node = Node::new(dir.path());
    node.create(&pod);
    node.wait("p", is_running);
    drop(left);
    a_client_writes_and_hears(&mut node);
}

fn what_does_not_run_has_no_clients() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = running(dir.path(), &pod("p", "exec sleep 1000", json!({})));
    within(async {
        let other = AttachRequest { uid: "uid-p".into(), container: "d".into(), stdin: false };
        let error = node.runtime.attach(other).unwrap_err();
        assert_eq!(error.to_string(), r#"container not found ("d")"#);
    });
    node.delete("p", 0);
    node.end("p");
    let error = within(async { attach(&node, false).unwrap_err() });
    assert_eq!(error.to_string(), r#"container not found ("c")"#);
    let error = within(async { node.runtime.connect("uid-p", 1).unwrap_err() });
    assert!(matches!(error, ConnectError::NotRunning), "{error}");
}

fn a_port_of_a_pod_is_one_of_its_network() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = running(dir.path(), &pod("p", "exec sleep 1000", json!({})));
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connection = node.runtime.connect("uid-p", port).unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        other.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        drop(listener);
        let error = node.runtime.connect("uid-p", port).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("failed to connect to localhost:{port} inside the pod's network"))
        );
        assert!(error.contains("refused"), "{error}");
    });
    node.delete("p", 0);
    node.end("p");
}

fn a_port_is_found_in_a_network_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = containers::node(dir.path());
    // The port is the host's, too, and another one there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec busybox nc -l -p {port} -e echo from inside");
    let mut all = containers::of_image("p", &script, json!({}));
    all.metadata.annotations = Some([("cronlet.dev/network".to_owned(), "none".to_owned())].into());
    node.create(&all);
    node.wait("p", is_running);
    within(async {
        // It may not listen yet.
        let mut connection = loop {
            match node.runtime.connect("uid-p", port) {
                Ok(connection) => break connection,
                Err(error) => assert!(error.to_string().contains("refused"), "{error}"),
            }
        };
        let mut said = String::new();
        connection.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "from inside\n");
    });
    assert_eq!(exit_code(&node.end("p")), Some(0));
}
