//! Mount points that do not exist on the host: added to a private copy of the directory they belong in.
//!
//! The copy is a directory in memory in which every entry of the original is mounted (symbolic links are made anew).
//! What the container writes directly into it is its own and gone with it, like the writable layer of a container
//! with an image; what it writes anywhere below goes to the host as ever.

use std::{
    ffi::CString,
    fs::{self, DirEntry},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
        mount_change, mount_move, unmount,
    },
    process::{chdir, pivot_root},
};

use super::{TERMINATION_MESSAGE_PATH, create_file, namespace::Namespace};
use crate::limits;

/// The directories of one container that are not the host's.
pub(super) struct Mirrors<'a> {
    /// An existing directory that serves as a mount point while a copy is made.
    stage: &'a Path,
    namespace: Namespace,
    /// Copies, and directories created in them.
    own: Vec<PathBuf>,
    /// Where volumes are mounted.
    volumes: Vec<PathBuf>,
}

impl<'a> Mirrors<'a> {
    pub(super) fn new(stage: &'a Path, namespace: Namespace) -> Self {
        Mirrors { stage, namespace, own: Vec::new(), volumes: Vec::new() }
    }

    /// Remembers that a volume is mounted on `target`: what is missing in a volume is created in it.
    pub(super) fn add_volume(&mut self, target: &Path) {
        self.volumes.extend(fs::canonicalize(target));
    }

    /// Makes a mount point that does not exist.
    pub(super) fn create(&mut self, target: &Path, is_dir: bool) -> Result<(), String> {
        let failed = |at: &Path, error: io::Error| {
            format!("cannot make the mount point {}: {}: {error}", target.display(), at.display())
        };
        let ancestor = target.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("/"));
        let base = fs::canonicalize(ancestor).map_err(|error| failed(ancestor, error))?;
        let may_create =
            self.own.contains(&base) || self.volumes.iter().any(|volume| base.starts_with(volume));
        if !may_create {
            if target == Path::new(TERMINATION_MESSAGE_PATH) && self.overlay_dev().is_ok() {
                return Ok(());
            }
            self.mirror(&base).map_err(|why| {
                let remedy = "create it on the host, or choose another mountPath";
                format!("the mount point {} does not exist and {why}; {remedy}", target.display())
            })?;
        }
        let mut path = base;
        let missing = target.strip_prefix(ancestor).expect("an ancestor is a prefix");
        let mut components = missing.components().peekable();
        while let Some(component) = components.next() {
            path.push(component);
            let made = if is_dir || components.peek().is_some() {
                fs::create_dir(&path)
            } else {
                create_file(&path)
            };
            made.map_err(|error| failed(&path, error))?;
            self.own.push(path.clone());
        }
        Ok(())
    }

    /// Puts a private copy in the place of a directory.
    fn mirror(&mut self, dir: &Path) -> Result<(), String> {
        if ["/proc", "/sys"].iter().any(|kernel| dir.starts_with(kernel)) {
            return Err(format!("{} belongs to the kernel", dir.display()));
        }
        let failed = |error: io::Error| format!("{} cannot be copied: {error}", dir.display());
        let entries: Vec<DirEntry> = fs::read_dir(dir)
            .map_err(failed)?
            .take(limits::MIRROR_ENTRIES_MAX + 1)
            .collect::<io::Result<_>>()
            .map_err(failed)?;
        if entries.len() > limits::MIRROR_ENTRIES_MAX {
            let most = limits::MIRROR_ENTRIES_MAX;
            return Err(format!("{} has more than {most} entries, too many to copy", dir.display()));
        }
        self.copy(dir, &entries).map_err(failed)?;
        self.own.push(dir.to_owned());
        Ok(())
    }

    fn copy(&self, dir: &Path, entries: &[DirEntry]) -> io::Result<()> {
        let original = fs::metadata(dir)?;
        let mode = original.permissions().mode() & 0o7777;
        let options = format!("mode={mode:o},size={}", limits::MIRROR_BYTES_MAX);
        let options = CString::new(options).expect("numbers and names have no null bytes");
        mount("tmpfs", self.stage, "tmpfs", MountFlags::empty(), options.as_c_str())?;
        // So that the copy of whatever contains the stage does not contain the stage.
        mount_change(self.stage, MountPropagationFlags::UNBINDABLE)?;
        for entry in entries {
            self.copy_entry(entry)?;
        }
        if self.namespace.privileged {
            chown(self.stage, Some(original.uid()), Some(original.gid()))?;
        }
        mount_change(self.stage, MountPropagationFlags::PRIVATE)?;
        if dir != Path::new("/") {
            return Ok(mount_move(self.stage, dir)?);
        }
        chdir(self.stage)?;
        pivot_root(".", ".")?;
        // The old root is now mounted over the new one, at the same place.
        unmount(".", UnmountFlags::DETACH)?;
        Ok(chdir("/")?)
    }

    fn copy_entry(&self, entry: &DirEntry) -> io::Result<()> {
        let (from, to) = (entry.path(), self.stage.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(from)?, to)
        } else if kind.is_dir() {
            fs::create_dir(&to)?;
            Ok(mount_bind_recursive(from, to)?)
        } else {
            create_file(&to)?;
            Ok(mount_bind(from, to)?)
        }
    }

    /// Adds the file for the termination message to `/dev`: with some hundred devices, mounting each of them takes
    /// longer than all else, so the directory is laid over the stage, where there is only this file. Device files do
    /// not work on such a layer in a user namespace.
    fn overlay_dev(&self) -> io::Result<()> {
        if !self.namespace.privileged {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Relative, so that no character of it has a meaning in the list of layers.
        chdir(self.stage)?;
        mount("overlay", self.stage, "overlay", MountFlags::empty(), c"lowerdir=.:/dev")?;
        chdir("/")?;
        for mount_point in mounts_in(Path::new("/dev"))? {
            let name = mount_point.file_name().unwrap_or_default();
            mount_bind_recursive(&mount_point, self.stage.join(name))?;
        }
        Ok(mount_move(self.stage, "/dev")?)
    }
}

/// The mount points that are entries of a directory.
fn mounts_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(Path::new)
        // Names with characters that the table escapes are left out: devices have none.
        .filter(|point| point.parent() == Some(dir))
        .map(Path::to_owned)
        .collect();
    points.sort_unstable();
    points.dedup();
    Ok(points)
}
