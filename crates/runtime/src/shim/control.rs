//! What the server asks of a shim: lines over a pipe, which is the shim's standard input.
//!
//! The commands are `stop <seconds of grace>`, `deadline <seconds since 1970>`, `evict <why>`, `respecify`, and
//! `attach <container> <socket> <1 with input, else 0>`. A later server writes to the same pipe, which it finds through
//! the lock on the journal: see [`crate::journal`]. The shim never answers there; what happens is in the journal. Who wants
//! to be attached listens at a socket in the pod's directory, to which the shim connects: see [`super::attach`].

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

use jiff::Timestamp;

use crate::limits;

/// What the server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// End the pod within so many seconds.
    Stop {
        /// Between SIGTERM and SIGKILL.
        grace_seconds: i64,
    },
    /// End the pod when it is this time, if it has not ended by then.
    Deadline(Timestamp),
    /// End the pod at once, for the sake of the node.
    Evict {
        /// Why.
        message: String,
    },
    /// Take over what containers are from now on: see [`super::changes`].
    Respecify,
    /// Connect the streams of a container to a socket.
    Attach {
        /// The container's name.
        container: String,
        /// The socket's name, in the directory of the pod.
        socket: String,
        /// Whether there may be input.
        stdin: bool,
    },
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Control {
    pipe: File,
    /// The beginning of a command.
    input: Vec<u8>,
}

impl Control {
    /// Takes standard input, for writing as well: so the pipe never ends, whichever servers come and go.
    pub(super) fn open() -> io::Result<Self> {
        let nonblocking = libc::O_NONBLOCK;
        let pipe =
            File::options().read(true).write(true).custom_flags(nonblocking).open("/proc/self/fd/0")?;
        Ok(Control { pipe, input: Vec::new() })
    }

    /// The descriptor that tells of commands.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// What was asked for since the last call. What makes no sense is ignored.
    pub(super) fn commands(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut buffer = [0; limits::COMMAND_BYTES_MAX];
        // The end of what there is shows as an error.
        while let Ok(length @ 1..) = self.pipe.read(&mut buffer) {
            self.input.extend_from_slice(&buffer[..length]);
            while let Some(end) = self.input.iter().position(|&b| b == b'\n') {
                commands.extend(parse(&self.input[..end]));
                self.input.drain(..=end);
            }
            if self.input.len() > limits::COMMAND_BYTES_MAX {
                self.input.clear();
            }
        }
        commands
    }
}

fn parse(line: &[u8]) -> Option<Command> {
    let line = std::str::from_utf8(line).ok()?;
    if let Some(message) = line.strip_prefix("evict ") {
        return Some(Command::Evict { message: message.to_owned() });
    }
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["stop", grace_seconds] => Some(Command::Stop { grace_seconds: grace_seconds.parse().ok()? }),
        ["deadline", second] => Some(Command::Deadline(Timestamp::from_second(second.parse().ok()?).ok()?)),
        ["respecify"] => Some(Command::Respecify),
        ["attach", container, socket, stdin] if !socket.contains('/') => Some(Command::Attach {
            container: container.to_owned(),
            socket: socket.to_owned(),
            stdin: stdin == "1",
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn commands_are_lines() {
        assert_eq!(parse(b"stop 30"), Some(Command::Stop { grace_seconds: 30 }));
        assert_eq!(parse(b"deadline 60"), Some(Command::Deadline(Timestamp::from_second(60).unwrap())));
        assert_eq!(parse(b"respecify"), Some(Command::Respecify));
        assert_eq!(parse(b"evict low on  x. "), Some(Command::Evict { message: "low on  x. ".into() }));
        let attach = Command::Attach { container: "c".into(), socket: "s-1".into(), stdin: true };
        assert_eq!(parse(b"attach c s-1 1"), Some(attach));
        let stops = ["", "stop", "stop x", "start 1", "stop 1 2"];
        let others = ["deadline", "deadline x", "respecify 1", "attach c", "attach c ../s 1"];
        for line in stops.into_iter().chain(others) {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn commands_may_come_in_pieces() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK).unwrap();
        let (mut control, mut server) =
            (Control { pipe: File::from(read), input: Vec::new() }, File::from(write));
        server.write_all(b"stop 1\nnonsense\nst").unwrap();
        assert_eq!(control.commands(), [Command::Stop { grace_seconds: 1 }]);
        server.write_all(b"op 2\n").unwrap();
        assert_eq!(control.commands(), [Command::Stop { grace_seconds: 2 }]);
        server.write_all(&[b'x'; 2 * limits::COMMAND_BYTES_MAX]).unwrap();
        assert_eq!(control.commands(), []);
        server.write_all(b"\nstop 3\n").unwrap();
        assert_eq!(control.commands(), [Command::Stop { grace_seconds: 3 }]);
    }
}
