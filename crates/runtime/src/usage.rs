//! What the machine and the containers on it use of its processors and memory, from `/proc`: the same for processes and for
//! containers with images, with and without control groups.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use crate::{
    journal,
    processes::Table,
    runtime::directory,
    state::{Process, State},
};

/// A clock tick as the kernel shows it to programs (`USER_HZ`), on all machines that this runs on.
const TICK_MILLIS: u64 = 10;

/// What was used up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The time of processors. It only grows as long as the same processes run, and is known to some hundredths of a
    /// second.
    pub cpu: Duration,
    /// Memory at that moment, in bytes. What processes share counts once, divided among them.
    pub memory_bytes: u64,
}

/// What the machine uses, and the containers that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The whole machine, whatever runs on it.
    pub machine: Used,
    /// The running containers by the UID of their pod, with their names.
    pub pods: HashMap<String, Vec<(String, Used)>>,
}

/// Looks at the machine and at the pods with a directory in `pods_dir`. What cannot be read counts as nothing.
pub(crate) fn measure(pods_dir: &Path) -> Usage {
    let table = Table::read();
    let pods = directory::uids(pods_dir).into_iter();
    let pods = pods.map(|uid| {
        let running = running(&pods_dir.join(&uid));
        let containers = running.into_iter().map(|(name, process)| (name, used(&table, process))).collect();
        (uid, containers)
    });
    Usage { machine: machine(), pods: pods.collect() }
}

/// The containers of a pod that run, with their first processes.
fn running(pod_dir: &Path) -> Vec<(String, Process)> {
    let records = journal::Reader::open(pod_dir).and_then(|mut journal| journal.read()).unwrap_or_default();
    let Some(spec) = journal::specification(&records) else { return Vec::new() };
    let containers = State::replay(&spec, &records).containers.into_iter();
    let running = containers.filter(crate::state::Container::is_running);
    running.filter_map(|container| Some((container.name, container.current?.process?))).collect()
}

fn used(table: &Table, first: Process) -> Used {
    let mut sum = Used::default();
    for pid in table.of_container(first) {
        sum.cpu += duration(table.cpu_ticks(pid));
        sum.memory_bytes += memory(pid);
    }
    sum
}

fn duration(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(TICK_MILLIS))
}

/// The memory of a process; of what it shares, its part.
fn memory(pid: i32) -> u64 {
    let file = |name| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    // Who is somebody else for the kernel may not see the former.
    kibibytes(&file("smaps_rollup"), "Pss:").or_else(|| kibibytes(&file("status"), "VmRSS:")).unwrap_or(0)
}

/// The whole machine: the processors' time since the boot, and the memory that could not be had without swapping.
fn machine() -> Used {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name| kibibytes(&memory, name).unwrap_or(0);
    Used {
        cpu: duration(busy_ticks(&stat)),
        memory_bytes: of("MemTotal:").saturating_sub(of("MemAvailable:")),
    }
}

/// What all processors together have done since the boot, in clock ticks: all but waiting. The time of guests is part of
/// that of users.
fn busy_ticks(stat: &str) -> u64 {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let fields = all.split_ascii_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
    // User, nice, system, idle, waiting for a device, interrupts of both kinds, stolen.
    let busy = fields.take(8).enumerate().filter(|(position, _)| !matches!(position, 3 | 4));
    busy.map(|(_, ticks)| ticks).sum()
}

/// A line of a file such as `/proc/meminfo`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::start_ticks;

    #[test]
    fn what_waits_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9 9 9\n"), 63);
        assert_eq!(busy_ticks("intr 5\n"), 0);
    }

    #[test]
    fn sizes_are_in_kibibytes() {
        let text = "Rss:      10 kB\nPss:       3 kB\nPss_Anon:  1 kB\n";
        assert_eq!(kibibytes(text, "Pss:"), Some(3072));
        assert_eq!(kibibytes(text, "Swap:"), None);
        assert_eq!(kibibytes("Pss: much kB", "Pss:"), None);
    }

    #[test]
    fn a_process_uses_memory_and_time() {
        let pid = rustix::process::getpid().as_raw_pid();
        let own = Process { pid, ticks: start_ticks(pid).unwrap() };
        let used = used(&Table::read(), own);
        assert!(used.memory_bytes > 1 << 20, "{used:?}");
        let another = Process { ticks: own.ticks + 1, ..own };
        assert_eq!(super::used(&Table::read(), another), Used::default(), "its number is another's now");
        assert!(machine().memory_bytes > used.memory_bytes);
        assert!(machine().cpu > used.cpu);
    }
}
