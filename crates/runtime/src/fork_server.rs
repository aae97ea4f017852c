//! A small process that forks shims.
//!
//! To execute this program anew for each pod costs several times what a shim does afterwards: a large file is mapped and
//! relocated, and the server's many descriptors are closed one by one. This process does it once, holds next to nothing
//! open, and forks. It ends when the server does; the shims it has forked live on.
//!
//! It also forks the parents of programs that somebody wants to run in a container: they, too, must have one thread.

use std::{
    ffi::{CString, OsStr},
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
    limits,
    shim::{self, connect, exec},
    sys, users,
};

/// Its second argument, if whoever starts it has entered their user's ranges.
const RANGES: &str = "ranges";

/// What shims are called in a list of processes.
const SHIM_NAME: &str = "cronlet-shim";

/// The first and only argument of a program that is executed as a fork server.
const ARGUMENT: &str = "__shims";

/// What a request begins with: for a shim, followed by the directory of its pod.
const SHIM: u8 = b'S';
/// For a program in a container, followed by what is to be run.
const EXEC: u8 = b'E';
/// For a connection within a pod's network, followed by where to.
const CONNECT: u8 = b'C';
/// Descriptors that come with a request: for a shim what it takes commands from; for a program what is said of it, and
/// its streams.
const DESCRIPTORS_MAX: usize = 4;

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
        self.ask(SHIM, pod_dir.as_os_str().as_bytes(), &[commands])
    }

    /// Starts the parent of a program in a container. What becomes of it is said over the first descriptor; if that ends
    /// without a word, there is no process.
    pub(crate) fn start_exec(
        &self,
        request: &exec::Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.ask(EXEC, &serde_json::to_vec(request)?, descriptors)
    }

    /// Starts a process that makes a connection within the network of a pod and hands it over.
    pub(crate) fn start_connect(&self, request: &connect::Request, report: BorrowedFd<'_>) -> io::Result<()> {
        self.ask(CONNECT, &serde_json::to_vec(request)?, &[report])
    }

    fn ask(&self, kind: u8, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if text.len() >= limits::FORK_REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        match process.ask(kind, text, descriptors) {
            Err(Errno::PIPE | Errno::CONNRESET) => {
                tracing::warn!("the process that starts shims has ended: starting another");
                *process = Process::start(&self.executable)?;
                Ok(process.ask(kind, text, descriptors)?)
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
            .args(users::has_ranges().then_some(RANGES))
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Process { requests: Some(ours), child })
    }

    fn ask(&self, kind: u8, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
        let requests = self.requests.as_ref().ok_or(Errno::PIPE)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fits = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "the space is for as many as there may be");
        let kind = [kind];
        let parts = [IoSlice::new(&kind), IoSlice::new(text)];
        sendmsg(requests, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
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
        if std::env::args_os().nth(2).is_some_and(|second| second == RANGES) {
            users::inherit_ranges();
        }
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
    while let Some(request) = next_request(stdio::stdin()) {
        match sys::fork() {
            Ok(sys::Fork::Child) => {
                sys::forget_children(false);
                return request.serve();
            }
            Ok(sys::Fork::Parent(_)) => {}
            Err(error) => request.give_up(&error),
        }
    }
    0
}

/// What a fork server is asked for.
struct Request {
    kind: u8,
    text: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Request {
    /// Becomes what is asked for, and returns the exit code of that process.
    fn serve(mut self) -> i32 {
        if self.descriptors.is_empty() {
            return 1;
        }
        let first = self.descriptors.remove(0);
        if self.kind == SHIM {
            return become_shim(Path::new(OsStr::from_bytes(&self.text)), first);
        }
        if self.kind == CONNECT {
            return serde_json::from_slice(&self.text).map_or(1, |request| connect::run(&request, first));
        }
        // Only for who looks at a list of processes.
        let _ = set_name(c"cronlet-exec");
        match serde_json::from_slice(&self.text) {
            Ok(request) => exec::run(&request, first, self.descriptors),
            Err(_) => 1,
        }
    }

    /// Says in the journal of a pod why no shim will write there. Whoever asked for a program hears nothing more.
    fn give_up(&self, error: &io::Error) {
        if self.kind != SHIM {
            return;
        }
        let pod_dir = Path::new(OsStr::from_bytes(&self.text));
        if let Ok(Some((mut journal, _))) = journal::Writer::open(pod_dir) {
            journal.push(clock::now(), Event::GaveUp { message: format!("cannot fork a process: {error}") });
            // Without it the server still sees that there is no shim.
            let _ = journal.flush();
        }
    }
}

fn become_shim(pod_dir: &Path, commands: OwnedFd) -> i32 {
    if stdio::dup2_stdin(&commands).is_err() {
        return 1;
    }
    drop(commands);
    // Only for who looks at a list of processes.
    let _ = CString::new(SHIM_NAME).map(|name| set_name(&name));
    shim::run(pod_dir)
}

/// The next request; nothing once the server has ended.
fn next_request(socket: BorrowedFd<'_>) -> Option<Request> {
    let mut text = vec![0; limits::FORK_REQUEST_BYTES_MAX];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut text)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let length = match received {
            Ok(received) if received.bytes > 0 => received.bytes,
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => return None,
        };
        let descriptors = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptors = descriptors.flatten().collect();
        let kind = text[0];
        return Some(Request { kind, text: text[1..length].to_vec(), descriptors });
    }
}
