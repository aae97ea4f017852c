//! The other side of a connection, for tests.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};

use super::{
    Decoder, FLAG_FIN, Frame, Headers, SYN_STREAM,
    connection::{Connection, Sink, Source},
    control_frame, data,
    headers::encode,
    ping,
};

/// A client.
pub(crate) struct Peer {
    io: DuplexStream,
    decoder: Decoder,
    has_begun: bool,
}

/// A connection, and its client.
pub(crate) fn connection() -> (Connection, Peer) {
    let (io, ours) = duplex(1 << 16);
    let (read, write) = split(ours);
    let connection = Connection::new(Source::Plain(Box::pin(read)), Sink::Plain(Box::pin(write)));
    (connection, Peer { io, decoder: Decoder::new(), has_begun: false })
}

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Opens a stream. `fin` if nothing will be sent on it.
    pub(crate) async fn open(&mut self, stream: u32, headers: &[(&str, &str)], fin: bool) {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let block = encode(&Headers(headers), !self.has_begun);
        self.has_begun = true;
        let content = [&stream.to_be_bytes()[..], &[0; 6], &block].concat();
        self.write(&control_frame(SYN_STREAM, if fin { FLAG_FIN } else { 0 }, &content)).await;
    }

    pub(crate) async fn send(&mut self, stream: u32, bytes: &[u8], fin: bool) {
        self.write(&data(stream, bytes, fin)).await;
    }

    pub(crate) async fn ping(&mut self, id: u32) {
        self.write(&ping(id)).await;
    }

    /// The next frame that is no reply; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next().unwrap() {
                Some(Frame::Other) => {}
                Some(frame) => return Some(frame),
                None => {
                    let mut buffer = [0; 1024];
                    let length = self.io.read(&mut buffer).await.unwrap();
                    if length == 0 {
                        return None;
                    }
                    self.decoder.push(&buffer[..length]);
                }
            }
        }
    }

    /// All that comes on a stream until its end, if nothing comes on others.
    pub(crate) async fn text(&mut self, wanted: u32) -> String {
        let mut text = Vec::new();
        loop {
            match self.next().await {
                Some(Frame::Data { stream, bytes, fin }) if stream == wanted => {
                    text.extend_from_slice(&bytes);
                    if fin {
                        return String::from_utf8(text).unwrap();
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
