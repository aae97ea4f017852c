//! Creates the files of a layer below its directory, and nowhere else.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps,
        Uid, XattrFlags,
    },
    io::Errno,
};

use super::{
    Owners,
    entry::{Attributes, Name},
};
use crate::merged::{Merged, OPAQUE_ATTRIBUTES, is_opaque, is_whiteout, open_directory};

/// What the owner may do in a directory while files are created in it.
const WORKABLE: u32 = 0o700;
const IMPLICIT_MODE: u32 = 0o755;

/// What a directory gets once all files are in it: writing into it changes its time, and may need its mode.
struct Late {
    path: PathBuf,
    mode: u32,
    modified: Timespec,
}

/// The directory of a layer being filled.
pub(super) struct Tree {
    root: OwnedFd,
    /// This layer over those below.
    merged: Merged,
    has_lowers: bool,
    owners: Owners,
    /// By inode: a directory can be reached by several paths.
    late: HashMap<u64, Late>,
}

impl Tree {
    pub fn open(target: &Path, lowers: &[PathBuf], owners: Owners) -> io::Result<Self> {
        let layers: Vec<&Path> = lowers.iter().map(PathBuf::as_path).chain([target]).collect();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(target, flags, Mode::empty())?;
        let merged = Merged::open(&layers)?;
        Ok(Self { root, merged, has_lowers: !lowers.is_empty(), owners, late: HashMap::new() })
    }

    pub fn owners(&self) -> Owners {
        self.owners
    }

    /// The root of the image itself.
    pub fn root(&mut self, attributes: &Attributes) -> io::Result<()> {
        let root = self.root.try_clone()?;
        self.dress_directory(&root, Path::new(""), attributes)
    }

    pub fn directory(&mut self, name: &Name, attributes: &Attributes) -> io::Result<()> {
        let parent = self.parent(&name.directory)?;
        let directory = self.make_directory(&parent, &name.name)?;
        self.dress_directory(&directory, &name.directory.join(&name.name), attributes)
    }

    pub fn file(
        &mut self,
        name: &Name,
        attributes: &Attributes,
        content: &mut impl Read,
        length: u64,
    ) -> io::Result<()> {
        let parent = self.parent(&name.directory)?;
        self.clear(&parent, &name.name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&parent, &name.name, flags, Mode::RUSR | Mode::WUSR)?);
        if io::copy(&mut content.take(length), &mut file)? != length {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive ends in the middle of a file",
            ));
        }
        dress(&file, attributes, attributes.mode)?;
        rustix::fs::futimens(&file, &times(attributes))?;
        Ok(())
    }

    pub fn symlink(&mut self, name: &Name, attributes: &Attributes, target: &[u8]) -> io::Result<()> {
        let parent = self.parent(&name.directory)?;
        self.clear(&parent, &name.name)?;
        rustix::fs::symlinkat(OsStr::from_bytes(target), &parent, &name.name)?;
        dress_by_name(&parent, &name.name, attributes)
    }

    pub fn fifo(&mut self, name: &Name, attributes: &Attributes) -> io::Result<()> {
        let parent = self.parent(&name.directory)?;
        self.clear(&parent, &name.name)?;
        rustix::fs::mknodat(&parent, &name.name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        dress_by_name(&parent, &name.name, attributes)?;
        // The name was made a moment ago by this process, which is alone here: it is no link.
        rustix::fs::chmodat(&parent, &name.name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
        Ok(())
    }

    pub fn hard_link(&mut self, name: &Name, target: &Name) -> io::Result<()> {
        let from = self.inside(&target.directory).map_err(|_| missing_target())?;
        let stat = stat(&from, &target.name)?.ok_or_else(missing_target)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Symlink | FileType::Fifo) {
            return Err(io::Error::other("a hard link to a directory or whiteout"));
        }
        let parent = self.parent(&name.directory)?;
        if self::stat(&parent, &name.name)?.is_some_and(|there| there.st_ino == stat.st_ino) {
            return Ok(());
        }
        self.clear(&parent, &name.name)?;
        rustix::fs::linkat(&from, &target.name, &parent, &name.name, AtFlags::empty())?;
        Ok(())
    }

    /// Hides a name of the layers below. What this layer itself has of that name stays, wherever in the archive it
    /// comes (OCI image specification: whiteouts apply to lower layers only).
    pub fn whiteout(&mut self, name: &Name) -> io::Result<()> {
        if !self.has_lowers {
            return Ok(());
        }
        let parent = self.parent(&name.directory)?;
        match stat(&parent, &name.name)? {
            Some(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                self.mark_opaque(&open_directory(&parent, &name.name)?)
            }
            Some(_) => Ok(()),
            // In an opaque directory nothing is left to hide, and an overlay mount would show the whiteout.
            None if is_opaque(&parent) => Ok(()),
            None => {
                rustix::fs::mknodat(&parent, &name.name, FileType::CharacterDevice, Mode::empty(), 0)?;
                Ok(())
            }
        }
    }

    /// Hides all that the layers below have in a directory.
    pub fn opaque(&mut self, directory: &Path) -> io::Result<()> {
        if !self.has_lowers {
            return Ok(());
        }
        let directory = self.parent(directory)?;
        self.mark_opaque(&directory)
    }

    /// Gives directories their times and modes.
    pub fn finish(self) -> io::Result<()> {
        for (inode, late) in &self.late {
            // Replaced meanwhile by another file: then nothing is owed to it.
            let Ok(directory) = self.inside(&late.path) else { continue };
            if rustix::fs::fstat(&directory)?.st_ino != *inode {
                continue;
            }
            let times = Timestamps { last_access: late.modified, last_modification: late.modified };
            rustix::fs::futimens(&directory, &times)?;
        }
        // Modes come after all times, deepest first: a directory that may not be searched ends the way down.
        let mut late: Vec<(u64, Late)> = self.late.into_iter().collect();
        late.sort_by_key(|(_, l)| std::cmp::Reverse(l.path.components().count()));
        for (inode, late) in late {
            let Ok(directory) = open_inside(&self.root, &late.path) else { continue };
            let stat = rustix::fs::fstat(&directory)?;
            if stat.st_ino == inode && stat.st_mode & 0o7777 != late.mode {
                rustix::fs::fchmod(&directory, Mode::from_raw_mode(late.mode))?;
            }
        }
        Ok(())
    }

    /// The directory that a file goes into, made as the layers below have it where this layer does not.
    fn parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        match self.inside(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => self.implied_directory(path),
            other => Ok(other?),
        }
    }

    fn inside(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        open_inside(&self.root, path)
    }

    fn implied_directory(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let steps = self.merged.directory(path)?;
        let mut here = self.root.try_clone()?;
        let mut so_far = PathBuf::new();
        for step in steps {
            so_far.push(&step.name);
            here = match open_directory(&here, &step.name) {
                Ok(inner) => inner,
                Err(_) => {
                    let attributes = self.as_below(step.stat.as_ref());
                    let inner = self.make_directory(&here, &step.name)?;
                    self.dress_directory(&inner, &so_far, &attributes)?;
                    inner
                }
            };
        }
        Ok(here)
    }

    fn as_below(&self, below: Option<&Stat>) -> Attributes {
        let kept = self.owners.are_kept();
        let (mode, owner, modified_seconds) = match below {
            Some(stat) => (stat.st_mode & 0o7777, (stat.st_uid, stat.st_gid), stat.st_mtime),
            None => (IMPLICIT_MODE, (0, 0), 0),
        };
        Attributes { mode, owner: kept.then_some(owner), modified_seconds, extended: Vec::new() }
    }

    /// A directory of this name, whatever was there.
    fn make_directory(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
        let there = stat(parent, name)?;
        if there.as_ref().is_some_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory) {
            return Ok(open_directory(parent, name)?);
        }
        if there.is_some() {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        }
        rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
        let directory = open_directory(parent, name)?;
        // The whiteout hid what is below; so must the directory that takes its place.
        if there.as_ref().is_some_and(is_whiteout) {
            self.mark_opaque(&directory)?;
        }
        Ok(directory)
    }

    fn dress_directory(
        &mut self,
        directory: &OwnedFd,
        path: &Path,
        attributes: &Attributes,
    ) -> io::Result<()> {
        dress(directory, attributes, attributes.mode | WORKABLE)?;
        let inode = rustix::fs::fstat(directory)?.st_ino;
        let modified = Timespec { tv_sec: attributes.modified_seconds, tv_nsec: 0 };
        self.late.insert(inode, Late { path: path.to_owned(), mode: attributes.mode, modified });
        Ok(())
    }

    fn mark_opaque(&self, directory: &OwnedFd) -> io::Result<()> {
        let name = match self.owners {
            Owners::Kept => OPAQUE_ATTRIBUTES[0],
            Owners::Mapped { .. } | Owners::Squashed => OPAQUE_ATTRIBUTES[1],
        };
        rustix::fs::fsetxattr(directory, name, b"y", XattrFlags::empty())?;
        for name in names(directory)? {
            if stat(directory, &name)?.as_ref().is_some_and(is_whiteout) {
                rustix::fs::unlinkat(directory, &name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Makes room for a file: the last entry of a name in an archive is the one that counts.
    fn clear(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match stat(parent, name)? {
            None => Ok(()),
            Some(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                remove_tree(parent.as_fd(), name)
            }
            Some(_) => Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?),
        }
    }
}

/// Removes a directory and all in it, also where modes forbid it to the owner. Links are removed, not followed.
///
/// An archive decides how deep the tree is, so neither stack nor open files may grow with it: what lies deeper is moved
/// up, until all directories are empty.
///
/// # Errors
/// If a file cannot be removed.
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let top = workable_directory(parent, name)?;
    let mut moved: u64 = 0;
    loop {
        let entries = names(&top)?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if remove_file(&top, &entry)? {
                continue;
            }
            let inner = workable_directory(top.as_fd(), &entry)?;
            for deeper in names(&inner)? {
                if !remove_file(&inner, &deeper)? {
                    // Moving a directory needs the right to write in it.
                    workable_directory(inner.as_fd(), &deeper)?;
                    move_up(&inner, &deeper, &top, &mut moved)?;
                }
            }
            rustix::fs::unlinkat(&top, &entry, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Whether it was a file, which is then gone, and not a directory.
fn remove_file(parent: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

fn move_up(from: &OwnedFd, name: &OsStr, to: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let new_name = moved.to_string();
        match rustix::fs::renameat_with(from, name, to, new_name.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return Ok(other?),
        }
    }
}

fn workable_directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if is_directory && stat.st_mode & WORKABLE != WORKABLE {
        rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    }
    Ok(open_directory(parent, name)?)
}

fn open_inside(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return rustix::io::fcntl_dupfd_cloexec(root, 0);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

fn names(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

fn stat(parent: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn missing_target() -> io::Error {
    io::Error::other("a hard link to what this layer does not have")
}

fn times(attributes: &Attributes) -> Timestamps {
    let time = Timespec { tv_sec: attributes.modified_seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// A change of owner takes set-ID bits and capabilities away, so it comes first. The mode comes last: it may forbid to
/// set attributes.
fn dress(file: impl AsFd, attributes: &Attributes, mode: u32) -> io::Result<()> {
    if let Some((user, group)) = attributes.owner {
        rustix::fs::fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    for (name, value) in &attributes.extended {
        match rustix::fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty()) {
            // A file system without attributes; the image is usable all the same.
            Err(Errno::OPNOTSUPP) => {}
            other => other?,
        }
    }
    Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
}

fn dress_by_name(parent: &OwnedFd, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
    if let Some((user, group)) = attributes.owner {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::fs::chownat(parent, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::utimensat(parent, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}
