//! What the kernel provides in a container: `/proc`, `/dev`, `/sys`, and what of them is hidden.
//!
//! The lists are those of the OCI runtime specification and of the container runtimes that Kubernetes is used with.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, openat, symlinkat},
    io::Errno,
    mount::{MountAttrFlags, OpenTreeFlags, open_tree},
};

use super::root::{Tree, attach_to, file_system};
use crate::{
    spec::{Processes, Root},
    sys,
};

/// The devices that every container has: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// What of the host's devices is no container's (the runtimes' rule).
const OWN_DEVICES: [&str; 8] = ["console", "fd", "mqueue", "pts", "shm", ".lxc", ".lxd-mounts", ".udev"];

const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// The group of terminals, as everywhere.
pub(super) const TTY_GROUP: &str = "5";

/// How large `/dev/shm` may grow (the runtimes' default).
pub(super) const SHARED_MEMORY: &str = "67108864";

/// What a container does not see.
pub(super) const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// What a container sees and cannot write to.
pub(super) const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const STRICT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// What was being made, and why that failed.
type Failure = (&'static str, io::Error);

/// Mounts what belongs to the kernel. `privileged` says whether device files can be made.
pub(super) fn populate(
    tree: &Tree,
    root: &Root,
    processes: Processes,
    privileged: bool,
) -> Result<(), Failure> {
    let proc = tree.own_dir("proc").map_err(|error| ("/proc", error))?;
    let mounted = match file_system("proc", &[], STRICT) {
        // Only who owns a process namespace may mount its files anew.
        Err(error) if processes == Processes::Host && is(&error, Errno::PERM) => copy(Path::new("/proc")),
        mounted => mounted,
    };
    mounted.and_then(|mount| attach_to(&mount, &proc)).map_err(|error| ("/proc", error))?;
    let dev = tree.own_dir("dev").map_err(|error| ("/dev", error))?;
    make_dev(tree, &dev, privileged).map_err(|error| ("/dev", error))?;
    if root.privileged && privileged {
        let dev = tree.own_dir("dev").map_err(|error| ("/dev", error))?;
        let devices = host_devices(Path::new("/dev")).map_err(|error| ("/dev", error))?;
        add_devices(&dev, &devices).map_err(|error| ("/dev", error))?;
    }
    make_sys(tree, root.privileged).map_err(|error| ("/sys", error))
}

fn make_dev(tree: &Tree, place: &OwnedFd, privileged: bool) -> io::Result<()> {
    let options = [("mode", "755"), ("size", "65536k")];
    let mount = file_system("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    attach_to(&mount, place)?;
    let dev = tree.own_dir("dev")?;
    for (name, major, minor) in DEVICES {
        if privileged {
            let mode = Mode::from_raw_mode(0o666);
            mknodat(&dev, name, FileType::CharacterDevice, mode, makedev(major, minor))?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::WRONLY;
            drop(openat(&dev, name, flags, Mode::from_raw_mode(0o666))?);
            let file = find(tree, &format!("/dev/{name}"))?;
            attach_to(&copy(&Path::new("/dev").join(name))?, &file)?;
        }
    }
    for (target, name) in DEVICE_LINKS {
        symlinkat(target, &dev, name)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755))?;
    }
    let no_exec = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mut terminals = vec![("ptmxmode", "0666"), ("mode", "0620")];
    if privileged {
        terminals.push(("gid", TTY_GROUP));
    }
    attach_to(&file_system("devpts", &terminals, no_exec)?, &find(tree, "/dev/pts")?)?;
    let memory = [("mode", "1777"), ("size", SHARED_MEMORY)];
    attach_to(&file_system("tmpfs", &memory, STRICT)?, &find(tree, "/dev/shm")?)?;
    match file_system("mqueue", &[], STRICT) {
        Ok(queues) => attach_to(&queues, &find(tree, "/dev/mqueue")?),
        // The namespace of the queues belongs to the pod's user namespace, not to the container's.
        Err(error) if !privileged && is(&error, Errno::PERM) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A device of the host, or a directory of some.
pub(super) struct HostDevice {
    /// Relative to `/dev`.
    pub(super) path: PathBuf,
    /// As in `stat`, type included.
    pub(super) mode: u32,
    /// Its number; nothing for a directory.
    pub(super) number: u64,
}

/// All devices in a directory of the host and below, but for those that every container has its own of; directories
/// come before what is in them.
pub(super) fn host_devices(host: &Path) -> io::Result<Vec<HostDevice>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(host)? {
        let entry = entry?;
        let name = entry.file_name();
        // One that is gone by now is none.
        let Ok(metadata) = entry.metadata() else { continue };
        let kind = metadata.file_type();
        let is_device = kind.is_char_device() || kind.is_block_device();
        if OWN_DEVICES.iter().any(|own| name == *own) || !(kind.is_dir() || is_device) {
            continue;
        }
        let path = PathBuf::from(name);
        let below = if kind.is_dir() { host_devices(&entry.path())? } else { Vec::new() };
        let below = below
            .into_iter()
            .map(|device| HostDevice { path: path.join(device.path), ..device })
            .collect::<Vec<_>>();
        found.push(HostDevice { path, mode: metadata.mode(), number: metadata.rdev() });
        found.extend(below);
    }
    Ok(found)
}

/// Makes files for devices of the host. They are the container's: what it makes beside them, or is made there for it, is
/// not made on the host.
fn add_devices(place: &OwnedFd, devices: &[HostDevice]) -> io::Result<()> {
    for HostDevice { path, mode, number } in devices {
        let kind = FileType::from_raw_mode(*mode);
        let made = if kind == FileType::Directory {
            mkdirat(place, path, Mode::from_raw_mode(0o755))
        } else {
            mknodat(place, path, kind, Mode::from_raw_mode(mode & 0o777), *number)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn make_sys(tree: &Tree, writable: bool) -> io::Result<()> {
    let place = tree.own_dir("sys")?;
    let mut attributes = STRICT;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, !writable);
    let mount = match file_system("sysfs", &[], attributes) {
        Ok(mount) => mount,
        // Only who owns the network namespace may mount it anew.
        Err(error) if is(&error, Errno::PERM) => {
            let copy = copy(Path::new("/sys"))?;
            sys::mount_read_only_recursive(copy.as_fd())?;
            copy
        }
        Err(error) => return Err(error),
    };
    attach_to(&mount, &place)
}

/// Hides and protects what of the kernel's is no business of a container's.
pub(super) fn hide(tree: &Tree) -> io::Result<()> {
    for path in READ_ONLY {
        let Some(place) = tree.find(Path::new(path))? else { continue };
        let copy = copy_of(&place)?;
        sys::mount_read_only_recursive(copy.as_fd())?;
        attach_to(&copy, &place)?;
    }
    for path in MASKED {
        let Some(place) = tree.find(Path::new(path))? else { continue };
        let cover = if super::is_dir(&place)? {
            file_system("tmpfs", &[("size", "0")], STRICT | MountAttrFlags::MOUNT_ATTR_RDONLY)?
        } else {
            copy_of(&find(tree, "/dev/null")?)?
        };
        attach_to(&cover, &place)?;
    }
    Ok(())
}

/// What must be there: it was made before.
fn find(tree: &Tree, path: &str) -> io::Result<OwnedFd> {
    tree.find(Path::new(path))?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// A copy of what is mounted at a path of the host, with all that is mounted below.
fn copy(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

fn copy_of(place: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(place, "", flags)?)
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
