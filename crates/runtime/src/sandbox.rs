//! The sandbox of a container with an image: made around its process, by that process, before its program is executed.
//!
//! Everything happens in a mount namespace and a process namespace of the container's own, so nothing is left on the
//! host when its first process has ended but the directory of what it wrote. Whatever is mounted into the image's file
//! system is attached to a descriptor that was looked up as if that file system were the whole: a symbolic link in an
//! image or in a volume cannot lead a mount out of it.

pub(crate) mod bundle;
pub(crate) mod cgroup;
mod kernel;
pub(crate) mod privileges;
mod root;
pub(crate) mod seccomp;

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, fstat},
    mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
    process::{DumpableBehavior, chdir, fchdir, getegid, geteuid, pivot_root, set_dumpable_behavior, umask},
    system::sethostname,
    thread::UnshareFlags,
};

use self::root::Tree;
use crate::{
    mounts::{self, Refused},
    spec::{Container, Identity, Mount, Pod, Processes, Propagation, Root},
    sys, users,
};

/// The directory, in the pod's, of all containers' own files.
pub(crate) const CONTAINERS: &str = "containers";

/// The directory, in the pod's, of one container's own files.
fn container_dir(pod_dir: &Path, container: &str) -> PathBuf {
    pod_dir.join(CONTAINERS).join(container)
}

/// Where what a container with an image has written is.
pub(crate) fn written_by(pod_dir: &Path, container: &str) -> PathBuf {
    container_dir(pod_dir, container).join("upper")
}

/// The directories that a sandbox is made with.
#[derive(Debug)]
pub(crate) struct Place {
    /// That of the container, which has all the others.
    dir: PathBuf,
    /// What the container writes.
    upper: PathBuf,
    /// What the kernel needs besides.
    work: PathBuf,
    /// Where the file system is put together.
    root: PathBuf,
    /// Covered by the termination message.
    stage: PathBuf,
    /// Who the shim runs as, which its child cannot see any more.
    uid: u32,
    /// See `uid`.
    gid: u32,
    /// Which processes the container sees.
    processes: Processes,
    /// What the shim is to the machine.
    standing: Standing,
}

/// What a process is to the machine, which decides about the users of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its root: the container has the machine's users.
    Machine,
    /// Root of a namespace with ranges of users, all of which the container has.
    Ranges,
    /// One user, who is all that the container has.
    Single,
}

impl Standing {
    fn of_this_process() -> Self {
        match (users::is_machine_root(), users::has_ranges()) {
            (true, _) => Standing::Machine,
            (false, true) => Standing::Ranges,
            (false, false) => Standing::Single,
        }
    }
}

impl Place {
    /// Makes the directories for a new attempt. What an earlier one wrote is gone, as it is with a kubelet.
    pub(crate) fn make(pod_dir: &Path, container: &str, processes: Processes) -> io::Result<Self> {
        let dir = container_dir(pod_dir, container);
        remove(&dir)?;
        let [upper, work, root, stage] = ["upper", "work", "root", "stage"].map(|name| dir.join(name));
        for path in [&upper, &work, &root, &stage] {
            fs::create_dir_all(path)?;
        }
        // It becomes the mode of the container's `/`.
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))?;
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let standing = Standing::of_this_process();
        Ok(Place { dir, upper, work, root, stage, uid, gid, processes, standing })
    }

    /// Whether the container's process waits for its users before it makes its sandbox ([`users::share_with`]).
    pub(crate) fn awaits_users(&self) -> bool {
        self.standing == Standing::Ranges
    }
}

/// Removes a directory with what containers wrote, whatever permissions they gave it.
///
/// # Errors
/// If something cannot be removed. That there is nothing is none.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(dir)?;
            fs::remove_dir_all(dir)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Gives the owner all permissions on a directory and those below it. Symbolic links are not followed.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Gives the shim what the containers of its pod share: a host's name, message queues and shared memory unless they have
/// the machine's, an empty network unless they have the node's, and the settings of these.
///
/// # Errors
/// If the kernel does not grant the namespaces.
pub(crate) fn share(pod: &Pod) -> io::Result<()> {
    let mut flags = UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWIPC, !pod.sandbox.host_ipc);
    flags.set(UnshareFlags::NEWNET, pod.sandbox.no_network || pod.sandbox.bridge.is_some());
    let (uid, gid) = (geteuid(), getegid());
    if !uid.is_root() {
        flags |= UnshareFlags::NEWUSER;
    }
    sys::unshare(flags)?;
    if !uid.is_root() {
        mounts::namespace::map_one((uid.as_raw(), uid.as_raw()), (gid.as_raw(), gid.as_raw()))?;
    }
    if pod.sandbox.no_network {
        sys::bring_up_loopback()?;
    }
    if let Some(hostname) = &pod.sandbox.hostname {
        sethostname(hostname.as_bytes())?;
    }
    for (name, value) in &pod.sandbox.sysctls {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs::write(path, value).map_err(|error| {
            io::Error::new(error.kind(), format!("sysctl {name} cannot be set to {value:?}: {error}"))
        })?;
    }
    Ok(())
}

/// The namespaces of a container's own, for [`sys::fork_into`]. Without root of the machine they belong to one more user
/// namespace: with all users that this process has, or with its only one under the number that the container asks for.
pub(crate) fn namespaces(processes: Processes) -> u64 {
    let of_processes = if processes == Processes::Own { libc::CLONE_NEWPID } else { 0 };
    let own = libc::CLONE_NEWNS | of_processes;
    let all = if users::is_machine_root() { own } else { own | libc::CLONE_NEWUSER };
    u64::from(all.unsigned_abs())
}

/// Makes the file system of a container and enters it. The process is the container's, the first of its namespaces.
/// Returns the file that the container writes its termination message to.
pub(crate) fn enter(
    container: &Container,
    root: &Root,
    identity: &Identity,
    place: &Place,
) -> Result<File, Refused> {
    let privileged = place.standing == Standing::Machine;
    if privileged && place.processes != Processes::Own {
        // Others see this process before it is theirs to see. The program that is executed can be looked into as usual.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| failed("dumps")(error.into()))?;
    }
    if place.standing == Standing::Single {
        mounts::namespace::map_one((identity.uid, place.uid), (identity.gid, place.gid))
            .map_err(failed("users"))?;
    }
    let Parts { volumes, message, message_mount, tree } = Parts::make(container, root, place, !privileged)?;
    kernel::populate(&tree, root, place.processes, privileged).map_err(|(what, error)| Refused {
        volume: String::new(),
        message: format!("cannot make the sandbox ({what}): {error}"),
    })?;
    for volume in volumes {
        let refuse = |message| Refused { volume: volume.name.to_owned(), message };
        tree.attach(&volume.mount, volume.target, volume.is_dir).map_err(refuse)?;
    }
    let attached = tree.attach(&message_mount, &container.termination_message.path, false);
    if container.termination_message.required {
        attached.map_err(|message| Refused { volume: String::new(), message })?;
    }
    if !root.privileged {
        kernel::hide(&tree).map_err(failed("masks"))?;
    }
    // Where it cannot be made, entering it tells what is the matter.
    let _ = tree.make_dir(Path::new(&container.cwd));
    if root.read_only {
        tree.make_read_only().map_err(failed("readOnlyRootFilesystem"))?;
    }
    switch_to(&tree).map_err(failed("root"))?;
    umask(Mode::from_raw_mode(0o022));
    Ok(message)
}

/// What a container's file system is put together from, in a mount namespace of this process.
struct Parts<'a> {
    /// What lies deeper comes later.
    volumes: Vec<Opened<'a>>,
    /// The file of its termination message.
    message: File,
    message_mount: OwnedFd,
    tree: Tree,
}

impl<'a> Parts<'a> {
    /// Cuts the mount namespace off from the host's, and mounts the image in it. Files are made with any mode from then
    /// on.
    fn make(
        container: &'a Container,
        root: &Root,
        place: &Place,
        in_user_namespace: bool,
    ) -> Result<Self, Refused> {
        umask(Mode::empty());
        // Before their mounts become slaves of the host's, which would not see what is mounted there.
        let mut volumes = open_volumes(container, |mount| mount.propagation == Propagation::Bidirectional)?;
        cut_off().map_err(failed("mounts"))?;
        // Opened before the file system changes: afterwards their paths mean something else.
        volumes.extend(open_volumes(container, |mount| mount.propagation != Propagation::Bidirectional)?);
        // What lies deeper comes later; the volumes' own order decides the rest.
        volumes.sort_by_key(|volume| depth(volume.target));
        let (message, message_mount) = mounts::make_message_file(&place.stage).map_err(failed("message"))?;
        let layers = root::Layers { lower: &root.layers, upper: &place.upper, work: &place.work };
        let tree = Tree::mount(&layers, &place.root, in_user_namespace).map_err(failed("image"))?;
        Ok(Parts { volumes, message, message_mount, tree })
    }
}

/// Keeps what this process mounts from being seen outside of its mount namespace.
pub(crate) fn cut_off() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Refused {
    move |error| Refused {
        volume: String::new(),
        message: format!("cannot make the sandbox ({step}): {error}"),
    }
}

fn depth(target: &Path) -> usize {
    target.components().count()
}

/// A volume that is not attached yet.
struct Opened<'a> {
    /// Its position among the container's.
    position: usize,
    name: &'a str,
    mount: OwnedFd,
    is_dir: bool,
    target: &'a Path,
}

fn open_volumes(container: &Container, is_wanted: fn(&Mount) -> bool) -> Result<Vec<Opened<'_>>, Refused> {
    let mut volumes = Vec::with_capacity(container.mounts.len());
    for (position, mount) in container.mounts.iter().enumerate().filter(|(_, mount)| is_wanted(mount)) {
        let refuse = |message| Refused { volume: mount.volume.clone(), message };
        let (fd, is_dir) = mounts::detached(mount).map_err(refuse)?;
        volumes.push(Opened { position, name: &mount.volume, mount: fd, is_dir, target: &mount.target });
    }
    Ok(volumes)
}

/// Makes a tree the root of this process and lets go of the old one.
fn switch_to(tree: &Tree) -> io::Result<()> {
    fchdir(tree)?;
    pivot_root(".", ".")?;
    // The old root is now mounted over the new one, at the same place.
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

fn is_dir(fd: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}
