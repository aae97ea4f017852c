//! What a pod may keep on the node's disk, and what is said when it keeps more: the kubelet's local-storage eviction.

use cronlet_object::{api, quantity::Quantity};

use super::{
    Inputs, pod_dir, roles,
    volume::{Plan, Volume},
};
use crate::{
    sandbox,
    spec::{Role, StorageLimit},
};
use std::path::{Path, PathBuf};

/// The resource in question.
const RESOURCE: &str = "ephemeral-storage";

/// The bounds of a pod in the order in which the kubelet looks at them: its volumes, the pod as a whole, its
/// containers. The messages are the kubelet's, with the space at their end.
///
/// # Errors
/// If a quantity makes no sense.
pub(super) fn limits(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    volumes: &[Volume],
    log_dir: &Path,
) -> Result<Vec<StorageLimit>, String> {
    let own = pod_dir(&inputs.node.pods_dir, inputs.pod.metadata.uid.as_deref().unwrap_or_default());
    let on_disk = |volume: &&Volume| match volume.plan {
        Plan::EmptyDir => true,
        Plan::Files(_) | Plan::FilesAndTokens { .. } => volume.source.starts_with(&own),
        _ => false,
    };
    let mut limits = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        let Some(size) = volume.empty_dir.as_ref().and_then(|empty| empty.size_limit.as_ref()) else {
            continue;
        };
        let Some(planned) = volumes.iter().filter(on_disk).find(|planned| planned.name == volume.name) else {
            continue;
        };
        let message = format!("Usage of EmptyDir volume {:?} exceeds the limit {:?}. ", volume.name, size.0);
        limits.extend(limit(vec![planned.source.clone()], parse(&size.0)?, message));
    }
    if let Some(total) = of_pod(spec)? {
        let mut paths: Vec<PathBuf> =
            volumes.iter().filter(on_disk).map(|volume| volume.source.clone()).collect();
        paths.extend(roles(spec).map(|(_, container)| sandbox::written_by(&own, &container.name)));
        paths.push(log_dir.to_owned());
        let message =
            format!("Pod ephemeral local storage usage exceeds the total limit of containers {total}. ");
        limits.extend(limit(paths, total, message));
    }
    for (_, container) in roles(spec) {
        let Some(own_limit) = of_container(container)? else { continue };
        let name = &container.name;
        let paths = vec![sandbox::written_by(&own, name), log_dir.join(name)];
        let message =
            format!("Container {name} exceeded its local ephemeral storage limit \"{own_limit}\". ");
        limits.extend(limit(paths, own_limit, message));
    }
    Ok(limits)
}

/// A bound of nothing is none, as upstream.
fn limit(paths: Vec<PathBuf>, size: Quantity, message: String) -> Option<StorageLimit> {
    let bytes_max = u64::try_from(size.value()).ok().filter(|bytes| *bytes > 0)?;
    Some(StorageLimit { paths, bytes_max, message })
}

/// The limits of all that runs at the same time together: the regular containers and sidecars, or an init container
/// beside the sidecars before it if that may keep more.
fn of_pod(spec: &api::PodSpec) -> Result<Option<Quantity>, String> {
    let (mut sidecars, mut init, mut regular) = (None, None, None);
    let add = |sum: Option<Quantity>, more: Quantity| Some(sum.map_or(more, |sum| sum.saturating_add(more)));
    for (role, container) in roles(spec) {
        let Some(own) = of_container(container)? else { continue };
        match role {
            Role::Sidecar => sidecars = add(sidecars, own),
            Role::Regular => regular = add(regular, own),
            Role::Init => {
                let beside = add(sidecars, own);
                if beside.map(|limit| limit.value()) > init.map(|limit: Quantity| limit.value()) {
                    init = beside;
                }
            }
        }
    }
    let running = match (regular, sidecars) {
        (Some(regular), Some(sidecars)) => Some(regular.saturating_add(sidecars)),
        (regular, sidecars) => regular.or(sidecars),
    };
    Ok(if init.map(|limit| limit.value()) > running.map(|limit| limit.value()) { init } else { running })
}

fn of_container(container: &api::Container) -> Result<Option<Quantity>, String> {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    limits.and_then(|limits| limits.get(RESOURCE)).map(|limit| parse(&limit.0)).transpose()
}

fn parse(text: &str) -> Result<Quantity, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
