//! Gives a volume that holds data already to a group: the kubelet's `fsGroup`.

use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, chownat, fstat, openat},
    io::Errno,
};

use crate::limits;

/// What a group may do with every file.
const FILE_MODE: u32 = 0o660;
/// What it may do with every directory besides; what is made there belongs to the group, too.
const DIR_MODE: u32 = 0o2110;

/// Gives a directory and all that is in it to a group, which may then read and write it.
///
/// With `only_on_mismatch` nothing is done if the directory itself is the group's already (upstream's `OnRootMismatch`).
/// Links are not followed, whoever may replace what with them meanwhile.
///
/// # Errors
/// If something cannot be changed, or directories are nested too deeply.
pub(super) fn give(root: &Path, gid: u32, only_on_mismatch: bool) -> io::Result<()> {
    let dir = open_below(CWD, root.as_os_str().as_bytes())?;
    let stat = fstat(&dir)?;
    let wanted = FILE_MODE | DIR_MODE;
    if only_on_mismatch && stat.st_gid == gid && stat.st_mode & wanted == wanted {
        return Ok(());
    }
    give_dir(&dir, &stat, gid, limits::VOLUME_DEPTH_MAX)
}

fn give_dir(dir: &OwnedFd, stat: &Stat, gid: u32, depth_left: usize) -> io::Result<()> {
    if depth_left == 0 {
        return Err(io::Error::other(format!(
            "its directories are nested more than {} deep",
            limits::VOLUME_DEPTH_MAX
        )));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for entry in Dir::new(openat(dir, ".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        match give_entry(dir.as_fd(), name, gid, depth_left) {
            // Gone meanwhile: another pod may use the volume.
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
            given => given?,
        }
    }
    give_one(dir.as_fd(), stat, gid)
}

fn give_entry(dir: BorrowedFd<'_>, name: &[u8], gid: u32, depth_left: usize) -> io::Result<()> {
    let entry = open_below(dir, name)?;
    let stat = fstat(&entry)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => give_dir(&entry, &stat, gid, depth_left - 1),
        _ => give_one(entry.as_fd(), &stat, gid),
    }
}

fn give_one(entry: BorrowedFd<'_>, stat: &Stat, gid: u32) -> io::Result<()> {
    if stat.st_gid != gid {
        chownat(entry, "", None, Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)?;
    }
    let more = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => return Ok(()),
        FileType::Directory => FILE_MODE | DIR_MODE,
        _ => FILE_MODE,
    };
    // Always: to change the group takes away what the mode says of who may act as whom.
    let mode = (stat.st_mode & 0o7777) | more;
    fs::set_permissions(format!("/proc/self/fd/{}", entry.as_raw_fd()), Permissions::from_mode(mode))
}

/// Opens what has a name, and not what that leads to if it is a link.
fn open_below(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}
