//! Both ways to speak with who has a program run: a WebSocket with channels, and SPDY with streams.

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::Wanted;
use crate::{
    limits::{SPDY_HEADERS_BYTES_MAX, STREAMS_OPEN_TIME_MAX},
    spdy::connection::{Connection, Input, Stream, StreamWriter},
};

/// One of the two outputs of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Stdout = 1,
    Stderr = 2,
}

const STDIN: u8 = 0;
/// How it ended, as a `Status`.
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// In the newest protocol: the channel that follows has ended.
const CLOSE: u8 = 255;

/// What a client says.
#[derive(Debug)]
pub(super) enum Said {
    Input(Bytes),
    EndOfInput,
    /// Columns and rows.
    Size(u16, u16),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// What is sent to a client.
pub(super) enum Sender {
    WebSocket(SplitSink<WebSocket, Message>),
    Spdy(Box<SpdySender>),
}

pub(super) struct SpdySender {
    connection: Connection,
    error: StreamWriter,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
    /// Whether the last word is a `Status`; only why it failed before version 4.
    has_status: bool,
}

/// What a client sends.
pub(super) enum Receiver {
    WebSocket { messages: SplitStream<WebSocket>, can_half_close: bool },
    Spdy(Box<SpdyReceiver>),
}

pub(super) struct SpdyReceiver {
    error: Stream,
    stdin: Option<Stream>,
    resize: Option<Stream>,
    /// What has come of a size.
    size: Vec<u8>,
}

/// A client that speaks over a WebSocket; whether it can say that its input has ended.
pub(super) fn over_websocket(socket: WebSocket, can_half_close: bool) -> (Sender, Receiver) {
    let (sink, messages) = socket.split();
    (Sender::WebSocket(sink), Receiver::WebSocket { messages, can_half_close })
}

/// A client that speaks over SPDY, once it has opened a stream for each that is wanted. Nothing if it does not.
pub(super) async fn over_spdy(
    mut connection: Connection,
    wanted: Wanted,
    version: u8,
) -> Option<(Sender, Receiver)> {
    let wants_sizes = wanted.tty && version >= 3;
    let kinds = [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr),
        ("resize", wants_sizes),
    ];
    let mut streams = [const { None }; 5];
    let opened = async {
        while kinds.iter().zip(&streams).any(|((_, wanted), stream)| *wanted && stream.is_none()) {
            let stream = connection.accept().await?;
            let kind = stream.headers.get("streamtype").unwrap_or_default();
            let position = kinds.iter().position(|(name, wanted)| *name == kind && *wanted)?;
            streams[position] = Some(stream);
        }
        Some(())
    };
    timeout(STREAMS_OPEN_TIME_MAX, opened).await.ok()??;
    let [error, stdin, stdout, stderr, resize] = streams;
    let (error, writer) = (error?, |stream: Stream| stream.writer());
    let sender = SpdySender {
        connection,
        error: error.writer(),
        stdout: stdout.map(writer),
        stderr: stderr.map(writer),
        has_status: version >= 4,
    };
    let receiver = SpdyReceiver { error, stdin, resize, size: Vec::new() };
    Some((Sender::Spdy(Box::new(sender)), Receiver::Spdy(Box::new(receiver))))
}

impl Sender {
    /// Sends some output. Nothing if the client is gone.
    pub(super) async fn send(&mut self, channel: Channel, bytes: &[u8]) -> Option<()> {
        match self {
            Sender::WebSocket(sink) => sink.send(frame(channel as u8, bytes)).await.ok(),
            Sender::Spdy(spdy) => {
                let stream = match channel {
                    Channel::Stdout => &spdy.stdout,
                    Channel::Stderr => &spdy.stderr,
                };
                match stream {
                    Some(stream) => stream.send(bytes).await,
                    None => Some(()),
                }
            }
        }
    }

    /// Asks the client whether it is there. Nothing if it is gone.
    pub(super) async fn ping(&mut self) -> Option<()> {
        match self {
            Sender::WebSocket(sink) => sink.send(Message::Ping(Bytes::new())).await.ok(),
            // It asks by itself, and the end of the connection is noticed.
            Sender::Spdy(_) => Some(()),
        }
    }

    /// Says the last word.
    pub(super) async fn finish(self, status: &Value) {
        // If the client does not hear it, it is gone.
        match self {
            Sender::WebSocket(mut sink) => {
                let _ = sink.send(frame(ERROR, status.to_string().as_bytes())).await;
                let close = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
                let _ = sink.send(Message::Close(Some(close))).await;
                let _ = sink.flush().await;
            }
            Sender::Spdy(spdy) => {
                let SpdySender { connection, error, stdout, stderr, has_status } = *spdy;
                for output in [stdout, stderr].into_iter().flatten() {
                    let _ = output.finish().await;
                }
                let text = match (has_status, status["status"] == "Success") {
                    (true, _) => status.to_string(),
                    (false, true) => String::new(),
                    (false, false) => status["message"].as_str().unwrap_or_default().to_owned(),
                };
                let _ = error.send(text.as_bytes()).await;
                let _ = error.finish().await;
                connection.close().await;
            }
        }
    }
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut frame = BytesMut::with_capacity(1 + bytes.len());
    frame.put_u8(channel);
    frame.put_slice(bytes);
    Message::Binary(frame.freeze())
}

impl Receiver {
    /// What the client says next; nothing when it is gone.
    pub(super) async fn next(&mut self) -> Option<Said> {
        match self {
            Receiver::WebSocket { messages, can_half_close } => loop {
                let bytes: Bytes = match messages.next().await?.ok()? {
                    Message::Binary(bytes) => bytes,
                    Message::Text(text) => text.into(),
                    Message::Close(_) => return None,
                    Message::Ping(_) | Message::Pong(_) => continue,
                };
                match bytes.split_first() {
                    Some((&STDIN, _)) => return Some(Said::Input(bytes.slice(1..))),
                    Some((&RESIZE, size)) => {
                        if let Ok(Size { width, height }) = serde_json::from_slice(size) {
                            return Some(Said::Size(width, height));
                        }
                    }
                    Some((&CLOSE, [STDIN])) if *can_half_close => return Some(Said::EndOfInput),
                    _ => {}
                }
            },
            Receiver::Spdy(spdy) => spdy.next().await,
        }
    }
}

impl SpdyReceiver {
    async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(Size { width, height }) = take_size(&mut self.size) {
                return Some(Said::Size(width, height));
            }
            tokio::select! {
                input = next_of(&mut self.stdin) => match input? {
                    Input::Data(bytes) => return Some(Said::Input(bytes)),
                    Input::End => return Some(Said::EndOfInput),
                },
                size = next_of(&mut self.resize) => match size? {
                    Input::Data(bytes) if self.size.len() + bytes.len() <= SPDY_HEADERS_BYTES_MAX => {
                        self.size.extend_from_slice(&bytes);
                    }
                    // Who sends what is no size sends none.
                    Input::Data(_) => self.resize = None,
                    Input::End => {}
                },
                // Nothing is said there, but its end is the connection's.
                silence = self.error.next() => drop(silence?),
            }
        }
    }
}

/// What comes on a stream, if it is there.
async fn next_of(stream: &mut Option<Stream>) -> Option<Input> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// Takes the first size off a text in which they follow each other, one in a line.
fn take_size(text: &mut Vec<u8>) -> Option<Size> {
    while let Some(end) = text.iter().position(|byte| *byte == b'}') {
        let size = serde_json::from_slice(text[..=end].trim_ascii());
        text.drain(..=end);
        if let Ok(size) = size {
            return Some(size);
        }
    }
    None
}

#[cfg(test)]
mod tests;
