use std::{
    fs,
    io::Write as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
};

use tar::{Builder, EntryType, Header};

use super::*;

/// An archive being written, also with what no honest tool writes.
struct Archived(Builder<Vec<u8>>);

impl Archived {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, path: &str, link: &str, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = header(kind, path, link);
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, &[][..]).unwrap();
        self
    }

    fn plain(self, kind: EntryType, path: &str, link: &str) -> Self {
        self.entry(kind, path, link, |_| {})
    }

    fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", |h| h.set_mode(0o755))
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        let mut header = header(EntryType::Regular, path, "");
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content.as_bytes()).unwrap();
        self
    }

    fn attribute(mut self, name: &str, value: &str) -> Self {
        let key = format!("SCHILY.xattr.{name}");
        self.0.append_pax_extensions([(key.as_str(), value.as_bytes())]).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn header(kind: EntryType, path: &str, link: &str) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(0);
    // Past the checks of the crate, which an attacker does not use.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header
}

/// A place with something precious beside the layer.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("layer")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/precious"), "precious").unwrap();
        Self { dir }
    }

    fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    fn outside(&self) -> String {
        self.dir.path().join("outside").display().to_string()
    }

    fn unpack(&self, archive: Archived) -> Result<Digest, String> {
        self.unpack_over(archive, &[])
    }

    fn unpack_over(&self, archive: Archived, lowers: &[PathBuf]) -> Result<Digest, String> {
        let result = unpack(
            archive.bytes().as_slice(),
            &self.layer(),
            lowers,
            Owners::of_this_process(),
            Bounds::default(),
        );
        let outside: Vec<_> = fs::read_dir(self.dir.path().join("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1, "something was created outside");
        assert_eq!(fs::read_to_string(self.dir.path().join("outside/precious")).unwrap(), "precious");
        assert_eq!(fs::metadata(self.dir.path().join("outside/precious")).unwrap().nlink(), 1);
        result
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.layer().join(path)).unwrap()
    }

    fn lower(&self, archive: Archived) -> PathBuf {
        let path = self.dir.path().join("lower");
        fs::create_dir(&path).unwrap();
        unpack(archive.bytes().as_slice(), &path, &[], Owners::of_this_process(), Bounds::default()).unwrap();
        path
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What a layer forbids to its owner, the temporary directory could not remove.
        let above = fs::File::open(self.dir.path()).unwrap();
        let _ = remove_tree(std::os::fd::AsFd::as_fd(&above), "layer".as_ref());
    }
}

fn is_root() -> bool {
    Owners::of_this_process() == Owners::Kept
}

#[test]
fn the_ranges_of_an_ordinary_user_are_told_from_a_machine() {
    use super::ranges_of;
    assert_eq!(ranges_of("  0  1000  1\n  1  100000  65536\n"), Some((100_000, 65537)));
    for other in ["         0          0 4294967295\n", "0 100000 65536\n", "1000 1000 1\n", ""] {
        assert_eq!(ranges_of(other), None, "{other}");
    }
}

#[test]
fn an_owner_beyond_the_range_is_named() {
    let world = World::new();
    let archive = Archived::new().file("f", "text").bytes();
    let owners = Owners::Mapped { first: (1, 1), counts: (1, 1) };
    unpack(archive.as_slice(), &world.layer(), &[], owners, Bounds::default()).unwrap();
    let world = World::new();
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.set_uid(70_000);
    header.set_gid(0);
    header.set_mode(0o644);
    tar.append_data(&mut header, "f", &[][..]).unwrap();
    let archive = tar.into_inner().unwrap();
    let owners = Owners::Mapped { first: (1, 1), counts: (65537, 65537) };
    let problem = unpack(archive.as_slice(), &world.layer(), &[], owners, Bounds::default()).unwrap_err();
    assert!(problem.contains("70000") && problem.contains("only 65536 in /etc/subuid"), "{problem}");
}

fn is_opaque(path: &Path) -> bool {
    crate::merged::is_opaque(fs::File::open(path).unwrap())
}

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_char_device() && m.rdev() == 0)
}

#[test]
fn files_directories_and_links_arrive_with_mode_and_time() {
    let world = World::new();
    let archive = Archived::new()
        .entry(EntryType::Directory, "./", "", |h| h.set_mode(0o751))
        .entry(EntryType::Directory, "d/", "", |h| h.set_mode(0o550))
        .file("d/f", "text")
        .plain(EntryType::Symlink, "d/s", "/d/f")
        .plain(EntryType::Link, "d/h", "d/f")
        .entry(EntryType::Fifo, "p", "", |h| h.set_mode(0o622));
    world.unpack(archive).unwrap();
    let stat = |path: &str| fs::symlink_metadata(world.layer().join(path)).unwrap();
    assert_eq!(stat("").mode() & 0o7777, 0o751);
    assert_eq!(stat("d").mode() & 0o7777, 0o550);
    assert_eq!(stat("p").mode() & 0o7777, 0o622);
    assert!(stat("p").file_type().is_fifo());
    for path in ["", "d", "d/f", "d/s", "p"] {
        assert_eq!(stat(path).mtime(), 1_000_000_000, "{path}");
    }
    assert_eq!(stat("d/h").ino(), stat("d/f").ino());
    assert_eq!(fs::read_link(world.layer().join("d/s")).unwrap(), Path::new("/d/f"));
    assert_eq!(world.text("d/f"), "text");
}

#[test]
fn the_digest_is_of_the_decompressed_archive_whatever_the_compression() {
    let plain = Archived::new().file("f", "text").bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain[..600]).unwrap();
    // Two members, as parallel compressors write.
    let mut members = gzip.finish().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain[600..]).unwrap();
    members.extend(gzip.finish().unwrap());
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for archive in [plain.clone(), members, zstd] {
        let world = World::new();
        let owners = Owners::of_this_process();
        let found = unpack(archive.as_slice(), &world.layer(), &[], owners, Bounds::default()).unwrap();
        assert_eq!(found, Digest::of(&plain));
        assert_eq!(world.text("f"), "text");
    }
}

#[test]
fn dot_dot_is_refused_and_a_leading_slash_means_the_image() {
    for path in ["../outside/new", "a/../../outside/new", "/../outside/new", ".."] {
        let problem = World::new().unpack(Archived::new().file(path, "x")).unwrap_err();
        assert!(problem.contains("`..`"), "{problem}");
    }
    let world = World::new();
    world.unpack(Archived::new().file("/etc/passwd", "mine")).unwrap();
    assert_eq!(world.text("etc/passwd"), "mine");
}

#[test]
fn writing_through_a_symbolic_link_stays_inside() {
    let world = World::new();
    let archive = Archived::new()
        .plain(EntryType::Symlink, "abs", &world.outside())
        .plain(EntryType::Symlink, "rel", "../outside")
        .file("abs/new", "x")
        .file("rel/precious", "x");
    world.unpack(archive).unwrap();
    assert_eq!(world.text("outside/precious"), "x");
    assert_eq!(
        fs::read_to_string(format!("{}{}/new", world.layer().display(), world.outside())).unwrap(),
        "x"
    );
}

#[test]
fn a_file_replaces_a_link_and_does_not_follow_it() {
    let world = World::new();
    let target = format!("{}/precious", world.outside());
    let archive = Archived::new().plain(EntryType::Symlink, "f", &target).file("f", "new");
    world.unpack(archive).unwrap();
    assert_eq!(world.text("f"), "new");
}

#[test]
fn hard_links_reach_nothing_outside() {
    let world = World::new();
    let target = format!("{}/precious", world.outside());
    for link in [target.as_str(), "../outside/precious", "s/precious", "nothing"] {
        let world = World::new();
        let archive = Archived::new()
            .plain(EntryType::Symlink, "s", &world.outside())
            .plain(EntryType::Link, "h", link)
            .file("h", "overwritten");
        assert!(world.unpack(archive).is_err(), "{link}");
    }
    let onto_itself = Archived::new().file("f", "x").plain(EntryType::Link, "f", "f");
    world.unpack(onto_itself).unwrap();
    assert_eq!(world.text("f"), "x");
}

#[test]
fn devices_are_refused_for_root_and_left_out_for_others() {
    for (kind, major, minor) in [(EntryType::Char, 1, 3), (EntryType::Block, 8, 0), (EntryType::Char, 0, 0)] {
        let world = World::new();
        let archive = Archived::new()
            .entry(kind, "dev", "", |h| {
                h.set_device_major(major).unwrap();
                h.set_device_minor(minor).unwrap();
            })
            .file("after", "x");
        let result = world.unpack(archive);
        assert_eq!(result.is_err(), is_root(), "{result:?}");
        assert!(fs::symlink_metadata(world.layer().join("dev")).is_err());
    }
}

#[test]
fn the_devices_that_a_container_gets_anyway_are_left_out() {
    for name in ["dev/null", "./dev/null", "/dev/pts/ptmx"] {
        let world = World::new();
        let archive = Archived::new().entry(EntryType::Char, name, "", |h| {
            h.set_device_major(1).unwrap();
            h.set_device_minor(3).unwrap();
        });
        world.unpack(archive.file("after", "x")).unwrap();
        assert_eq!(world.text("after"), "x");
        assert!(fs::symlink_metadata(world.layer().join("dev/null")).is_err());
    }
}

#[test]
fn a_set_user_id_file_of_another_user_never_becomes_ours() {
    let world = World::new();
    let archive = Archived::new().entry(EntryType::Regular, "suid", "", |h| {
        h.set_mode(0o6755);
        h.set_uid(1234);
        h.set_gid(1235);
    });
    world.unpack(archive).unwrap();
    let stat = fs::metadata(world.layer().join("suid")).unwrap();
    if is_root() {
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (1234, 1235, 0o6755));
    } else {
        assert_eq!(stat.mode() & 0o7777, 0o755);
    }
}

#[test]
fn squashed_layers_have_no_set_id_bits_and_keep_the_owner_who_unpacks() {
    let world = World::new();
    let archive = Archived::new().entry(EntryType::Regular, "suid", "", |h| {
        h.set_mode(0o6755);
        h.set_uid(1234);
    });
    unpack(archive.bytes().as_slice(), &world.layer(), &[], Owners::Squashed, Bounds::default()).unwrap();
    let stat = fs::metadata(world.layer().join("suid")).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o7777), (rustix::process::geteuid().as_raw(), 0o755));
}

#[test]
fn a_bomb_is_stopped_at_its_bounds() {
    let unpack_within = |archive: &[u8], bounds| {
        let world = World::new();
        unpack(archive, &world.layer(), &[], Owners::of_this_process(), bounds).unwrap_err()
    };
    let mut zeros = Archived::new();
    let mut big = header(EntryType::Regular, "zeros", "");
    big.set_size(4 << 20);
    big.set_cksum();
    zeros.0.append(&big, io::repeat(0).take(4 << 20)).unwrap();
    let bomb = zstd::encode_all(zeros.bytes().as_slice(), 3).unwrap();
    assert!(bomb.len() < 10_000);
    let bounds = Bounds { bytes_max: 1 << 20, ..Bounds::default() };
    let problem = unpack_within(&bomb, bounds);
    assert!(problem.contains("too large"), "{problem}");

    // What claims to be small is cut off where it is not.
    let trailer = [Archived::new().bytes(), vec![0; 4 << 20]].concat();
    assert!(unpack_within(&trailer, bounds).contains("once decompressed"));

    let many = (0..20).fold(Archived::new(), |a, i| a.file(&format!("f{i}"), ""));
    let problem = unpack_within(&many.bytes(), Bounds { entries_max: 10, ..Bounds::default() });
    assert!(problem.contains("more than 10 entries"), "{problem}");
}

#[test]
fn names_are_bounded_before_they_are_read_into_memory() {
    let mut long = Archived::new();
    let mut name = header(EntryType::GNULongName, "././@LongLink", "");
    name.set_size(8 << 20);
    name.set_cksum();
    long.0.append(&name, io::repeat(b'a').take(8 << 20)).unwrap();
    let problem = World::new().unpack(long.file("x", "")).unwrap_err();
    assert!(problem.contains("too long"), "{problem}");

    for path in ["a".repeat(256), "d/".repeat(2100)] {
        let mut archive = Archived::new();
        archive.0.append_data(&mut header(EntryType::Regular, "", ""), &path, &[][..]).unwrap();
        let problem = World::new().unpack(archive).unwrap_err();
        assert!(problem.contains("more than"), "{problem}");
    }
}

#[test]
fn what_readers_of_archives_disagree_about_is_refused() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Directory] {
        let mut archive = Archived::new().file("target", "");
        let mut link = header(kind, "x", "target");
        link.set_size(512);
        link.set_cksum();
        archive.0.append(&link, &[0; 512][..]).unwrap();
        let problem = World::new().unpack(archive).unwrap_err();
        assert!(problem.contains("content where"), "{problem}");
    }
    let mut sparse = Archived::new();
    sparse.0.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
    let problem = World::new().unpack(sparse.file("x", "1\n0\n0\n")).unwrap_err();
    assert!(problem.contains("sparse"), "{problem}");
}

#[test]
fn damaged_archives_are_errors() {
    let whole = Archived::new().file("f", &"text".repeat(1000)).bytes();
    let mut flipped = whole.clone();
    flipped[3] ^= 1;
    for archive in [&whole[..1000], &flipped[..], b"no archive at all, but long enough".repeat(40).as_slice()]
    {
        let world = World::new();
        let owners = Owners::of_this_process();
        assert!(unpack(archive, &world.layer(), &[], owners, Bounds::default()).is_err());
    }
}

#[test]
fn whiteouts_hide_lower_files_and_only_those() {
    let world = World::new();
    let lower = world.lower(Archived::new().file("d/gone", "low").file("d/both", "low").file("e/x", "low"));
    let archive = Archived::new()
        .dir("d/")
        .file("d/.wh.gone", "")
        .file("d/both", "high")
        .file("d/.wh.both", "")
        .dir("e/")
        .file("e/.wh.early", "")
        .file("e/.wh..wh..opq", "")
        .file("e/.wh.late", "")
        .file("e/y", "high");
    world.unpack_over(archive, std::slice::from_ref(&lower)).unwrap();
    assert!(is_whiteout(&world.layer().join("d/gone")));
    assert_eq!(world.text("d/both"), "high");
    assert!(is_opaque(&world.layer().join("e")) && !is_opaque(&world.layer().join("d")));
    // An overlay mount would show these: nothing below is merged into an opaque directory.
    assert!(!is_whiteout(&world.layer().join("e/early")) && !is_whiteout(&world.layer().join("e/late")));
    let view = crate::merged::Merged::open(&[lower, world.layer()]).unwrap();
    assert_eq!(view.read("/d/gone", 10).unwrap(), None);
    assert_eq!(view.read("/e/x", 10).unwrap(), None);
    assert_eq!(view.read("/e/y", 10).unwrap().as_deref(), Some(&b"high"[..]));
}

#[test]
fn a_directory_that_was_removed_and_made_anew_hides_the_old_one() {
    for archive in [
        Archived::new().file(".wh.d", "").dir("d/").file("d/new", "x"),
        Archived::new().dir("d/").file(".wh.d", "").file("d/new", "x"),
        Archived::new().file(".wh.d", "").file("d/new", "x"),
    ] {
        let world = World::new();
        let lower = world.lower(Archived::new().file("d/old", "low"));
        world.unpack_over(archive, &[lower]).unwrap();
        assert!(is_opaque(&world.layer().join("d")));
        assert_eq!(world.text("d/new"), "x");
    }
}

#[test]
fn whiteout_tricks_are_refused() {
    for path in [".wh..", ".wh...", ".wh.", "d/.wh...", ".wh.d/f", "../.wh.precious"] {
        assert!(World::new().unpack(Archived::new().file(path, "")).is_err(), "{path}");
    }
    let world = World::new();
    let lower = world.lower(Archived::new().file("x", "low"));
    let link = Archived::new().file(".wh.x", "").plain(EntryType::Link, "y", "x");
    assert!(world.unpack_over(link, &[lower]).is_err());
    // Bookkeeping of aufs is nothing of the image.
    let world = World::new();
    world.unpack(Archived::new().file(".wh..wh.aufs", "").file(".wh..wh.plnk/1", "").file("f", "")).unwrap();
    assert_eq!(fs::read_dir(world.layer()).unwrap().count(), 1);
}

#[test]
fn a_directory_not_in_the_archive_is_taken_from_below() {
    let world = World::new();
    let lower = world.lower(
        Archived::new().entry(EntryType::Directory, "usr/bin/", "", |h| h.set_mode(0o711)).plain(
            EntryType::Symlink,
            "bin",
            "usr/bin",
        ),
    );
    world.unpack_over(Archived::new().file("bin/tool", "x"), &[lower]).unwrap();
    assert_eq!(world.text("usr/bin/tool"), "x");
    assert!(!world.layer().join("bin").exists());
    let mode = fs::metadata(world.layer().join("usr/bin")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o711);
}

#[test]
fn attributes_of_overlay_mounts_and_security_modules_are_dropped() {
    let world = World::new();
    let archive = Archived::new()
        .attribute("user.kept", "1")
        .entry(EntryType::Regular, "kept", "", |h| h.set_mode(0o444))
        .attribute("user.overlay.whiteout", "y")
        .file("f", "")
        .attribute("trusted.overlay.redirect", "/etc")
        .dir("d/")
        .attribute("security.selinux", "system_u")
        .file("s", "");
    world.unpack(archive).unwrap();
    let attribute = |path: &str, name: &str| {
        let mut value = [0; 16];
        rustix::fs::lgetxattr(world.layer().join(path), name, &mut value[..]).map(|n| value[..n].to_vec())
    };
    assert_eq!(attribute("kept", "user.kept").unwrap(), b"1");
    assert!(attribute("f", "user.overlay.whiteout").is_err());
    assert!(attribute("d", "trusted.overlay.redirect").is_err());
    assert!(attribute("s", "security.selinux").is_err());
}

#[test]
fn the_last_entry_of_a_name_counts() {
    let world = World::new();
    let archive = Archived::new()
        .dir("d/")
        .file("d/inner", "")
        .file("d", "a file now")
        .plain(EntryType::Symlink, "s", "nowhere")
        .dir("s/")
        .file("s/f", "x");
    world.unpack(archive).unwrap();
    assert_eq!(world.text("d"), "a file now");
    assert_eq!(world.text("s/f"), "x");
}

#[test]
fn a_tree_deeper_than_open_files_allow_is_made_and_removed() {
    let world = World::new();
    let mut archive = Archived::new();
    let deep = "n/".repeat(1100);
    archive.0.append_data(&mut header(EntryType::Regular, "", ""), format!("{deep}f"), &[][..]).unwrap();
    world.unpack(archive).unwrap();
    assert!(world.layer().join(&deep).join("f").exists());
    let above = fs::File::open(world.dir.path()).unwrap();
    remove_tree(std::os::fd::AsFd::as_fd(&above), "layer".as_ref()).unwrap();
    assert!(!world.layer().exists());
}
