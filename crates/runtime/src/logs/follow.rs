//! Waits for a log to grow and for its container to end, without looking again and again.

use std::{
    io,
    mem::MaybeUninit,
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use crate::{
    journal::{self, Event},
    sys,
};

/// Watches the log of one attempt and the journal of its pod.
#[derive(Debug)]
pub(super) struct Follower {
    inotify: AsyncFd<OwnedFd>,
    journal: Option<journal::Reader>,
    journal_path: PathBuf,
    container: String,
    attempt: u32,
}

impl Follower {
    /// Begins to watch. The pod may be gone already. Called within an async runtime.
    pub(super) fn watch(log_dir: &Path, pod_dir: &Path, container: &str, attempt: u32) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let log_changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&inotify, log_dir, log_changes | WatchFlags::ONLYDIR)?;
        let journal_path = pod_dir.join(journal::FILE_NAME);
        // Its removal shows as a change of its attributes.
        match inotify::add_watch(&inotify, &journal_path, WatchFlags::MODIFY | WatchFlags::ATTRIB) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let journal = match journal::Reader::open(pod_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            journal => Some(journal?),
        };
        let (container, inotify) = (container.to_owned(), sys::watch_descriptor(inotify)?);
        Ok(Follower { inotify, journal, journal_path, container, attempt })
    }

    /// Whether the attempt has ended, or its pod is gone.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        let Some(journal) = &mut self.journal else { return Ok(true) };
        let records = journal.read()?;
        let ended = records.iter().any(|record| match &record.event {
            Event::Exited { container, attempt, .. } | Event::Started { container, attempt, .. } => {
                let newer = matches!(record.event, Event::Started { .. });
                *container == self.container && *attempt >= self.attempt + u32::from(newer)
            }
            Event::Finished => true,
            _ => false,
        });
        Ok(ended || !self.journal_path.try_exists()?)
    }

    /// Waits until something has changed since the last call.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        let mut ready = self.inotify.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
        loop {
            match events.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}
