//! A node for one test: started on a free port in a directory of its own, and ended with all its pods.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    mem::MaybeUninit,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use http::Request;
use http_body_util::BodyExt;
use kube::{
    Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub const CRONLET: &str = env!("CARGO_BIN_EXE_cronlet");

/// A running node.
pub struct Node {
    child: Option<Child>,
    arguments: Vec<String>,
    directory: TempDir,
}

impl Node {
    /// Starts a node with arguments of its own besides the directories and the port.
    pub fn start(arguments: &[&str]) -> Node {
        Node::start_in(arguments, tempfile::tempdir().unwrap())
    }

    /// Starts a node in a directory that the test has prepared.
    pub fn start_in(arguments: &[&str], directory: TempDir) -> Node {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut node = Node { child: None, arguments, directory };
        node.spawn();
        node
    }

    fn spawn(&mut self) {
        let stderr = fs::File::options().create(true).append(true).open(self.path("stderr")).unwrap();
        let mut child = self.command().stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.child = Some(child);
        assert!(line.starts_with("cronlet ready https://127.0.0.1:"), "{line:?}: {}", self.stderr());
    }

    /// The command that starts a node on this directory.
    pub fn command(&self) -> Command {
        let mut command = Command::new(CRONLET);
        command
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.data_dir())
            .arg("--log-root")
            .arg(self.path("log"))
            .args(&self.arguments)
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Kills the server as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the server to end and returns how it did.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("the node runs");
        let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        child.wait().unwrap()
    }

    /// Starts the server again on the same data.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
    }

    /// A path in the node's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// What the node printed on standard error.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Waits until the node has printed `text` on standard error; returns all that it has printed there.
    pub fn wait_for_stderr(&self, text: &str) -> String {
        let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&inotify, self.path("stderr"), WatchFlags::MODIFY).unwrap();
        loop {
            let printed = self.stderr();
            if printed.contains(text) {
                return printed;
            }
            let mut buffer = [MaybeUninit::uninit(); 4096];
            inotify::Reader::new(&inotify, &mut buffer).next().unwrap();
        }
    }

    /// Runs the command line against this node.
    pub fn cronlet(&self, arguments: &[&str]) -> Output {
        Command::new(CRONLET).args(arguments).env("KUBECONFIG", self.kubeconfig()).output().unwrap()
    }

    /// Runs the command line, which must succeed, and returns what it printed.
    pub fn cronlet_ok(&self, arguments: &[&str]) -> String {
        succeeded(&self.cronlet(arguments))
    }

    /// The admin kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// Writes a manifest file and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// GETs a path of the API.
    pub fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.get_text(path)).unwrap()
    }

    /// GETs a path of the API as text.
    pub fn get_text(&self, path: &str) -> String {
        self.client(async |client| {
            client.request_text(Request::get(path).body(Vec::new()).unwrap()).await.unwrap()
        })
    }

    /// POSTs a body and returns the status code and the answer.
    pub fn post(&self, path: &str, body: Vec<u8>) -> (u16, Value) {
        self.client(async |client| {
            let request = Request::post(path)
                .header("content-type", "application/json")
                .body(Body::from(body))
                .unwrap();
            let answer = client.send(request).await.unwrap();
            let code = answer.status().as_u16();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            (code, serde_json::from_slice(&bytes).unwrap())
        })
    }

    /// Watches a collection from its beginning until an object's state satisfies `enough`; returns all states seen.
    pub fn watch(&self, path: &str, mut enough: impl FnMut(&Value) -> bool) -> Vec<Value> {
        self.client(async |client| {
            let separator = if path.contains('?') { '&' } else { '?' };
            let request = Request::get(format!("{path}{separator}watch=true")).body(Body::empty()).unwrap();
            let mut body = client.send(request).await.unwrap().into_body();
            let (mut buffer, mut seen) = (Vec::new(), Vec::new());
            while let Some(frame) = body.frame().await {
                buffer.extend_from_slice(frame.unwrap().data_ref().unwrap());
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    let event: Value = serde_json::from_slice(&line).unwrap();
                    seen.push(event["object"].clone());
                    if enough(&event["object"]) {
                        return seen;
                    }
                }
            }
            panic!("the watch of {path} ended; last seen: {:#?}", seen.last());
        })
    }

    /// Waits until a Job has the condition, and returns all its states.
    pub fn wait_for_job(&self, name: &str, condition: &str) -> Vec<Value> {
        let path = format!("/apis/batch/v1/namespaces/default/jobs?fieldSelector=metadata.name%3D{name}");
        self.watch(&path, |job| has_condition(job, condition))
    }

    /// Waits until a pod is in the phase, and returns its last state.
    pub fn wait_for_pod(&self, selector: &str, phase: &str) -> Value {
        let path = format!("/api/v1/namespaces/default/pods?{selector}");
        self.watch(&path, |pod| pod["status"]["phase"] == phase).pop().unwrap()
    }

    /// Runs requests of several sorts on one connection.
    pub fn client<T>(&self, run: impl AsyncFnOnce(kube::Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
            let mut config =
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            config.read_timeout = None;
            run(kube::Client::try_from(config).unwrap()).await
        })
    }

    /// The process ids of the shims that run.
    pub fn shims(&self) -> Vec<u32> {
        let pods = fs::read_dir(self.data_dir().join("pods")).into_iter().flatten().flatten();
        pods.filter_map(|pod| shim_of(&pod.path())).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // So that it gives back what it has elsewhere. A test that has failed may be beyond that.
        if self.child.is_some() && !std::thread::panicking() {
            self.terminate();
        }
        self.kill();
        for pid in self.shims() {
            // A shim that is killed takes its pod's processes along.
            drop(Command::new("kill").args(["-9", &pid.to_string()]).status());
        }
    }
}

/// The shim that opened the pod's journal last, while it runs.
fn shim_of(pod: &Path) -> Option<u32> {
    let journal = fs::read_to_string(pod.join("journal")).ok()?;
    let records = journal.lines().filter_map(|line| serde_json::from_str(line.split_once(' ')?.1).ok());
    let mut opened = records.filter_map(|record: Value| record["event"]["opened"]["pid"].as_u64());
    let pid = u32::try_from(opened.next_back()?).ok()?;
    let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    command_line.contains("__shim").then_some(pid)
}

/// Whether an object has a condition of this type that is True.
pub fn has_condition(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|list| list.iter().any(|c| c["type"] == condition && c["status"] == "True"))
}

/// What a command printed, which must have succeeded.
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A Job that runs a shell script once.
pub fn job(name: &str, script: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n      - name: c\n        image: busybox\n        command: [sh, -c, {script:?}]\n"
    )
}

/// The checkout's directory of examples.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}
