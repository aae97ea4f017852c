//! A container as the OCI runtime specification describes it, for a runtime of the machine that makes it: the same that
//! this program makes of it by itself.
//!
//! The image and the volumes are mounted before, in a mount namespace of the runtime's process, so that nothing of them is
//! on the host. What the pod's containers share the runtime inherits from the shim.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, StatVfsMountFlags, statvfs},
    mount::{MountFlags, MoveMountFlags, mount, move_mount},
    process::umask,
};
use serde_json::{Value, json};

use super::{Opened, Parts, Place, cgroup, depth, kernel, privileges, seccomp};
use crate::{
    mounts::{self, Refused},
    spec::{Container, Identity, Mount, Pod, Processes, Propagation, ReadOnlyBelow, Root},
};

/// The version of the specification that is spoken.
const VERSION: &str = "1.0.2";
/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// What new files may not permit (the runtimes' default).
const UMASK: u32 = 0o022;

/// Who a container is for, and where its parts are.
pub(crate) struct Parties<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) root: &'a Root,
    pub(crate) identity: &'a Identity,
    /// The first process of the namespace that the containers share, if they do.
    pub(crate) pause: Option<i32>,
}

impl Place {
    /// The bundle's directory.
    pub(crate) fn bundle(&self) -> &Path {
        &self.dir
    }

    /// Where a volume is mounted, by its position.
    fn staged(&self, position: usize) -> PathBuf {
        self.stage.join(format!("volume-{position}"))
    }
}

/// Writes the bundle's configuration, for the node alone to read: it may hold values of Secrets. What it is about must have
/// been laid out.
///
/// # Errors
/// If it cannot be written, or something of it is not there.
pub(crate) fn write(parties: &Parties<'_>, place: &Place) -> io::Result<()> {
    let text = serde_json::to_vec(&config(parties, place)?)?;
    let path = place.dir.join("config.json");
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&text)
}

/// Mounts the container's image and volumes where its bundle names them, in the mount namespace of this process, which
/// must be its own. Returns the file that the container writes its termination message to.
pub(crate) fn lay_out(container: &Container, root: &Root, place: &Place) -> Result<File, Refused> {
    let Parts { volumes, message, .. } = Parts::make(container, root, place, false)?;
    for Opened { position, name, mount, is_dir, .. } in volumes {
        let at = place.staged(position);
        let made = if is_dir { fs::create_dir(&at) } else { File::create(&at).map(drop) };
        let attached = made
            .and_then(|()| Ok(move_mount(&mount, "", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?));
        attached.map_err(|error| Refused { volume: name.to_owned(), message: error.to_string() })?;
    }
    umask(Mode::from_raw_mode(UMASK));
    Ok(message)
}

/// Hides the machine's control groups from this process: a runtime that is to leave them alone would look at them, and
/// refuse some arrangements of them.
///
/// # Errors
/// If nothing can be mounted.
pub(crate) fn hide_cgroups() -> io::Result<()> {
    Ok(mount("tmpfs", CGROUPS, "tmpfs", MountFlags::RDONLY, c"mode=755")?)
}

fn config(parties: &Parties<'_>, place: &Place) -> io::Result<Value> {
    let Parties { pod, container, root, .. } = parties;
    Ok(json!({
        "ociVersion": VERSION,
        "process": process(parties)?,
        "root": { "path": place.root, "readonly": root.read_only },
        "mounts": all_mounts(container, root, place)?,
        "linux": linux(parties, &pod.uid)?,
    }))
}

fn process(parties: &Parties<'_>) -> io::Result<Value> {
    let Parties { container, root, identity, .. } = parties;
    let all = privileges::names(&privileges::available(&root.capabilities)?);
    // Who is not root has none but in the bounding set.
    let own = if identity.uid == 0 { all.clone() } else { Vec::new() };
    let env: Vec<String> = container.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut process = json!({
        "terminal": container.streams.tty,
        "user": {
            "uid": identity.uid,
            "gid": identity.gid,
            "additionalGids": identity.groups,
            "umask": UMASK,
        },
        "args": container.argv,
        "env": env,
        "cwd": container.cwd,
        "capabilities": { "bounding": all, "effective": own, "permitted": own },
        "noNewPrivileges": container.no_new_privileges,
    });
    if let Some(score) = root.resources.oom_score_adj {
        process["oomScoreAdj"] = json!(score);
    }
    Ok(process)
}

/// What the kernel provides, then the volumes as they lie within each other.
fn all_mounts(container: &Container, root: &Root, place: &Place) -> io::Result<Vec<Value>> {
    let memory = format!("size={}", kernel::SHARED_MEMORY);
    let terminals = format!("gid={}", kernel::TTY_GROUP);
    let access = if root.privileged { "rw" } else { "ro" };
    let of_kernel = [
        ("/proc", "proc", vec!["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", vec!["nosuid", "mode=755", "size=65536k"]),
        (
            "/dev/pts",
            "devpts",
            vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", &terminals],
        ),
        ("/dev/shm", "tmpfs", vec!["nosuid", "noexec", "nodev", "mode=1777", &memory]),
        ("/dev/mqueue", "mqueue", vec!["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", vec!["nosuid", "noexec", "nodev", access]),
    ];
    let mut all: Vec<Value> = of_kernel
        .into_iter()
        .map(|(at, kind, options)| {
            json!({ "destination": at, "type": kind, "source": kind, "options": options })
        })
        .collect();
    let mut volumes: Vec<(usize, &Mount)> = container.mounts.iter().enumerate().collect();
    volumes.sort_by_key(|(_, volume)| depth(&volume.target));
    for (position, volume) in volumes {
        let propagation = match volume.propagation {
            Propagation::None => "rprivate",
            Propagation::HostToContainer => "rslave",
            Propagation::Bidirectional => "rshared",
        };
        let staged = place.staged(position);
        // Below a file there is nothing, and not every runtime knows that.
        let is_read_only_below = volume.read_only_below != ReadOnlyBelow::No && staged.is_dir();
        all.push(bind(&staged, &volume.target, (propagation, is_read_only_below))?);
    }
    let message = mounts::message_file(&place.stage);
    all.push(bind(&message, &container.termination_message.path, ("rprivate", false))?);
    Ok(all)
}

/// What is mounted at a place, for another. What may not be done with it is said once more: some runtimes begin anew.
fn bind(from: &Path, to: &Path, (propagation, is_read_only_below): (&str, bool)) -> io::Result<Value> {
    let flags = statvfs(from)?.f_flag;
    let read_only = if is_read_only_below { "rro" } else { "ro" };
    let denied = [
        (StatVfsMountFlags::RDONLY, read_only),
        (StatVfsMountFlags::NOSUID, "nosuid"),
        (StatVfsMountFlags::NODEV, "nodev"),
        (StatVfsMountFlags::NOEXEC, "noexec"),
    ];
    let denied = denied.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, option)| option);
    let options: Vec<&str> = ["rbind", propagation].into_iter().chain(denied).collect();
    Ok(json!({ "destination": to, "type": "bind", "source": from, "options": options }))
}

fn linux(parties: &Parties<'_>, pod_uid: &str) -> io::Result<Value> {
    let Parties { pod, container, root, pause, .. } = parties;
    let mut namespaces = vec![json!({ "type": "mount" })];
    match (pod.sandbox.processes, pause) {
        (Processes::Own, _) => namespaces.push(json!({ "type": "pid" })),
        (Processes::Pod, Some(pause)) => {
            namespaces.push(json!({ "type": "pid", "path": format!("/proc/{pause}/ns/pid") }));
        }
        (Processes::Pod, None) | (Processes::Host, _) => {}
    }
    let shares = container.mounts.iter().any(|mount| mount.propagation == Propagation::Bidirectional);
    let mut linux = json!({
        "namespaces": namespaces,
        "cgroupsPath": Path::new("/").join(cgroup::name(pod_uid, &container.name)),
        "rootfsPropagation": if shares { "rshared" } else { "rslave" },
    });
    if root.privileged {
        linux["devices"] = json!(devices()?);
        linux["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
    } else {
        linux["maskedPaths"] = json!(kernel::MASKED);
        linux["readonlyPaths"] = json!(kernel::READ_ONLY);
    }
    if let Some(calls) = privileges::system_calls(root) {
        linux["seccomp"] = seccomp::oci::write(&calls);
    }
    Ok(linux)
}

/// The host's devices, as a privileged container has them.
fn devices() -> io::Result<Vec<Value>> {
    let all = kernel::host_devices(Path::new("/dev"))?;
    let devices = all.iter().filter_map(|device| {
        let (major, minor) = (rustix::fs::major(device.number), rustix::fs::minor(device.number));
        let kind = match rustix::fs::FileType::from_raw_mode(device.mode) {
            rustix::fs::FileType::CharacterDevice => "c",
            rustix::fs::FileType::BlockDevice => "b",
            _ => return None,
        };
        let path = Path::new("/dev").join(&device.path);
        let mode = device.mode & 0o777;
        Some(json!({ "path": path, "type": kind, "major": major, "minor": minor, "fileMode": mode, "uid": 0, "gid": 0 }))
    });
    Ok(devices.collect())
}
