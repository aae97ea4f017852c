//! The durable side of the store, as the store sees it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cronlet_object::{Object, ledger};

use crate::Batch;

/// Where the store keeps what must survive. Used by one thread at a time.
pub trait Disk: Send {
    /// Everything that was written, as of the last successful [`Disk::write`]. Called once, before any write.
    ///
    /// # Errors
    /// If the content cannot be read, or is not what was written.
    fn load(&mut self) -> Result<Loaded, DiskError>;

    /// Writes a batch atomically. When this returns, the batch survives a loss of power.
    ///
    /// # Errors
    /// [`DiskError::is_harmless`] tells whether the batch is certainly *not* there and a later write may succeed.
    fn write(&mut self, batch: &Batch) -> Result<(), DiskError>;

    /// Called when nothing has been written for [`REST_MS`](crate::limits::REST_MS): the time for what would otherwise
    /// hold up a write. Nothing depends on its outcome.
    fn rest(&mut self) {}

    /// The latest `limit` runs of a CronJob, newest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    fn runs(&mut self, namespace: &str, cronjob: &str, limit: usize) -> Result<Vec<ledger::Run>, DiskError>;

    /// The latest `limit` decisions about a CronJob's ticks, newest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    fn decisions(
        &mut self,
        namespace: &str,
        cronjob: &str,
        limit: usize,
    ) -> Result<Vec<ledger::Decision>, DiskError>;
}

/// What a disk held when it was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The last revision given to any write, also to one whose object is gone; 0 if there was none.
    pub revision: u64,
    /// The objects, in any order.
    pub objects: Vec<Arc<Object>>,
}

/// Why the disk did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// There is no room. Nothing of the batch was written.
    #[error("no space left for {path}: free some on its file system; writing resumes by itself")]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// Another program holds a lock. Nothing of the batch was written.
    #[error("{path} is locked by another program: end that program's transaction; writing resumes by itself")]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// Reading or writing failed. Whether the batch survives is not known.
    #[error("{path}: {cause}: check the disk and the system log, then restart the node")]
    Io {
        /// The database file.
        path: PathBuf,
        /// What the storage layer said.
        cause: String,
    },
    /// The content is not what was written.
    #[error(
        "{path} is damaged ({cause}): stop the node, keep a copy, and restore a backup; see docs/storage.md"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What does not hold.
        cause: String,
    },
}

impl DiskError {
    /// Whether nothing was written and a later write may succeed. After any other error the state of the disk is not
    /// known, and nothing more may be written to it.
    pub fn is_harmless(&self) -> bool {
        matches!(self, DiskError::Full { .. } | DiskError::Busy { .. })
    }
}

/// Why a store cannot be opened. Nothing that is stored was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory is something else.
    #[error("{path} is not a directory: remove it, or choose another data directory")]
    NotADirectory {
        /// The data directory.
        path: PathBuf,
    },
    /// Another node uses the data directory.
    #[error("{path} is in use by another node{}: stop it, or choose another data directory", by_process(*.holder))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, if it could be told.
        holder: Option<u32>,
    },
    /// The file system is mounted read-only.
    #[error("the file system of {path} is read-only: mount it for writing, or choose another data directory")]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
    },
    /// There is too little room to open the database.
    #[error("no space left for {path}: free some on its file system, then start the node again")]
    Full {
        /// The file or directory.
        path: PathBuf,
    },
    /// The permissions do not allow writing.
    #[error(
        "{path} is not writable ({source}): give this user write permission, or choose another data directory"
    )]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The system refused for another reason.
    #[error("{path} cannot be opened: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is not an SQLite database.
    #[error("{path} is not a cronlet database ({cause}): move it away, or choose another data directory")]
    NotADatabase {
        /// The database file.
        path: PathBuf,
        /// What it is instead.
        cause: String,
    },
    /// The database was written by a newer cronlet.
    #[error(
        "{path} has format {found}, and this cronlet knows formats up to {known}: run the newer cronlet that wrote it"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format this program can read.
        known: u32,
    },
    /// The file system lacks what a write-ahead log needs, as network file systems do.
    #[error("the file system of {path} has no shared memory: choose a data directory on a local one")]
    NoSharedMemory {
        /// The database file.
        path: PathBuf,
    },
    /// The content cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The system grants no thread.
    #[error("the store's writer thread cannot be started: {0}")]
    Thread(io::Error),
}

fn by_process(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl OpenError {
    /// The error of a system call on `path`, by what the user can do about it.
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotADirectory => OpenError::NotADirectory { path },
            io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
            io::ErrorKind::PermissionDenied => OpenError::NotWritable { path, source },
            _ => OpenError::Io { path, source },
        }
    }
}
