//! The file system of an image, read through its layers as an overlay mount would show it.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::limits::SYMLINKS_MAX;

/// The attributes by which overlay mounts know directories that hide what lies below, for root and for others.
pub(crate) const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// Whether a file hides the one of the same name in the layers below: a character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a directory hides the one of the same name in the layers below.
pub(crate) fn is_opaque(directory: impl AsFd) -> bool {
    OPAQUE_ATTRIBUTES.iter().any(|name| {
        let mut value = [0; 8];
        rustix::fs::fgetxattr(&directory, *name, &mut value[..]).is_ok_and(|length| &value[..length] == b"y")
    })
}

/// Opens a directory itself, not what a symbolic link of that name points to.
pub(crate) fn open_directory(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// One step of a path: a directory, and what the topmost layer that has it says about it. None where there is nothing of
/// that name yet.
pub(crate) struct Step {
    pub name: OsString,
    pub stat: Option<Stat>,
}

enum Found {
    Nothing,
    Directory(Vec<OwnedFd>),
    Symlink(Vec<u8>),
    File(OwnedFd),
}

enum End {
    Directory(Vec<Step>),
    /// Something that is no directory: an `O_PATH` handle of it.
    File(OwnedFd),
}

/// Layers, topmost first.
pub(crate) struct Merged {
    roots: Vec<OwnedFd>,
}

impl Merged {
    /// Opens layers, which are given lowest first.
    pub fn open<P: AsRef<Path>>(lowest_first: &[P]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |layer: &P| rustix::fs::open(layer.as_ref(), flags, Mode::empty());
        let roots = lowest_first.iter().rev().map(open).collect::<Result<_, _>>()?;
        Ok(Self { roots })
    }

    /// The first `bytes_max` bytes of a file, or none if no regular file is there.
    pub fn read(&self, path: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let handle = match self.walk(path.as_bytes()) {
            Ok(End::File(handle)) => handle,
            Ok(End::Directory(_)) => return Ok(None),
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        // The handle is known to be a regular file, so opening it anew neither waits nor has effects.
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
        let mut bytes = Vec::new();
        File::open(again)?.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Where a directory really is, links followed, with every step on the way. What does not exist yet is a step, too.
    pub fn directory(&self, path: &Path) -> io::Result<Vec<Step>> {
        match self.walk(path.as_os_str().as_bytes())? {
            End::Directory(steps) => Ok(steps),
            End::File(_) => Err(Errno::NOTDIR.into()),
        }
    }

    /// Only the directories of the last step are open at any time: an archive decides how long the way is.
    fn walk(&self, path: &[u8]) -> io::Result<End> {
        let mut ahead: VecDeque<Vec<u8>> = components(path).collect();
        let mut steps: Vec<Step> = Vec::new();
        let mut here: Vec<OwnedFd> = self.descend(&steps)?;
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == b".." {
                steps.pop();
                here = self.descend(&steps)?;
                continue;
            }
            match look_up(&here, OsStr::from_bytes(&name))? {
                Found::Nothing => {
                    steps.push(Step { name: OsString::from_vec(name), stat: None });
                    here.clear();
                }
                Found::Directory(directories) => {
                    let stat = directories.first().map(rustix::fs::fstat).transpose()?;
                    steps.push(Step { name: OsString::from_vec(name), stat });
                    here = directories;
                }
                Found::File(handle) if ahead.is_empty() => return Ok(End::File(handle)),
                Found::File(_) => return Err(Errno::NOTDIR.into()),
                Found::Symlink(target) => {
                    links += 1;
                    if links > SYMLINKS_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    if target.starts_with(b"/") {
                        steps.clear();
                        here = self.descend(&steps)?;
                    }
                    let rest = std::mem::take(&mut ahead);
                    ahead = components(&target).chain(rest).collect();
                }
            }
        }
        Ok(End::Directory(steps))
    }

    /// The directories at the end of a way that has no links.
    fn descend(&self, steps: &[Step]) -> io::Result<Vec<OwnedFd>> {
        let mut here = self.roots.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
        for step in steps {
            here = match look_up(&here, &step.name)? {
                Found::Directory(directories) => directories,
                _ => Vec::new(),
            };
        }
        Ok(here)
    }
}

fn is_absence(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].iter().any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec)
}

/// Looks one name up in directories of several layers, topmost first, by the rules of overlay mounts.
fn look_up(directories: &[OwnedFd], name: &OsStr) -> io::Result<Found> {
    let mut found: Vec<OwnedFd> = Vec::new();
    for directory in directories {
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        if is_whiteout(&stat) {
            break;
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = open_directory(directory, name)?;
                let opaque = is_opaque(&inner);
                found.push(inner);
                if opaque {
                    break;
                }
            }
            // What is no directory is hidden by a directory above, and hides all below.
            _ if !found.is_empty() => break,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
                return Ok(Found::Symlink(target.into_bytes()));
            }
            _ => return Ok(Found::File(handle_of(directory.as_fd(), name)?)),
        }
    }
    Ok(if found.is_empty() { Found::Nothing } else { Found::Directory(found) })
}

fn handle_of(directory: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn layers() -> (tempfile::TempDir, Vec<std::path::PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = ["low", "high"].iter().map(|name| dir.path().join(name)).collect();
        for path in &paths {
            fs::create_dir_all(path.join("etc")).unwrap();
        }
        (dir, paths)
    }

    fn read(paths: &[std::path::PathBuf], path: &str) -> Option<String> {
        let bytes = Merged::open(paths).unwrap().read(path, 1 << 10).unwrap();
        bytes.map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn the_topmost_file_is_seen_and_links_stay_inside() {
        let (_dir, paths) = layers();
        fs::write(paths[0].join("etc/passwd"), "low").unwrap();
        fs::write(paths[0].join("etc/group"), "low").unwrap();
        fs::write(paths[1].join("etc/passwd"), "high").unwrap();
        symlink("/../../etc/group", paths[1].join("etc/link")).unwrap();
        symlink("/etc/hostname", paths[1].join("etc/outside")).unwrap();
        assert_eq!(read(&paths, "/etc/passwd").as_deref(), Some("high"));
        assert_eq!(read(&paths, "/etc/group").as_deref(), Some("low"));
        assert_eq!(read(&paths, "/etc/link").as_deref(), Some("low"));
        assert_eq!(read(&paths, "/etc/outside"), None);
    }

    #[test]
    fn a_link_in_a_lower_layer_does_not_lead_a_higher_directory_astray() {
        let (dir, paths) = layers();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::remove_dir(paths[0].join("etc")).unwrap();
        symlink(dir.path(), paths[0].join("etc")).unwrap();
        assert_eq!(read(&paths, "/etc/secret"), None);
    }

    #[test]
    fn a_loop_of_links_and_a_pipe_are_no_files() {
        let (_dir, paths) = layers();
        symlink("b", paths[0].join("etc/a")).unwrap();
        symlink("a", paths[0].join("etc/b")).unwrap();
        let etc = File::open(paths[1].join("etc")).unwrap();
        rustix::fs::mknodat(&etc, "passwd", FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read(&paths, "/etc/a"), None);
        assert_eq!(read(&paths, "/etc/passwd"), None);
    }

    #[test]
    fn whiteouts_hide_what_is_below() {
        let (_dir, paths) = layers();
        fs::write(paths[0].join("etc/passwd"), "low").unwrap();
        let etc = File::open(paths[1].join("etc")).unwrap();
        rustix::fs::mknodat(&etc, "passwd", FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        assert_eq!(read(&paths, "/etc/passwd"), None);
    }
}
