use std::path::PathBuf;

use super::*;
use crate::resolve::FileEntry;

fn volume(source: PathBuf, plan: Plan) -> Volume {
    Volume { name: "v".into(), source, read_only: false, gid: None, plan }
}

const CLAIM: Plan = Plan::Claim { only_on_mismatch: false };

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn directories_are_made_once_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty");
    for _ in 0..2 {
        make(&volume(path.clone(), Plan::EmptyDir), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(mode(&path), 0o777);
        fs::write(path.join("file"), "").unwrap();
    }
    let claim = dir.path().join("volumes/claim");
    make(&volume(claim.clone(), CLAIM), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((mode(&claim), mode(claim.parent().unwrap())), (0o777, 0o700));
    // Whoever uses the claim may have changed it.
    fs::set_permissions(&claim, Permissions::from_mode(0o750)).unwrap();
    make(&volume(claim.clone(), CLAIM), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(mode(&claim), 0o750);
}

#[test]
fn host_paths_are_checked() {
    use HostPathKind::*;
    let dir = tempfile::tempdir().unwrap();
    let (file, none, socket) = (dir.path().join("file"), dir.path().join("none"), dir.path().join("socket"));
    fs::write(&file, "").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let null = PathBuf::from("/dev/null");
    let check = |path: &Path, kind| host_path(path, kind);
    for (path, kind) in [
        (dir.path(), Unset),
        (&file, Unset),
        (dir.path(), Directory),
        (dir.path(), DirectoryOrCreate),
        (&file, File),
        (&file, FileOrCreate),
        (&socket, Socket),
        (&null, CharDevice),
    ] {
        assert_eq!(check(path, kind), Ok(()), "{kind:?}");
    }
    for (path, kind, expected) in [
        (&none, Directory, "does not exist"),
        (&none, Socket, "does not exist"),
        (&file, Directory, "is not a directory"),
        (&file, DirectoryOrCreate, "is not a directory"),
        (&dir.path().to_owned(), File, "is not a file"),
        (&dir.path().to_owned(), FileOrCreate, "is not a file"),
        (&file, Socket, "is not a socket"),
        (&file, CharDevice, "is not a character device"),
        (&null, BlockDevice, "is not a block device"),
    ] {
        let message = check(path, kind).unwrap_err();
        assert!(message.ends_with(expected), "{kind:?}: {message}");
    }
    let made = dir.path().join("a/b");
    check(&made, DirectoryOrCreate).unwrap();
    check(&made.join("file"), FileOrCreate).unwrap();
    assert!(made.join("file").is_file());
    assert_eq!((mode(&made), mode(&made.join("file"))), (0o755, 0o644));
    let orphan = check(&dir.path().join("x/file"), FileOrCreate).unwrap_err();
    assert!(orphan.contains("cannot be created"), "{orphan}");
}

#[test]
fn what_is_made_is_as_open_whatever_the_mask_is() {
    // The mask is the process's, unless a thread has let go of that.
    std::thread::spawn(|| {
        crate::sys::unshare(rustix::thread::UnshareFlags::FS).unwrap();
        under_a_strict_mask();
    })
    .join()
    .unwrap();
}

fn under_a_strict_mask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let dir = tempfile::tempdir().unwrap();
    let file = FileEntry { path: "deep/er".into(), data: Vec::new(), mode: 0o644 };
    let files = dir.path().join("files");
    make(&volume(files.clone(), Plan::Files(vec![file])), Timestamp::UNIX_EPOCH).unwrap();
    for (path, expected) in [("", 0o755), ("..data", 0o755), ("deep", 0o755), ("deep/er", 0o644)] {
        assert_eq!(mode(&files.join(path)), expected, "{path}");
    }
    let made = dir.path().join("made");
    host_path(&made, HostPathKind::DirectoryOrCreate).unwrap();
    host_path(&made.join("file"), HostPathKind::FileOrCreate).unwrap();
    assert_eq!((mode(&made), mode(&made.join("file"))), (0o755, 0o644));
}

#[test]
fn a_group_owns_the_volumes_it_is_given() {
    use std::os::unix::fs::MetadataExt;
    // Everybody may give what is theirs to a group of theirs.
    let gid = rustix::process::getgid().as_raw();
    let dir = tempfile::tempdir().unwrap();
    for (name, plan) in
        [("disk", Plan::EmptyDir), ("memory", Plan::Memory { bytes_max: None }), ("claim", CLAIM)]
    {
        let path = dir.path().join(name);
        make(&Volume { gid: Some(gid), ..volume(path.clone(), plan) }, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((mode(&path), fs::metadata(&path).unwrap().gid()), (0o2777, gid), "{name}");
    }
}
