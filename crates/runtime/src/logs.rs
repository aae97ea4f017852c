//! The logs of containers: how shims write them and how they are read, during the life of a pod and after it.

pub mod files;
mod follow;
pub mod format;
pub(crate) mod reader;
pub(crate) mod writer;

use std::{io, path::PathBuf};

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::task::spawn_blocking;

use self::{follow::Follower, reader::Reader};
use crate::resolve;

/// Which part of a container's log is wanted: the parameters of Kubernetes' `log` subresource.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Of the last attempt but one instead of the last.
    pub previous: bool,
    /// Of this attempt, whichever is the last. The first is 0.
    pub attempt: Option<u32>,
    /// Go on until the container ends.
    pub follow: bool,
    /// Nothing written before that.
    pub since: Option<Timestamp>,
    /// Only so many lines from the end. What is split over several records counts as one line.
    pub tail_lines: Option<u64>,
    /// Only so many bytes.
    pub limit_bytes: Option<u64>,
    /// With the time in front of every line.
    pub timestamps: bool,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The container has no log: it has not started yet, or its logs were removed.
    #[error("container {0:?} has no log: it has not started")]
    NotStarted(String),
    /// There was no such attempt, or its log was removed.
    #[error("container {0:?} has no earlier log")]
    NoPrevious(String),
    /// The log exists but cannot be read or followed.
    #[error("cannot read the log of container {container:?}: {source}")]
    Unreadable {
        /// The container.
        container: String,
        /// The cause.
        source: io::Error,
    },
}

/// The container whose log is wanted.
#[derive(Clone, Debug)]
pub struct LogSource {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The container's name.
    pub container: String,
}

/// The logs below one log root.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Where the pods' directories are: their journals tell when a container has ended.
    pub(crate) pods_dir: PathBuf,
    pub(crate) log_root: PathBuf,
}

impl Logs {
    /// Finds a container's log and returns what is in it as a stream, which ends with the log, or with the container
    /// if the log is followed. The stream is read in the context of a tokio runtime.
    ///
    /// # Errors
    /// If there is no such log.
    pub fn read(
        &self,
        source: &LogSource,
        options: LogOptions,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, LogError> {
        let unreadable = |error| LogError::Unreadable { container: source.container.clone(), source: error };
        let pod_logs = files::pod_dir(&self.log_root, &source.namespace, &source.pod, &source.uid);
        let dir = pod_logs.join(&source.container);
        let latest = files::latest_attempt(&dir).map_err(unreadable)?;
        let latest = latest.ok_or_else(|| LogError::NotStarted(source.container.clone()))?;
        let wanted = if options.previous { latest.checked_sub(1) } else { Some(latest) };
        let attempt = options.attempt.or(wanted);
        let attempt = attempt.ok_or_else(|| LogError::NoPrevious(source.container.clone()))?;
        if files::list(&dir, attempt).map_err(unreadable)?.is_empty() {
            return Err(LogError::NoPrevious(source.container.clone()));
        }
        let pod_dir = resolve::pod_dir(&self.pods_dir, &source.uid);
        let place = Place { dir, pod_dir, container: source.container.clone(), attempt };
        Ok(stream::try_unfold(Step::Open(place, options), Step::next))
    }
}

/// The log of one attempt.
struct Place {
    dir: PathBuf,
    pod_dir: PathBuf,
    container: String,
    attempt: u32,
}

/// How far the reading of a log is.
enum Step {
    Open(Place, LogOptions),
    Read(Box<Following>),
}

/// A log that is being read, and perhaps followed.
struct Following {
    reader: Reader,
    follower: Option<Follower>,
    /// Whether the container had ended before the log was last read to its end.
    ended: bool,
}

impl Step {
    async fn next(self) -> io::Result<Option<(Bytes, Step)>> {
        let mut following = match self {
            Step::Read(following) => following,
            Step::Open(place, options) => blocking(move || Following::open(&place, &options)).await??,
        };
        loop {
            let bytes;
            (following, bytes) = blocking(move || {
                let bytes = following.reader.read();
                (following, bytes)
            })
            .await?;
            if let Some(bytes) = bytes? {
                return Ok(Some((bytes, Step::Read(following))));
            }
            if following.ended || following.reader.is_exhausted() {
                return Ok(None);
            }
            let Some(follower) = &mut following.follower else { return Ok(None) };
            following.ended = follower.has_ended()?;
            if !following.ended {
                follower.changed().await?;
            }
        }
    }
}

impl Following {
    fn open(place: &Place, options: &LogOptions) -> io::Result<Box<Self>> {
        // The watch begins before the first read, so that nothing falls between them.
        let watch = || Follower::watch(&place.dir, &place.pod_dir, &place.container, place.attempt);
        let follower = options.follow.then(watch).transpose()?;
        let reader = Reader::open(place.dir.clone(), place.attempt, options)?;
        Ok(Box::new(Following { reader, follower, ended: false }))
    }
}

/// Does something that waits for the disk, away from the threads that must not.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
