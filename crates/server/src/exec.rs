//! Programs in containers, `…/pods/{name}/exec`, and the containers' own streams, `…/attach`: over a WebSocket with one
//! channel for each stream, or over SPDY with streams of its own.
//!
//! The protocols of the former are `v5.channel.k8s.io` and `v4.channel.k8s.io`, which differ in that the former can say
//! that the input has ended. Over SPDY it is `v4.channel.k8s.io` and older ones.

mod client;

use std::{future::Future, pin::Pin, sync::Arc};

use axum::response::Response;
use bytes::Bytes;
use cronlet_object::{ApiError, Key, Kind, Object, api::Pod};
use http::request::Parts;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::{AbortHandle, JoinSet, spawn_blocking},
    time::{interval, timeout},
};

use self::client::{Channel, Receiver, Said, Sender};
use crate::{
    api::Shared,
    limits::{
        EXEC_DRAIN_BYTES_MAX, EXEC_DRAIN_TIME_MAX, EXEC_FRAMES_MAX, EXEC_PING_INTERVAL, EXEC_READ_BYTES,
    },
    log,
    query::Query,
    spdy::connection::Activity,
    upgrade::{self, Spdy},
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

/// Connects to the streams of a container. It may wait for that, and is called where an async runtime is.
pub type PodAttach = Arc<dyn Fn(AttachRequest) -> Result<Session, ApiError> + Send + Sync>;

/// Whose streams are wanted.
#[derive(Clone, Debug)]
pub struct AttachRequest {
    /// The pod.
    pub pod: Arc<Object>,
    /// The name of one of its containers, init containers included.
    pub container: String,
    /// Whether there may be input.
    pub stdin: bool,
}

/// A program that runs in a container, and is made to end when this is dropped; or the streams of the container itself,
/// which is let alone then.
pub struct Session {
    /// Its input, which ends when this is dropped.
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its output. An error is its end.
    pub stdout: Pin<Box<dyn AsyncRead + Send>>,
    /// Its errors, if they are not part of the output. An error is their end.
    pub stderr: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// Sets the columns and rows of its terminal, if it has one.
    pub resize: Option<Box<dyn Fn(u16, u16) + Send>>,
    /// Its exit code when it has ended; nothing if that is not known. Of a container itself 0, whatever its code was: that
    /// is for its status to say.
    pub exit: Pin<Box<dyn Future<Output = Option<i32>> + Send>>,
}

const NEWEST: &str = "v5.channel.k8s.io";
/// Over WebSockets.
const PROTOCOLS: [&str; 2] = [NEWEST, "v4.channel.k8s.io"];
/// Over SPDY. The oldest is that of who names none.
const SPDY_PROTOCOLS: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

/// Which streams are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

/// Begins what is asked for. It may wait for that.
type Start = Box<dyn FnOnce() -> Result<Session, ApiError> + Send>;

/// Answers with a connection over which a program runs.
///
/// # Errors
/// 404 without the pod; 400 if the container or the program cannot be chosen, or the request is for no connection.
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
    let words = argv.join(" ");
    let (pod, container) = choose(api, key, query)?;
    let (exec, tty) = (api.exec.clone(), query.flag("tty"));
    let start = Box::new(move || exec(ExecRequest { pod, container, argv, tty }));
    connect(api, query, parts, (start, words)).await
}

/// Answers with a connection to a container's own streams.
///
/// # Errors
/// As [`exec`].
pub(crate) async fn attach(
    api: &Arc<Shared>,
    key: &Key,
    query: &Query,
    parts: &mut Parts,
) -> Result<Response, ApiError> {
    let (pod, container) = choose(api, key, query)?;
    let (attach, stdin) = (api.attach.clone(), query.flag("stdin"));
    let start = Box::new(move || attach(AttachRequest { pod, container, stdin }));
    connect(api, query, parts, (start, String::new())).await
}

/// The pod, and the one of its containers that is meant.
fn choose(api: &Shared, key: &Key, query: &Query) -> Result<(Arc<Object>, String), ApiError> {
    let snapshot = api.store.snapshot();
    let object = snapshot.get(key).ok_or_else(|| ApiError::not_found(Kind::Pod, &key.name))?;
    let pod: Pod = object.decode();
    let container = log::choose(&pod, &key.name, query.text("container"))?;
    Ok((object.clone(), container))
}

/// Answers with a connection for what is to be started; with the words for it that messages have.
async fn connect(
    api: &Arc<Shared>,
    query: &Query,
    parts: &mut Parts,
    program: (Start, String),
) -> Result<Response, ApiError> {
    let tty = query.flag("tty");
    // A terminal has one output.
    let wanted = Wanted {
        stdin: query.flag("stdin"),
        stdout: query.optional_flag("stdout").unwrap_or(true),
        stderr: !tty && query.optional_flag("stderr").unwrap_or(true),
        tty,
    };
    let mut closing = api.closing();
    // An error means that the server is gone.
    let closes = async move { drop(closing.wait_for(|closing| *closing).await) };
    if upgrade::wants_spdy(&parts.headers) {
        let spdy = Spdy::of(parts, &SPDY_PROTOCOLS)?;
        let permit = api.admit_stream()?;
        let version = SPDY_PROTOCOLS.iter().rev().zip(1..).find(|(name, _)| **name == spdy.protocol);
        let version = version.map_or(1, |(_, version)| version);
        let (answer, upgrade) = spdy.split();
        tokio::spawn(async move {
            let ended = async {
                let connection = Spdy::connection(upgrade).await?;
                let client = client::over_spdy(connection, wanted, version).await?;
                run(client, program, wanted).await;
                Some(())
            };
            tokio::select! {
                _ = ended => {}
                () = closes => {}
            }
            drop(permit);
        });
        return Ok(answer);
    }
    let (upgrade, protocol) = upgrade::websocket(parts, &PROTOCOLS).await?;
    let permit = api.admit_stream()?;
    Ok(upgrade.on_upgrade(async move |socket| {
        let client = client::over_websocket(socket, protocol == NEWEST);
        tokio::select! {
            () = run(client, program, wanted) => {}
            () = closes => {}
        }
        drop(permit);
    }))
}

/// Runs a program to its end, or to that of the connection.
async fn run((mut client, input): (Sender, Receiver), (start, words): (Start, String), wanted: Wanted) {
    let status = match spawn_blocking(start).await {
        Ok(Ok(session)) => match attend(&mut client, input, session, wanted).await {
            Some(code) => ending(code, &words),
            None => return,
        },
        Ok(Err(error)) => json!(error.status()),
        Err(_panicked) => json!(ApiError::internal("the program could not be started").status()),
    };
    client.finish(&status).await;
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
/// went away first, or nothing has happened for too long.
async fn attend(
    client: &mut Sender,
    input: Receiver,
    session: Session,
    wanted: Wanted,
) -> Option<Option<i32>> {
    let Session { stdin, stdout, stderr, resize, mut exit } = session;
    let activity = Activity::default();
    let (frames, mut outgoing) = mpsc::channel(EXEC_FRAMES_MAX);
    let mut pumps = JoinSet::new();
    pumps.spawn(pump(stdout, Channel::Stdout, wanted.stdout.then(|| frames.clone())));
    if let Some(stderr) = stderr {
        pumps.spawn(pump(stderr, Channel::Stderr, wanted.stderr.then(|| frames.clone())));
    }
    drop(frames);
    let stdin = wanted.stdin.then_some(stdin);
    let mut taking = tokio::spawn(take_input(input, stdin, resize, activity.clone()));
    let _aborting = Aborting(taking.abort_handle());
    let mut is_open = true;
    let mut ping = interval(EXEC_PING_INTERVAL);
    let mut ceases = std::pin::pin!(activity.ceases());
    let code = loop {
        tokio::select! {
            // Also whoever takes no input any more notices in that way that the client has gone.
            _ = ping.tick() => client.ping().await?,
            frame = outgoing.recv(), if is_open => match frame {
                Some((channel, bytes)) => {
                    activity.note();
                    client.send(channel, &bytes).await?;
                }
                None => is_open = false,
            },
            code = &mut exit => break code,
            _ = &mut taking => return None,
            () = &mut ceases => return None,
        }
    };
    // What it left behind may hold its output open or go on writing, and is not waited for.
    let mut drained = 0;
    while drained < EXEC_DRAIN_BYTES_MAX
        && let Ok(Some((channel, bytes))) = timeout(EXEC_DRAIN_TIME_MAX, outgoing.recv()).await
    {
        drained += bytes.len();
        client.send(channel, &bytes).await?;
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

/// Hands on what a program writes, to its end; throws away what nobody wants.
async fn pump(
    mut output: Pin<Box<dyn AsyncRead + Send>>,
    channel: Channel,
    frames: Option<mpsc::Sender<(Channel, Bytes)>>,
) {
    let mut buffer = vec![0; EXEC_READ_BYTES];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        if let Some(frames) = &frames
            && frames.send((channel, Bytes::copy_from_slice(&buffer[..length]))).await.is_err()
        {
            return;
        }
    }
}

/// Takes in what the client sends until it is gone.
async fn take_input(
    mut input: Receiver,
    mut stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    resize: Option<Box<dyn Fn(u16, u16) + Send>>,
    activity: Activity,
) {
    while let Some(said) = input.next().await {
        activity.note();
        match said {
            Said::Input(bytes) => {
                if let Some(writer) = &mut stdin
                    && writer.write_all(&bytes).await.is_err()
                {
                    // It reads no more, and goes on.
                    stdin = None;
                }
            }
            Said::EndOfInput => stdin = None,
            Said::Size(columns, rows) => resize.iter().for_each(|resize| resize(columns, rows)),
        }
    }
}
