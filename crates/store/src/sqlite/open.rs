//! Opening a database file: making sure that it is ours before anything in it is touched.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    Fault,
    schema::{APPLICATION_ID, STEPS, migrate},
};
use crate::{
    DiskError, OpenError,
    limits::{
        SQLITE_CACHE_KIB, SQLITE_CHECKPOINT_PAGES, SQLITE_LOCK_WAIT_MS_MAX, SQLITE_OPEN_BYTES_MIN,
        SQLITE_WAL_BYTES_MAX,
    },
};

/// Read and write for the owner alone: the database holds secrets. SQLite gives its other files the same.
const FILE_MODE: u32 = 0o600;

/// Opens the database file, or makes a new one.
pub(super) fn file(path: &Path) -> Result<Connection, OpenError> {
    let length = prepare(path)?;
    let opened = |fault: rusqlite::Error| refuse(path, fault);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(opened)?;
    connection.busy_timeout(Duration::from_millis(SQLITE_LOCK_WAIT_MS_MAX)).map_err(opened)?;
    let found = if length == 0 { 0 } else { identify(&connection, path)? };
    let known = u32::try_from(STEPS.len()).expect("few formats");
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
        .map_err(|error| OpenError::from_io(path, error))?;
    configure(&connection).map_err(opened)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(opened)?;
    if mode != "wal" {
        return Err(OpenError::NoSharedMemory { path: path.to_owned() });
    }
    if found < known {
        migrate(&mut connection, STEPS).map_err(opened)?;
    }
    Ok(connection)
}

/// A new database in memory.
pub(super) fn memory() -> Result<Connection, OpenError> {
    let open = || {
        let mut connection = Connection::open_in_memory()?;
        configure(&connection)?;
        migrate(&mut connection, STEPS)?;
        Ok(connection)
    };
    open().map_err(|error| Fault::Sqlite(error).at(":memory:".into()).into())
}

/// Makes sure of a file that can be read and written, and tells its length.
fn prepare(path: &Path) -> Result<u64, OpenError> {
    let io = |error| OpenError::from_io(path, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let length = options.open(path).map_err(io)?.metadata().map_err(io)?.len();
    let wal = wal(path);
    // SQLite would take the pair for a new database and throw the log away.
    if length == 0 && fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        let cause = format!("it is empty, but {} is not", wal.display());
        return Err(DiskError::Damaged { path: path.to_owned(), cause }.into());
    }
    Ok(length)
}

fn wal(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// The format of a database of ours; 0 if its creation was interrupted before the tables were there.
fn identify(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let header = || {
        let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((id, format, tables))
    };
    let foreign = |cause: String| OpenError::NotADatabase { path: path.to_owned(), cause };
    match header().map_err(|error| refuse(path, error))? {
        (APPLICATION_ID, format, _) => Ok(format),
        (0, 0, 0) => Ok(0),
        (0, ..) => Err(foreign("it is another program's SQLite database".into())),
        (id, ..) => Err(foreign(format!("it is an SQLite database of application {id:#x}"))),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -{SQLITE_CACHE_KIB};
         PRAGMA wal_autocheckpoint = {SQLITE_CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {SQLITE_WAL_BYTES_MAX};
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = FAST;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;"
    ))
}

fn refuse(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            OpenError::NotADatabase { path: path.to_owned(), cause: "it is no SQLite database".into() }
        }
        // Where there is no room for the index of the log, SQLite speaks of an I/O error.
        _ => match Fault::Sqlite(error).at(path.to_owned()) {
            DiskError::Io { path, .. } if !has_room(&path) => OpenError::Full { path },
            DiskError::Full { path } => OpenError::Full { path },
            other => other.into(),
        },
    }
}

/// Whether the file system has room for what opening needs. Where it cannot be told, there is.
fn has_room(path: &Path) -> bool {
    let free = |system: rustix::fs::StatVfs| system.f_bavail.saturating_mul(system.f_frsize);
    rustix::fs::statvfs(path).map_or(true, |system| free(system) >= SQLITE_OPEN_BYTES_MIN)
}
