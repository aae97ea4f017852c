//! Looks after the node's disk: while pods run, and before others start.

use std::{io, path::Path, sync::Arc};

use cronlet_object::{Object, api, quantity::Quantity};
use rustix::fs::statvfs;

use super::{Shared, directory};
use crate::{
    limits::DISK_LOOK,
    logs::files,
    pressure::{Candidate, Disk, choose, consumption},
    resolve::{pod_dir, roles},
    sandbox,
    shim::storage,
};

/// Why no pod may start now: the disk runs short.
pub(super) fn refusal(shared: &Shared) -> Option<String> {
    let threshold = shared.disk_threshold?;
    threshold.exceeded(measure(&shared.facts.pods_dir).ok()?)
}

/// Has a pod evicted whenever the disk runs short, until the runtime is dropped. As long as no pod runs, nothing wakes it.
pub(super) fn watch(shared: &Shared) {
    while shared.queue.wait_for_pods() {
        if let Some(short) = refusal(shared)
            && !frees_images(shared)
        {
            evict_one(shared, &short);
        }
        if !shared.queue.pause(DISK_LOOK) {
            return;
        }
    }
}

/// Removes what no image needs; whether that was anything, or is still to be waited for.
fn frees_images(shared: &Shared) -> bool {
    let Some(images) = &shared.images else { return false };
    match images.collect_garbage(&shared.facts.pods_dir) {
        Ok(freed) => freed > 0,
        Err(cronlet_image::Error::Busy) => true,
        Err(error) => {
            tracing::warn!(%error, "unused images cannot be removed");
            false
        }
    }
}

fn evict_one(shared: &Shared, short: &str) {
    // Those that were started.
    let is_active = |(uid, pod): &(Arc<str>, Arc<Object>)| {
        let phase = pod.decode::<api::Pod>().status.and_then(|status| status.phase);
        let ended = matches!(phase.as_deref(), Some("Succeeded" | "Failed"));
        !ended && pod_dir(&shared.facts.pods_dir, uid).exists()
    };
    let pods: Vec<_> = shared.queue.objects().into_iter().filter(is_active).collect();
    let candidates: Vec<Candidate> = pods.iter().map(|(uid, pod)| candidate(shared, uid, pod)).collect();
    let Some(chosen) = choose(&candidates) else { return };
    let uid = &pods[chosen].0;
    let message = format!("{short}{}", consumption(&candidates[chosen]));
    tracing::warn!(%uid, %message, "a pod is evicted");
    shared.queue.evict(uid, message);
}

fn measure(dir: &Path) -> io::Result<Disk> {
    let stat = statvfs(dir)?;
    Ok(Disk { total: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
}

/// What a pod keeps on the disk. Takes as long as its directories are large.
fn candidate(shared: &Shared, uid: &str, object: &Object) -> Candidate {
    let pod: api::Pod = object.decode();
    let dir = pod_dir(&shared.facts.pods_dir, uid);
    let logs = files::pod_dir(&shared.facts.log_root, object.namespace(), object.name(), uid);
    let containers = pod.spec.iter().flat_map(roles).map(|(_, container)| {
        let name = &container.name;
        let used = storage::used(&[sandbox::written_by(&dir, name), logs.join(name)]);
        (name.clone(), used, requested(container))
    });
    let containers: Vec<_> = containers.collect();
    let mut all = directory::content(&dir);
    all.push(logs);
    Candidate {
        priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
        requested: containers.iter().map(|(_, _, requested)| requested).sum(),
        used: storage::used(&all),
        containers,
    }
}

fn requested(container: &api::Container) -> u64 {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let request = requests.and_then(|requests| requests.get("ephemeral-storage")?.0.parse::<Quantity>().ok());
    request.and_then(|request| u64::try_from(request.value()).ok()).unwrap_or(0)
}
