//! SPDY/3.1, as far as Kubernetes' clients speak it: many streams over one connection.
//!
//! This module is about frames alone, and does no I/O. What comes is cut into frames however it arrives; a frame of data
//! is handed on in pieces, so that only frames with headers need a bound. Windows are not kept: the peers are of
//! `moby/spdystream`, which neither heeds nor grants any. See [`connection`] for what becomes of frames.

pub(crate) mod connection;
mod dictionary;
mod headers;
#[cfg(test)]
pub(crate) mod testing;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub(crate) use self::headers::Headers;
use self::headers::{Inflater, empty_block};
use crate::limits::{SPDY_CONTROL_BYTES_MAX, SPDY_PIECE_BYTES_MAX};

const VERSION: u16 = 3;
const HEAD_BYTES: usize = 8;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// A flag of frames after which their sender sends nothing more on that stream.
const FLAG_FIN: u8 = 1;

/// Why a stream is reset: its peer has broken the rules.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
/// Why a stream is reset: it is not wanted.
pub(crate) const REFUSED_STREAM: u32 = 3;
/// Why a stream is reset: nobody needs it any more.
pub(crate) const CANCEL: u32 = 5;

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A stream is opened; `fin` if nothing will come on it.
    Open {
        /// Number of the stream.
        stream: u32,
        /// What it is for.
        headers: Headers,
        /// Whether nothing will come on it.
        fin: bool,
    },
    /// A part of what is sent on a stream.
    Data {
        /// Number of the stream.
        stream: u32,
        /// Perhaps empty.
        bytes: Bytes,
        /// Whether it is the last.
        fin: bool,
    },
    /// A stream has ended both ways.
    Reset {
        /// Number of the stream.
        stream: u32,
    },
    /// The same number is to be sent back, if it is odd.
    Ping {
        /// The number.
        id: u32,
    },
    /// No more streams will be opened.
    GoAway,
    /// What makes no difference here: settings, windows, replies, and what later versions may add.
    Other,
}

/// Why what has come is not SPDY/3.1, or more than is taken. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpdyError {
    /// Another version.
    #[error("a frame of SPDY has version {0}, and only 3 is spoken here")]
    Version(u16),
    /// A frame is longer than is taken.
    #[error("a frame of SPDY has {0} bytes, and at most {SPDY_CONTROL_BYTES_MAX} are taken")]
    TooLong(usize),
    /// A frame is too short for what it is.
    #[error("a frame of SPDY is too short for its type")]
    TooShort,
    /// A block of headers is damaged, or too large.
    #[error("a block of headers of SPDY cannot be read, or is too large")]
    Headers,
}

/// Cuts what comes into frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// The frame of data that has not come to its end: its stream, what is left of it, and whether it is the last.
    data: Option<(u32, usize, bool)>,
    inflater: Inflater,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Decoder { buffer: BytesMut::new(), data: None, inflater: Inflater::new() }
    }

    /// Takes in what has come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; nothing until more has come.
    ///
    /// # Errors
    /// If it is none, or too large. Nothing that comes after it can be understood.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, SpdyError> {
        if self.data.is_some() {
            return Ok(self.next_piece());
        }
        let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [a, b, c, d, flags, length @ ..] = *head;
        let length = (usize::from(length[0]) << 16) | (usize::from(length[1]) << 8) | usize::from(length[2]);
        if a & 0x80 == 0 {
            let stream = u32::from_be_bytes([a, b, c, d]);
            self.buffer.advance(HEAD_BYTES);
            self.data = Some((stream, length, flags & FLAG_FIN != 0));
            return Ok(self.next_piece());
        }
        let version = u16::from_be_bytes([a & 0x7f, b]);
        if version != VERSION {
            return Err(SpdyError::Version(version));
        }
        if length > SPDY_CONTROL_BYTES_MAX {
            return Err(SpdyError::TooLong(length));
        }
        if self.buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        let content = self.buffer.split_to(length);
        self.control(u16::from_be_bytes([c, d]), flags, &content).map(Some)
    }

    /// A part of the frame of data that is under way.
    fn next_piece(&mut self) -> Option<Frame> {
        let (stream, left, fin) = self.data?;
        if left > 0 && self.buffer.is_empty() {
            return None;
        }
        let length = left.min(self.buffer.len()).min(SPDY_PIECE_BYTES_MAX);
        let bytes = self.buffer.split_to(length).freeze();
        let left = left - length;
        self.data = (left > 0).then_some((stream, left, fin));
        Some(Frame::Data { stream, bytes, fin: fin && left == 0 })
    }

    fn control(&mut self, kind: u16, flags: u8, content: &[u8]) -> Result<Frame, SpdyError> {
        let first = || {
            let first = content.first_chunk().ok_or(SpdyError::TooShort)?;
            Ok(u32::from_be_bytes(*first) & 0x7fff_ffff)
        };
        // Blocks of headers continue each other, so that none can be passed over.
        let mut inflate = |start: usize| {
            let block = content.get(start..).ok_or(SpdyError::TooShort)?;
            self.inflater.read(block).ok_or(SpdyError::Headers)
        };
        Ok(match kind {
            SYN_STREAM => {
                let (stream, headers) = (first()?, inflate(10)?);
                Frame::Open { stream, headers, fin: flags & FLAG_FIN != 0 }
            }
            SYN_REPLY | HEADERS => {
                inflate(4)?;
                Frame::Other
            }
            RST_STREAM => Frame::Reset { stream: first()? },
            PING => {
                let id = content.first_chunk().ok_or(SpdyError::TooShort)?;
                Frame::Ping { id: u32::from_be_bytes(*id) }
            }
            GOAWAY => Frame::GoAway,
            SETTINGS | WINDOW_UPDATE => Frame::Other,
            _ => Frame::Other,
        })
    }
}

fn control_frame(kind: u16, flags: u8, content: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + content.len());
    frame.put_u16(0x8000 | VERSION);
    frame.put_u16(kind);
    put_length(&mut frame, flags, content.len());
    frame.put_slice(content);
    frame.freeze()
}

fn put_length(frame: &mut BytesMut, flags: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    debug_assert!(length < 1 << 24, "frames are short");
    frame.put_u32((u32::from(flags) << 24) | length);
}

/// Makes frames. What it makes must be sent in the same order: blocks of headers continue each other.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    has_begun: bool,
}

impl Encoder {
    /// Accepts a stream.
    pub(crate) fn reply(&mut self, stream: u32) -> Bytes {
        let block = empty_block(!self.has_begun);
        self.has_begun = true;
        control_frame(SYN_REPLY, 0, &[&stream.to_be_bytes()[..], &block].concat())
    }
}

/// A frame of data of less than 16 MiB, the last of its stream if `fin`.
pub(crate) fn data(stream: u32, bytes: &[u8], fin: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + bytes.len());
    frame.put_u32(stream & 0x7fff_ffff);
    put_length(&mut frame, if fin { FLAG_FIN } else { 0 }, bytes.len());
    frame.put_slice(bytes);
    frame.freeze()
}

/// Ends a stream both ways.
pub(crate) fn reset(stream: u32, why: u32) -> Bytes {
    control_frame(RST_STREAM, 0, &[stream.to_be_bytes(), why.to_be_bytes()].concat())
}

/// Sends a number back.
pub(crate) fn ping(id: u32) -> Bytes {
    control_frame(PING, 0, &id.to_be_bytes())
}

/// The last frame, with the latest stream that was taken.
pub(crate) fn go_away(last_stream: u32) -> Bytes {
    control_frame(GOAWAY, 0, &[last_stream.to_be_bytes(), [0; 4]].concat())
}

#[cfg(test)]
mod tests;
