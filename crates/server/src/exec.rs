//! Programs in containers: `…/pods/{name}/exec`, over a WebSocket with one channel for each stream.
//!
//! The protocols are `v5.channel.k8s.io` and `v4.channel.k8s.io`, which differ in that the former can say that the input
//! has ended.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    extract::{
        FromRequestParts as _,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use cronlet_object::{ApiError, Key, Kind, Object, api::Pod};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use http::{header, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc::{self, Sender},
    task::{AbortHandle, JoinSet, spawn_blocking},
    time::{interval, timeout},
};

use crate::{
    api::Shared,
    limits::{
        EXEC_DRAIN_BYTES_MAX, EXEC_DRAIN_TIME_MAX, EXEC_FRAMES_MAX, EXEC_MESSAGE_BYTES_MAX,
        EXEC_PING_INTERVAL, EXEC_READ_BYTES,
    },
    log,
    query::Query,
};

/// Starts a program in a container. It may wait for that, and is called where an async runtime is.
pub type PodExec = Arc<dyn Fn(ExecRequest) -> Result<Session, ApiError> + Send + Sync>;

/// What is to be run, and where.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The pod.
    pub pod: Arc<Object>,
    /// The name of one of its containers, init containers included.
    pub container: String,
    /// The program and its arguments; not empty.
    pub argv: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// A program that runs in a container. It is made to end when this is dropped.
pub struct Session {
    /// Its input, which ends when this is dropped.
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its output. An error is its end.
    pub stdout: Pin<Box<dyn AsyncRead + Send>>,
    /// Its errors, if they are not part of the output. An error is their end.
    pub stderr: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// Sets the columns and rows of its terminal, if it has one.
    pub resize: Option<Box<dyn Fn(u16, u16) + Send>>,
    /// Its exit code when it has ended; nothing if that is not known.
    pub exit: Pin<Box<dyn Future<Output = Option<i32>> + Send>>,
}

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// How it ended, as a `Status`.
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// In the newest protocol: the channel that follows has ended.
const CLOSE: u8 = 255;

const NEWEST: &str = "v5.channel.k8s.io";
const PROTOCOLS: [&str; 2] = [NEWEST, "v4.channel.k8s.io"];

/// Which streams are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

/// Answers with a WebSocket over which a program runs.
///
/// # Errors
/// 404 without the pod; 400 if the container or the program cannot be chosen, or the request is no WebSocket's.
pub(crate) async fn exec(
    api: &Arc<Shared>,
    key: &Key,
    query: &Query,
    parts: &mut Parts,
) -> Result<Response, ApiError> {
    let argv: Vec<String> = query.all("command").map(str::to_owned).collect();
    if argv.is_empty() {
        return Err(ApiError::bad_request("you must specify at least one command for the container"));
    }
    let tty = query.flag("tty");
    // A terminal has one output.
    let wanted = Wanted {
        stdin: query.flag("stdin"),
        stdout: query.optional_flag("stdout").unwrap_or(true),
        stderr: !tty && query.optional_flag("stderr").unwrap_or(true),
    };
    let snapshot = api.store.snapshot();
    let object = snapshot.get(key).ok_or_else(|| ApiError::not_found(Kind::Pod, &key.name))?;
    let pod: Pod = object.decode();
    let container = log::choose(&pod, &key.name, query.text("container"))?;
    let upgrade = upgrade(parts).await?;
    let Some(protocol) = upgrade.selected_protocol().and_then(|protocol| protocol.to_str().ok()) else {
        return Err(ApiError::bad_request(format!(
            "none of the client's protocols is known: offer one of {}",
            PROTOCOLS.join(", ")
        )));
    };
    let can_half_close = protocol == NEWEST;
    let permit = api.admit_stream()?;
    let request = ExecRequest { pod: object.clone(), container, argv, tty };
    let (start, mut closing) = (api.exec.clone(), api.closing());
    Ok(upgrade.on_upgrade(async move |socket| {
        let ended = run(socket, start, request, wanted, can_half_close);
        tokio::select! {
            () = ended => {}
            // An error means that the server is gone.
            _ = closing.wait_for(|closing| *closing) => {}
        }
        drop(permit);
    }))
}

async fn upgrade(parts: &mut Parts) -> Result<WebSocketUpgrade, ApiError> {
    let asked = parts.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if asked.to_ascii_uppercase().starts_with("SPDY/") {
        return Err(ApiError::bad_request(
            "SPDY is not spoken here: use kubectl 1.31 or later, or kubectl 1.29 or 1.30 with \
             KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true in its environment",
        ));
    }
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await;
    let upgrade = upgrade.map_err(|rejection| ApiError::bad_request(rejection.to_string()))?;
    Ok(upgrade
        .protocols(PROTOCOLS)
        .max_message_size(EXEC_MESSAGE_BYTES_MAX)
        .max_frame_size(EXEC_MESSAGE_BYTES_MAX))
}

/// Runs a program to its end, or to that of the connection.
async fn run(socket: WebSocket, start: PodExec, request: ExecRequest, wanted: Wanted, can_half_close: bool) {
    let (mut client, input) = socket.split();
    let argv = request.argv.join(" ");
    let status = match spawn_blocking(move || start(request)).await {
        Ok(Ok(session)) => match attend(&mut client, input, session, wanted, can_half_close).await {
            Some(code) => ending(code, &argv),
            None => return,
        },
        Ok(Err(error)) => json!(error.status()),
        Err(_panicked) => json!(ApiError::internal("the program could not be started").status()),
    };
    // If the client does not hear it, it is gone.
    let _ = client.send(frame(ERROR, status.to_string().as_bytes())).await;
    let close = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
    let _ = client.send(Message::Close(Some(close))).await;
    let _ = client.flush().await;
}

/// How a program ended, in the words that clients look for.
fn ending(code: Option<i32>, argv: &str) -> Value {
    match code {
        Some(0) => json!({ "metadata": {}, "status": "Success" }),
        Some(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!(
                "command terminated with non-zero exit code: error executing command [{argv}], exit code {code}"
            ),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        None => json!(ApiError::internal("it is not known how the command ended").status()),
    }
}

/// Hands input and output to and fro until the program has ended, and all that it wrote was sent. Nothing if the client
/// went away first.
async fn attend(
    client: &mut SplitSink<WebSocket, Message>,
    input: SplitStream<WebSocket>,
    session: Session,
    wanted: Wanted,
    can_half_close: bool,
) -> Option<Option<i32>> {
    let Session { stdin, stdout, stderr, resize, mut exit } = session;
    let (frames, mut outgoing) = mpsc::channel(EXEC_FRAMES_MAX);
    let mut pumps = JoinSet::new();
    pumps.spawn(pump(stdout, STDOUT, wanted.stdout.then(|| frames.clone())));
    if let Some(stderr) = stderr {
        pumps.spawn(pump(stderr, STDERR, wanted.stderr.then(|| frames.clone())));
    }
    drop(frames);
    let mut taking = tokio::spawn(take_input(input, wanted.stdin.then_some(stdin), resize, can_half_close));
    let _aborting = Aborting(taking.abort_handle());
    let mut is_open = true;
    let mut ping = interval(EXEC_PING_INTERVAL);
    let code = loop {
        tokio::select! {
            // Also whoever takes no input any more notices in that way that the client has gone.
            _ = ping.tick() => client.send(Message::Ping(Bytes::new())).await.ok()?,
            frame = outgoing.recv(), if is_open => match frame {
                Some(frame) => client.send(frame).await.ok()?,
                None => is_open = false,
            },
            code = &mut exit => break code,
            _ = &mut taking => return None,
        }
    };
    // What it left behind may hold its output open or go on writing, and is not waited for.
    let mut drained = 0;
    while drained < EXEC_DRAIN_BYTES_MAX
        && let Ok(Some(frame)) = timeout(EXEC_DRAIN_TIME_MAX, outgoing.recv()).await
    {
        if let Message::Binary(bytes) = &frame {
            drained += bytes.len();
        }
        client.send(frame).await.ok()?;
    }
    Some(code)
}

/// Ends a task with the scope that it belongs to.
struct Aborting(AbortHandle);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut frame = BytesMut::with_capacity(1 + bytes.len());
    frame.put_u8(channel);
    frame.put_slice(bytes);
    Message::Binary(frame.freeze())
}

/// Makes frames of what a program writes, to its end; throws away what nobody wants.
async fn pump(mut output: Pin<Box<dyn AsyncRead + Send>>, channel: u8, frames: Option<Sender<Message>>) {
    let mut buffer = vec![0; EXEC_READ_BYTES];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        if let Some(frames) = &frames
            && frames.send(frame(channel, &buffer[..length])).await.is_err()
        {
            return;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Takes in what the client sends until it is gone.
async fn take_input(
    mut input: SplitStream<WebSocket>,
    mut stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    resize: Option<Box<dyn Fn(u16, u16) + Send>>,
    can_half_close: bool,
) {
    while let Some(Ok(message)) = input.next().await {
        let bytes: Bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        match bytes.split_first() {
            Some((&STDIN, bytes)) => {
                if let Some(writer) = &mut stdin
                    && writer.write_all(bytes).await.is_err()
                {
                    // It reads no more, and goes on.
                    stdin = None;
                }
            }
            Some((&RESIZE, size)) => {
                if let (Some(resize), Ok(Size { width, height })) = (&resize, serde_json::from_slice(size)) {
                    resize(width, height);
                }
            }
            Some((&CLOSE, [STDIN])) if can_half_close => stdin = None,
            _ => {}
        }
    }
}
