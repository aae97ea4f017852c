//! How a server and a shim talk: over a socket in the pod's directory, on which the shim listens from its beginning.
//!
//! The server sends commands, each a line: `stop <seconds of grace>`. The shim sends an empty line whenever the
//! journal has grown, and `error <text>` if it must give up. What happened is in the journal alone: a line that is
//! not read in time is no loss.

use std::{
    io::{Read, Write},
    os::{fd::BorrowedFd, unix::net::UnixStream},
};

use rustix::{
    fs::{OFlags, fcntl_setfl},
    net::{SocketFlags, accept_with, sockopt::socket_peercred},
    process::geteuid,
    stdio::stdin,
};

use crate::limits;

/// What the server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// End the pod within so many seconds.
    Stop {
        /// Between SIGTERM and SIGKILL.
        grace_seconds: i64,
    },
}

/// The shim's end of the conversation. The listening socket is its standard input.
#[derive(Debug)]
pub(super) struct Control {
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    /// The beginning of a command.
    input: Vec<u8>,
}

impl Control {
    pub(super) fn new() -> Self {
        // If this fails, the next accept fails as well, which is ignored there.
        let _ = fcntl_setfl(stdin(), OFlags::NONBLOCK);
        let mut control = Control { clients: Vec::new() };
        control.accept();
        control
    }

    /// The descriptor that tells of new clients.
    pub(super) fn listener() -> BorrowedFd<'static> {
        stdin()
    }

    /// The clients' connections.
    pub(super) fn streams(&self) -> impl Iterator<Item = &UnixStream> {
        self.clients.iter().map(|client| &client.stream)
    }

    /// Takes new clients in. Each is told to look at the journal.
    pub(super) fn accept(&mut self) {
        while let Ok(fd) = accept_with(stdin(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            let trusted = |peer: rustix::net::UCred| peer.uid.is_root() || peer.uid == geteuid();
            if self.clients.len() == limits::CONNECTIONS_MAX || !socket_peercred(&fd).is_ok_and(trusted) {
                continue;
            }
            let mut stream = UnixStream::from(fd);
            if stream.write_all(b"\n").is_ok() {
                self.clients.push(Client { stream, input: Vec::new() });
            }
        }
    }

    /// What the clients have asked for since the last call.
    pub(super) fn commands(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        self.clients.retain_mut(|client| client.read(&mut commands));
        commands
    }

    /// Tells the clients that the journal has grown.
    pub(super) fn notify(&mut self) {
        // A full buffer already holds what the client has not read.
        self.clients.retain_mut(|client| match client.stream.write(b"\n") {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
    }

    /// Tells the clients why there will be no more from here.
    pub(super) fn fail(&mut self, message: &str) {
        self.accept();
        for client in &mut self.clients {
            // Nobody is left to be told if this fails.
            let _ = client.stream.write_all(format!("error {}\n", message.replace('\n', " ")).as_bytes());
        }
    }
}

impl Client {
    /// Reads commands. Whether the client is still there and makes sense.
    fn read(&mut self, commands: &mut Vec<Command>) -> bool {
        let mut buffer = [0; limits::COMMAND_BYTES_MAX];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
            while let Some(end) = self.input.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                commands.extend(parse(&line[..end]));
            }
            if self.input.len() > limits::COMMAND_BYTES_MAX {
                return false;
            }
        }
    }
}

fn parse(line: &[u8]) -> Option<Command> {
    let line = std::str::from_utf8(line).ok()?;
    let grace_seconds = line.strip_prefix("stop ")?.parse().ok()?;
    Some(Command::Stop { grace_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines() {
        assert_eq!(parse(b"stop 30"), Some(Command::Stop { grace_seconds: 30 }));
        for line in ["", "stop", "stop x", "start 1", "stop 1 2"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn commands_may_come_in_pieces_and_clients_may_go() {
        let (mut server, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut control = Control { clients: vec![Client { stream, input: Vec::new() }] };
        server.write_all(b"stop 1\nnonsense\nst").unwrap();
        assert_eq!(control.commands(), [Command::Stop { grace_seconds: 1 }]);
        server.write_all(b"op 2\n").unwrap();
        assert_eq!(control.commands(), [Command::Stop { grace_seconds: 2 }]);
        control.notify();
        let mut told = [0];
        server.read_exact(&mut told).unwrap();
        assert_eq!(told, *b"\n");
        drop(server);
        assert_eq!(control.commands(), []);
        assert_eq!(control.streams().count(), 0);
    }
}
