//! A small process that forks shims.
//!
//! To execute this program anew for each pod costs several times what a shim does afterwards: a large file is mapped and
//! relocated, and the server's many descriptors are closed one by one. This process does it once, holds next to nothing
//! open, and forks. It ends when the server does; the shims it has forked live on.

use std::{
    ffi::OsStr,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
    process::setsid,
    stdio,
    thread::set_name,
};

use crate::{
    clock,
    journal::{self, Event},
    limits, shim, sys,
};

/// The first and only argument of a program that is executed as a fork server.
const ARGUMENT: &str = "__shims";

/// The connection to a fork server. Another one is started when the one there was has died.
#[derive(Debug)]
pub(crate) struct ForkServer {
    executable: PathBuf,
    process: Mutex<Process>,
}

#[derive(Debug)]
struct Process {
    /// Closed before the child is waited for: that is what ends it.
    requests: Option<OwnedFd>,
    child: Child,
}

impl ForkServer {
    /// Starts a fork server by executing this program's file.
    pub(crate) fn start(executable: PathBuf) -> io::Result<Self> {
        let process = Mutex::new(Process::start(&executable)?);
        Ok(ForkServer { executable, process })
    }

    /// Starts a shim for the pod whose directory is `pod_dir`, which takes commands from `commands`. If it cannot be
    /// forked, the journal says so.
    pub(crate) fn start_shim(&self, pod_dir: &Path, commands: BorrowedFd<'_>) -> io::Result<()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        match process.ask_for_shim(pod_dir, commands) {
            Err(Errno::PIPE | Errno::CONNRESET) => {
                tracing::warn!("the process that starts shims has ended: starting another");
                *process = Process::start(&self.executable)?;
                Ok(process.ask_for_shim(pod_dir, commands)?)
            }
            asked => Ok(asked?),
        }
    }
}

impl Process {
    fn start(executable: &Path) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let child = Command::new(executable)
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Process { requests: Some(ours), child })
    }

    fn ask_for_shim(&self, pod_dir: &Path, commands: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let requests = self.requests.as_ref().ok_or(Errno::PIPE)?;
        let descriptors = [commands];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fits = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        debug_assert!(fits, "the space is for one descriptor");
        let path = IoSlice::new(pod_dir.as_os_str().as_bytes());
        sendmsg(requests, &[path], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.requests = None;
        // It ends now, if it has not before. Should the wait fail, a zombie is all that stays.
        let _ = self.child.wait();
    }
}

/// Turns this process into a fork server, or into a shim that it forked, if that is what it was executed for, and does
/// not return then.
///
/// This must be the first statement of `main`: such a process has one thread and little memory.
pub fn main_if_requested() {
    if std::env::args_os().nth(1).is_some_and(|first| first == ARGUMENT) {
        std::process::exit(serve());
    }
}

/// Forks a shim for each request until the server has closed its end. The socket is the standard input, which each
/// shim replaces by its own.
fn serve() -> i32 {
    // An interrupt that is typed at a terminal is for the server, which still ends its pods then. This only fails for the
    // leader of a process group, which needs no protection.
    let _ = setsid();
    sys::forget_children(true);
    while let Some((pod_dir, commands)) = next_request(stdio::stdin()) {
        match sys::fork() {
            Ok(sys::Fork::Child) => return become_shim(&pod_dir, commands),
            Ok(sys::Fork::Parent(_)) => {}
            Err(error) => give_up(&pod_dir, &error),
        }
    }
    0
}

fn become_shim(pod_dir: &Path, commands: OwnedFd) -> i32 {
    sys::forget_children(false);
    if stdio::dup2_stdin(&commands).is_err() {
        return 1;
    }
    drop(commands);
    // Only for who looks at a list of processes.
    let _ = set_name(c"cronlet-shim");
    shim::run(pod_dir)
}

/// Says in the journal why no shim will write there.
fn give_up(pod_dir: &Path, error: &io::Error) {
    if let Ok(Some((mut journal, _))) = journal::Writer::open(pod_dir) {
        journal.push(clock::now(), Event::GaveUp { message: format!("cannot fork a process: {error}") });
        // Without it the server still sees that there is no shim.
        let _ = journal.flush();
    }
}

/// The pod's directory, and the pipe that the shim takes commands from; nothing once the server has ended.
fn next_request(socket: BorrowedFd<'_>) -> Option<(PathBuf, OwnedFd)> {
    let mut path = vec![0; limits::PATH_MAX_BYTES];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut path)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let length = match received {
            Ok(received) => received.bytes,
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        };
        let commands = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        return commands.map(|commands| (OsStr::from_bytes(&path[..length]).into(), commands));
    }
}
