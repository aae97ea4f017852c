//! Programs in containers, over a WebSocket. The client is tungstenite's; the containers are not real.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use cronlet_object::ApiError;
use cronlet_server::{AttachRequest, ExecRequest, Identity, PodAttach, PodExec, Session};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::oneshot,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};
use tower_service::Service as _;

use super::{
    PODS,
    harness::{Server, request},
    pod,
};

/// The other side of a program's streams.
struct Program {
    request: ExecRequest,
    stdin: DuplexStream,
    stdout: DuplexStream,
    stderr: Option<DuplexStream>,
    sizes: Arc<Mutex<Vec<(u16, u16)>>>,
    exit: oneshot::Sender<i32>,
}

type Socket = WebSocketStream<DuplexStream>;

/// A server with a pod `p`, in which programs are started by whoever takes them.
async fn server() -> (Server, tokio::sync::mpsc::UnboundedReceiver<Program>) {
    let (programs, started) = tokio::sync::mpsc::unbounded_channel();
    let exec: PodExec = Arc::new(move |request: ExecRequest| {
        if request.argv[0] == "missing" {
            return Err(ApiError::internal("Internal error occurred: no such program"));
        }
        let [stdin, stdout, stderr] = [duplex(64), duplex(64), duplex(64)];
        let sizes: Arc<Mutex<Vec<_>>> = Arc::default();
        let (exit, ended) = oneshot::channel();
        let (tty, set) = (request.tty, sizes.clone());
        let stderr = if tty { (None, None) } else { (Some(stderr.0), Some(stderr.1)) };
        let program = Program { request, stdin: stdin.1, stdout: stdout.1, stderr: stderr.1, sizes, exit };
        assert!(programs.send(program).is_ok());
        Ok(Session {
            stdin: Box::pin(stdin.0),
            stdout: Box::pin(stdout.0),
            stderr: stderr.0.map(|stderr| Box::pin(stderr) as _),
            resize: tty
                .then(|| Box::new(move |columns, rows| set.lock().unwrap().push((columns, rows))) as _),
            exit: Box::pin(async { ended.await.ok() }),
        })
    });
    let server = Server::with_exec(exec).await;
    server.post(PODS, &pod("p")).await.expect(201);
    (server, started)
}

/// Asks for a program with the parameters of a query.
async fn connect(server: &Server, query: &str, protocol: &str) -> Result<Socket, Error> {
    connect_to(server, &format!("exec?{query}"), protocol).await
}

/// Asks for a part of the pod.
async fn connect_to(server: &Server, part: &str, protocol: &str) -> Result<Socket, Error> {
    let (client, ours) = duplex(1 << 16);
    let router = server.api.router();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Identity::user("kubernetes-admin", &["system:masters"]));
        router.clone().call(request.map(Body::new))
    });
    let http = hyper::server::conn::http1::Builder::new();
    let connection = http.serve_connection(TokioIo::new(ours), service).with_upgrades();
    tokio::spawn(async move { drop(connection.await) });
    let mut request = format!("ws://localhost{PODS}/p/{part}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    let (socket, answer) = client_async(request, client).await?;
    assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
    Ok(socket)
}

const NEWEST: &str = "v5.channel.k8s.io";
const ALL: &str = "command=sh&command=-c&command=x+y&stdin=true&stdout=true&stderr=true";

/// The next frame of a program's: its channel and text; nothing at the end of the connection.
async fn next(socket: &mut Socket) -> Option<(u8, String)> {
    loop {
        match socket.next().await? {
            Ok(Message::Binary(frame)) => {
                return Some((frame[0], String::from_utf8(frame[1..].to_vec()).unwrap()));
            }
            Ok(Message::Close(close)) => {
                assert_eq!(u16::from(close.unwrap().code), 1000);
                return None;
            }
            other => assert!(other.is_ok(), "{other:?}"),
        }
    }
}

async fn send(socket: &mut Socket, channel: u8, text: &str) {
    let frame = [&[channel], text.as_bytes()].concat();
    socket.send(Message::Binary(frame.into())).await.unwrap();
}

fn status(frame: Option<(u8, String)>) -> Value {
    let (channel, text) = frame.unwrap();
    assert_eq!(channel, 3, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn each_stream_has_a_channel_and_the_last_word_is_the_exit_code() {
    let (server, mut started) = server().await;
    let mut socket = connect(&server, ALL, NEWEST).await.unwrap();
    let mut program = started.recv().await.unwrap();
    assert_eq!((program.request.pod.name(), &*program.request.container), ("p", "main"));
    assert_eq!(program.request.argv, ["sh", "-c", "x y"]);
    send(&mut socket, 0, "in").await;
    send(&mut socket, 255, "\0").await;
    let mut input = String::new();
    program.stdin.read_to_string(&mut input).await.unwrap();
    assert_eq!(input, "in");
    program.stdout.write_all(b"out").await.unwrap();
    assert_eq!(next(&mut socket).await, Some((1, "out".into())));
    program.stderr.as_mut().unwrap().write_all(b"error").await.unwrap();
    assert_eq!(next(&mut socket).await, Some((2, "error".into())));
    program.stdout.write_all(b"last").await.unwrap();
    program.exit.send(3).unwrap();
    drop((program.stdout, program.stderr));
    assert_eq!(next(&mut socket).await, Some((1, "last".into())));
    let status = status(next(&mut socket).await);
    assert_eq!((&status["status"], &status["reason"]), (&json!("Failure"), &json!("NonZeroExitCode")));
    assert_eq!(status["details"]["causes"], json!([{ "reason": "ExitCode", "message": "3" }]));
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn success_is_said_too() {
    let (server, mut started) = server().await;
    let mut socket = connect(&server, "command=true&stdout=true", "v4.channel.k8s.io").await.unwrap();
    started.recv().await.unwrap().exit.send(0).unwrap();
    assert_eq!(status(next(&mut socket).await), json!({ "metadata": {}, "status": "Success" }));
}

#[tokio::test(start_paused = true)]
async fn output_that_something_else_holds_open_is_not_waited_for() {
    let (server, mut started) = server().await;
    let mut socket = connect(&server, ALL, NEWEST).await.unwrap();
    let program = started.recv().await.unwrap();
    program.exit.send(0).unwrap();
    assert_eq!(status(next(&mut socket).await)["status"], "Success");
    drop(program.stdout);
}

#[tokio::test]
async fn a_terminal_has_one_output_and_a_size() {
    let (server, mut started) = server().await;
    let mut socket = connect(&server, &format!("{ALL}&tty=true"), NEWEST).await.unwrap();
    let mut program = started.recv().await.unwrap();
    assert!(program.request.tty && program.stderr.is_none());
    send(&mut socket, 4, r#"{"Width":120,"Height":40}"#).await;
    send(&mut socket, 4, "nonsense").await;
    send(&mut socket, 0, "x").await;
    assert_eq!(program.stdin.read_u8().await.unwrap(), b'x');
    assert_eq!(*program.sizes.lock().unwrap(), [(120, 40)]);
}

#[tokio::test]
async fn a_program_ends_with_its_client() {
    let (server, mut started) = server().await;
    let socket = connect(&server, ALL, NEWEST).await.unwrap();
    let mut program = started.recv().await.unwrap();
    drop(socket);
    program.exit.closed().await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_told_of_in_the_last_word() {
    let (server, _started) = server().await;
    let mut socket = connect(&server, "command=missing", NEWEST).await.unwrap();
    let status = status(next(&mut socket).await);
    assert_eq!((&status["code"], &status["reason"]), (&json!(500), &json!("InternalError")));
    assert_eq!(status["message"], "Internal error occurred: no such program");
}

#[tokio::test]
async fn the_streams_of_a_container_are_attached() {
    let (clients, mut attached) = tokio::sync::mpsc::unbounded_channel();
    let attach: PodAttach = Arc::new(move |request: AttachRequest| {
        let [stdin, stdout, stderr] = [duplex(64), duplex(64), duplex(64)];
        let (end, ended) = oneshot::channel::<()>();
        assert!(clients.send((request, stdin.1, stdout.1, stderr.1, end)).is_ok());
        Ok(Session {
            stdin: Box::pin(stdin.0),
            stdout: Box::pin(stdout.0),
            stderr: Some(Box::pin(stderr.0)),
            resize: None,
            exit: Box::pin(async { ended.await.ok().map(|()| 0) }),
        })
    });
    let server = Server::with_attach(attach).await;
    server.post(PODS, &pod("p")).await.expect(201);
    let part = "attach?container=main&stdin=true&stdout=true&stderr=true";
    let mut socket = connect_to(&server, part, NEWEST).await.unwrap();
    let (request, mut stdin, mut stdout, _stderr, end) = attached.recv().await.unwrap();
    assert_eq!((request.pod.name(), &*request.container, request.stdin), ("p", "main", true));
    send(&mut socket, 0, "in").await;
    send(&mut socket, 255, "\0").await;
    let mut input = String::new();
    stdin.read_to_string(&mut input).await.unwrap();
    assert_eq!(input, "in");
    stdout.write_all(b"out").await.unwrap();
    assert_eq!(next(&mut socket).await, Some((1, "out".into())));
    drop(stdout);
    end.send(()).unwrap();
    assert_eq!(status(next(&mut socket).await), json!({ "metadata": {}, "status": "Success" }));
    // Without its shim nobody knows.
    let mut socket = connect_to(&server, "attach?stdout=true", NEWEST).await.unwrap();
    let (request, .., end) = attached.recv().await.unwrap();
    assert!(!request.stdin);
    drop(end);
    assert_eq!(status(next(&mut socket).await)["reason"], "InternalError");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before() {
    let (server, _started) = server().await;
    let why = async |query: &str| server.get(&format!("{PODS}/{query}")).await;
    why("nope/exec?command=true").await.refusal(404, "NotFound");
    let message = why("p/exec").await.refusal(400, "BadRequest");
    assert_eq!(message, "you must specify at least one command for the container");
    let message = why("p/exec?command=true&container=x").await.refusal(400, "BadRequest");
    assert_eq!(message, "container x is not valid for pod p");
    why("p/exec?command=true").await.refusal(400, "BadRequest");
    let spdy = request(http::Method::POST, &format!("{PODS}/p/exec?command=true"))
        .header("connection", "upgrade")
        .header("upgrade", "SPDY/3.1");
    let message = server.send(spdy.body(Body::empty()).unwrap()).await.refusal(400, "BadRequest");
    assert_eq!(message, "this connection cannot be upgraded");
    let spdy = request(http::Method::POST, &format!("{PODS}/p/exec?command=true"))
        .header("connection", "upgrade")
        .header("upgrade", "SPDY/2");
    let message = server.send(spdy.body(Body::empty()).unwrap()).await.refusal(400, "BadRequest");
    assert_eq!(message, "of SPDY only SPDY/3.1 is spoken here");
    let spdy = request(http::Method::POST, &format!("{PODS}/p/portforward"))
        .header("connection", "upgrade")
        .header("upgrade", "SPDY/3.1")
        .header("x-stream-protocol-version", "v9.portforward.k8s.io");
    let message = server.send(spdy.body(Body::empty()).unwrap()).await.refusal(400, "BadRequest");
    assert_eq!(message, "none of the client's protocols is known: offer one of portforward.k8s.io");
    why("nope/attach").await.refusal(404, "NotFound");
    why("nope/portforward").await.refusal(404, "NotFound");
    why("p/portforward").await.refusal(400, "BadRequest");
    let message = why("p/attach?container=x").await.refusal(400, "BadRequest");
    assert_eq!(message, "container x is not valid for pod p");
    let refused = connect(&server, "command=true", "v1.channel.k8s.io").await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 400));
}
