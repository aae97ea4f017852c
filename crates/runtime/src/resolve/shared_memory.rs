//! `/dev/shm`: one for all containers of a pod, or the machine's.

use std::path::Path;

use cronlet_object::api;

use super::{HostPathKind, Inputs, Plan, Volume, pod_dir, roles};
use crate::{
    limits,
    spec::{Mount, Propagation, ReadOnlyBelow},
};

/// The name of the volume that it is, which no volume of a pod can have; and where it is.
pub(super) const VOLUME: &str = "/dev/shm";

/// The volume that it is. A pod of one container needs none: that has its own.
pub(super) fn volume(inputs: &Inputs<'_>, spec: &api::PodSpec) -> Option<Volume> {
    let uid = inputs.pod.metadata.uid.as_deref().unwrap_or_default();
    let (source, plan) = if spec.host_ipc == Some(true) {
        (VOLUME.into(), Plan::HostPath(HostPathKind::Directory))
    } else if roles(spec).count() > 1 {
        let source = pod_dir(&inputs.node.pods_dir, uid).join("shm");
        (source, Plan::Memory { bytes_max: Some(limits::SHARED_MEMORY_BYTES_MAX) })
    } else {
        return None;
    };
    Some(Volume { name: VOLUME.to_owned(), source, read_only: false, gid: None, plan })
}

/// Adds it to a container's mounts, unless it has something of its own there.
pub(super) fn mount(volumes: &[Volume], mounts: &mut Vec<Mount>) {
    let target = Path::new(VOLUME);
    if let Some(volume) = volumes.iter().find(|volume| volume.name == VOLUME)
        && mounts.iter().all(|mount| mount.target != target)
    {
        mounts.push(Mount {
            volume: VOLUME.to_owned(),
            source: volume.source.clone(),
            sub_path: None,
            target: target.to_owned(),
            read_only: false,
            read_only_below: ReadOnlyBelow::No,
            propagation: Propagation::None,
        });
    }
}
