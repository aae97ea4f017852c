//! Where a container sees which part of which volume.

use std::path::{Component, Path, PathBuf};

use cronlet_object::api;
use k8s_openapi::api::core::v1::VolumeMount;

use super::{Volume, environment};
use crate::spec::{Mount, Propagation, ReadOnlyBelow};

/// The mounts of a container, in its order. `shares` says why what it mounts is not seen outside of it, if it is not.
pub(super) fn resolve(
    container: &api::Container,
    volumes: &[Volume],
    env: &[(String, String)],
    shares: Result<(), &str>,
) -> Result<Vec<Mount>, String> {
    if container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
        return Err("volumeDevices: a process pod has no block volumes".to_owned());
    }
    let mounts = container.volume_mounts.iter().flatten();
    // A volume that could not be planned blocks the pod by itself.
    let known =
        mounts.filter_map(|mount| Some((mount, volumes.iter().find(|volume| volume.name == mount.name)?)));
    known.map(|(mount, volume)| resolve_one(mount, volume, env, shares)).collect()
}

fn resolve_one(
    mount: &VolumeMount,
    volume: &Volume,
    env: &[(String, String)],
    shares: Result<(), &str>,
) -> Result<Mount, String> {
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => {
            let refuse = |why| format!("mountPropagation Bidirectional of {:?}: {why}", mount.mount_path);
            shares.map(|()| Propagation::Bidirectional).map_err(refuse)?
        }
        _ => Propagation::None,
    };
    let target = plain_path(&Path::new("/").join(&mount.mount_path))
        .filter(|target| target.parent().is_some())
        .ok_or_else(|| {
            format!("mountPath {:?}: a process pod needs a path below / without `..`", mount.mount_path)
        })?;
    let sub_path = match mount.sub_path_expr.as_deref().filter(|path| !path.is_empty()) {
        Some(expression) => Some(environment::expand_strictly(expression, env)?),
        None => mount.sub_path.clone().filter(|path| !path.is_empty()),
    };
    if let Some(path) = &sub_path {
        let relative =
            Path::new(path).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !relative {
            return Err(format!("subPath {path:?} must be a relative path without `..`"));
        }
    }
    Ok(Mount {
        volume: volume.name.clone(),
        source: volume.source.clone(),
        sub_path,
        target,
        read_only: volume.read_only || mount.read_only == Some(true),
        read_only_below: match mount.recursive_read_only.as_deref() {
            Some("Enabled") => ReadOnlyBelow::Required,
            Some("IfPossible") => ReadOnlyBelow::IfPossible,
            _ => ReadOnlyBelow::No,
        },
        propagation,
    })
}

/// An absolute path without steps that lead nowhere; nothing if it leads up.
fn plain_path(path: &Path) -> Option<PathBuf> {
    let upward = path.components().any(|component| component == Component::ParentDir);
    (!upward).then(|| path.components().collect())
}
