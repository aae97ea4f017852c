//! The durable side in SQLite. The format and its guarantees: `docs/storage.md`.

mod ledger;
mod open;
mod schema;

use std::{path::PathBuf, sync::Arc};

use cronlet_object::{Change, Key, Kind, Object, ledger as entries};
use rusqlite::{Connection, ErrorCode, Row, TransactionBehavior, params};

use crate::{
    Batch, DataDir, Disk, DiskError, Loaded, OpenError,
    limits::{LEDGER_PRUNE_INTERVAL_ENTRIES, LEDGER_QUERY_ROWS_MAX, SQLITE_REST_ROWS_MIN},
};

const SELECT_REVISION: &str = "SELECT value FROM meta WHERE key = 'revision'";
const UPDATE_REVISION: &str = "UPDATE meta SET value = ?1 WHERE key = 'revision'";
const SELECT_OBJECTS: &str = "SELECT kind, namespace, name, revision, checksum, json FROM objects";
/// Reads the index alone, so that damage of it shows at the start and not at the first write.
const COUNT_KEYS: &str = "SELECT count(*) FROM objects INDEXED BY objects_key";
const INSERT_OBJECT: &str =
    "INSERT INTO objects (kind, namespace, name, revision, checksum, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const UPDATE_OBJECT: &str = "UPDATE objects SET revision = ?4, checksum = ?5, json = ?6 WHERE kind = ?1 AND namespace = ?2 AND name = ?3";
const DELETE_OBJECT: &str = "DELETE FROM objects WHERE kind = ?1 AND namespace = ?2 AND name = ?3";

/// A [`Disk`] that is an SQLite database.
pub struct SqliteDisk {
    connection: Connection,
    path: PathBuf,
    /// Ledger entries written since the last pruning.
    unpruned: usize,
    /// Rows written since a pause was last used to copy the log into the database file.
    unrested: usize,
    /// Keeps other nodes out for as long as the database is open.
    _dir: Option<DataDir>,
}

impl SqliteDisk {
    /// Opens the database in a data directory; creates it if there is none, migrates it if it is older.
    ///
    /// # Errors
    /// If the file is not a database of this program, is damaged, is newer than this program, or cannot be written.
    pub fn open(dir: &DataDir) -> Result<Self, OpenError> {
        let path = dir.database();
        let connection = open::file(&path)?;
        Ok(SqliteDisk { connection, path, unpruned: 0, unrested: 0, _dir: Some(dir.clone()) })
    }

    /// A database that lives in memory and ends with this value.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn in_memory() -> Result<Self, OpenError> {
        Ok(SqliteDisk {
            connection: open::memory()?,
            path: ":memory:".into(),
            unpruned: 0,
            unrested: 0,
            _dir: None,
        })
    }

    fn try_load(&self) -> Result<Loaded, Fault> {
        let revision = self.connection.query_row(SELECT_REVISION, [], |row| row.get(0))?;
        let mut objects = Vec::new();
        let mut statement = self.connection.prepare(SELECT_OBJECTS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let object = read_object(row)?;
            if object.revision() > revision {
                let (key, at) = (object.key(), object.revision());
                return Err(Fault::Content(format!("{key} has revision {at}, the database only {revision}")));
            }
            objects.push(Arc::new(object));
        }
        let keys: usize = self.connection.query_row(COUNT_KEYS, [], |row| row.get(0))?;
        if keys != objects.len() {
            return Err(Fault::Content(format!("{} objects have {keys} index entries", objects.len())));
        }
        Ok(Loaded { revision, objects })
    }

    fn try_write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let prune = self.unpruned + batch.ledger().len() >= LEDGER_PRUNE_INTERVAL_ENTRIES;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in batch.changes() {
            write_object(&transaction, change)?;
        }
        for entry in batch.ledger() {
            ledger::write(&transaction, entry)?;
        }
        if prune {
            ledger::prune(&transaction)?;
        }
        if !batch.changes().is_empty() {
            transaction.prepare_cached(UPDATE_REVISION)?.execute([batch.revision()])?;
        }
        transaction.commit()?;
        self.unpruned = if prune { 0 } else { self.unpruned + batch.ledger().len() };
        self.unrested += batch.changes().len() + batch.ledger().len();
        Ok(())
    }

    fn error(&self, fault: Fault) -> DiskError {
        fault.at(self.path.clone())
    }
}

impl Disk for SqliteDisk {
    fn load(&mut self) -> Result<Loaded, DiskError> {
        self.try_load().map_err(|fault| self.error(fault))
    }

    fn write(&mut self, batch: &Batch) -> Result<(), DiskError> {
        let Err(fault) = self.try_write(batch) else { return Ok(()) };
        let error = self.error(fault);
        // A failed transaction rolls back when it is dropped. If even that fails, nothing is known any more.
        if !self.connection.is_autocommit() {
            let cause = format!("{error}; and its transaction cannot be undone");
            return Err(DiskError::Io { path: self.path.clone(), cause });
        }
        if let DiskError::Full { .. } = error {
            // The log may occupy what the next write needs. If it cannot be emptied either, nothing is lost.
            let _still_full = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        Err(error)
    }

    fn rest(&mut self) {
        if self.unrested < SQLITE_REST_ROWS_MIN {
            return;
        }
        self.unrested = 0;
        // What fails here is tried again by a commit when the log is long, and told by that.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::debug!(%error, "the log was not copied into the database file");
        }
    }

    fn runs(&mut self, namespace: &str, cronjob: &str, limit: usize) -> Result<Vec<entries::Run>, DiskError> {
        let limit = limit.min(LEDGER_QUERY_ROWS_MAX);
        ledger::runs(&self.connection, namespace, cronjob, limit).map_err(|fault| self.error(fault))
    }

    fn decisions(
        &mut self,
        namespace: &str,
        cronjob: &str,
        limit: usize,
    ) -> Result<Vec<entries::Decision>, DiskError> {
        let limit = limit.min(LEDGER_QUERY_ROWS_MAX);
        ledger::decisions(&self.connection, namespace, cronjob, limit).map_err(|fault| self.error(fault))
    }
}

fn write_object(connection: &Connection, change: &Change) -> Result<(), Fault> {
    let key = change.object().key();
    let (kind, namespace, name) = (key.kind.descriptor().kind, &*key.namespace, &*key.name);
    let rows = match &change.new {
        Some(new) => {
            let sql = if change.old.is_some() { UPDATE_OBJECT } else { INSERT_OBJECT };
            let checksum = checksum(key, new.revision(), new.json());
            let row = params![kind, namespace, name, new.revision(), checksum, new.json()];
            connection.prepare_cached(sql)?.execute(row)?
        }
        None => connection.prepare_cached(DELETE_OBJECT)?.execute([kind, namespace, name])?,
    };
    if rows == 1 { Ok(()) } else { Err(Fault::Content(format!("{key} is no longer where it was written"))) }
}

fn read_object(row: &Row<'_>) -> Result<Object, Fault> {
    let text = |index| -> Result<&str, Fault> {
        row.get_ref(index)?.as_str().map_err(|error| Fault::Content(format!("a row of objects: {error}")))
    };
    let kind = text(0)?;
    let (revision, stored_checksum): (u64, u32) = (row.get(3)?, row.get(4)?);
    let Some(kind) = Kind::ALL.iter().copied().find(|known| known.descriptor().kind == kind) else {
        return Err(Fault::Content(format!("unknown kind {kind:?} at revision {revision}")));
    };
    let (key, json) = (Key::new(kind, text(1)?, text(2)?), text(5)?);
    if checksum(&key, revision, json) != stored_checksum {
        return Err(Fault::Content(format!("{key} at revision {revision} has a wrong checksum")));
    }
    Object::restore(key, revision, json).map_err(|error| Fault::Content(error.to_string()))
}

/// CRC-32 over everything a row says: SQLite itself does not notice a flipped bit inside a value.
fn checksum(key: &Key, revision: u64, json: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [key.kind.descriptor().kind, &key.namespace, &key.name] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(&revision.to_be_bytes());
    hasher.update(json.as_bytes());
    hasher.finalize()
}

/// What went wrong, before it is known in which file.
#[derive(Debug)]
enum Fault {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// SQLite succeeded, but the content is not what was written.
    Content(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

impl Fault {
    /// Sorts SQLite's errors by what is known of the disk afterwards.
    ///
    /// `SQLITE_FULL` comes from a write that was cut short, so the commit record is certainly incomplete, and
    /// `SQLITE_BUSY` from before anything was written. An I/O error of a write or a sync may come after the commit
    /// record has reached the disk; after a failed `fsync`, repeating it proves nothing.
    fn at(self, path: PathBuf) -> DiskError {
        let error = match self {
            Fault::Sqlite(error) => error,
            Fault::Content(cause) => return DiskError::Damaged { path, cause },
        };
        let cause = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => DiskError::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DiskError::Busy { path },
            // `Unknown` is SQLite's answer to a statement that does not fit the tables, and the statements are right.
            // Without a code: a row is missing, or a value is of another type than was written.
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::Unknown,
            )
            | None => DiskError::Damaged { path, cause },
            Some(_) => DiskError::Io { path, cause },
        }
    }
}

#[cfg(test)]
mod tests;
