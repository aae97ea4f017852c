//! Gives a container its volumes: in a mount namespace of its own, before its program is executed.
//!
//! Nothing is mounted or created on the host, and all of it is gone with the container's last process.

mod mirror;
pub(crate) mod namespace;

use std::{
    ffi::CString,
    fs::{self, File, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, open, openat2},
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, move_mount, open_tree},
    process::{geteuid, umask},
};

use self::mirror::Mirrors;
use crate::{
    limits,
    spec::{self, Propagation, ReadOnlyBelow},
    sys,
};

/// The termination message file of a container that names none, where everybody expects it (upstream's default).
pub(crate) const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";
/// The last part of [`TERMINATION_MESSAGE_PATH`].
const TERMINATION_MESSAGE_NAME: &str = "termination-log";

/// A container that cannot have its volumes as asked, so that it must not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The volume, if it is about one.
    pub(crate) volume: String,
    /// Why not, and what can be done about it.
    pub(crate) message: String,
}

/// Something to mount.
struct Attachment<'a> {
    /// The volume's name; empty for the termination message.
    volume: &'a str,
    /// The volume, as a mount that is not attached anywhere yet.
    mount: OwnedFd,
    is_dir: bool,
    target: &'a Path,
    /// Whether the container must not run without it.
    required: bool,
}

/// Mounts everything that a container asks for. The process is the container's: it has forked but not executed yet.
/// Returns the file that the container writes its termination message to, if it has one.
///
/// `stage` is a directory that nothing is looked up in any more, so that it can be a mount point meanwhile: the pod's.
pub(crate) fn set_up(container: &spec::Container, stage: &Path) -> Result<Option<File>, Refused> {
    let message = &container.termination_message;
    let required = message.required || !container.mounts.is_empty();
    let namespace = match namespace::enter() {
        Ok(namespace) => namespace,
        // Only the termination message is lost, and nothing can be written to where it does not belong.
        Err(_) if !required => return Ok(None),
        Err(why) => return Err(Refused { volume: first_volume(container), message: why.to_string() }),
    };
    let mut attachments: Vec<Attachment<'_>> = Vec::with_capacity(container.mounts.len() + 1);
    for mount in &container.mounts {
        let refuse = |message| Refused { volume: mount.volume.clone(), message };
        let (fd, is_dir) = detached(mount).map_err(refuse)?;
        let (volume, target) = (mount.volume.as_str(), mount.target.as_path());
        attachments.push(Attachment { volume, mount: fd, is_dir, target, required: true });
    }
    let message_file = match make_message_file(stage) {
        Ok((file, mount)) => {
            let (target, required) = (message.path.as_path(), message.required);
            attachments.push(Attachment { volume: "", mount, is_dir: false, target, required });
            Some(file)
        }
        Err(error) if message.required => {
            let message = format!("cannot make a file for the termination message: {error}");
            return Err(Refused { volume: String::new(), message });
        }
        Err(_) => None,
    };
    // What lies deeper comes later; the volumes' own order decides the rest.
    attachments.sort_by_key(|attachment| attachment.target.components().count());
    let mut mirrors = Mirrors::new(stage, namespace);
    for attachment in &attachments {
        if let Err(message) = attach(attachment, &mut mirrors)
            && attachment.required
        {
            return Err(Refused { volume: attachment.volume.to_owned(), message });
        }
    }
    Ok(message_file)
}

/// Makes the file that the container writes its last message to, whoever it runs as: in memory, on `stage`, which
/// stays covered. Returns the file, and a mount of it.
pub(crate) fn make_message_file(stage: &Path) -> io::Result<(File, OwnedFd)> {
    let options = format!("mode=755,size={}", limits::TERMINATION_FILE_BYTES_MAX);
    let options = CString::new(options).expect("numbers have no null bytes");
    mount("tmpfs", stage, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?;
    let path = message_file(stage);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    file.set_permissions(Permissions::from_mode(0o666))?;
    let mount = clone_mount(open_path(&path)?.as_fd())?;
    Ok((file, mount))
}

/// Where the file of the termination message is that is made on `stage`.
pub(crate) fn message_file(stage: &Path) -> PathBuf {
    stage.join(TERMINATION_MESSAGE_NAME)
}

fn first_volume(container: &spec::Container) -> String {
    container.mounts.first().map(|mount| mount.volume.clone()).unwrap_or_default()
}

fn attach(attachment: &Attachment<'_>, mirrors: &mut Mirrors) -> Result<(), String> {
    let target = attachment.target;
    let failed = |error: io::Error| format!("cannot mount on {}: {error}", target.display());
    match fs::metadata(target) {
        Ok(existing) if existing.is_dir() != attachment.is_dir => {
            let kind = |is_dir| if is_dir { "a directory" } else { "a file" };
            return Err(format!(
                "cannot mount {} on {}, which is {}",
                kind(attachment.is_dir),
                target.display(),
                kind(existing.is_dir())
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            mirrors.create(target, attachment.is_dir)?;
        }
        Err(error) => return Err(failed(error)),
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(&attachment.mount, "", CWD, target, flags).map_err(|error| failed(error.into()))?;
    if !attachment.volume.is_empty() {
        mirrors.add_volume(target);
    }
    Ok(())
}

/// A copy of the mount that a container's mount asks for, not attached anywhere, and whether it is a directory.
pub(crate) fn detached(mount: &spec::Mount) -> Result<(OwnedFd, bool), String> {
    let place = || match &mount.sub_path {
        Some(path) => format!("subPath {path:?}"),
        None => "the volume".to_owned(),
    };
    let failed = |error: io::Error| format!("cannot open {}: {error}", place());
    let root = open_path(&mount.source).map_err(failed)?;
    let source = match &mount.sub_path {
        Some(path) => open_sub_path(&root, path).map_err(failed)?,
        None => root,
    };
    let is_dir = is_dir(&source).map_err(failed)?;
    let fd = clone_mount(source.as_fd()).map_err(failed)?;
    propagate(mount, source.as_fd(), fd.as_fd())?;
    if mount.read_only {
        make_read_only(mount, fd.as_fd())?;
    }
    Ok((fd, is_dir))
}

/// Decides which later mounts a copy sees: without a word those of the host, of which it is a slave.
fn propagate(mount: &spec::Mount, source: BorrowedFd<'_>, copy: BorrowedFd<'_>) -> Result<(), String> {
    match mount.propagation {
        Propagation::None => sys::mount_private_recursive(copy)
            .map_err(|error| format!("cannot keep it apart from later mounts: {error}")),
        Propagation::HostToContainer => Ok(()),
        Propagation::Bidirectional if is_shared(source) => Ok(()),
        // The words of containerd.
        Propagation::Bidirectional => {
            Err(format!("path {:?} is mounted on a file system that is not a shared mount", mount.source))
        }
    }
}

/// Whether what is mounted below an opened path is seen by other mount namespaces.
fn is_shared(source: BorrowedFd<'_>) -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let about = read(&format!("/proc/self/fdinfo/{}", source.as_raw_fd()));
    let Some(id) = about.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim) else {
        return false;
    };
    read("/proc/self/mountinfo").lines().any(|line| {
        let mut fields = line.split(' ');
        fields.next() == Some(id)
            && fields.skip(5).take_while(|field| *field != "-").any(|field| field.starts_with("shared:"))
    })
}

fn make_read_only(mount: &spec::Mount, copy: BorrowedFd<'_>) -> Result<(), String> {
    let made = match mount.read_only_below {
        ReadOnlyBelow::No => sys::mount_read_only(copy),
        ReadOnlyBelow::Required => sys::mount_read_only_recursive(copy),
        ReadOnlyBelow::IfPossible => {
            sys::mount_read_only_recursive(copy).or_else(|_| sys::mount_read_only(copy))
        }
    };
    made.map_err(|error| format!("cannot make it read-only: {error}"))
}

/// Opens a path inside a volume, which may not lead out of it by any way. Directories that are missing are created
/// (upstream's behaviour), with the permissions of the volume.
fn open_sub_path(volume: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let permissions = Mode::from_raw_mode(fstat(volume)?.st_mode & 0o7777);
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let open_below = |dir: &OwnedFd, path: &str| openat2(dir, path, O_PATH, Mode::empty(), resolve);
    match open_below(volume, path) {
        Err(rustix::io::Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    // Each step resolves from the volume's root, because a symbolic link may lead up, if only within the volume.
    let mut prefix = PathBuf::new();
    let mut dir = rustix::io::dup(volume)?;
    for component in Path::new(path).components() {
        prefix.push(component);
        let text = prefix.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let name = component.as_os_str().to_str().ok_or(io::ErrorKind::InvalidInput)?;
        dir = match open_below(volume, text) {
            Err(rustix::io::Errno::NOENT) => {
                make_dir(&dir, name, permissions)?;
                open_below(volume, text)?
            }
            opened => opened?,
        };
    }
    Ok(dir)
}

/// Makes a directory with exactly these permissions. Not by changing them afterwards: what has the name by then may be
/// somebody else's link.
fn make_dir(parent: &OwnedFd, name: &str, permissions: Mode) -> io::Result<()> {
    let mask = umask(Mode::empty());
    let made = mkdirat(parent, name, permissions);
    umask(mask);
    Ok(made?)
}

const O_PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, O_PATH, Mode::empty())?)
}

fn is_dir(fd: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}

fn clone_mount(source: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(source, "", flags)?)
}

/// Creates an empty file that was not there.
fn create_file(path: &Path) -> io::Result<()> {
    File::options().write(true).create_new(true).open(path).map(drop)
}

/// Mounts a pod's volumes in memory, in a mount namespace that the shim makes for itself and its containers.
pub(crate) fn mount_memory(volumes: &[spec::MemoryVolume]) -> Result<(), Refused> {
    let refuse = |volume: &spec::MemoryVolume, message| Refused { volume: volume.volume.clone(), message };
    let Some(first) = volumes.first() else { return Ok(()) };
    namespace::enter().map_err(|why| refuse(first, why.to_string()))?;
    let owns_groups = geteuid().is_root();
    for volume in volumes {
        let mut options = if volume.shared_memory { "mode=1777" } else { "mode=0777" }.to_owned();
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
        flags.set(MountFlags::NOEXEC, volume.shared_memory);
        if let Some(bytes) = volume.bytes_max {
            options.push_str(&format!(",size={bytes}"));
        }
        if let (true, Some(gid)) = (owns_groups, volume.gid) {
            options = options.replace("0777", "2777") + &format!(",gid={gid}");
        }
        let options = CString::new(options).expect("names and numbers have no null bytes");
        mount("tmpfs", &volume.path, "tmpfs", flags, options.as_c_str()).map_err(|error| {
            refuse(volume, format!("cannot mount a volume in memory: {}", io::Error::from(error)))
        })?;
    }
    Ok(())
}
