//! A mount namespace of one's own: as root directly, otherwise inside a user namespace.

use std::{fs, io};

use rustix::{
    io::Errno,
    mount::{MountPropagationFlags, mount_change},
    process::{getegid, geteuid},
};

use crate::{sys, users};

/// What is possible in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// Whether its mounts are owned by the user namespace of the machine, so that device files work on them.
    pub(crate) privileged: bool,
}

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
#[error(
    "this system does not let the node make a private mount namespace ({step}: {source}); run the node as root, or \
     allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, \
     kernel.apparmor_restrict_unprivileged_userns=0)"
)]
pub(crate) struct NoNamespace {
    step: &'static str,
    source: io::Error,
}

/// Moves this process into a mount namespace of its own. What it mounts is not seen from outside; what is mounted and
/// unmounted outside is so inside, too: otherwise no file system could be taken away while a pod runs.
pub(crate) fn enter() -> Result<Namespace, NoNamespace> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let privileged = match sys::unshare_mounts(false) {
        // The root of a user namespace makes it without another, and the machine's devices are none of its own.
        Ok(()) => users::is_machine_root(),
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            sys::unshare_mounts(true).map_err(|source| NoNamespace { step: "unshare", source })?;
            map_one((uid, uid), (gid, gid)).map_err(|source| NoNamespace { step: "user mapping", source })?;
            false
        }
        Err(source) => return Err(NoNamespace { step: "unshare", source }),
    };
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| NoNamespace { step: "mount", source: error.into() })?;
    Ok(Namespace { privileged })
}

/// Gives the one user and the one group of this process their numbers in its new user namespace: inside and outside.
/// Without privileges this is all that may be mapped, and groups may not be set.
pub(crate) fn map_one(uid: (u32, u32), gid: (u32, u32)) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {} 1", uid.0, uid.1))?;
    fs::write("/proc/self/gid_map", format!("{} {} 1", gid.0, gid.1))
}
