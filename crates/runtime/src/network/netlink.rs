//! The kernel's configuration protocol: requests of nested attributes, and their answers (netlink(7), rtnetlink(7)).

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send, socket_with,
        sockopt::{Timeout, set_socket_send_buffer_size_force, set_socket_timeout},
    },
};

use crate::limits;

/// Flag of a request: somebody wants to know whether it worked.
pub(super) const ACK: u16 = 0x4;
/// Flag of a request: all there are.
pub(super) const DUMP: u16 = 0x300;
/// Flag of a request: what is not there is made.
pub(super) const CREATE: u16 = 0x400;
/// Flag of a request: what is there already is an error.
pub(super) const EXCLUSIVE: u16 = 0x200;
const REQUEST: u16 = 0x1;

/// Flag of an attribute: it consists of others.
const NESTED: u16 = 0x8000;
/// Bits of an attribute's type that are flags.
const ATTRIBUTE_FLAGS: u16 = 0xc000;

const HEADER_BYTES: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A request in the making. Its integers are in the order of this machine unless a protocol says otherwise.
#[derive(Clone, Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(super) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(body);
        let mut request = Request { bytes };
        request.pad();
        request
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Adds flags.
    pub(super) fn flagged(mut self, flags: u16) -> Self {
        let all = self.flags() | flags;
        self.bytes[6..8].copy_from_slice(&all.to_ne_bytes());
        self
    }

    fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.bytes[6], self.bytes[7]])
    }

    /// Adds an attribute.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let at = self.open(kind);
        self.bytes.extend_from_slice(value);
        self.close(at);
        self
    }

    /// Adds an attribute that is a text.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds an attribute that consists of what `fill` adds.
    pub(super) fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let at = self.open(kind | NESTED);
        let mut filled = fill(self);
        filled.close(at);
        filled
    }

    /// Adds bytes that are no attribute.
    pub(super) fn raw(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    fn open(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        at
    }

    fn close(&mut self, at: usize) {
        // The longest attributes are the expressions of a rule, a few hundred bytes.
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// A line to a part of the kernel. It stays with the network namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Line {
    socket: OwnedFd,
    sequence: u32,
}

/// The parts of the kernel that are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Interfaces, addresses, routes.
    Route,
    /// Rules for packets.
    Netfilter,
}

impl Line {
    pub(super) fn open(part: Part) -> io::Result<Self> {
        let protocol = (part == Part::Netfilter).then_some(netlink::NETFILTER);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        // The kernel answers within the call itself; nothing but a fault of its would let us wait.
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(limits::NETLINK_SECONDS_MAX)))?;
        // Without the privilege for it, and then for less than this is asked.
        let _ = set_socket_send_buffer_size_force(&socket, limits::NETLINK_SEND_BYTES_MAX);
        Ok(Line { socket, sequence: 0 })
    }

    /// Puts a request and waits until it is done.
    pub(super) fn ask(&mut self, request: Request) -> io::Result<()> {
        self.all(request, ACK, |_| ())
    }

    /// Puts a request and hands each of its answers, without their headers, to `take`.
    pub(super) fn all(
        &mut self,
        request: Request,
        flags: u16,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.sequence += 1;
        let sequence = self.sequence;
        self.send(&request.flagged(flags).finish(sequence))?;
        let mut buffer = vec![0; limits::NETLINK_RECEIVE_BYTES_MAX];
        loop {
            let length = self.receive(&mut buffer)?;
            for answer in messages(&buffer[..length]).filter(|answer| answer.sequence == sequence) {
                match answer.kind {
                    DONE => return Ok(()),
                    ERROR => return outcome(answer.body),
                    _ => take(answer.body),
                }
            }
        }
    }

    /// Puts several requests at once, all of which or none are done. The last one asks for an answer.
    pub(super) fn batch(&mut self, requests: Vec<Request>) -> io::Result<()> {
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        let last = requests.iter().rposition(|request| request.flags() & ACK != 0);
        let mut awaited = first;
        for (position, request) in requests.into_iter().enumerate() {
            self.sequence += 1;
            if Some(position) == last {
                awaited = self.sequence;
            }
            bytes.extend_from_slice(&request.finish(self.sequence));
        }
        self.send(&bytes)?;
        let mut buffer = vec![0; limits::NETLINK_RECEIVE_BYTES_MAX];
        loop {
            let length = self.receive(&mut buffer)?;
            for answer in messages(&buffer[..length]) {
                if answer.kind == ERROR && answer.sequence >= first {
                    outcome(answer.body)?;
                    if answer.sequence == awaited {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        send(self.socket.as_fd(), bytes, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.socket.as_fd(), &mut *buffer, RecvFlags::empty()) {
                Ok((length, _)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What an answer of the kind [`ERROR`] says: zero is success.
fn outcome(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk().map_or(libc::EPROTO, |code| i32::from_ne_bytes(*code).saturating_abs());
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        // One that was cut off, as answers are that repeat a long request, has its beginning.
        let message = bytes.get(..length.min(bytes.len())).filter(|message| message.len() >= HEADER_BYTES)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes(*message[4..].first_chunk()?),
            sequence: u32::from_ne_bytes(*message[8..].first_chunk()?),
            body: &message[HEADER_BYTES..],
        })
    })
}

/// The attributes in an answer, from a position on: their types and values.
pub(super) fn attributes(body: &[u8], from: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = body.get(from..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !ATTRIBUTE_FLAGS, value))
    })
}

/// A text in an answer, which ends with a null byte.
pub(super) fn text(value: &[u8]) -> &str {
    CStr::from_bytes_until_nul(value).ok().and_then(|text| text.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let request = Request::new(16, CREATE, &[7; 16])
            .text(3, "eth0")
            .nested(18, |inner| inner.attribute(1, b"bridge").attribute(2, &[]));
        let bytes = request.finish(5);
        let all: Vec<Message<'_>> = messages(&bytes).collect();
        let [message] = all.as_slice() else { panic!("one message") };
        assert_eq!((message.kind, message.sequence), (16, 5));
        let outer: Vec<(u16, &[u8])> = attributes(message.body, 16).collect();
        assert_eq!(outer[0], (3, b"eth0\0".as_slice()));
        assert_eq!(text(outer[0].1), "eth0");
        let inner: Vec<(u16, &[u8])> = attributes(outer[1].1, 0).collect();
        assert_eq!((outer[1].0, inner), (18, vec![(1, b"bridge".as_slice()), (2, [].as_slice())]));
    }

    #[test]
    fn what_is_cut_off_is_not_read_beyond_its_end() {
        let mut bytes = Request::new(16, 0, &[0; 4]).attribute(1, &[1; 8]).finish(1);
        bytes.truncate(bytes.len() - 4);
        let [message] = &messages(&bytes).collect::<Vec<_>>()[..] else { panic!("one message") };
        assert_eq!(attributes(message.body, 4).count(), 0);
        assert_eq!(messages(&bytes[..10]).count(), 0);
        assert!(outcome(&[]).is_err());
    }
}
