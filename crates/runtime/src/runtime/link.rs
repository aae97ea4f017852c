//! The connection to a shim, and the thread that waits for all of them.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    buffer::spare_capacity,
    event::{
        EventfdFlags,
        epoll::{self, CreateFlags, EventData, EventFlags},
        eventfd,
    },
    fs::{Mode, OFlags, open, unlink},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with},
};

use super::queue::Queue;
use crate::{limits, shim};

/// Name of the socket in the pod's directory.
const SOCKET_NAME: &str = "ctl.sock";

/// A connection to a shim.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    token: u64,
    /// The shim, if this process started it: it must be waited for.
    child: Option<Child>,
    /// The beginning of a line.
    input: Vec<u8>,
}

/// What came over a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Whether the shim has ended.
    pub(super) closed: bool,
    /// Why it gave up, if it did.
    pub(super) error: Option<String>,
}

impl Link {
    /// Connects to the shim of the pod whose directory is `pod_dir`; nothing if there is none.
    pub(super) fn connect(pod_dir: &Path, uid: &Arc<str>, watcher: &Watcher) -> io::Result<Option<Self>> {
        let stream = with_address(pod_dir, |address| {
            let socket = socket()?;
            match connect(&socket, address) {
                Ok(()) => Ok(Some(UnixStream::from(socket))),
                Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        stream.map(|stream| Link::new(stream, uid, watcher)).transpose()
    }

    /// Starts a shim. What it listens on is there before it is, so that it is found from its first moment on; and if
    /// `stop` is given, it is asked to end the pod within so many seconds before it has started anything.
    pub(super) fn start(
        pod_dir: &Path,
        uid: &Arc<str>,
        stop: Option<i64>,
        watcher: &Watcher,
        executable: &Path,
    ) -> io::Result<Self> {
        let listener = with_address(pod_dir, |address| {
            match unlink(pod_dir.join(SOCKET_NAME)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let listener = socket()?;
            bind(&listener, address)?;
            listen(&listener, limits::CONNECTIONS_MAX as i32)?;
            Ok(listener)
        })?;
        let link = Link::connect(pod_dir, uid, watcher)?;
        let mut link = link.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        if let Some(grace_seconds) = stop {
            link.ask_to_stop(grace_seconds);
        }
        // Without directory or environment of its own the program is started without copying this process.
        let child = Command::new(executable)
            .arg(shim::ARGUMENT)
            .arg(pod_dir)
            .env_clear()
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .inspect_err(|_| watcher.forget(link.token))?;
        link.child = Some(child);
        Ok(link)
    }

    fn new(stream: UnixStream, uid: &Arc<str>, watcher: &Watcher) -> io::Result<Self> {
        let token = watcher.add(&stream, uid)?;
        Ok(Link { stream, token, child: None, input: Vec::new() })
    }

    /// Reads all that came. The watcher tells again only when there is more.
    pub(super) fn hear(&mut self) -> Heard {
        let mut heard = Heard::default();
        let mut buffer = [0; 512];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => heard.closed = true,
                Ok(length) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => heard.closed = error.kind() != io::ErrorKind::WouldBlock,
            }
            break;
        }
        while let Some(end) = self.input.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line[..end]);
            heard.error = text.strip_prefix("error ").map(str::to_owned).or(heard.error);
        }
        heard
    }

    /// Asks the shim to end its pod within so many seconds.
    pub(super) fn ask_to_stop(&mut self, grace_seconds: i64) {
        // If the shim is gone, so is the pod.
        let _ = self.stream.write_all(format!("stop {grace_seconds}\n").as_bytes());
    }

    /// Lets go of a shim that has ended.
    pub(super) fn close(mut self, watcher: &Watcher) {
        watcher.forget(self.token);
        if let Some(child) = &mut self.child {
            // It closes its end when it exits, so there is nothing to wait for.
            let _ = child.wait();
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

/// Runs `with` with the address of a pod's socket. Through the descriptor of the directory it is short enough for an
/// address, wherever the directory is.
fn with_address<T>(pod_dir: &Path, with: impl FnOnce(&SocketAddrUnix) -> io::Result<T>) -> io::Result<T> {
    let dir = open(pod_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    with(&SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd()))?)
}

/// Waits until one of many shims says something.
#[derive(Debug)]
pub(super) struct Watcher {
    epoll: OwnedFd,
    closing: OwnedFd,
    pods: Mutex<HashMap<u64, Arc<str>>>,
    next_token: AtomicU64,
}

/// The token of the event that ends the watcher.
const CLOSING: u64 = 0;

impl Watcher {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let closing = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &closing, EventData::new_u64(CLOSING), EventFlags::IN)?;
        Ok(Watcher { epoll, closing, pods: Mutex::default(), next_token: AtomicU64::new(CLOSING + 1) })
    }

    fn pods(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<str>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a connection: its pod is woken once for all that came since it was last read to its end.
    fn add(&self, stream: &UnixStream, uid: &Arc<str>) -> io::Result<u64> {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        self.pods().insert(token, uid.clone());
        let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, stream, EventData::new_u64(token), events).inspect_err(|_| self.forget(token))?;
        Ok(token)
    }

    /// Forgets a connection, which the caller closes.
    fn forget(&self, token: u64) {
        self.pods().remove(&token);
    }

    /// Wakes pods until it is closed.
    pub(super) fn run(&self, queue: &Queue) {
        let mut events = Vec::with_capacity(limits::POLL_EVENTS_MAX);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "pods are not watched any more");
                    return;
                }
            }
            for event in events.drain(..) {
                let token = event.data.u64();
                if token == CLOSING {
                    return;
                }
                let uid = self.pods().get(&token).cloned();
                if let Some(uid) = uid {
                    queue.wake(&uid);
                }
            }
        }
    }

    /// Ends [`Watcher::run`].
    pub(super) fn close(&self) {
        // A counter of one is never too large to be written.
        let _ = rustix::io::write(&self.closing, &1u64.to_ne_bytes());
    }
}
