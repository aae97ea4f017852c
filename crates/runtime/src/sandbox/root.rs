//! The file system of a container: its image's layers under a layer of its own, and what is mounted into it.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
        fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
    },
};

use crate::sys;

const O_PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How many bytes the options of a mount may have together: less than a page.
const OPTIONS_BYTES_MAX: usize = 4095;

/// What a container's file system is made of.
pub(super) struct Layers<'a> {
    /// The image's, the lowest first.
    pub(super) lower: &'a [PathBuf],
    /// What the container writes.
    pub(super) upper: &'a Path,
    /// For the kernel.
    pub(super) work: &'a Path,
}

/// A file system that is becoming a container's root.
pub(super) struct Tree {
    root: OwnedFd,
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

impl Tree {
    /// Mounts the layers on an existing directory.
    pub(super) fn mount(layers: &Layers<'_>, on: &Path, in_user_namespace: bool) -> io::Result<Tree> {
        match overlay(layers, in_user_namespace) {
            Ok(overlay) => {
                move_mount(&overlay, "", CWD, on, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
            }
            // A kernel that does not take the layers one by one, or a path that is too long for it.
            Err(Errno::INVAL | Errno::NOSYS) => mount_by_options(layers, on, in_user_namespace)?,
            Err(error) => return Err(error.into()),
        }
        Ok(Tree { root: open(on, O_PATH | OFlags::DIRECTORY, Mode::empty())? })
    }

    /// Attaches a mount to a place in the tree, which is made if it is not there.
    pub(super) fn attach(&self, mount: &OwnedFd, target: &Path, is_dir: bool) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot mount on {}: {error}", target.display());
        let place = self.place(target, is_dir).map_err(failed)?;
        let found = super::is_dir(&place).map_err(failed)?;
        if found != is_dir {
            let kind = |is_dir| if is_dir { "a directory" } else { "a file" };
            return Err(format!(
                "cannot mount {} on {}, which is {}",
                kind(is_dir),
                target.display(),
                kind(found)
            ));
        }
        attach_to(mount, &place).map_err(failed)
    }

    /// Makes a directory with those above it, unless they are there.
    pub(super) fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.place(path, true).map(drop)
    }

    /// What is at a path in the tree, if there is anything.
    pub(super) fn find(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        match self.open(path) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A directory of the kernel's, like `/proc`, that is really there: made if it is missing, and no link elsewhere.
    pub(super) fn own_dir(&self, name: &str) -> io::Result<OwnedFd> {
        match mkdirat(&self.root, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(openat2(
            &self.root,
            name,
            O_PATH | OFlags::DIRECTORY,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
        )?)
    }

    /// Lets the image's files and the container's own not be written to any more; volumes are not concerned.
    pub(super) fn make_read_only(&self) -> io::Result<()> {
        sys::mount_read_only(self.root.as_fd())
    }

    fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.root, inside, O_PATH, Mode::empty(), resolve)
    }

    fn place(&self, target: &Path, is_dir: bool) -> io::Result<OwnedFd> {
        match self.open(target) {
            Err(Errno::NOENT) => {}
            opened => return Ok(opened?),
        }
        // Each step is resolved from the root: a symbolic link may lead anywhere, if only within the tree.
        let mut dir = self.open(Path::new("/"))?;
        let mut path = PathBuf::from("/");
        let mut components = target.components().peekable();
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else { continue };
            path.push(name);
            dir = match self.open(&path) {
                Err(Errno::NOENT) if is_dir || components.peek().is_some() => {
                    mkdirat(&dir, name, Mode::from_raw_mode(0o755))?;
                    self.open(&path)?
                }
                Err(Errno::NOENT) => {
                    let flags =
                        OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
                    drop(openat(&dir, name, flags, Mode::from_raw_mode(0o644))?);
                    self.open(&path)?
                }
                opened => opened?,
            };
        }
        Ok(dir)
    }
}

/// Attaches a mount to what a descriptor names.
pub(super) fn attach_to(mount: &OwnedFd, place: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", place, "", flags)?)
}

/// A new file system of the kernel's, not attached anywhere yet.
pub(super) fn file_system(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The layers as one file system, handed over one by one, so that there may be many (Linux 6.7).
fn overlay(layers: &Layers<'_>, in_user_namespace: bool) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in layers.lower.iter().rev() {
        fsconfig_set_string(&context, "lowerdir+", layer)?;
    }
    fsconfig_set_string(&context, "upperdir", layers.upper)?;
    fsconfig_set_string(&context, "workdir", layers.work)?;
    if in_user_namespace {
        fsconfig_set_flag(&context, "userxattr")?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

fn mount_by_options(layers: &Layers<'_>, on: &Path, in_user_namespace: bool) -> io::Result<()> {
    let text = |path: &Path| escape(&path.to_string_lossy());
    let lower: Vec<String> = layers.lower.iter().rev().map(|layer| text(layer)).collect();
    let mut options =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), text(layers.upper), text(layers.work));
    if in_user_namespace {
        options.push_str(",userxattr");
    }
    if options.len() > OPTIONS_BYTES_MAX {
        let message = format!("the image has {} layers, too many for this kernel", lower.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let options = CString::new(options).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(mount("overlay", on, "overlay", MountFlags::empty(), options.as_c_str())?)
}

/// A path as it stands in the options of an overlay, where some characters have a meaning.
fn escape(path: &str) -> String {
    path.chars().fold(String::with_capacity(path.len()), |mut text, character| {
        if matches!(character, '\\' | ':' | ',') {
            text.push('\\');
        }
        text.push(character);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_with_a_meaning_are_escaped() {
        assert_eq!(escape("/a:b,c\\d"), "/a\\:b\\,c\\\\d");
    }
}
