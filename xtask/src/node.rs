//! A node under test: the `cronlet` that stands beside this program, in a directory of its own, ended by pid.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// A running node. Dropping it ends the server and every pod it still has, and removes its directory.
pub struct Node {
    child: Child,
    arguments: Vec<String>,
    directory: Arc<TempDir>,
    /// From exec to the ready line, of the latest start.
    pub ready_after: Duration,
}

impl Node {
    /// Starts a node with `arguments` besides the directories and a free port, and waits until it is ready.
    ///
    /// # Errors
    /// If the program is not built or does not become ready.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let directory = Arc::new(tempfile::tempdir()?);
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (child, ready_after) = spawn(&arguments, directory.path())?;
        Ok(Node { child, arguments, directory, ready_after })
    }

    /// Kills the server, as a crash would, and starts it again on the same data.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn crash_and_restart(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        (self.child, self.ready_after) = spawn(&self.arguments, self.directory.path())?;
        Ok(())
    }

    /// The admin kubeconfig; it changes with each start.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The node's directory, which goes away when nobody holds it any more. Measurements that are repeated hold it
    /// until the last: a file system that is still busy with what was just deleted creates files slowly.
    pub fn directory(&self) -> Arc<TempDir> {
        self.directory.clone()
    }

    /// Resident memory in MiB, from the kernel's own account.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // A shim that is killed takes its pod's processes along.
        for entry in fs::read_dir(self.data_dir().join("pods")).into_iter().flatten().flatten() {
            if let Some(pid) = shim_pid(&entry.path()) {
                drop(Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status());
            }
        }
    }
}

/// The process id of a pod's shim, while it runs: its journal says who opened it last.
pub fn shim_pid(pod: &Path) -> Option<u32> {
    let journal = fs::read_to_string(pod.join("journal")).ok()?;
    let records = journal.lines().filter_map(|line| serde_json::from_str(line.split_once(' ')?.1).ok());
    let mut opened =
        records.filter_map(|record: serde_json::Value| record["event"]["opened"]["pid"].as_u64());
    let pid = u32::try_from(opened.next_back()?).ok()?;
    let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    command_line.contains("__shim").then_some(pid)
}

// A measurement reads the time.
#[allow(clippy::disallowed_methods)]
fn spawn(arguments: &[String], directory: &Path) -> anyhow::Result<(Child, Duration)> {
    let program = program()?;
    let stderr = fs::File::options().create(true).append(true).open(directory.join("stderr"))?;
    let before = std::time::Instant::now();
    let mut child = Command::new(&program)
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.join("data"))
        .arg("--log-root")
        .arg(directory.join("log"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .with_context(|| program.display().to_string())?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
    let ready_after = before.elapsed();
    if !line.starts_with("cronlet ready ") {
        drop(child.kill());
        drop(child.wait());
        bail!("the node did not become ready: {}", fs::read_to_string(directory.join("stderr"))?);
    }
    Ok((child, ready_after))
}

/// The build that stands beside this one.
fn program() -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let program = own.parent().context("a program lies in a directory")?.join("cronlet");
    if !program.exists() {
        bail!("{}: not built; `cargo build --package cronlet` builds it", program.display());
    }
    Ok(program)
}
