//! Makes what a pod's volumes need on the host before a shim mounts them.

mod atomic;
mod ownership;

use std::{
    fs::{self, File, FileType, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt, chown},
    path::Path,
};

use jiff::Timestamp;

use crate::resolve::{HostPathKind, Plan, Volume};

/// Makes a volume, or brings the files of one that is there up to date.
///
/// # Errors
/// Why it cannot be mounted: the text after `MountVolume.SetUp failed for volume "x" : `.
pub(crate) fn make(volume: &Volume, now: Timestamp) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot make {}: {error}", volume.source.display());
    match &volume.plan {
        Plan::EmptyDir | Plan::Memory { .. } => shared_dir(&volume.source, volume.gid).map_err(failed),
        Plan::Claim { only_on_mismatch } => {
            // What can only be read is left as it is.
            let gid = volume.gid.filter(|_| !volume.read_only);
            claim_dir(&volume.source, gid, *only_on_mismatch).map_err(failed)
        }
        // The kubelet's words.
        Plan::Local { .. } if !volume.source.exists() => {
            Err(format!("path {:?} does not exist", volume.source.display().to_string()))
        }
        Plan::Local { only_on_mismatch } => {
            let gid = volume.gid.filter(|_| !volume.read_only);
            let given = gid.map_or(Ok(()), |gid| ownership::give(&volume.source, gid, *only_on_mismatch));
            given.map_err(failed)
        }
        Plan::HostPath(kind) => host_path(&volume.source, *kind),
        Plan::FilesAndTokens { .. } => Err("its tokens have not been asked for".to_owned()),
        Plan::Files(files) => {
            // That of the pod is there, unless it is one in memory.
            let above = volume.source.parent().unwrap_or(&volume.source);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(above);
            made.and_then(|()| private_dir(&volume.source)).map_err(failed)?;
            atomic::write(&volume.source, files, volume.gid, now).map_err(failed)
        }
    }
}

/// Brings a volume up to date while its pod runs. Only files that come from API objects change.
pub(crate) fn refresh(volume: &Volume, now: Timestamp) -> Result<(), String> {
    match &volume.plan {
        Plan::Files(_) => make(volume, now),
        _ => Ok(()),
    }
}

/// A directory that its owner alone may write to.
fn private_dir(path: &Path) -> io::Result<()> {
    existing_is_fine(fs::create_dir(path))?;
    set_mode(path, 0o755)
}

/// Not when something is made: there the process's mask would apply.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// A directory for every user; what is above it guards it.
fn shared_dir(path: &Path, gid: Option<u32>) -> io::Result<()> {
    existing_is_fine(fs::create_dir(path))?;
    match gid {
        Some(gid) => {
            chown(path, None, Some(gid))?;
            set_mode(path, 0o2777)
        }
        None => set_mode(path, 0o777),
    }
}

/// The directory of a claim is made by the first pod that uses it. Later it is given to the group of a pod that has one,
/// with all that is in it.
fn claim_dir(path: &Path, gid: Option<u32>, only_on_mismatch: bool) -> io::Result<()> {
    if path.is_dir() {
        return gid.map_or(Ok(()), |gid| ownership::give(path, gid, only_on_mismatch));
    }
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    shared_dir(path, gid)
}

fn existing_is_fine(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Checks a host path and creates it if its type says so.
fn host_path(path: &Path, kind: HostPathKind) -> Result<(), String> {
    let place = path.display();
    let found = match fs::metadata(path) {
        Ok(metadata) => Some(metadata.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("hostPath {place}: {error}")),
    };
    let failed = |error: io::Error| format!("hostPath {place} cannot be created: {error}");
    let (is_right, wanted): (fn(&FileType) -> bool, _) = match (kind, found.is_some()) {
        (HostPathKind::Unset, true) => return Ok(()),
        (HostPathKind::DirectoryOrCreate | HostPathKind::Unset, false) => {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
            return made.and_then(|()| set_mode(path, 0o755)).map_err(failed);
        }
        (HostPathKind::FileOrCreate, false) => {
            let made = File::options().write(true).create_new(true).mode(0o644).open(path);
            return made.and_then(|file| file.set_permissions(Permissions::from_mode(0o644))).map_err(failed);
        }
        (HostPathKind::Directory | HostPathKind::DirectoryOrCreate, _) => (FileType::is_dir, "a directory"),
        (HostPathKind::File | HostPathKind::FileOrCreate, _) => (FileType::is_file, "a file"),
        (HostPathKind::Socket, _) => (FileType::is_socket, "a socket"),
        (HostPathKind::CharDevice, _) => (FileType::is_char_device, "a character device"),
        (HostPathKind::BlockDevice, _) => (FileType::is_block_device, "a block device"),
    };
    match found {
        Some(found) if is_right(&found) => Ok(()),
        Some(_) => Err(format!("hostPath type check failed: {place} is not {wanted}")),
        None => Err(format!("hostPath {place} does not exist")),
    }
}

#[cfg(test)]
mod tests;
