//! A node for tests: keeps objects, hands pods to a runtime, and writes down what it reports.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use cronlet_object::{
    Clock, Draft, Key, Kind, Object, Resource, Snapshot,
    api::{ContainerState, ContainerStatus, Pod, PodStatus},
};
use cronlet_runtime::{
    Config, NetworkConfig, Report, ReportedEvent, Runtime,
    logs::{LogOptions, LogSource, Logs},
};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
};
use serde_json::{Value, json};

/// How long to wait for what must happen. Reached only if it does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time of day: real shims keep it, too.
pub struct WallClock;

impl Clock for WallClock {
    #[allow(clippy::disallowed_methods, reason = "the edge of these tests")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A node whose store is a snapshot.
pub struct Node {
    pub runtime: Runtime,
    dir: PathBuf,
    reports: Receiver<Report>,
    snapshot: Snapshot,
    /// All events so far, by pod.
    events: HashMap<Key, Vec<ReportedEvent>>,
    /// Pods of which nothing is left.
    stopped: Vec<Key>,
}

/// The configuration of a node in a directory.
pub fn config(dir: &Path) -> Config {
    Config {
        data_dir: dir.join("data"),
        log_root: dir.join("log"),
        run_dir: None,
        node_name: "here".into(),
        node_ip: [127, 0, 0, 1].into(),
        executable: std::env::current_exe().unwrap(),
        images: None,
        network: NetworkConfig::default(),
        pods_max: 100,
        pod_pids_max: Some(200),
        disk_threshold: None,
        oci_runtime: None,
        tokens: None,
        clock: Arc::new(WallClock),
    }
}

impl Node {
    /// A node in a directory that may have been another's.
    pub fn new(dir: &Path) -> Self {
        Node::with(dir, config(dir))
    }

    pub fn with(dir: &Path, config: Config) -> Self {
        let (sender, reports) = channel();
        let runtime = Runtime::new(config, Arc::new(move |report| drop(sender.send(report)))).unwrap();
        let (snapshot, events, stopped) = (Snapshot::default(), HashMap::new(), Vec::new());
        Node { runtime, dir: dir.to_owned(), reports, snapshot, events, stopped }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stores an object.
    pub fn store<T: Resource>(&mut self, object: &T) -> Arc<Object> {
        let object = Arc::new(Draft::of(object).seal(self.snapshot.revision() + 1));
        self.snapshot.insert(object.clone());
        object
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Stores a pod and starts it.
    pub fn create(&mut self, pod: &Pod) {
        let pod = self.store(pod);
        self.runtime.sync(&pod, &self.snapshot);
    }

    /// Asks again what has become of a pod that is blocked.
    pub fn sync(&self, name: &str) {
        self.runtime.sync(self.snapshot.get(&key(name)).unwrap(), &self.snapshot);
    }

    pub fn pod(&self, name: &str) -> Pod {
        self.snapshot.get(&key(name)).unwrap().decode()
    }

    /// Marks a pod as deleted.
    pub fn delete(&mut self, name: &str, grace_seconds: i64) {
        let mut pod = self.pod(name);
        pod.metadata.deletion_timestamp = Some(cronlet_object::api::Time(WallClock.now()));
        pod.metadata.deletion_grace_period_seconds = Some(grace_seconds);
        self.create(&pod);
    }

    /// Takes in the next report.
    pub fn next(&mut self) {
        let report = self.reports.recv_timeout(PATIENCE).expect("a report in time");
        let mut pod: Pod = self.snapshot.get(&report.pod).unwrap().decode();
        assert_eq!(pod.metadata.uid.as_deref(), Some(&*report.uid));
        if report.stopped {
            self.stopped.push(report.pod.clone());
        }
        self.events.entry(report.pod).or_default().extend(report.events);
        if pod.status.as_ref() != Some(&report.status) {
            pod.status = Some(report.status);
            self.create(&pod);
        }
    }

    /// Waits until a pod's status is as wanted.
    pub fn wait(&mut self, name: &str, wanted: impl Fn(&PodStatus) -> bool) -> PodStatus {
        loop {
            let status = self.pod(name).status.unwrap_or_default();
            if wanted(&status) {
                return status;
            }
            self.next();
        }
    }

    /// Waits until a pod has succeeded or failed, and nothing of it is left.
    pub fn end(&mut self, name: &str) -> PodStatus {
        while !self.stopped.contains(&key(name)) {
            self.next();
        }
        self.wait(name, |status| matches!(phase(status), "Succeeded" | "Failed"))
    }

    /// The events about a pod: their reasons and messages.
    pub fn events(&self, name: &str) -> Vec<(&'static str, &str)> {
        let events = self.events.get(&key(name)).into_iter().flatten();
        events.map(|event| (event.reason, event.message.as_str())).collect()
    }

    pub fn source(&self, name: &str, container: &str) -> LogSource {
        let uid = self.pod(name).metadata.uid.unwrap();
        LogSource { namespace: "default".into(), pod: name.into(), uid, container: container.into() }
    }

    /// What the container `c` of a pod has written.
    pub fn log(&self, name: &str) -> String {
        self.log_of(name, "c")
    }

    pub fn log_of(&self, name: &str, container: &str) -> String {
        read(&self.runtime.logs(), &self.source(name, container), LogOptions::default(), |_| true)
    }

    /// The same as [`Node::follow_until`], where futures run.
    pub async fn follow_until_within(&self, name: &str, text: &str) {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        read_within(&self.runtime.logs(), &self.source(name, "c"), options, |log| !log.contains(text)).await;
    }

    /// Follows the log of the container `c` until it contains a text.
    pub fn follow_until(&self, name: &str, text: &str) -> String {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        read(&self.runtime.logs(), &self.source(name, "c"), options, |log| !log.contains(text))
    }
}

/// Reads a log as long as the caller wants more.
pub fn read(logs: &Logs, source: &LogSource, options: LogOptions, more: impl Fn(&str) -> bool) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(read_within(logs, source, options, more))
}

async fn read_within(
    logs: &Logs,
    source: &LogSource,
    options: LogOptions,
    more: impl Fn(&str) -> bool,
) -> String {
    let mut stream = std::pin::pin!(logs.read(source, options).unwrap());
    let mut log = String::new();
    while more(&log) {
        match tokio::time::timeout(PATIENCE, stream.next()).await.expect("a log line in time") {
            Some(part) => log.push_str(std::str::from_utf8(&part.unwrap()).unwrap()),
            None => break,
        }
    }
    log
}

/// Waits until the files in a directory are as wanted, which nobody reports.
pub fn wait_for_files(dir: &Path, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    let changes = inotify::init(CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&changes, dir, WatchFlags::MOVED_TO | WatchFlags::DELETE).unwrap();
    loop {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        if wanted(&names) {
            return names;
        }
        let patience = PATIENCE.try_into().unwrap();
        let ready = poll(&mut [PollFd::new(&changes, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(ready, 1, "the files stay as they are: {names:?}");
        rustix::io::read(&changes, &mut [0; 4096]).unwrap();
    }
}

fn key(name: &str) -> Key {
    Key::new(Kind::Pod, "default", name)
}

pub fn phase(status: &PodStatus) -> &str {
    status.phase.as_deref().unwrap_or_default()
}

/// The status of the first container.
pub fn container(status: &PodStatus) -> &ContainerStatus {
    &status.container_statuses.as_ref().unwrap()[0]
}

pub fn state(status: &PodStatus) -> ContainerState {
    container(status).state.clone().unwrap_or_default()
}

pub fn is_running(status: &PodStatus) -> bool {
    status.container_statuses.is_some() && state(status).running.is_some()
}

/// The exit code of the first container.
pub fn exit_code(status: &PodStatus) -> Option<i32> {
    state(status).terminated.map(|ended| ended.exit_code)
}

/// How many processes have a text in their environment. Process IDs say little: they are soon given to others.
pub fn processes_with(text: &str) -> usize {
    let has = |entry: std::io::Result<std::fs::DirEntry>| {
        let environment = std::fs::read(entry.ok()?.path().join("environ")).ok()?;
        environment.windows(text.len()).any(|window| window == text.as_bytes()).then_some(())
    };
    std::fs::read_dir("/proc").unwrap().filter_map(has).count()
}

/// A pod with one container `c` that runs a shell script; `spec` is merged over its specification.
pub fn pod(name: &str, script: &str, spec: Value) -> Pod {
    let mut all = json!({
        "nodeName": "here",
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "containers": [shell("c", script)],
    });
    merge(&mut all, spec);
    let pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}"), "generation": 1 },
        "spec": all,
    });
    serde_json::from_value(pod).unwrap()
}

/// A container that runs a shell script, in which no variable is the pod's.
pub fn shell(name: &str, script: &str) -> Value {
    let script = script.replace('$', "$$");
    json!({ "name": name, "image": "unused", "command": ["sh", "-c", script] })
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if into.len() == from.len() => {
            into.iter_mut().zip(from).for_each(|(into, from)| merge(into, from));
        }
        (into, from) => *into = from,
    }
}
