//! How far a task has come, kept for the next attempt.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::atomic_file;

/// A file that holds the last position a task has saved. Whatever crashes, it holds a whole one.
///
/// Put it on a volume that outlives the pod. One for each completion index, and one writer at a time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// # let directory = tempfile::tempdir()?;
/// # let data = directory.path();
/// use cronlet_sdk::task::Checkpoint;
///
/// let checkpoint = Checkpoint::of_index(data, Some(2));
/// assert_eq!(checkpoint.load().await?, None);
/// checkpoint.save("row 1000").await?;
/// assert_eq!(checkpoint.load().await?.as_deref(), Some("row 1000"));
/// checkpoint.clear().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// Keeps the position in this file, in a directory that exists.
    pub fn new(path: impl AsRef<Path>) -> Checkpoint {
        Checkpoint { path: path.as_ref().to_owned() }
    }

    /// Keeps the position of one completion index in a directory: `checkpoint-2`, or `checkpoint` without an index.
    pub fn of_index(directory: impl AsRef<Path>, index: Option<u32>) -> Checkpoint {
        let name = index.map_or_else(|| "checkpoint".to_owned(), |index| format!("checkpoint-{index}"));
        Checkpoint { path: directory.as_ref().join(name) }
    }

    /// The position that was saved last; `None` if there is none.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub async fn load(&self) -> io::Result<Option<String>> {
        absent_is_none(tokio::fs::read_to_string(&self.path).await)
    }

    /// Saves a position durably: when this returns, it survives a loss of power.
    ///
    /// Not cancel safe: after a drop it may or may not have been saved; the old position is there if not.
    ///
    /// # Errors
    /// If the file cannot be written; the old position is still there.
    pub async fn save(&self, position: impl Into<String>) -> io::Result<()> {
        let (path, position) = (self.path.clone(), position.into());
        let written = tokio::task::spawn_blocking(move || atomic_file::replace(&path, position.as_bytes()));
        written.await.map_err(io::Error::other)?
    }

    /// Forgets the position: the task is done.
    ///
    /// # Errors
    /// If the file is there and cannot be removed.
    pub async fn clear(&self) -> io::Result<()> {
        absent_is_none(tokio::fs::remove_file(&self.path).await).map(|_| ())
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
