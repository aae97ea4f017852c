//! The connection to a shim, and the thread that waits for all of them.
//!
//! There is no protocol: the server reads what the shim writes to the journal, and is woken when that grows. It holds
//! the writing end of the pipe that the shim takes commands from; when the shim ends, whoever started it, the pipe has
//! no reader any more, which wakes the server as well.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use rustix::{
    buffer::spare_capacity,
    event::{
        EventfdFlags, PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        eventfd, poll,
    },
    fs::{
        OFlags, fcntl_setfl,
        inotify::{self, ReadFlags, WatchFlags},
    },
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use super::queue::Queue;
use crate::{fork_server::ForkServer, journal, limits};

/// A connection to a shim.
#[derive(Debug)]
pub(super) struct Link {
    /// Not blocking.
    commands: File,
    /// The watch of the journal, which is the connection's token as well.
    watch: i32,
}

impl Link {
    /// Starts a shim for the pod whose directory is `pod_dir`, and in which there is a journal. If `stop` is given, it
    /// is asked to end the pod within so many seconds before it has started anything.
    pub(super) fn start(
        pod_dir: &Path,
        uid: &Arc<str>,
        stop: Option<i64>,
        watcher: &Watcher,
        fork_server: &ForkServer,
    ) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&write, OFlags::NONBLOCK)?;
        let mut link = Link::new(File::from(write), pod_dir, uid, watcher)?;
        if let Some(grace_seconds) = stop {
            link.ask_to_stop(grace_seconds);
        }
        match fork_server.start_shim(pod_dir, read.as_fd()) {
            Ok(()) => Ok(link),
            Err(error) => {
                link.close(watcher);
                Err(error)
            }
        }
    }

    /// Connects to the shim that runs the pod whose directory is `pod_dir`; nothing if none does.
    pub(super) fn connect(
        pod_dir: &Path,
        journal: &journal::Reader,
        uid: &Arc<str>,
        watcher: &Watcher,
    ) -> io::Result<Option<Self>> {
        let commands = commands(journal)?;
        commands.map(|commands| Link::new(commands, pod_dir, uid, watcher)).transpose()
    }

    fn new(commands: File, pod_dir: &Path, uid: &Arc<str>, watcher: &Watcher) -> io::Result<Self> {
        let watch = watcher.add(&commands, &pod_dir.join(journal::FILE_NAME), uid)?;
        Ok(Link { commands, watch })
    }

    /// Whether the shim has ended.
    pub(super) fn is_closed(&self) -> bool {
        let mut fds = [PollFd::new(&self.commands, PollFlags::empty())];
        // Without an answer it is taken to be there: the watcher will tell when it is not.
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|_| fds[0].revents().contains(PollFlags::ERR))
    }

    /// Asks the shim to end its pod within so many seconds.
    pub(super) fn ask_to_stop(&mut self, grace_seconds: i64) {
        // If the shim is gone, so is the pod.
        let _ = self.commands.write_all(format!("stop {grace_seconds}\n").as_bytes());
    }

    /// Tells the shim when its pod has been active for as long as it may.
    pub(super) fn tell_deadline(&mut self, at: Timestamp) {
        let _ = self.commands.write_all(format!("deadline {}\n", at.as_second()).as_bytes());
    }

    /// Has the shim end its pod at once, for a reason that has one line.
    pub(super) fn evict(&mut self, message: &str) {
        let length = message.floor_char_boundary(limits::EVICTION_MESSAGE_BYTES_MAX);
        let _ = self.commands.write_all(format!("evict {}\n", &message[..length]).as_bytes());
    }

    /// Has the shim take over what containers are from now on, which was left for it.
    pub(super) fn tell_change(&mut self) {
        let _ = self.commands.write_all(b"respecify\n");
    }

    /// Lets go of a shim that has ended, or was not started.
    pub(super) fn close(self, watcher: &Watcher) {
        watcher.forget(self.watch);
    }
}

/// What the shim of a journal takes commands from, not blocking; nothing if none runs.
pub(crate) fn commands(journal: &journal::Reader) -> io::Result<Option<File>> {
    let Some(shim) = journal.shim()? else { return Ok(None) };
    let nonblocking = libc::O_NONBLOCK;
    let opened = File::options().write(true).custom_flags(nonblocking).open(format!("/proc/{shim}/fd/0"));
    if journal.shim()? != Some(shim) {
        // It has ended, and what was opened may be another process's.
        return Ok(None);
    }
    opened.map(Some)
}

/// Waits until something happens to one of many pods.
#[derive(Debug)]
pub(super) struct Watcher {
    epoll: OwnedFd,
    closing: OwnedFd,
    journals: OwnedFd,
    /// The pods, by the watches of their journals.
    pods: Mutex<HashMap<i32, Arc<str>>>,
}

/// The token of the event that ends the watcher.
const CLOSING: u64 = u64::MAX;
/// The token of changes of journals. All others are those of pods.
const JOURNALS: u64 = u64::MAX - 1;

impl Watcher {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let closing = eventfd(0, EventfdFlags::CLOEXEC)?;
        let journals = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        epoll::add(&epoll, &closing, EventData::new_u64(CLOSING), EventFlags::IN)?;
        epoll::add(&epoll, &journals, EventData::new_u64(JOURNALS), EventFlags::IN)?;
        Ok(Watcher { epoll, closing, journals, pods: Mutex::default() })
    }

    fn pods(&self) -> MutexGuard<'_, HashMap<i32, Arc<str>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a pod from now on when its journal grows, and when its shim ends.
    fn add(&self, commands: &File, journal: &Path, uid: &Arc<str>) -> io::Result<i32> {
        let watch = {
            // Held until the pod is known: its first event may come at once.
            let mut pods = self.pods();
            let watch = inotify::add_watch(&self.journals, journal, WatchFlags::MODIFY)?;
            pods.insert(watch, uid.clone());
            watch
        };
        // That nobody reads any more is told whatever is asked for.
        epoll::add(&self.epoll, commands, EventData::new_u64(token(watch)), EventFlags::ET)
            .inspect_err(|_| self.forget(watch))?;
        Ok(watch)
    }

    /// Forgets a pod, whose pipe the caller closes.
    fn forget(&self, watch: i32) {
        self.pods().remove(&watch);
        // It goes by itself when the journal is removed, which may have happened.
        let _ = inotify::remove_watch(&self.journals, watch);
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
                match event.data.u64() {
                    CLOSING => return,
                    JOURNALS => self.read_journal_changes(queue),
                    token => self.wake(queue, i32::try_from(token).unwrap_or(0)),
                }
            }
        }
    }

    fn wake(&self, queue: &Queue, watch: i32) {
        let uid = self.pods().get(&watch).cloned();
        uid.iter().for_each(|uid| queue.wake(uid));
    }

    fn read_journal_changes(&self, queue: &Queue) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut changes = inotify::Reader::new(self.journals.as_fd(), &mut buffer);
        while let Ok(change) = changes.next() {
            if change.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                let all: Vec<Arc<str>> = self.pods().values().cloned().collect();
                all.iter().for_each(|uid| queue.wake(uid));
            } else {
                self.wake(queue, change.wd());
            }
        }
    }

    /// Ends [`Watcher::run`].
    pub(super) fn close(&self) {
        // A counter of one is never too large to be written.
        let _ = rustix::io::write(&self.closing, &1u64.to_ne_bytes());
    }
}

/// The token of a pod: the kernel counts watches up from 1.
fn token(watch: i32) -> u64 {
    u64::try_from(watch).expect("watches are positive")
}
