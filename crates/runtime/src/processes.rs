//! Finds and ends the processes of a pod, through `/proc`.

use std::{collections::HashMap, fs, io};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    state::{Process, State},
    sys,
};

/// What `/proc/<pid>/stat` says of a process.
struct Stat {
    parent: i32,
    session: i32,
    /// The processor's time that it and the children that it has waited for have had, in clock ticks.
    cpu_ticks: u64,
    /// When it started, in clock ticks since the boot.
    ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Stat> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The program's name stands in parentheses and may contain anything, even those.
        let end = text.iter().rposition(|&b| b == b')')?;
        let fields = std::str::from_utf8(&text[end + 1..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        // The fields are numbered from 1; the one after the name is the third.
        let parent = fields.nth(1)?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let mut cpu_ticks = 0_u64;
        for skipped in [7, 0, 0, 0] {
            cpu_ticks = cpu_ticks.saturating_add(fields.nth(skipped)?.parse().ok()?);
        }
        let ticks = fields.nth(4)?.parse().ok()?;
        Some(Stat { parent, session, cpu_ticks, ticks })
    }
}

/// When a process started, in clock ticks since the boot.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    Stat::read(pid).map(|stat| stat.ticks)
}

/// Sends a signal to a process group. A group that has no process any more is no error.
pub(crate) fn signal_group(leader: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(leader) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Sends a signal to a process. One that has ended is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// As [`signal`], for signals that have no more than a number.
pub(crate) fn signal_by_number(pid: i32, signal: i32) {
    // Anything else stands for more than one process.
    if pid > 0 {
        let _ = sys::kill(pid, signal);
    }
}

/// The present boot of the machine, as the kernel names it; empty if it does not.
pub(crate) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}

/// All processes of the machine that this one may see, at one time.
pub(crate) struct Table(HashMap<i32, Stat>);

impl Table {
    /// Looks at all of them.
    pub(crate) fn read() -> Self {
        let pids = all().unwrap_or_default().into_iter();
        Table(pids.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect())
    }

    /// A container's first process, what descends from it, and what is in its session although its parent is gone.
    /// Nothing if that process has ended.
    pub(crate) fn of_container(&self, first: Process) -> Vec<i32> {
        if self.0.get(&first.pid).is_none_or(|stat| stat.ticks != first.ticks) {
            return Vec::new();
        }
        let pids = self.0.iter().map(|(pid, stat)| (*pid, stat.session));
        let belong = pids.filter(|(pid, session)| *session == first.pid || self.descends(*pid, first.pid));
        belong.map(|(pid, _)| pid).collect()
    }

    fn descends(&self, mut pid: i32, ancestor: i32) -> bool {
        // While the table was read, processes have come and gone: a circle is unlikely, not impossible.
        for _ in 0..self.0.len() {
            if pid == ancestor {
                return true;
            }
            let Some(stat) = self.0.get(&pid) else { return false };
            pid = stat.parent;
        }
        false
    }

    /// The processor's time that a process and the children that it has waited for have had, in clock ticks.
    pub(crate) fn cpu_ticks(&self, pid: i32) -> u64 {
        self.0.get(&pid).map_or(0, |stat| stat.cpu_ticks)
    }
}

/// Kills what may be left of a pod whose shim has died. Its containers die with it, but not what they started.
pub(crate) fn kill_left(state: &State) {
    // In another boot of the machine, the same process IDs are others'.
    if state.boot_id == boot_id() {
        let running = state.containers.iter().filter(|container| container.is_running());
        running.filter_map(|container| container.current.as_ref()?.process).for_each(kill_session);
    }
}

/// Kills a container's process and what it started in its session and its mount namespace. If its process ID has been
/// given to another process since, nothing is left.
///
/// A session whose leader has ended is only known by a number that may be used again. That of a container is told from
/// others by the namespace: whatever else is in a leaderless session is in that of the machine.
fn kill_session(leader: Process) {
    let stat = Stat::read(leader.pid);
    if stat.as_ref().is_some_and(|stat| stat.ticks != leader.ticks) {
        return;
    }
    if stat.is_some() {
        signal_group(leader.pid, Signal::KILL);
    }
    let own_namespace = mount_namespace(own_pid());
    for pid in all().unwrap_or_default() {
        let in_session =
            Stat::read(pid).is_some_and(|stat| stat.session == leader.pid && stat.ticks >= leader.ticks);
        if in_session && mount_namespace(pid) != own_namespace {
            kill(pid);
        }
    }
}

/// Kills the children of this process that belong to no container in `keep`, the processes of those containers.
/// Whether there was one. Their own children become ours and are found by the next call; or those of `adopter`, the first
/// process of the containers' namespace if they share one, whose children are looked at as well.
///
/// A child belongs to the container in whose mount namespace or session it is. Where there are no mount namespaces,
/// it may belong to any of those that run, and lives as long as they do.
pub(crate) fn kill_strays(keep: &[i32], adopter: Option<i32>) -> bool {
    let mut found = false;
    let adopted = adopter.map(children_of).unwrap_or_default();
    for pid in children_of(own_pid()).into_iter().chain(adopted) {
        let belongs = |&leader: &i32| {
            pid == leader
                || Stat::read(pid).is_some_and(|stat| stat.session == leader)
                || mount_namespace(pid).is_some_and(|own| Some(own) == mount_namespace(leader))
        };
        if !keep.iter().any(belongs) {
            kill(pid);
            found = true;
        }
    }
    found
}

fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

fn mount_namespace(pid: i32) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

/// The children of a process with one thread. A kernel may be built without the list; then all processes are asked.
fn children_of(own: i32) -> Vec<i32> {
    match fs::read_to_string(format!("/proc/{own}/task/{own}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => {
            let is_child = |&pid: &i32| Stat::read(pid).is_some_and(|stat| stat.parent == own);
            all().unwrap_or_default().into_iter().filter(is_child).collect()
        }
    }
}

fn all() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_its_id_and_start() {
        let ticks = start_ticks(own_pid()).unwrap();
        assert!(ticks > 0);
        let stat = Stat::read(own_pid()).unwrap();
        assert_eq!(Some(stat.parent), rustix::process::getppid().map(Pid::as_raw_pid));
        assert_eq!(start_ticks(i32::MAX), None);
    }

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // The list is per thread, and this test does not run on the first one.
        let all = all().unwrap();
        assert!(all.contains(&pid) && all.contains(&own_pid()));
        assert_eq!(Stat::read(pid).unwrap().parent, own_pid());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
