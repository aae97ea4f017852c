//! A connection that speaks SPDY: the tasks that read and write it, and its streams.
//!
//! What nobody takes is not read: a stream whose user is slow holds up the others of its connection, as it does between
//! upstream's parts.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinSet,
    time::{interval, timeout},
};

use super::{Decoder, Encoder, Frame, Headers, PROTOCOL_ERROR, REFUSED_STREAM};
use crate::limits::{
    SPDY_FRAMES_MAX, SPDY_LINGER_TIME_MAX, SPDY_PIECE_BYTES_MAX, SPDY_PIECES_MAX, SPDY_STREAMS_MAX,
    STREAM_IDLE_TIME_MAX,
};

/// What a connection is read from.
pub(crate) enum Source {
    /// As it is.
    Plain(Pin<Box<dyn AsyncRead + Send>>),
    /// From messages, wherever they are cut.
    Messages(SplitStream<WebSocket>),
}

/// What a connection is written to.
pub(crate) enum Sink {
    /// As it is.
    Plain(Pin<Box<dyn AsyncWrite + Send>>),
    /// As messages.
    Messages(SplitSink<WebSocket, Message>),
}

impl Source {
    /// What comes next; nothing at the end.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<Bytes> {
        match self {
            Source::Plain(source) => match source.read(buffer).await {
                Ok(length @ 1..) => Some(Bytes::copy_from_slice(&buffer[..length])),
                Ok(_) | Err(_) => None,
            },
            Source::Messages(source) => loop {
                match source.next().await?.ok()? {
                    Message::Binary(bytes) => return Some(bytes),
                    Message::Close(_) => return None,
                    Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
                }
            },
        }
    }
}

impl Sink {
    /// Whether the peer is still there.
    async fn write(&mut self, bytes: Bytes) -> Option<()> {
        match self {
            Sink::Plain(sink) => {
                sink.write_all(&bytes).await.ok()?;
                sink.flush().await.ok()
            }
            Sink::Messages(sink) => sink.send(Message::Binary(bytes)).await.ok(),
        }
    }

    async fn close(&mut self) {
        // If the peer is gone, it is closed.
        let _ = match self {
            Sink::Plain(sink) => sink.shutdown().await.ok(),
            Sink::Messages(sink) => sink.close().await.ok(),
        };
    }
}

/// Notes that something happens, so that it is noticed when nothing does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<AtomicU64>);

impl Activity {
    /// Something happens.
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until nothing has happened for as long as is allowed.
    pub(crate) async fn ceases(&self) {
        const LOOKS: u32 = 48;
        let mut looks = interval(STREAM_IDLE_TIME_MAX / LOOKS);
        let (mut seen, mut quiet) = (0, 0);
        // The first look is at once.
        while quiet <= LOOKS {
            looks.tick().await;
            let now = self.0.load(Ordering::Relaxed);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    }
}

/// What comes on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Some of it.
    Data(Bytes),
    /// Nothing more comes.
    End,
}

#[derive(Debug)]
enum Output {
    Frame(Bytes),
    Close,
}

/// One stream of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Its number.
    pub(crate) id: u32,
    /// What it is for.
    pub(crate) headers: Headers,
    input: mpsc::Receiver<Input>,
    frames: mpsc::Sender<Output>,
}

/// The writing side of a stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamWriter {
    id: u32,
    frames: mpsc::Sender<Output>,
}

impl Stream {
    /// What comes next; nothing if the stream was reset or the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        self.input.recv().await
    }

    /// Its writing side.
    pub(crate) fn writer(&self) -> StreamWriter {
        StreamWriter { id: self.id, frames: self.frames.clone() }
    }
}

impl StreamWriter {
    /// Sends something on the stream. Nothing if the connection has ended.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Option<()> {
        for piece in bytes.chunks(SPDY_PIECE_BYTES_MAX) {
            self.frames.send(Output::Frame(super::data(self.id, piece, false))).await.ok()?;
        }
        Some(())
    }

    /// Ends what is sent on the stream.
    pub(crate) async fn finish(&self) -> Option<()> {
        self.frames.send(Output::Frame(super::data(self.id, b"", true))).await.ok()
    }

    /// Ends the stream both ways.
    pub(crate) async fn reset(&self, why: u32) -> Option<()> {
        self.frames.send(Output::Frame(super::reset(self.id, why))).await.ok()
    }
}

/// A connection. It ends when this is dropped.
pub(crate) struct Connection {
    opened: mpsc::Receiver<Stream>,
    frames: mpsc::Sender<Output>,
    tasks: JoinSet<()>,
}

impl Connection {
    /// A connection whose peer opens streams.
    pub(crate) fn new(source: Source, sink: Sink) -> Self {
        let (opening, opened) = mpsc::channel(SPDY_FRAMES_MAX);
        let (frames, outgoing) = mpsc::channel(SPDY_FRAMES_MAX);
        let activity = Activity::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(sink, outgoing, activity.clone()));
        let reader = Reader {
            streams: HashMap::new(),
            last: 0,
            encoder: Encoder::default(),
            opening,
            frames: frames.clone(),
        };
        tasks.spawn(async move {
            tokio::select! {
                () = reader.run(source, &activity) => {}
                () = activity.ceases() => {}
            }
        });
        Connection { opened, frames, tasks }
    }

    /// The next stream that the peer opens; nothing when the connection has ended.
    pub(crate) async fn accept(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }

    /// Says that this is the end, and waits a little for the peer to read all that was sent.
    pub(crate) async fn close(mut self) {
        let _ = self.frames.send(Output::Frame(super::go_away(0))).await;
        let _ = self.frames.send(Output::Close).await;
        let both = async { while self.tasks.join_next().await.is_some() {} };
        drop(self.opened);
        let _ = timeout(SPDY_LINGER_TIME_MAX, both).await;
    }
}

async fn write(mut sink: Sink, mut frames: mpsc::Receiver<Output>, activity: Activity) {
    while let Some(Output::Frame(frame)) = frames.recv().await {
        activity.note();
        if sink.write(frame).await.is_none() {
            return;
        }
    }
    sink.close().await;
}

/// What reads a connection.
struct Reader {
    /// Where what comes on the streams goes that are open on the peer's side.
    streams: HashMap<u32, mpsc::Sender<Input>>,
    /// The latest stream.
    last: u32,
    encoder: Encoder,
    opening: mpsc::Sender<Stream>,
    frames: mpsc::Sender<Output>,
}

impl Reader {
    async fn run(mut self, mut source: Source, activity: &Activity) {
        let mut decoder = Decoder::new();
        let mut buffer = vec![0; SPDY_PIECE_BYTES_MAX];
        while let Some(bytes) = source.read(&mut buffer).await {
            activity.note();
            decoder.push(&bytes);
            loop {
                match decoder.next() {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        if self.take(frame).await.is_none() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a connection with a container is given up");
                        return;
                    }
                }
            }
        }
    }

    /// Does what a frame asks for. Nothing if the connection cannot go on.
    async fn take(&mut self, frame: Frame) -> Option<()> {
        match frame {
            Frame::Open { stream, headers, fin } => return self.open(stream, headers, fin).await,
            Frame::Data { stream, bytes, fin } => {
                let input = self.streams.get(&stream);
                if let Some(input) = input.filter(|_| !bytes.is_empty()) {
                    // If nobody takes it, it is dropped.
                    let _ = input.send(Input::Data(bytes)).await;
                }
                if let Some(input) = self.streams.get(&stream).filter(|_| fin) {
                    // What is sent after that is nobody's; but that it was reset is to be noticed.
                    let _ = input.send(Input::End).await;
                }
            }
            Frame::Reset { stream } => drop(self.streams.remove(&stream)),
            // Of even numbers are answers, but nothing was asked here.
            Frame::Ping { id } if id % 2 == 1 => return self.send(super::ping(id)).await,
            Frame::Ping { .. } | Frame::GoAway | Frame::Other => {}
        }
        Some(())
    }

    async fn open(&mut self, id: u32, headers: Headers, fin: bool) -> Option<()> {
        if id.is_multiple_of(2) || id <= self.last {
            return self.send(super::reset(id, PROTOCOL_ERROR)).await;
        }
        self.last = id;
        self.streams.retain(|_, input| !input.is_closed());
        if self.streams.len() >= SPDY_STREAMS_MAX {
            return self.send(super::reset(id, REFUSED_STREAM)).await;
        }
        let (input, incoming) = mpsc::channel(SPDY_PIECES_MAX);
        if fin {
            let _ = input.send(Input::End).await;
        }
        self.streams.insert(id, input);
        let reply = self.encoder.reply(id);
        self.send(reply).await?;
        let stream = Stream { id, headers, input: incoming, frames: self.frames.clone() };
        // At the end of a connection no stream is wanted any more, but its last frames are read.
        let _ = self.opening.send(stream).await;
        Some(())
    }

    async fn send(&self, frame: Bytes) -> Option<()> {
        self.frames.send(Output::Frame(frame)).await.ok()
    }
}

#[cfg(test)]
mod tests;
