//! The tables, and the steps from each format to the next.

use rusqlite::{Connection, TransactionBehavior};

/// Marks a database as ours: "crnl", in the header field that SQLite reserves for this.
pub(super) const APPLICATION_ID: i32 = 0x6372_6e6c;

/// Step `n` makes format `n + 1` of format `n`; format 0 is an empty file. A step never changes once it was released.
pub(super) const STEPS: &[&str] = &[FORMAT_1];

/// No table is `WITHOUT ROWID`: such a table would keep every row of more than a quarter page on pages of its own.
const FORMAT_1: &str = "
    CREATE TABLE meta (
        key TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta (key, value) VALUES ('revision', 0);

    CREATE TABLE objects (
        kind TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        json TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX objects_key ON objects (kind, namespace, name);

    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        job_uid TEXT NOT NULL UNIQUE,
        namespace TEXT NOT NULL,
        job TEXT NOT NULL,
        cronjob TEXT,
        scheduled TEXT,
        created TEXT NOT NULL,
        finished TEXT,
        outcome TEXT,
        containers TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_of_cronjob ON runs (namespace, cronjob, created);

    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        namespace TEXT NOT NULL,
        cronjob TEXT NOT NULL,
        cronjob_uid TEXT NOT NULL,
        scheduled TEXT,
        reason TEXT NOT NULL,
        message TEXT NOT NULL,
        job TEXT
    ) STRICT;
    CREATE INDEX decisions_of_cronjob ON decisions (namespace, cronjob, id);
";

/// Takes a database through the steps it has not had yet, in one transaction.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in steps.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", steps.len())?;
    transaction.commit()
}
