//! What a container with an image is: the image's configuration under the container's own.

use std::sync::Arc;

use cronlet_image::Image;
use cronlet_object::{api, quantity::Quantity};
use k8s_openapi::apimachinery::pkg::api::resource;

use super::{Inputs, Users, confinement, downward, identity as wanted_identity, roles};
use crate::{
    sandbox::privileges,
    spec::{Identity, Resources, Role, Root},
};

/// Whether a container's image is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// It is.
    Ready(Arc<Image>),
    /// It is not, or not yet.
    Missing {
        /// The reason of the container's waiting state: `ContainerCreating` while it is being pulled, `ErrImagePull`…
        reason: &'static str,
        /// Its message.
        message: String,
    },
}

/// The program and its arguments: `command` stands in for the image's entry point and lets its `cmd` go, `args` for
/// `cmd` (upstream's rule).
pub(super) fn argv(command: Vec<String>, args: Vec<String>, image: &Image) -> Vec<String> {
    let tail = match (command.is_empty(), args.is_empty()) {
        (_, false) => args,
        (true, true) => image.cmd.clone(),
        (false, true) => Vec::new(),
    };
    let head = if command.is_empty() { image.entrypoint.clone() } else { command };
    head.into_iter().chain(tail).collect()
}

/// The image's variables.
pub(super) fn environment(image: &Image) -> impl Iterator<Item = (String, String)> {
    image.env.iter().map(|variable| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        (name.to_owned(), value.to_owned())
    })
}

/// The number of the signal that asks the image's program to end, if it names one that there is: by its number, or by
/// its name as the runtimes read it.
pub(super) fn stop_signal(image: &Image) -> Option<i32> {
    let name = image.stop_signal.as_deref().filter(|name| !name.is_empty())?;
    if let Ok(number) = name.parse::<i32>() {
        return (1..=REAL_TIME_LAST).contains(&number).then_some(number);
    }
    let name = name.to_ascii_uppercase();
    let plain = name.strip_prefix("SIG").unwrap_or(&name);
    let named = SIGNALS.iter().find(|(known, _)| *known == plain).map(|(_, number)| *number);
    named.or_else(|| real_time_signal(plain))
}

/// The number of `RTMIN+3` or `RTMAX-3`, and of either alone.
fn real_time_signal(name: &str) -> Option<i32> {
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => REAL_TIME_FIRST + offset(rest, '+')?,
        (None, Some(rest)) => REAL_TIME_LAST - offset(rest, '-')?,
        (None, None) => return None,
    };
    (REAL_TIME_FIRST..=REAL_TIME_LAST).contains(&number).then_some(number)
}

/// The real-time signals, without those that the C library keeps for itself.
const REAL_TIME_FIRST: i32 = 34;
const REAL_TIME_LAST: i32 = 64;

/// The other signals.
const SIGNALS: [(&str, i32); 34] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGABRT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGIO),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
];

/// Who a container runs as, and that user's home directory.
///
/// # Errors
/// If the image does not know its own user, or the container may not be root and would be. The texts are upstream's.
pub(super) fn identity(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
    image: &Image,
) -> Result<(Identity, String), String> {
    let pod = spec.security_context.as_ref();
    let wanted = wanted_identity::wanted(spec, container)?;
    let users = Users::new(0, 0, Vec::new(), &image.passwd);
    let (user, group) = image.user.split_once(':').unwrap_or((&image.user, ""));
    let is_number = user.is_empty() || user.parse::<u32>().is_ok();
    if wanted.not_root && wanted.user.is_none() && !is_number {
        let place = wanted_identity::place(inputs, container);
        return Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {place}"
        ));
    }
    let uid = match wanted.user {
        Some(uid) => uid,
        None => own_user(user, &image.passwd)?,
    };
    if wanted.not_root && uid == 0 {
        return Err(match wanted.user {
            Some(_) => {
                format!(
                    "container's runAsUser breaks non-root policy {}",
                    wanted_identity::place(inputs, container)
                )
            }
            None => {
                let place = wanted_identity::place(inputs, container);
                format!("container has runAsNonRoot and image will run as root {place}")
            }
        });
    }
    let gid = match (wanted.group, wanted.user) {
        (Some(gid), _) => gid,
        (None, None) if !group.is_empty() => own_group(group, &image.group)?,
        _ => users.primary_group(uid),
    };
    // Whoever asks for `Strict` has no groups but those that the pod names.
    let is_strict = pod.is_some_and(|pod| pod.supplemental_groups_policy.as_deref() == Some("Strict"));
    let name = name_of(uid, &image.passwd).filter(|_| !is_strict);
    let mut groups = wanted.groups;
    groups.extend(wanted_identity::id(pod.and_then(|pod| pod.fs_group))?);
    groups.extend(name.map(|name| groups_of(name, &image.group)).unwrap_or_default());
    groups.sort_unstable();
    groups.dedup();
    Ok((Identity { uid, gid, groups }, users.home(Some(uid))))
}

/// A user of an image by number or name.
fn own_user(user: &str, passwd: &str) -> Result<u32, String> {
    if user.is_empty() {
        return Ok(0);
    }
    let by_name = || field(passwd, user, 2).and_then(|uid| uid.parse().ok());
    user.parse()
        .ok()
        .or_else(by_name)
        .ok_or_else(|| format!("unable to find user {user}: no matching entries in passwd file"))
}

fn own_group(group: &str, groups: &str) -> Result<u32, String> {
    let by_name = || field(groups, group, 2).and_then(|gid| gid.parse().ok());
    group
        .parse()
        .ok()
        .or_else(by_name)
        .ok_or_else(|| format!("unable to find group {group}: no matching entries in group file"))
}

/// A field of the line that begins with a name.
fn field<'a>(table: &'a str, name: &str, position: usize) -> Option<&'a str> {
    let mut lines = table.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next()? == name).then(|| fields.nth(position - 1)).flatten())
}

fn name_of(uid: u32, passwd: &str) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The groups that list a user.
fn groups_of(user: &str, groups: &str) -> Vec<u32> {
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let lists = fields.get(3)?.split(',').any(|member| member.trim() == user);
        lists.then(|| fields.get(2)?.parse().ok()).flatten()
    };
    groups.lines().filter_map(group).collect()
}

/// The file system of a container, and what it may do there.
///
/// # Errors
/// If it asks for a capability that does not exist, or for a profile that cannot be had.
pub(super) fn root(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
    image: &Image,
) -> Result<Root, String> {
    let security = container.security_context.clone().unwrap_or_default();
    let privileged = security.privileged == Some(true);
    let capabilities = security.capabilities.unwrap_or_default();
    let capabilities = privileges::capabilities(
        &capabilities.add.unwrap_or_default(),
        &capabilities.drop.unwrap_or_default(),
        privileged,
    )?;
    let mut root = Root {
        image_id: image.repo_digest.clone(),
        layers: image.layers.clone(),
        read_only: security.read_only_root_filesystem == Some(true),
        capabilities,
        privileged,
        seccomp_unconfined: confinement::is_unconfined(spec, container),
        system_calls: None,
        resources: resources(inputs, spec, container)?,
    };
    root.system_calls = confinement::system_calls(inputs, spec, container, &root)?;
    Ok(root)
}

/// How readily the kernel ends a container of a pod without requests, and of one all of whose requests are its limits
/// (the kubelet's).
const BEST_EFFORT_OOM_SCORE: i32 = 1000;
const GUARANTEED_OOM_SCORE: i32 = -997;

fn resources(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
) -> Result<Resources, String> {
    let own = container.resources.clone().unwrap_or_default();
    let (limits, requests) = (own.limits.unwrap_or_default(), own.requests.unwrap_or_default());
    let get = |list: &std::collections::BTreeMap<String, resource::Quantity>, name: &str| {
        list.get(name).map(|quantity| parse(&quantity.0)).transpose()
    };
    let cpu_limit = get(&limits, "cpu")?.map(|quantity| quantity.milli_value());
    let cpu = get(&requests, "cpu")?.map(|quantity| quantity.milli_value()).or(cpu_limit);
    let memory = get(&limits, "memory")?.map(|quantity| quantity.value());
    let positive = |value: i64| u64::try_from(value).unwrap_or(0);
    let (pids_max, is_root) = (inputs.node.pod_pids_max, inputs.node.users.uid == 0);
    Ok(Resources {
        cpu_shares: cpu.map(|milli| (positive(milli) * 1024 / 1000).max(2)),
        cpu_quota_micros: cpu_limit.filter(|milli| *milli > 0).map(|milli| (positive(milli) * 100).max(1000)),
        memory_bytes_max: memory.filter(|bytes| *bytes > 0).map(positive),
        pod_pids_max: pids_max.filter(|_| is_root),
        pids_max: pids_max.filter(|_| !is_root),
        oom_score_adj: oom_score(inputs, spec, container)?,
    })
}

fn parse(text: &str) -> Result<Quantity, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// Pods that ask for nothing are ended first, those that have asked for all they may use last, and those between them
/// by how little of the node's memory they have asked for (the kubelet's rule).
fn oom_score(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
) -> Result<Option<i32>, String> {
    match inputs.pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("BestEffort") => return Ok(Some(BEST_EFFORT_OOM_SCORE)),
        Some("Guaranteed") => return Ok(Some(GUARANTEED_OOM_SCORE)),
        Some("Burstable") => {}
        _ => return Ok(None),
    }
    let mut wanted = memory_wanted(container)?;
    if roles(spec).any(|(role, other)| role == Role::Sidecar && other.name == container.name) {
        // It does not go before those that it serves.
        let served: Result<Vec<i64>, String> = spec.containers.iter().map(memory_wanted).collect();
        wanted = wanted.max(served?.into_iter().min().unwrap_or(0));
    }
    let capacity = downward::allocatable(inputs, "memory").map(|quantity| parse(&quantity.0)).transpose()?;
    let capacity = capacity.map(|quantity| quantity.value()).filter(|bytes| *bytes > 0);
    let score = capacity.map(|capacity| 1000 - wanted.saturating_mul(1000) / capacity);
    let (first, last) = (i64::from(BEST_EFFORT_OOM_SCORE) - 1, i64::from(GUARANTEED_OOM_SCORE) + 1000);
    Ok(score.and_then(|score| i32::try_from(score.clamp(last, first)).ok()))
}

/// The memory that a container has asked for, in bytes.
fn memory_wanted(container: &api::Container) -> Result<i64, String> {
    let own = container.resources.clone().unwrap_or_default();
    // A limit stands in for a missing request.
    let wanted = [own.requests, own.limits].into_iter().flatten().find_map(|mut list| list.remove("memory"));
    let wanted = wanted.map(|quantity| parse(&quantity.0)).transpose()?;
    Ok(wanted.map_or(0, |quantity| quantity.value()))
}

#[cfg(test)]
mod tests;
