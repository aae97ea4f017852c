//! What of a pod changes while it runs: the images of its containers. The server leaves what they are from then on in a
//! file of the pod's directory, which the shim takes into the journal when it is told to.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::spec::Container;

/// The file.
const FILE: &str = "respecified";

/// Leaves for the shim of the pod whose directory is `pod_dir` what some of its containers are from now on.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn leave(pod_dir: &Path, containers: &[Container]) -> io::Result<()> {
    let (path, new) = (pod_dir.join(FILE), pod_dir.join(format!("{FILE}.new")));
    let mut options = File::options();
    // It may hold values of Secrets.
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(containers)?)?;
    fs::rename(new, path)
}

/// What was left last; nothing if it makes no sense.
pub(super) fn find(pod_dir: &Path) -> Vec<Container> {
    let text = fs::read(pod_dir.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
