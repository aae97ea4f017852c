//! The data directory of a node, and the lock that keeps a second node out of it.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use crate::OpenError;

/// The lock file in the data directory. Whoever holds the lock writes its process ID into it.
const LOCK_FILE: &str = "lock";
/// The database in the data directory.
const DATABASE_FILE: &str = "cronlet.db";

/// A data directory that no other node uses as long as this value or a clone of it lives.
///
/// The lock belongs to the open file, so the kernel releases it however the process ends.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataDir {
    /// Takes the directory into use. Creates it if need be, open to this user only, for it will hold secrets.
    ///
    /// # Errors
    /// If the directory cannot be created or written to, or another node uses it.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        create(path)?;
        let lock_path = path.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&lock_path).map_err(|error| OpenError::from_io(&lock_path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { path: path.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::from_io(&lock_path, error)),
        }
        write_holder(&mut file).map_err(|error| OpenError::from_io(&lock_path, error))?;
        Ok(DataDir { path: path.to_owned(), _lock: Arc::new(file) })
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }
}

fn create(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        return Err(OpenError::NotADirectory { path: path.to_owned() });
    }
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    // A database is only as durable as the name of its directory.
    let synced = created.and_then(|()| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    });
    synced.map_err(|error| OpenError::from_io(path, error))
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Overwrites before it cuts: a node must start on a full disk, too.
fn write_holder(file: &mut File) -> io::Result<()> {
    let text = format!("{}\n", process::id());
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_second_node_is_refused_until_the_first_has_ended() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        let first = DataDir::lock(&path).unwrap();
        let refusal = DataDir::lock(&path).unwrap_err();
        assert!(
            matches!(refusal, OpenError::InUse { holder, .. } if holder == Some(process::id())),
            "{refusal}"
        );
        assert!(refusal.to_string().contains(&format!("(process {})", process::id())), "{refusal}");

        let clone = first.clone();
        drop(first);
        assert!(DataDir::lock(&path).is_err());
        drop(clone);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn the_directory_is_created_for_this_user_only() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let dir = DataDir::lock(&path).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join(LOCK_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(DataDir::lock(&path), Err(OpenError::NotADirectory { .. })));
        assert!(matches!(DataDir::lock(&path.join("below")), Err(OpenError::NotADirectory { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    // sysfs lets nobody create a directory, not even root.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_that_cannot_be_written_is_refused_with_the_remedy() {
        let refusal = DataDir::lock(Path::new("/sys/cronlet-store-test")).unwrap_err();
        assert!(matches!(refusal, OpenError::NotWritable { .. }), "{refusal}");
        assert!(refusal.to_string().starts_with("/sys/cronlet-store-test is not writable ("), "{refusal}");
    }
}
