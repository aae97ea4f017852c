//! What is not as it was written must be refused, whatever happened to it.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// The revision of a database, and the text of each object.
type Content = (u64, Vec<String>);

/// A database file with objects on many pages, and its content.
static WRITTEN: LazyLock<(Vec<u8>, Content)> = LazyLock::new(|| {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    for i in 0..60 {
        opened.put(&format!("object-{i}"), &format!("{i}-").repeat(200)).unwrap();
    }
    opened.remove("object-7").unwrap();
    let content = opened.content();
    drop(opened);
    (fs::read(database(dir.path())).unwrap(), content)
});

fn refusal(dir: &Path) -> OpenError {
    Opened::again(dir).err().expect("the database is opened in spite of the damage")
}

fn is_damage(error: &OpenError) -> bool {
    matches!(error, OpenError::Disk(DiskError::Damaged { .. }))
}

#[test]
fn a_file_that_is_no_database_is_refused_untouched() {
    let dir = tempdir().unwrap();
    fs::write(database(dir.path()), "name: not a database\n".repeat(100)).unwrap();
    let before = fs::read(database(dir.path())).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
    let path = database(dir.path()).display().to_string();
    assert!(error.to_string().starts_with(&format!("{path} is not a cronlet database (")), "{error}");
    assert_eq!(fs::read(database(dir.path())).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_refused_untouched() {
    for mark in ["", "PRAGMA application_id = 252006673;"] {
        let dir = tempdir().unwrap();
        let other = Connection::open(database(dir.path())).unwrap();
        other.execute_batch(&format!("{mark} CREATE TABLE t (x)")).unwrap();
        drop(other);
        let before = fs::read(database(dir.path())).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
        assert_eq!(fs::read(database(dir.path())).unwrap(), before);
    }
}

#[test]
fn a_directory_in_the_place_of_the_file_is_refused() {
    let dir = tempdir().unwrap();
    fs::create_dir(database(dir.path())).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[test]
fn an_interrupted_creation_is_begun_again() {
    let dir = tempdir().unwrap();
    fs::write(database(dir.path()), "").unwrap();
    assert_eq!(Opened::again(dir.path()).unwrap().content(), (1, vec![]));

    let dir = tempdir().unwrap();
    let begun = Connection::open(database(dir.path())).unwrap();
    begun.pragma_update(None, "journal_mode", "wal").unwrap();
    drop(begun);
    assert_ne!(fs::metadata(database(dir.path())).unwrap().len(), 0);
    assert_eq!(Opened::again(dir.path()).unwrap().content(), (1, vec![]));
}

#[test]
fn an_emptied_file_beside_its_log_is_refused_and_the_log_kept() {
    let dir = tempdir().unwrap();
    let opened = Opened::new(dir.path());
    let copy = tempdir().unwrap();
    fs::copy(dir.path().join("cronlet.db-wal"), copy.path().join("cronlet.db-wal")).unwrap();
    fs::write(database(copy.path()), "").unwrap();
    drop(opened);
    let before = fs::read(copy.path().join("cronlet.db-wal")).unwrap();
    let error = refusal(copy.path());
    assert!(is_damage(&error), "{error}");
    assert_eq!(fs::read(copy.path().join("cronlet.db-wal")).unwrap(), before);
}

/// Makes the index of an unchanged table skip one row, as a damaged index does.
const INDEX_WITHOUT_AN_ENTRY: &str = "
    DROP INDEX objects_key;
    CREATE UNIQUE INDEX objects_key ON objects (kind, namespace, name) WHERE name <> 'object-8';
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = substr(sql, 1, instr(sql, ' WHERE') - 1) WHERE name = 'objects_key';";

#[test]
fn what_was_tampered_with_is_refused_with_the_cause() {
    for (sql, cause) in [
        ("UPDATE objects SET json = replace(json, '8-', '7-') WHERE name = 'object-8'", "object-8"),
        ("UPDATE objects SET name = 'object-99' WHERE name = 'object-8'", "object-99"),
        ("UPDATE objects SET revision = revision - 1 WHERE name = 'object-8'", "wrong checksum"),
        ("UPDATE objects SET kind = 'Gadget' WHERE name = 'object-8'", "unknown kind \"Gadget\""),
        ("UPDATE meta SET value = 5", "revision"),
        ("UPDATE meta SET value = -1", "out of range"),
        ("DELETE FROM meta", "no rows"),
        ("DROP TABLE objects", "no such table"),
        ("DROP INDEX objects_key", "no such index"),
        (INDEX_WITHOUT_AN_ENTRY, "60 objects have 59 index entries"),
    ] {
        let dir = tempdir().unwrap();
        fs::write(database(dir.path()), &WRITTEN.0).unwrap();
        let other = Connection::open(database(dir.path())).unwrap();
        other.execute_batch(sql).unwrap();
        drop(other);
        let error = refusal(dir.path());
        assert!(is_damage(&error) && error.to_string().contains(cause), "{sql}: {error}");
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let dir = tempdir().unwrap();
    let whole = &WRITTEN.0;
    for pages in 1..whole.len() / 4096 {
        fs::write(database(dir.path()), &whole[..pages * 4096]).unwrap();
        let error = refusal(dir.path());
        assert!(is_damage(&error), "{pages} pages: {error}");
    }
}

#[test]
fn a_crash_leaves_exactly_the_commits_whose_log_was_complete() {
    let dir = tempdir().unwrap();
    let mut opened = Opened::new(dir.path());
    let wal = dir.path().join("cronlet.db-wal");
    // The log's length after each commit, and the content then.
    let mut commits = vec![(fs::metadata(&wal).unwrap().len(), opened.content())];
    for i in 0..12 {
        opened.put(&format!("object-{}", i % 5), &"x".repeat(i * 700)).unwrap();
        commits.push((fs::metadata(&wal).unwrap().len(), opened.content()));
    }
    let (file, log) = (fs::read(database(dir.path())).unwrap(), fs::read(&wal).unwrap());
    drop(opened);

    let crashed = tempdir().unwrap();
    for lost in (0..log.len() as u64 - commits[0].0).step_by(2_111) {
        let kept = log.len() as u64 - lost;
        let expected = &commits.iter().rfind(|(length, _)| *length <= kept).unwrap().1;
        for tail in [0, 600] {
            fs::write(database(crashed.path()), &file).unwrap();
            // What a torn write leaves behind the last whole sector may be anything.
            let torn = [&log[..kept as usize], &vec![0xA5; tail][..]].concat();
            fs::write(crashed.path().join("cronlet.db-wal"), torn).unwrap();
            let mut opened = Opened::again(crashed.path()).unwrap();
            assert_eq!(&opened.content(), expected, "{kept} bytes kept, {tail} bytes torn");
            assert_eq!(opened.put("next", "1"), Ok(expected.0 + 1));
            drop(opened);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random damage anywhere in the file is refused, or did not touch what the file says.
    #[test]
    fn damage_is_never_taken_for_content(
        hits in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..40),
        page in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let dir = tempdir().unwrap();
        let (mut bytes, content) = WRITTEN.clone();
        match page {
            // All hits in one page, so that they meet the same structure.
            Some(page) => {
                let pages: Vec<_> = bytes.chunks_mut(4096).collect();
                let count = pages.len();
                let hit = pages.into_iter().nth(page.index(count)).unwrap();
                hits.iter().for_each(|(at, flip)| hit[at.index(4096)] ^= flip);
            }
            None => hits.iter().for_each(|(at, flip)| {
                let length = bytes.len();
                bytes[at.index(length)] ^= flip;
            }),
        }
        fs::write(database(dir.path()), bytes).unwrap();
        if let Ok(opened) = Opened::again(dir.path()) {
            prop_assert_eq!(opened.content(), content);
        }
    }
}
