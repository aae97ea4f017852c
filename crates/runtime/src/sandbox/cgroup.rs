//! The control groups of a container: what the kernel holds it to, and what it tells of that.
//!
//! Both versions are known. Of version 1 only the hierarchies are used that have something to do, because moving a
//! process into each costs milliseconds. Where the node may not make groups, containers run without limits.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::spec::Resources;

/// The directory of all of this node's groups, in each hierarchy.
const PARENT: &str = "cronlet";

/// The time that a quota is granted for, in microseconds (the kubelet's).
const PERIOD_MICROS: u64 = 100_000;

/// The groups of one container.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dirs: Vec<PathBuf>,
    /// The file that counts kills for want of memory.
    memory_events: Option<PathBuf>,
    /// The files that count the processes that were one too many: the kernel counts at the bound, or where the process
    /// was to be, by its version.
    pids_events: Vec<PathBuf>,
}

/// A file of a group, and what is written to it.
type Setting = (&'static str, String);

impl Cgroup {
    /// Makes the groups that a container's limits need; none if it has no limits.
    ///
    /// # Errors
    /// If the kernel does not let this process make them, or does not accept a limit.
    pub(crate) fn make(pod_uid: &str, container: &str, resources: &Resources) -> io::Result<Option<Cgroup>> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let name = name(pod_uid, container);
        let mut cgroup = Cgroup { dirs: Vec::new(), memory_events: None, pids_events: Vec::new() };
        for (controller, settings) in settings(resources) {
            if let Some(hierarchy) = version_1(&mounts, controller) {
                let dir = hierarchy.join(&name);
                // Kept from the start, so that what was made is removed if the next step fails.
                cgroup.begin(&dir);
                cgroup.set(&dir, settings.iter().map(|setting| setting.1.clone()))?;
                if controller == "memory" {
                    cgroup.memory_events = Some(dir.join("memory.oom_control"));
                }
            } else if let Some(root) = version_2(&mounts) {
                let dir = root.join(&name);
                if !cgroup.dirs.contains(&dir) {
                    cgroup.begin(&dir);
                    delegate(&root, &name)?;
                }
                cgroup.set(&dir, settings.iter().map(|setting| setting.0.clone()))?;
                cgroup.memory_events.get_or_insert(dir.join("memory.events"));
            } else {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("no {controller} control group"),
                ));
            }
        }
        if let Some(max) = resources.pod_pids_max {
            // Nobody asked for it: where it cannot be had, the pod runs without.
            let _ = cgroup.bound_pids(&mounts, &name, max);
        }
        Ok((!cgroup.dirs.is_empty()).then_some(cgroup))
    }

    /// Bounds the processes of the pod as a whole.
    fn bound_pids(&mut self, mounts: &str, name: &Path, max: u32) -> io::Result<()> {
        let (root, is_version_2) = match (version_1(mounts, "pids"), version_2(mounts)) {
            (Some(root), _) => (root, false),
            (None, Some(root)) => (root, true),
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        let dir = root.join(name);
        if is_version_2 && !self.dirs.contains(&dir) {
            delegate(&root, name)?;
        }
        fs::create_dir_all(&dir)?;
        let pod = dir.parent().ok_or(io::ErrorKind::NotFound)?;
        fs::write(pod.join("pids.max"), max.to_string())?;
        self.pids_events = [pod, dir.as_path()].map(|dir| dir.join("pids.events")).into();
        if !self.dirs.contains(&dir) {
            self.dirs.push(dir);
        }
        Ok(())
    }

    /// Takes a group on. What a shim that was killed left of an earlier attempt goes first, and its counts with it.
    fn begin(&mut self, dir: &Path) {
        let _ = fs::remove_dir(dir);
        self.dirs.push(dir.to_owned());
    }

    fn set(&self, dir: &Path, settings: impl Iterator<Item = Setting>) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for (file, value) in settings.filter(|(file, _)| !file.is_empty()) {
            match fs::write(dir.join(file), value) {
                // A kernel without accounting of swap has no such file.
                Err(error) if file.contains("sw") && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if file.contains("sw") && error.kind() == io::ErrorKind::PermissionDenied => {}
                written => written?,
            }
        }
        Ok(())
    }

    /// Moves this process in.
    pub(crate) fn join(&self) -> io::Result<()> {
        self.take_in(0)
    }

    /// Moves a process in, by its ID; this one if that is 0.
    pub(crate) fn take_in(&self, pid: i32) -> io::Result<()> {
        self.dirs.iter().try_for_each(|dir| fs::write(dir.join("cgroup.procs"), pid.to_string()))
    }

    /// Whether the pod had as many processes as it may, and wanted one more.
    pub(crate) fn was_crowded(&self) -> bool {
        self.pids_events.iter().any(|path| counts(path, "max "))
    }

    /// Whether a process of the container was killed for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.memory_events.as_ref().is_some_and(|path| counts(path, "oom_kill "))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // A group with a process that the kernel cannot end stays. That of the pod goes with its last container.
            let _ = fs::remove_dir(dir);
            let _ = dir.parent().map(fs::remove_dir);
        }
    }
}

/// The groups of a container, from the root of a hierarchy on.
pub(crate) fn name(pod_uid: &str, container: &str) -> PathBuf {
    Path::new(PARENT).join(pod_uid).join(container)
}

/// Removes the groups of a container that has ended, and of its pod with the last, from all hierarchies: a runtime makes
/// some in each, and leaves those above the container's behind.
pub(crate) fn sweep(pod_uid: &str, container: &str) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let name = name(pod_uid, container);
    for root in all(&mounts, |kind, _| kind == "cgroup" || kind == "cgroup2") {
        let dir = root.join(&name);
        // What is not there, or has something in it, is none of ours.
        let _ = fs::remove_dir(&dir);
        let _ = dir.parent().map(fs::remove_dir);
    }
}

/// Whether a file of events has counted anything of a name.
fn counts(path: &Path, name: &str) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let counts = text.lines().filter_map(|line| line.strip_prefix(name));
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).any(|count| count > 0)
}

/// The files by which a process moves into the groups of a container that runs, wherever it has some: by writing `0`.
pub(crate) fn open_running(pod_uid: &str, container: &str) -> io::Result<Vec<File>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let dirs = of_pod(&mounts, pod_uid).map(|dir| dir.join(container));
    let files =
        dirs.filter(|dir| dir.exists()).map(|dir| File::options().write(true).open(dir.join("cgroup.procs")));
    files.collect()
}

/// Removes the groups of a pod that does not run any more: a shim that was killed has left them. One with a process that
/// the kernel cannot end stays.
pub(crate) fn remove(pod_uid: &str) {
    // Without it there are no groups.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for pod in of_pod(&mounts, pod_uid) {
        // Of what is in there, only the containers' groups can be removed like that.
        for entry in fs::read_dir(&pod).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(&pod);
    }
}

/// Where the groups of a pod's containers are, in each hierarchy that may have some.
fn of_pod(mounts: &str, pod_uid: &str) -> impl Iterator<Item = PathBuf> {
    let controllers = ["cpu", "memory", "pids"].map(|controller| version_1(mounts, controller));
    let hierarchies = controllers.into_iter().chain([version_2(mounts)]).flatten();
    hierarchies.map(move |root| root.join(PARENT).join(pod_uid))
}

/// What has to be set, by controller; each in the words of version 2 and of version 1.
fn settings(resources: &Resources) -> Vec<(&'static str, Vec<(Setting, Setting)>)> {
    let mut all = Vec::new();
    let mut cpu = Vec::new();
    if let Some(shares) = resources.cpu_shares {
        // From 2..262144 to 1..10000, as the runtimes convert it.
        let weight = 1 + shares.clamp(2, 262_144).saturating_sub(2) * 9_999 / 262_142;
        cpu.push((("cpu.weight", weight.to_string()), ("cpu.shares", shares.to_string())));
    }
    if let Some(quota) = resources.cpu_quota_micros {
        cpu.push((("", String::new()), ("cpu.cfs_period_us", PERIOD_MICROS.to_string())));
        cpu.push((("cpu.max", format!("{quota} {PERIOD_MICROS}")), ("cpu.cfs_quota_us", quota.to_string())));
    }
    if !cpu.is_empty() {
        all.push(("cpu", cpu));
    }
    if let Some(bytes) = resources.memory_bytes_max {
        let bytes = bytes.to_string();
        all.push((
            "memory",
            vec![
                (("memory.max", bytes.clone()), ("memory.limit_in_bytes", bytes.clone())),
                (("memory.swap.max", "0".to_owned()), ("memory.memsw.limit_in_bytes", bytes)),
                (("memory.oom.group", "1".to_owned()), ("", String::new())),
            ],
        ));
    }
    all
}

/// Where the hierarchy of a controller of version 1 is mounted.
fn version_1(mounts: &str, controller: &str) -> Option<PathBuf> {
    find(mounts, |kind, options| kind == "cgroup" && options.split(',').any(|option| option == controller))
}

/// Where version 2 is mounted.
fn version_2(mounts: &str) -> Option<PathBuf> {
    find(mounts, |kind, _| kind == "cgroup2")
}

/// The mount point of the first file system that is wanted, by its kind and its own options.
fn find(mounts: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    all(mounts, is_wanted).next()
}

fn all(mounts: &str, is_wanted: impl Fn(&str, &str) -> bool) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(move |line| {
        let (place, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        is_wanted(kind, options).then(|| place.split(' ').nth(4).map(PathBuf::from)).flatten()
    })
}

/// Lets the groups down to `name` have the controllers. None of those above it has a process of its own.
fn delegate(root: &Path, name: &Path) -> io::Result<()> {
    let mut dir = root.to_owned();
    for component in name {
        fs::write(dir.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
        dir.push(component);
        fs::create_dir_all(&dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:5 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory";

    #[test]
    fn hierarchies_are_found_by_controller() {
        assert_eq!(version_1(MOUNTS, "cpu"), Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(version_1(MOUNTS, "memory"), Some("/sys/fs/cgroup/memory".into()));
        assert_eq!(version_1(MOUNTS, "pids"), None);
        assert_eq!(version_2(MOUNTS), Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn only_what_is_limited_has_a_controller() {
        assert!(settings(&Resources::default()).is_empty());
        let memory = Resources { memory_bytes_max: Some(1024), ..Resources::default() };
        let controllers: Vec<_> = settings(&memory).into_iter().map(|(controller, _)| controller).collect();
        assert_eq!(controllers, ["memory"]);
    }

    #[test]
    fn shares_become_weights() {
        let weight = |shares| {
            let resources = Resources { cpu_shares: Some(shares), ..Resources::default() };
            settings(&resources)[0].1[0].0.1.clone()
        };
        assert_eq!([weight(2), weight(1024), weight(262_144)], ["1", "39", "10000"]);
    }

    /// What is set in one version: the files and what is written to them.
    fn written(resources: &Resources, version: fn((Setting, Setting)) -> Setting) -> Vec<String> {
        let all = settings(resources).into_iter().flat_map(|(_, settings)| settings);
        let files = all.map(version).filter(|(file, _)| !file.is_empty());
        files.map(|(file, value)| format!("{file}={value}")).collect()
    }

    #[test]
    fn a_limit_of_memory_allows_no_swap_and_ends_the_container_as_a_whole() {
        let resources = Resources {
            cpu_quota_micros: Some(50_000),
            memory_bytes_max: Some(1024),
            ..Resources::default()
        };
        let version_2 =
            ["cpu.max=50000 100000", "memory.max=1024", "memory.swap.max=0", "memory.oom.group=1"];
        assert_eq!(written(&resources, |(new, _)| new), version_2);
        let version_1 = [
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "memory.limit_in_bytes=1024",
            "memory.memsw.limit_in_bytes=1024",
        ];
        assert_eq!(written(&resources, |(_, old)| old), version_1);
    }

    #[test]
    fn a_kill_for_want_of_memory_is_counted_in_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("events");
        let cgroup = Cgroup { dirs: Vec::new(), memory_events: Some(file.clone()), pids_events: Vec::new() };
        let told = |text: &str| {
            fs::write(&file, text).unwrap();
            cgroup.ran_out_of_memory()
        };
        // `memory.oom_control`, then `memory.events`.
        assert!(told("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"));
        assert!(told("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n"));
        assert!(!told("oom_kill_disable 1\nunder_oom 1\noom_kill 0\n"));
        assert!(!told("oom 3\noom_kill 0\noom_group_kill 0\n"));
        fs::remove_file(&file).unwrap();
        assert!(!cgroup.ran_out_of_memory());
    }
}
