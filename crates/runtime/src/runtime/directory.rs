//! The directories of pods: made before a pod starts, found after a restart, removed with the pod.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use cronlet_object::api;
use jiff::Timestamp;
use rustix::mount::{UnmountFlags, unmount};

use crate::{
    journal::{self, Event, Exit, ExitKind, Usage},
    logs::files,
    resolve, sandbox, spec,
    state::{State, container_id},
    status,
};

/// Where the pods of a node are, in its data directory.
pub(super) const PODS: &str = "pods";

/// The UIDs of the pods that have a directory.
pub(crate) fn uids(pods_dir: &Path) -> HashSet<String> {
    let entries = fs::read_dir(pods_dir).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// The shims that run pods of a node with this data directory.
pub(crate) fn shims(data_dir: &Path) -> Vec<i32> {
    let pods_dir = data_dir.join(PODS);
    let shim = |uid: &String| journal::Reader::open(&pods_dir.join(uid)).ok()?.shim().ok()?;
    uids(&pods_dir).iter().filter_map(shim).collect()
}

/// The image layers of all pods that have a directory.
pub(super) fn layers(pods_dir: &Path) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    for uid in uids(pods_dir) {
        let records = journal::Reader::open(&pods_dir.join(uid)).and_then(|mut journal| journal.read());
        // A pod whose journal cannot be read has no shim that could start a container.
        let Ok(records) = records else { continue };
        // Also of what containers were before their images were changed: they may run yet.
        for record in &records {
            let containers = match &record.event {
                Event::Specified(pod) => pod.containers.as_slice(),
                Event::Respecified(container) => std::slice::from_ref(&**container),
                _ => continue,
            };
            let roots = containers.iter().filter_map(|container| container.root.as_ref());
            layers.extend(roots.flat_map(|root| root.layers.iter().cloned()));
        }
    }
    layers
}

/// Makes the directory of a pod, for the node alone to look into.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Begins the journal of a pod with what its shim is told. Once it is there, all that the shim needs is there.
pub(super) fn begin_journal(dir: &Path, spec: spec::Pod, pod: &api::Pod, now: Timestamp) -> io::Result<()> {
    let mut journal = journal::Writer::create(dir)?;
    journal.push(now, Event::Specified(Box::new(spec)));
    for (time, event) in earlier_attempts(pod) {
        journal.push(time, event);
    }
    journal.flush()
}

/// What the stored status says was started although its journal is gone: it must not be taken for new, because a
/// container that may not run twice would.
fn earlier_attempts(pod: &api::Pod) -> Vec<(Timestamp, Event)> {
    let Some(stored) = &pod.status else { return Vec::new() };
    let init = stored.init_container_statuses.iter().flatten();
    let all = init.chain(stored.container_statuses.iter().flatten());
    let mut events = Vec::new();
    for container in all.filter(|container| container.container_id.is_some()) {
        let name = &container.name;
        let state = container.state.clone().unwrap_or_default();
        let ended = state.terminated.clone().or_else(|| container.last_state.clone()?.terminated);
        let is_lost = ended.as_ref().is_some_and(|ended| {
            status::exit_kind(ended.reason.as_deref().unwrap_or_default()) == ExitKind::Lost
        });
        let is_lost = is_lost && state.running.is_none() && state.waiting.is_none();
        // It was counted as if it had been restarted.
        let restarts = container.restart_count.saturating_sub(i32::from(is_lost));
        let attempt = u32::try_from(restarts).unwrap_or(0);
        let running = state.running.and_then(|running| running.started_at);
        let started =
            running.or_else(|| ended.as_ref()?.started_at.clone()).map_or(Timestamp::UNIX_EPOCH, |t| t.0);
        events.push((started, Event::Started { container: name.clone(), attempt, pid: 0, ticks: 0 }));
        if let Some(ended) = ended {
            let kind = status::exit_kind(ended.reason.as_deref().unwrap_or_default());
            let (code, message) = (ended.exit_code, ended.message.unwrap_or_default());
            let exit = Exit { code, signal: None, kind, message, usage: Usage::default() };
            let finished = ended.finished_at.map_or(started, |time| time.0);
            events.push((finished, Event::Exited { container: name.clone(), attempt, exit }));
        }
    }
    events
}

/// What a pod that has ended keeps on the disk and nobody can ask for any more: its own volumes, and what its containers
/// wrote. The kubelet removes the former at the end of the pod, the latter when it runs short of disk.
pub(super) fn content(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_content = |name: &OsStr| {
        name == sandbox::CONTAINERS || name.as_encoded_bytes().starts_with(resolve::OWN_VOLUME.as_bytes())
    };
    entries.filter(|entry| is_content(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// Removes the logs of a pod that has ended, and the links to them.
pub(super) fn remove_logs(pod: &spec::Pod, state: &State) {
    for container in &state.containers {
        for attempt in [&container.current, &container.previous].into_iter().flatten() {
            let id = container_id(&pod.uid, &container.name, attempt.number);
            let link = files::link_name(&pod.namespace, &pod.name, &container.name, &id);
            warn_unless_removed(&pod.log_links_dir, fs::remove_file(pod.log_links_dir.join(link)));
        }
    }
    remove_dir(&pod.log_dir);
}

/// The log files of a pod that has ended, which a server before did not come to compress.
pub(super) fn uncompressed_logs(pod: &spec::Pod, state: &State) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for container in &state.containers {
        for attempt in [&container.current, &container.previous].into_iter().flatten() {
            let dir = pod.log_dir.join(&container.name);
            all.extend(files::uncompressed(&dir, attempt.number).unwrap_or_default());
        }
    }
    all
}

/// Removes a directory with all that is in it, but nothing that is mounted there: a container may have been allowed to
/// mount something that outlives it.
pub(super) fn remove_dir(path: &Path) {
    warn_unless_removed(path, detach_below(path).and_then(|()| sandbox::remove(path)));
}

fn detach_below(path: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut below: Vec<PathBuf> = mount_points(&mounts).filter(|point| point.starts_with(path)).collect();
    // What is mounted later is listed later.
    while let Some(point) = below.pop() {
        unmount(&point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    Ok(())
}

/// The mount points of `/proc/<pid>/mountinfo`, in which some bytes are written as `\` and three octal digits.
fn mount_points(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let field = line.split(' ').nth(4)?;
        let mut point = Vec::new();
        let mut parts = field.split('\\');
        point.extend_from_slice(parts.next()?.as_bytes());
        for part in parts {
            let (digits, rest) = part.split_at_checked(3)?;
            point.push(u8::from_str_radix(digits, 8).ok()?);
            point.extend_from_slice(rest.as_bytes());
        }
        Some(PathBuf::from(OsString::from_vec(point)))
    })
}

fn warn_unless_removed(path: &Path, removed: io::Result<()>) {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "what a pod left cannot be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
