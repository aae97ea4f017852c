//! What the processes of a container may do: capabilities, users, system calls.

use std::io;

use rustix::{
    process::{Gid, Resource, Rlimit, Uid, geteuid, getrlimit, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

use super::seccomp;
use crate::{
    spec::{Identity, Root, SystemCalls},
    sys,
};

/// The capabilities by their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless it says otherwise (the runtimes' default).
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The numbers of the capabilities that a container has: the default ones, those added, without those dropped. `ALL`
/// stands for all of them, and where it is dropped only those remain that are added by name. Names may begin with
/// `CAP_`, as with upstream's runtimes.
///
/// # Errors
/// The first name that is no capability's.
pub(crate) fn capabilities(add: &[String], drop: &[String], privileged: bool) -> Result<Vec<u8>, String> {
    let all = || 0..u8::try_from(NAMES.len()).unwrap_or(u8::MAX);
    if privileged {
        return Ok(all().collect());
    }
    let number = |name: &String| {
        let plain = name.strip_prefix("CAP_").unwrap_or(name);
        let position = NAMES.iter().position(|known| *known == plain);
        position
            .and_then(|position| u8::try_from(position).ok())
            .ok_or_else(|| format!("unknown capability {name:?}"))
    };
    let has_all = |names: &[String]| names.iter().any(|name| name == "ALL");
    let listed = |names: &[String]| -> Result<Vec<u8>, String> {
        names.iter().filter(|name| *name != "ALL").map(number).collect()
    };
    let (added, dropped) = (listed(add)?, listed(drop)?);
    let is_default = |number: u8| DEFAULT.contains(&NAMES[usize::from(number)]);
    let keeps = |number: &u8| {
        let base = !has_all(drop) && (has_all(add) || is_default(*number));
        (base || added.contains(number)) && !dropped.contains(number)
    };
    Ok(all().filter(keeps).collect())
}

/// Those of some capabilities that this process can hand on: the machine may not have all of them.
pub(crate) fn available(numbers: &[u8]) -> io::Result<Vec<u8>> {
    let own = rustix::thread::capabilities(None)?.permitted;
    let has = |number: &&u8| own.contains(CapabilitySet::from_bits_retain(1 << **number));
    Ok(numbers.iter().filter(has).copied().collect())
}

/// The names of capabilities as the OCI runtime specification has them.
pub(crate) fn names(numbers: &[u8]) -> Vec<String> {
    numbers.iter().filter_map(|number| Some(format!("CAP_{}", NAMES.get(usize::from(*number))?))).collect()
}

/// Which system calls a container may make, if not all.
pub(crate) fn system_calls(root: &Root) -> Option<SystemCalls> {
    let own = || root.system_calls.clone().unwrap_or_else(|| seccomp::profile(&root.capabilities));
    (!root.privileged && !root.seccomp_unconfined).then(own)
}

/// The filter of a container's system calls, if it has one.
fn filter(root: &Root) -> io::Result<Option<Vec<libc::sock_filter>>> {
    if root.privileged || root.seccomp_unconfined {
        return Ok(None);
    }
    let filter = match &root.system_calls {
        Some(own) => seccomp::compile(own).map_err(io::Error::other)?,
        None => seccomp::filter(&root.capabilities),
    };
    Ok(Some(filter))
}

/// Makes this process who it is to be, with what it may do, for good.
pub(crate) fn assume(
    identity: &Identity,
    root: &Root,
    no_new_privileges: bool,
) -> Result<(), (&'static str, io::Error)> {
    let step = |step: &'static str| move |error: io::Error| (step, error);
    let step_of = |step: &'static str| move |error: rustix::io::Errno| (step, io::Error::from(error));
    if no_new_privileges {
        set_no_new_privs(true).map_err(step_of("give up new privileges"))?;
    }
    let mut filter = filter(root).map_err(step("filter system calls"))?;
    // Without new privileges it can be the last thing, so that a profile need not allow what comes before.
    let is_last = no_new_privileges && root.system_calls.is_some();
    if let Some(filter) = filter.take_if(|_| !is_last) {
        // While this process may still do so without giving up new privileges.
        sys::filter_system_calls(&filter).map_err(step("filter system calls"))?;
    }
    let bits = root.capabilities.iter().fold(0_u64, |bits, number| bits | 1 << number);
    let keep = CapabilitySet::from_bits_retain(bits);
    for number in 0..u8::try_from(NAMES.len()).unwrap_or(u8::MAX) {
        if !root.capabilities.contains(&number) {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            match remove_capability_from_bounding_set(capability) {
                // The kernel does not have it.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(step_of("drop a capability")(error)),
            }
        }
    }
    if let Some(max) = root.resources.pids_max {
        // The kernel counts those of the container's own user namespace alone.
        let max = getrlimit(Resource::Nproc).maximum.map_or(max.into(), |old| old.min(max.into()));
        let bound = Rlimit { current: Some(max), maximum: Some(max) };
        setrlimit(Resource::Nproc, bound).map_err(step_of("bound its processes"))?;
    }
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    if may_set_groups() {
        let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups).map_err(step_of("set groups"))?;
    }
    set_thread_res_gid(gid, gid, gid).map_err(step_of("set the group"))?;
    set_thread_res_uid(uid, uid, uid).map_err(step_of("set the user"))?;
    // Who is not root has lost all of them with that.
    if uid.is_root() {
        let now = rustix::thread::capabilities(None).map_err(step_of("read capabilities"))?;
        let permitted = now.permitted & keep;
        let sets = CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).map_err(step_of("set capabilities"))?;
    }
    if let Some(filter) = filter {
        sys::filter_system_calls(&filter).map_err(step("filter system calls"))?;
    }
    Ok(())
}

/// Whether groups may be set: not in a user namespace with one user alone.
fn may_set_groups() -> bool {
    let denied = std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim_end() == "deny");
    geteuid().is_root() && !denied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str]) -> Vec<&'static str> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let numbers = capabilities(&owned(add), &owned(drop), false).unwrap();
        numbers.into_iter().map(|number| NAMES[usize::from(number)]).collect()
    }

    #[test]
    fn the_default_capabilities_are_the_runtimes() {
        assert_eq!(names(&[], &[]).len(), DEFAULT.len());
        assert!(!names(&[], &[]).contains(&"SYS_ADMIN"));
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        assert_eq!(names(&["NET_ADMIN"], &["ALL"]), ["NET_ADMIN"]);
        assert_eq!(names(&["ALL"], &[]).len(), NAMES.len());
        assert!(!names(&["ALL"], &["CAP_SYS_ADMIN"]).contains(&"SYS_ADMIN"));
        assert!(names(&[], &["ALL"]).is_empty());
        assert_eq!(names(&["ALL", "KILL"], &["ALL"]), ["KILL"]);
    }

    #[test]
    fn an_unknown_capability_is_named() {
        let error = capabilities(&["FLY".to_owned()], &[], false).unwrap_err();
        assert_eq!(error, "unknown capability \"FLY\"");
    }
}
