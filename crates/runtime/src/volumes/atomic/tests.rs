use super::*;

fn file(path: &str, data: &str, mode: u32) -> FileEntry {
    FileEntry { path: path.into(), data: data.into(), mode }
}

fn at(nanosecond: i128) -> Timestamp {
    Timestamp::from_nanosecond(1_700_000_000_000_000_000 + nanosecond).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn files_are_links_into_the_present_data() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[file("a", "1", 0o400), file("deep/er", "2", 0o644)], None, at(1)).unwrap();
    let data = "..2023_11_14_22_13_20.000000001";
    assert_eq!(names(dir.path()), [data, "..data", "a", "deep"]);
    assert_eq!(fs::read_link(dir.path().join("..data")).unwrap(), Path::new(data));
    assert_eq!(fs::read_link(dir.path().join("deep")).unwrap(), Path::new("..data/deep"));
    assert_eq!(fs::read_to_string(dir.path().join("deep/er")).unwrap(), "2");
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o400);
}

#[test]
fn nothing_is_written_if_nothing_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let files = [file("a", "1", 0o644)];
    write(dir.path(), &files, None, at(1)).unwrap();
    let before = names(dir.path());
    write(dir.path(), &files, None, at(2)).unwrap();
    assert_eq!(names(dir.path()), before);
    for changed in [file("a", "2", 0o644), file("a", "2", 0o600), file("b", "2", 0o600)] {
        let (before, now) = (names(dir.path()), names(dir.path()).len() as i128 + 10);
        write(dir.path(), &[changed], None, at(now)).unwrap();
        assert!(names(dir.path()) != before || fs::read_link(dir.path().join("..data")).is_ok());
    }
    assert_eq!(names(dir.path()).len(), 3);
}

#[test]
fn what_is_gone_is_removed_with_the_old_data() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[file("a", "1", 0o644), file("b/c", "2", 0o644)], None, at(1)).unwrap();
    write(dir.path(), &[file("a", "3", 0o644)], None, at(2)).unwrap();
    assert_eq!(names(dir.path()), ["..2023_11_14_22_13_20.000000002", "..data", "a"]);
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "3");
    write(dir.path(), &[], None, at(3)).unwrap();
    assert_eq!(names(dir.path()), ["..2023_11_14_22_13_20.000000003", "..data"]);
}

#[test]
fn a_crash_in_between_is_made_good() {
    let dir = tempfile::tempdir().unwrap();
    let files = [file("a", "1", 0o644)];
    // It had written the data and the new link, but not put it in place.
    fs::create_dir(dir.path().join("..2023_11_14_22_13_20.000000001")).unwrap();
    symlink("..2023_11_14_22_13_20.000000001", dir.path().join("..data_tmp")).unwrap();
    write(dir.path(), &files, None, at(1)).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
    // It had put it in place, but not made the links.
    fs::remove_file(dir.path().join("a")).unwrap();
    symlink("..data/old", dir.path().join("old")).unwrap();
    write(dir.path(), &files, None, at(2)).unwrap();
    assert_eq!(names(dir.path()), ["..2023_11_14_22_13_20.000000001", "..data", "a"]);
}

#[test]
fn readers_see_all_of_the_old_or_all_of_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let content = |text: &str| [file("a", text, 0o644), file("b", text, 0o644)];
    write(dir.path(), &content("old"), None, at(1)).unwrap();
    let opened: PathBuf = fs::canonicalize(dir.path().join("..data")).unwrap();
    assert_eq!(fs::read_to_string(opened.join("a")).unwrap(), "old");
    write(dir.path(), &content("new"), None, at(2)).unwrap();
    let now = fs::canonicalize(dir.path().join("..data")).unwrap();
    assert_ne!(now, opened);
    for name in ["a", "b"] {
        assert_eq!(fs::read_to_string(now.join(name)).unwrap(), "new");
    }
}
