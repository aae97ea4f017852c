//! Connections to the ports of pods: `…/pods/{name}/portforward`, each as two streams of SPDY.
//!
//! One stream carries what is sent, the other why there is no connection. Their headers say that they belong together.
//! SPDY is spoken over the request's own connection, or within a WebSocket.

use std::{
    collections::{HashMap, hash_map::Entry},
    pin::Pin,
    sync::Arc,
};

use axum::response::Response;
use cronlet_object::{ApiError, Key, Kind, Object};
use http::request::Parts;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    task::{JoinSet, spawn_blocking},
    time::interval,
};

use crate::{
    api::Shared,
    limits::{SPDY_PIECE_BYTES_MAX, STREAMS_OPEN_TIME_MAX},
    spdy::{
        CANCEL, PROTOCOL_ERROR,
        connection::{Connection, Input, Stream},
    },
    upgrade::{self, Spdy},
};

/// Connects to a port of a pod; why that failed. It may wait for that, and is called where an async runtime is.
pub type PodConnect = Arc<dyn Fn(ConnectRequest) -> Result<PodConnection, String> + Send + Sync>;

/// Where to.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// The pod.
    pub pod: Arc<Object>,
    /// The port, of its loopback interface.
    pub port: u16,
}

/// A connection to a port of a pod.
pub struct PodConnection {
    /// What comes from there. An error is its end.
    pub read: Pin<Box<dyn AsyncRead + Send>>,
    /// What goes there; it hears of the end when this is shut down.
    pub write: Pin<Box<dyn AsyncWrite + Send>>,
}

const TUNNEL: [&str; 1] = ["SPDY/3.1+portforward.k8s.io"];
const PROTOCOLS: [&str; 1] = ["portforward.k8s.io"];

/// Answers with a connection over which ports are forwarded.
///
/// # Errors
/// 404 without the pod; 400 if the request is for no connection.
pub(crate) async fn port_forward(
    api: &Arc<Shared>,
    key: &Key,
    parts: &mut Parts,
) -> Result<Response, ApiError> {
    let snapshot = api.store.snapshot();
    let pod = snapshot.get(key).ok_or_else(|| ApiError::not_found(Kind::Pod, &key.name))?.clone();
    let forwarder = Forwarder { pod, connect: api.connect.clone() };
    let mut closing = api.closing();
    // An error means that the server is gone.
    let closes = async move { drop(closing.wait_for(|closing| *closing).await) };
    if upgrade::wants_spdy(&parts.headers) {
        let (answer, upgrade) = Spdy::of(parts, &PROTOCOLS)?.split();
        let permit = api.admit_stream()?;
        tokio::spawn(async move {
            if let Some(connection) = Spdy::connection(upgrade).await {
                tokio::select! {
                    () = forwarder.serve(connection) => {}
                    () = closes => {}
                }
            }
            drop(permit);
        });
        return Ok(answer);
    }
    let (upgrade, _) = upgrade::websocket(parts, &TUNNEL).await?;
    let permit = api.admit_stream()?;
    Ok(upgrade.on_upgrade(async move |socket| {
        tokio::select! {
            () = forwarder.serve(upgrade::tunnel(socket)) => {}
            () = closes => {}
        }
        drop(permit);
    }))
}

/// The stream of a pair that has come first, and how often it was looked at since.
struct Waiting {
    stream: Stream,
    looks: u32,
}

#[derive(Clone)]
struct Forwarder {
    pod: Arc<Object>,
    connect: PodConnect,
}

impl Forwarder {
    /// Forwards until the client is gone.
    async fn serve(self, mut connection: Connection) {
        let mut waiting: HashMap<String, Waiting> = HashMap::new();
        let mut forwarding = JoinSet::new();
        let mut looks = interval(STREAMS_OPEN_TIME_MAX);
        loop {
            let stream = tokio::select! {
                stream = connection.accept() => stream,
                Some(_) = forwarding.join_next() => continue,
                _ = looks.tick() => {
                    give_up(&mut waiting).await;
                    continue;
                }
            };
            // What is under way ends with this.
            let Some(stream) = stream else { return };
            let Some(pair) = pair(&stream) else {
                let _ = stream.writer().reset(PROTOCOL_ERROR).await;
                continue;
            };
            match waiting.entry(pair) {
                Entry::Vacant(entry) => drop(entry.insert(Waiting { stream, looks: 0 })),
                Entry::Occupied(entry) if is_error(&entry.get().stream) == is_error(&stream) => {
                    let _ = stream.writer().reset(PROTOCOL_ERROR).await;
                }
                Entry::Occupied(entry) => {
                    let other = entry.remove().stream;
                    let (error, data) = if is_error(&stream) { (stream, other) } else { (other, stream) };
                    forwarding.spawn(self.clone().forward(error, data));
                }
            }
        }
    }

    /// Makes one connection and hands to and fro what goes over it.
    async fn forward(self, mut error: Stream, mut data: Stream) {
        let (why_not, output) = (error.writer(), data.writer());
        let port = data.headers.get("port").and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        let connected = match port {
            None => Err("its port is none".to_owned()),
            Some(port) => {
                let request = ConnectRequest { pod: self.pod.clone(), port };
                let connect = self.connect.clone();
                let connected = spawn_blocking(move || connect(request)).await;
                connected.unwrap_or_else(|_panicked| Err("the connection could not be made".to_owned()))
            }
        };
        match connected {
            Ok(PodConnection { mut read, write }) => {
                let download = async {
                    let mut buffer = vec![0; SPDY_PIECE_BYTES_MAX];
                    while let Ok(length @ 1..) = read.read(&mut buffer).await {
                        if output.send(&buffer[..length]).await.is_none() {
                            return;
                        }
                    }
                    let _ = output.finish().await;
                };
                tokio::select! {
                    () = download => {}
                    () = upload(&mut data, write) => {}
                    // Nothing is said there, but the client may let go of it.
                    () = silence(&mut error) => {}
                }
            }
            Err(why) => {
                let (namespace, name) = (self.pod.namespace(), self.pod.name());
                let port = data.headers.get("port").unwrap_or_default();
                let why = format!("error forwarding port {port} to pod {namespace}/{name}: {why}");
                let _ = why_not.send(why.as_bytes()).await;
                let _ = output.reset(CANCEL).await;
            }
        }
        let _ = why_not.finish().await;
    }
}

/// Sends what the client sends. Ends when the client lets go of the stream, not when it has merely nothing more to send:
/// there may be an answer.
async fn upload(data: &mut Stream, mut write: Pin<Box<dyn AsyncWrite + Send>>) {
    let mut is_open = true;
    while let Some(input) = data.next().await {
        is_open = is_open
            && match input {
                Input::Data(bytes) => write.write_all(&bytes).await.is_ok(),
                Input::End => {
                    // If nobody hears it, nobody needs to.
                    let _ = write.shutdown().await;
                    false
                }
            };
    }
}

async fn silence(stream: &mut Stream) {
    while stream.next().await.is_some() {}
}

fn is_error(stream: &Stream) -> bool {
    stream.headers.get("streamtype") == Some("error")
}

/// The name of the pair that a stream is of. Old clients give none, and open the stream for errors right before the
/// other.
fn pair(stream: &Stream) -> Option<String> {
    let kind = stream.headers.get("streamtype")?;
    let id = match kind {
        "error" => stream.id,
        "data" => stream.id.checked_sub(2)?,
        _ => return None,
    };
    Some(stream.headers.get("requestid").map_or_else(|| format!("#{id}"), str::to_owned))
}

/// Lets go of streams whose other has not come for too long.
async fn give_up(waiting: &mut HashMap<String, Waiting>) {
    for (_, late) in waiting.extract_if(|_, waiting| {
        waiting.looks += 1;
        waiting.looks > 1
    }) {
        let _ = late.stream.writer().reset(PROTOCOL_ERROR).await;
    }
}

#[cfg(test)]
mod tests;
