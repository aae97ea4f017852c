//! Where the files of Secrets are: in memory, where this node may have some that outlives it.

use std::{
    ffi::CStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{StatVfsMountFlags, statfs, statvfs},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use sha2::{Digest, Sha256};

/// What the kernel calls files in memory (`TMPFS_MAGIC`).
const IN_MEMORY: u64 = 0x0102_1994;

/// How memory is mounted: never written to a swap device, as with a kubelet, where the kernel knows that (Linux 6.4).
const OPTIONS: [&CStr; 2] = [c"mode=0700,noswap", c"mode=0700"];

/// How many bytes of the digest of its data directory a node's directory is named by.
const NAME_BYTES: usize = 6;

/// Makes the directory of a node below the machine's directory for what does not outlive a boot, or finds the one that
/// it had. Whoever else runs a node there has another.
///
/// That must be in memory already, or it is mounted there. The former comes first: a mount is not seen by later servers
/// if this one has mounts of its own, as under some settings of systemd.
///
/// # Errors
/// If the directory cannot be made, or nothing be mounted there.
pub(super) fn open(run_dir: &Path, data_dir: &Path) -> io::Result<PathBuf> {
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    let name: String = digest.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let dir = run_dir.join(format!("cronlet-{name}"));
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    if !is_suitable(&dir)? {
        let mount_with =
            |options: &CStr| mount("tmpfs", &dir, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options);
        mount_with(OPTIONS[0]).or_else(|_| mount_with(OPTIONS[1]))?;
    }
    Ok(dir)
}

/// Gives the directory of a node back, if no pod has anything there.
pub(super) fn close(dir: &Path) {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none()) {
        // It may have been in memory already.
        let _ = unmount(dir, UnmountFlags::NOFOLLOW);
        let _ = fs::remove_dir(dir);
    }
}

/// Whether a directory is in memory, and programs that are kept there can be executed: Secrets may be scripts.
fn is_suitable(dir: &Path) -> io::Result<bool> {
    let is_in_memory = u64::try_from(statfs(dir)?.f_type).is_ok_and(|kind| kind == IN_MEMORY);
    Ok(is_in_memory && !statvfs(dir)?.f_flag.contains(StatVfsMountFlags::NOEXEC))
}
