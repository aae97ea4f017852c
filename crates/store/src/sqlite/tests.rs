use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use cronlet_object::{
    Draft, Transaction, Write,
    api::{ConfigMap, Namespace},
};
use tempfile::tempdir;

use super::*;
use crate::State;

mod damage;
mod entries;

/// A store without its thread: the state and the disk, driven step by step.
struct Opened {
    disk: SqliteDisk,
    state: State,
}

impl Opened {
    /// A database with namespace `default` at revision 2.
    fn new(dir: &Path) -> Self {
        let mut opened = Opened::again(dir).unwrap();
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("default".into());
        opened.commit(Write::Create(Draft::of(&namespace))).unwrap();
        opened
    }

    fn again(dir: &Path) -> Result<Self, OpenError> {
        let mut disk = SqliteDisk::open(&DataDir::lock(dir)?)?;
        let state = State::new(disk.load()?);
        Ok(Opened { disk, state })
    }

    fn commit(&mut self, write: Write) -> Result<u64, DiskError> {
        let mut batch = self.state.batch();
        let committed = batch.apply(Transaction { writes: vec![write], ..Transaction::default() }).unwrap();
        self.disk.write(&batch)?;
        self.state.publish(&batch);
        Ok(committed.revision)
    }

    /// Creates or updates a config map.
    fn put(&mut self, name: &str, value: &str) -> Result<u64, DiskError> {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("default".into());
        object.metadata.name = Some(name.into());
        object.data = Some([("value".to_owned(), value.to_owned())].into());
        let draft = Draft::of(&object);
        match self.state.snapshot().get(draft.key()).map(|stored| stored.revision()) {
            Some(expect) => self.commit(Write::Update { draft, expect }),
            None => self.commit(Write::Create(draft)),
        }
    }

    fn remove(&mut self, name: &str) -> Result<u64, DiskError> {
        let key = Key::new(Kind::ConfigMap, "default", name);
        let expect = self.state.snapshot().get(&key).unwrap().revision();
        self.commit(Write::Delete { key, expect })
    }

    /// The revision, and the text of each object.
    fn content(&self) -> (u64, Vec<String>) {
        let snapshot = self.state.snapshot();
        (snapshot.revision(), snapshot.iter().map(|object| object.json().to_owned()).collect())
    }

    fn sql(&self, sql: &str) {
        self.disk.connection.execute_batch(sql).unwrap();
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("cronlet.db")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_written_is_read_back() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.put("a", "1").unwrap();
    opened.put("b", "\u{0}quotes ' \" and ümläute 統").unwrap();
    opened.put("a", "2").unwrap();
    opened.put("c", "1").unwrap();
    opened.remove("c").unwrap();
    let before = opened.content();
    drop(opened);
    assert_eq!(Opened::again(dir.path()).unwrap().content(), before);
}

#[test]
fn revisions_go_on_after_the_latest_object_was_removed() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.put("a", "1").unwrap();
    assert_eq!(opened.remove("a"), Ok(4));
    drop(opened);
    let mut opened = Opened::again(dir.path()).unwrap();
    assert_eq!(opened.content().0, 4);
    assert_eq!(opened.put("a", "1"), Ok(5));
}

#[test]
fn only_the_owner_may_read_the_files() {
    let dir = tempdir().unwrap();
    let opened = Opened::new(dir.path());
    for file in ["cronlet.db", "cronlet.db-wal", "cronlet.db-shm"] {
        assert_eq!(mode(&dir.path().join(file)), 0o600, "{file}");
    }
    drop(opened);
    fs::set_permissions(database(dir.path()), Permissions::from_mode(0o644)).unwrap();
    Opened::again(dir.path()).unwrap();
    assert_eq!(mode(&database(dir.path())), 0o600);
}

#[test]
fn a_full_disk_takes_nothing_and_recovers() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.put("a", "1").unwrap();
    opened.sql("PRAGMA max_page_count = 1");
    let before = opened.content();
    let refusal = opened.put("b", &"x".repeat(100_000)).unwrap_err();
    assert_eq!(refusal, DiskError::Full { path: database(dir.path()) });
    assert!(refusal.is_harmless());
    assert_eq!(opened.content(), before);
    assert_eq!(fs::metadata(dir.path().join("cronlet.db-wal")).unwrap().len(), 0, "the log takes room");

    opened.sql("PRAGMA max_page_count = 100000");
    opened.put("b", &"y".repeat(100_000)).unwrap();
    let after = opened.content();
    drop(opened);
    assert_eq!(Opened::again(dir.path()).unwrap().content(), after);
}

#[test]
fn a_pause_after_many_writes_empties_the_log() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    let log = || fs::metadata(dir.path().join("cronlet.db-wal")).unwrap().len();
    let many =
        |opened: &mut Opened| (0..SQLITE_REST_ROWS_MIN).for_each(|_| _ = opened.put("a", "1").unwrap());
    // Few writes are not worth it: the log grows on.
    opened.put("a", "0").unwrap();
    opened.disk.rest();
    let few = log();
    many(&mut opened);
    let before = log();
    assert!(before > few);
    // From here the next writes find an empty log, and take the room of the earlier ones.
    opened.disk.rest();
    many(&mut opened);
    assert_eq!(log(), before);
    many(&mut opened);
    assert!(log() > before, "it does not grow without a pause either: the test shows nothing");
}

#[test]
fn another_programs_lock_is_waited_out() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.disk.connection.busy_timeout(Duration::ZERO).unwrap();
    let other = Connection::open(database(dir.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refusal = opened.put("a", "1").unwrap_err();
    assert_eq!(refusal, DiskError::Busy { path: database(dir.path()) });
    assert!(refusal.is_harmless());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(opened.put("a", "1"), Ok(3));
}

#[test]
fn another_program_can_read_while_the_node_writes() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    let other = Connection::open(database(dir.path())).unwrap();
    let sql = "SELECT json ->> '$.data.value' FROM objects WHERE kind = 'ConfigMap' AND name = 'a'";
    for value in ["1", "2"] {
        opened.put("a", value).unwrap();
        let read: String = other.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(read, value);
    }
}

#[test]
fn a_change_by_another_program_stops_the_store() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.put("a", "1").unwrap();
    let before = opened.content();
    let other = Connection::open(database(dir.path())).unwrap();
    other.execute("DELETE FROM objects WHERE name = 'a'", []).unwrap();
    let refusal = opened.put("a", "2").unwrap_err();
    assert!(matches!(refusal, DiskError::Damaged { .. }) && !refusal.is_harmless(), "{refusal}");
    assert_eq!(opened.content(), before);
}

#[test]
fn an_older_format_is_taken_through_the_steps_it_has_not_had() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.put("a", "1").unwrap();
    let before = opened.content();
    let newer = [schema::STEPS, &["ALTER TABLE runs ADD COLUMN note TEXT"]].concat();
    schema::migrate(&mut opened.disk.connection, &newer).unwrap();
    let format = |opened: &Opened| -> usize {
        opened.disk.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    assert_eq!(format(&opened), newer.len());
    opened.sql("SELECT note FROM runs");
    let loaded = State::new(opened.disk.load().unwrap());
    assert_eq!(loaded.snapshot().len(), before.1.len());

    // Once more is no step at all; this program does not open what it has no step to.
    schema::migrate(&mut opened.disk.connection, &newer).unwrap();
    drop(opened);
    let refusal = Opened::again(dir.path()).err().unwrap();
    let (known, found) = (schema::STEPS.len() as u32, newer.len() as u32);
    assert!(
        matches!(refusal, OpenError::Newer { found: f, known: k, .. } if (f, k) == (found, known)),
        "{refusal}"
    );
}

#[test]
fn a_step_that_fails_leaves_the_older_format() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    opened.put("a", "1").unwrap();
    let before = opened.content();
    let newer = [schema::STEPS, &["DELETE FROM objects; ALTER TABLE nowhere ADD COLUMN note TEXT"]].concat();
    schema::migrate(&mut opened.disk.connection, &newer).unwrap_err();
    drop(opened);
    assert_eq!(Opened::again(dir.path()).unwrap().content(), before);
}
