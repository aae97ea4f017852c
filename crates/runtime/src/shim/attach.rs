//! Clients that are attached to containers: they hear what is written from now on, and may write what is read.
//!
//! A client is a socket that belongs to the server. What goes over it are frames: a channel, the length of what follows
//! as two bytes, the higher one first, and that. No client is waited for: what one does not take in time is left out for
//! it, and it is told how much that was.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use jiff::SignedDuration;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{clock, limits, logs::format::Stream};

/// Input for the container.
pub(crate) const STDIN: u8 = 0;
/// What the container writes.
pub(crate) const STDOUT: u8 = 1;
/// Its errors.
pub(crate) const STDERR: u8 = 2;
/// The size of its terminal: columns and rows, two bytes each.
pub(crate) const RESIZE: u8 = 4;
/// The client has no more input.
pub(crate) const END_INPUT: u8 = 5;
/// It is attached.
pub(crate) const ATTACHED: u8 = 6;
/// It is not, and why.
pub(crate) const REFUSED: u8 = 7;
/// The container has ended, or with the client's input there is nothing more to do.
pub(crate) const ENDED: u8 = 8;

/// Bytes before a frame's content.
pub(crate) const HEAD_BYTES: usize = 3;

/// The head of a frame whose content is no longer than a frame may be.
pub(crate) fn head(channel: u8, length: usize) -> [u8; HEAD_BYTES] {
    let [high, low] = u16::try_from(length).expect("frames are short").to_be_bytes();
    [channel, high, low]
}

/// The channel and the length of a frame.
pub(crate) fn read_head([channel, high, low]: [u8; HEAD_BYTES]) -> (u8, usize) {
    (channel, usize::from(u16::from_be_bytes([high, low])))
}

/// Takes the first whole frame off; nothing if it has not come yet.
fn take_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (channel, length) = read_head(*bytes.first_chunk()?);
    let content = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?.to_vec();
    bytes.drain(..HEAD_BYTES + length);
    Some((channel, content))
}

/// What a client has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Something to be read.
    Input(Vec<u8>),
    /// The size of the terminal: columns and rows.
    Size(u16, u16),
    /// That it has no more input.
    EndOfInput,
    /// Nothing more: it is gone.
    Gone,
}

/// A client.
#[derive(Debug)]
struct Client {
    id: u64,
    container: usize,
    /// Not blocking.
    socket: UnixStream,
    stdin: bool,
    tty: bool,
    /// What has come of a frame.
    input: Vec<u8>,
    /// What it has not taken yet.
    output: VecDeque<u8>,
    /// How much was left out since it last took something, in bytes.
    lost: u64,
    /// Whether it is to be told that this is the end.
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// Once the container's end is written down.
    Soon,
    /// It was told, and goes when it has taken everything.
    Told,
}

/// All clients of a pod.
#[derive(Debug, Default)]
pub(super) struct Attached {
    clients: Vec<Client>,
    next_id: u64,
}

/// Connects to a client that listens at a socket.
pub(super) fn connect(socket: &Path) -> io::Result<UnixStream> {
    let socket = UnixStream::connect(socket)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Tells a client that it cannot be attached.
pub(super) fn refuse(mut socket: &UnixStream, why: &str) {
    let why = &why.as_bytes()[..why.len().min(limits::ATTACH_FRAME_BYTES_MAX)];
    // Who does not hear it will see that the connection has ended.
    let _ = socket.write_all(&[&head(REFUSED, why.len()), why].concat());
}

impl Attached {
    /// Takes a client in. `stdin` says whether it may have input, `tty` whether the container has a terminal. Whether
    /// there is room for it.
    pub(super) fn add(&mut self, container: usize, socket: UnixStream, stdin: bool, tty: bool) -> bool {
        if self.clients.len() >= limits::ATTACHED_MAX {
            // Some may have gone without having been looked at.
            self.clients.retain(|client| !is_gone(&client.socket));
        }
        if self.clients.len() >= limits::ATTACHED_MAX {
            refuse(&socket, "too many clients are attached to the pod");
            return false;
        }
        let (id, ending) = (self.next_id, Ending::No);
        self.next_id += 1;
        let (input, output) = (Vec::new(), VecDeque::from(head(ATTACHED, 0)));
        let client = Client { id, container, socket, stdin, tty, input, output, lost: 0, ending };
        self.clients.push(client);
        self.flush(id);
        true
    }

    /// What to wait for: of which client, and for what. `takes_input` says whether a container can take input now.
    pub(super) fn interests(
        &self,
        takes_input: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = (u64, &UnixStream, PollFlags)> {
        self.clients.iter().filter_map(move |client| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::OUT, !client.output.is_empty());
            flags.set(PollFlags::IN, client.ending == Ending::No && takes_input(client.container));
            // Without either, one that has gone would wake the shim again and again.
            (!flags.is_empty()).then_some((client.id, &client.socket, flags))
        })
    }

    /// The container of a client, and whether it may have input.
    pub(super) fn client(&self, id: u64) -> Option<(usize, bool)> {
        self.clients.iter().find(|client| client.id == id).map(|client| (client.container, client.stdin))
    }

    /// Takes in what there is of a client; once, so that others get their turn.
    pub(super) fn listen(&mut self, id: u64, buffer: &mut [u8]) -> Vec<Said> {
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else { return Vec::new() };
        if client.ending != Ending::No {
            return Vec::new();
        }
        match client.socket.read(buffer) {
            Ok(0) => return vec![Said::Gone],
            Ok(length) => client.input.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return vec![Said::Gone],
        }
        let mut said = Vec::new();
        while let Some((channel, content)) = take_frame(&mut client.input) {
            match (channel, &content[..]) {
                (STDIN, _) if client.stdin => said.push(Said::Input(content)),
                (RESIZE, &[a, b, c, d]) => {
                    said.push(Said::Size(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
                }
                (END_INPUT, _) => said.push(Said::EndOfInput),
                _ => {}
            }
        }
        said
    }

    /// Hands what a container has written to its clients.
    pub(super) fn hear(&mut self, container: usize, stream: Stream, bytes: &[u8]) {
        let ids: Vec<u64> = self
            .clients
            .iter_mut()
            .filter(|client| client.container == container && client.ending == Ending::No)
            .map(|client| {
                client.push_output(stream, bytes);
                client.id
            })
            .collect();
        ids.into_iter().for_each(|id| self.flush(id));
    }

    /// Sends a client what it takes without being waited for. One that is gone, or that has taken everything after its
    /// end, is forgotten.
    pub(super) fn flush(&mut self, id: u64) {
        self.clients.retain_mut(|client| {
            client.id != id || client.flush() && !(client.ending == Ending::Told && client.output.is_empty())
        });
    }

    /// A client is done. It is told by [`Attached::tell_ends`].
    pub(super) fn detach(&mut self, id: u64) {
        let found = self.clients.iter_mut().filter(|client| client.id == id);
        found.for_each(|client| client.ending = Ending::Soon);
    }

    /// Forgets a client that is gone.
    pub(super) fn remove(&mut self, id: u64) {
        self.clients.retain(|client| client.id != id);
    }

    /// A container has ended, and with it all that its clients can hear.
    pub(super) fn end(&mut self, container: usize) {
        let found = self
            .clients
            .iter_mut()
            .filter(|client| client.container == container && client.ending == Ending::No);
        found.for_each(|client| client.ending = Ending::Soon);
    }

    /// Tells clients of the end that have not been told. What ended is written down.
    pub(super) fn tell_ends(&mut self) {
        let ending: Vec<u64> = self
            .clients
            .iter()
            .filter(|client| client.ending == Ending::Soon)
            .map(|client| client.id)
            .collect();
        for id in ending {
            if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
                client.ending = Ending::Told;
                client.output.extend(head(ENDED, 0));
            }
            self.flush(id);
        }
    }

    /// Gives clients a last while to take what is left for them.
    pub(super) fn drain(&mut self) {
        self.tell_ends();
        let patience = SignedDuration::try_from(limits::ATTACH_DRAIN_TIME_MAX).unwrap_or_default();
        let until = clock::now().saturating_add(patience).unwrap_or_default();
        while !self.clients.is_empty() {
            let left = Duration::try_from(until.duration_since(clock::now())).unwrap_or_default();
            let mut fds: Vec<PollFd> =
                self.clients.iter().map(|client| PollFd::new(&client.socket, PollFlags::OUT)).collect();
            let left = Timespec::try_from(left).unwrap_or_default();
            match poll(&mut fds, Some(&left)) {
                Ok(1..) | Err(Errno::INTR) => {}
                Ok(0) | Err(_) => return,
            }
            let ids: Vec<u64> = self.clients.iter().map(|client| client.id).collect();
            ids.into_iter().for_each(|id| self.flush(id));
        }
    }
}

impl Client {
    fn push_output(&mut self, stream: Stream, bytes: &[u8]) {
        let channel = match stream {
            Stream::Stdout => STDOUT,
            Stream::Stderr => STDERR,
        };
        let frames = bytes.len().div_ceil(limits::ATTACH_FRAME_BYTES_MAX);
        if self.output.len() + bytes.len() + frames * HEAD_BYTES > limits::ATTACH_QUEUE_BYTES_MAX {
            self.lost += bytes.len() as u64;
            return;
        }
        if self.lost > 0 {
            let (channel, end) = if self.tty { (STDOUT, "\r\n") } else { (STDERR, "\n") };
            let note =
                format!("cronlet: {} bytes were left out here: they were not read in time{end}", self.lost);
            self.push(channel, note.as_bytes());
            self.lost = 0;
        }
        self.push(channel, bytes);
    }

    fn push(&mut self, channel: u8, bytes: &[u8]) {
        for part in bytes.chunks(limits::ATTACH_FRAME_BYTES_MAX) {
            self.output.extend(head(channel, part.len()));
            self.output.extend(part);
        }
    }

    /// Whether it is still there.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            let (first, _) = self.output.as_slices();
            match self.socket.write(first) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

fn is_gone(socket: &UnixStream) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|_| fds[0].revents().contains(PollFlags::HUP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(stdin: bool) -> (Attached, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut attached = Attached::default();
        assert!(attached.add(0, theirs, stdin, false));
        (attached, ours)
    }

    fn frame(mut socket: &UnixStream) -> (u8, String) {
        let mut bytes = [0; HEAD_BYTES];
        socket.read_exact(&mut bytes).unwrap();
        let (channel, length) = read_head(bytes);
        let mut content = vec![0; length];
        socket.read_exact(&mut content).unwrap();
        (channel, String::from_utf8(content).unwrap())
    }

    #[test]
    fn a_client_hears_its_container_alone_and_then_the_end() {
        let (mut attached, client) = attached(false);
        attached.hear(1, Stream::Stdout, b"other");
        attached.hear(0, Stream::Stderr, b"own");
        attached.end(0);
        attached.hear(0, Stream::Stdout, b"late");
        attached.tell_ends();
        let frames = [frame(&client), frame(&client), frame(&client)];
        assert_eq!(frames, [(ATTACHED, "".into()), (STDERR, "own".into()), (ENDED, "".into())]);
        assert!(attached.clients.is_empty());
    }

    #[test]
    fn a_slow_client_misses_something_and_is_told_how_much() {
        let (mut attached, client) = attached(false);
        let block = [b'x'; limits::ATTACH_FRAME_BYTES_MAX];
        while attached.clients[0].lost == 0 {
            attached.hear(0, Stream::Stdout, &block);
        }
        attached.hear(0, Stream::Stdout, &block);
        assert!(attached.clients[0].output.len() <= limits::ATTACH_QUEUE_BYTES_MAX);
        // A frame may be in the socket in part alone.
        client.set_nonblocking(true).unwrap();
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        let mut take_all = |attached: &mut Attached| {
            while let Ok(length) = (&client).read(&mut buffer) {
                read.extend_from_slice(&buffer[..length]);
                attached.flush(0);
            }
        };
        take_all(&mut attached);
        attached.hear(0, Stream::Stdout, b"again");
        take_all(&mut attached);
        let mut frames = Vec::new();
        while let Some(frame) = take_frame(&mut read) {
            frames.push(frame);
        }
        let text =
            format!("cronlet: {} bytes were left out here: they were not read in time\n", 2 * block.len());
        let last = [(STDERR, text.into_bytes()), (STDOUT, b"again".to_vec())];
        assert!(
            frames.ends_with(&last),
            "{:?}",
            frames.iter().map(|(channel, _)| channel).collect::<Vec<_>>()
        );
    }

    #[test]
    fn frames_may_come_in_pieces() {
        let (mut attached, mut client) = attached(true);
        let mut buffer = [0; 64];
        client.write_all(&[STDIN, 0]).unwrap();
        assert_eq!(attached.listen(0, &mut buffer), []);
        client.write_all(&[2, b'h', b'i', RESIZE, 0, 4, 0, 80, 0, 24, END_INPUT, 0, 0]).unwrap();
        let said = [Said::Input(b"hi".to_vec()), Said::Size(80, 24), Said::EndOfInput];
        assert_eq!(attached.listen(0, &mut buffer), said);
        drop(client);
        assert_eq!(attached.listen(0, &mut buffer), [Said::Gone]);
    }

    #[test]
    fn the_gone_make_room() {
        let (mut attached, first) = attached(false);
        let mut others = Vec::new();
        let mut add = |attached: &mut Attached| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            others.push(ours);
            attached.add(0, theirs, false, false)
        };
        for _ in 1..limits::ATTACHED_MAX {
            assert!(add(&mut attached));
        }
        assert!(!add(&mut attached));
        drop(first);
        assert!(add(&mut attached));
    }

    #[test]
    fn without_input_none_is_taken() {
        let (mut attached, mut client) = attached(false);
        client.write_all(&[STDIN, 0, 1, b'x']).unwrap();
        assert_eq!(attached.listen(0, &mut [0; 64]), []);
    }
}
