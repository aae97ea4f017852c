//! Programs that somebody wants to run in a container, as the server sees them.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    path::PathBuf,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    pipe::{PipeFlags, pipe_with},
};
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixStream,
        unix::pipe::{Receiver, Sender},
    },
};

use crate::{
    fork_server::ForkServer,
    limits,
    shim::{
        exec::{Request, Said},
        terminal,
    },
};

/// What is to be run, and where.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// UID of the pod.
    pub uid: String,
    /// Name of one of its containers.
    pub container: String,
    /// The program and its arguments; not empty. It is looked for in the container's `PATH`.
    pub argv: Vec<String>,
    /// Whether its input and output are a terminal of its own. What it writes is then one stream.
    pub tty: bool,
}

/// A program that runs in a container. It is made to end when this is dropped.
#[derive(Debug)]
pub struct Execution {
    /// Its input, which ends when this is dropped; a terminal's does not.
    pub stdin: Sender,
    /// What it writes, but for its errors if it has no terminal. The end of a terminal shows as an error (`EIO`).
    pub stdout: Receiver,
    /// Its errors, if it has no terminal.
    pub stderr: Option<Receiver>,
    /// Its terminal, if it has one.
    pub terminal: Option<Terminal>,
    /// How it ends.
    pub exit: Exit,
}

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The container does not run, or the program cannot be executed in it. In the kubelet's words.
    #[error("{0}")]
    NotStarted(String),
    /// The system is short of something.
    #[error("cannot start a process in the container: {0}")]
    System(#[from] io::Error),
}

/// A program's terminal.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Sets its size, of which the program is told.
    pub fn resize(&self, columns: u16, rows: u16) {
        terminal::resize(&self.0, columns, rows);
    }
}

/// How a program ends.
#[derive(Debug)]
pub struct Exit(UnixStream);

impl Exit {
    /// Its exit code; nothing if its parent was killed.
    pub async fn code(&mut self) -> Option<i32> {
        let mut text = Vec::new();
        let read = (&mut self.0).take(64).read_to_end(&mut text).await;
        match Said::decode(std::str::from_utf8(&text).ok()?.trim_end()) {
            Some(Said::Ended(code)) if read.is_ok() => Some(code),
            _ => None,
        }
    }
}

/// Starts a program. Waits for it to be executed, so it must be called where that is allowed; from within an async
/// runtime.
pub(crate) fn start(
    server: &ForkServer,
    pod_dir: PathBuf,
    request: ExecRequest,
) -> Result<Execution, ExecError> {
    let ExecRequest { container, argv, tty, .. } = request;
    let (report, child_report) = StdStream::pair()?;
    report.set_read_timeout(Some(limits::EXEC_START_PATIENCE))?;
    let asked = Request { pod_dir, container, argv, tty };
    if tty {
        server.start_exec(&asked, &[child_report.as_fd()])?;
        drop(child_report);
        let terminal = listen(&report)?.ok_or_else(|| io::Error::other("there is no terminal"))?;
        let copy = |terminal: &OwnedFd| terminal.try_clone().map(File::from);
        set_nonblocking(&terminal)?;
        return Ok(Execution {
            stdin: Sender::from_file_unchecked(copy(&terminal)?)?,
            stdout: Receiver::from_file_unchecked(copy(&terminal)?)?,
            stderr: None,
            terminal: Some(Terminal(terminal)),
            exit: exit(report)?,
        });
    }
    let [stdin, stdout, stderr] = [pipe()?, pipe()?, pipe()?];
    let descriptors = [child_report.as_fd(), stdin.0.as_fd(), stdout.1.as_fd(), stderr.1.as_fd()];
    server.start_exec(&asked, &descriptors)?;
    drop((child_report, stdin.0, stdout.1, stderr.1));
    listen(&report)?;
    for ours in [&stdin.1, &stdout.0, &stderr.0] {
        set_nonblocking(ours)?;
    }
    Ok(Execution {
        stdin: Sender::from_owned_fd(stdin.1)?,
        stdout: Receiver::from_owned_fd(stdout.0)?,
        stderr: Some(Receiver::from_owned_fd(stderr.0)?),
        terminal: None,
        exit: exit(report)?,
    })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?)
}

fn exit(report: StdStream) -> io::Result<Exit> {
    report.set_nonblocking(true)?;
    Ok(Exit(UnixStream::from_std(report)?))
}

/// Waits until the program runs. Returns its terminal, if it has one.
fn listen(mut report: &StdStream) -> Result<Option<OwnedFd>, ExecError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0];
    let received =
        recvmsg(report, &mut [IoSliceMut::new(&mut first)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    let received = received.map_err(io::Error::from)?;
    let terminal = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let mut line = first[..received.bytes].to_vec();
    // Byte by byte: what follows the line is for another reader.
    let mut byte = [0];
    while line.last().is_some_and(|last| *last != b'\n') && report.read(&mut byte)? == 1 {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    match Said::decode(line.trim_start_matches('\0').trim_end()) {
        Some(Said::Started) => Ok(terminal),
        Some(Said::NotStarted(why)) => Err(ExecError::NotStarted(why)),
        Some(Said::Ended(_)) | None => {
            Err(io::Error::other("the process that was to start it has ended").into())
        }
    }
}
