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
    launch: Launch,
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
        Node::start_as(Launch::new(arguments)?)
    }

    /// As [`Node::start`], on a machine that can be restarted with [`Node::reboot`]. As root.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_rebootable(arguments: &[&str]) -> anyhow::Result<Self> {
        Node::start_as(Launch { boots: Some(1), ..Launch::new(arguments)? })
    }

    fn start_as(launch: Launch) -> anyhow::Result<Self> {
        let directory = Arc::new(tempfile::tempdir()?);
        let (child, ready_after) = launch.spawn(directory.path())?;
        Ok(Node { child, launch, directory, ready_after })
    }

    /// Kills the server, as a crash would, and starts it again on the same data.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn crash_and_restart(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        (self.child, self.ready_after) = self.launch.spawn(self.directory.path())?;
        Ok(())
    }

    /// Ends everything, as a machine that loses its power does, and starts the server in what it sees as the next boot.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn reboot(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.kill_shims();
        self.launch.boots = self.launch.boots.map(|boots| boots + 1);
        (self.child, self.ready_after) = self.launch.spawn(self.directory.path())?;
        Ok(())
    }

    /// A shim that is killed takes its pod's processes along.
    fn kill_shims(&self) {
        for entry in fs::read_dir(self.data_dir().join("pods")).into_iter().flatten().flatten() {
            while let Some(pid) = shim_pid(&entry.path()) {
                drop(Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status());
            }
        }
    }

    /// The admin kubeconfig; it changes with each start.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The node's program with its data directory, for a command to be added.
    pub fn cronlet(&self) -> Command {
        let mut command = Command::new(&self.launch.program);
        command.env("CRONLET_DATA_DIR", self.data_dir());
        command
    }

    /// The node's directory, which goes away when nobody holds it any more. Measurements that are repeated hold it
    /// until the last: a file system that is still busy with what was just deleted creates files slowly.
    pub fn directory(&self) -> Arc<TempDir> {
        self.directory.clone()
    }

    /// What is in the journal of a pod. A line is a checksum and a JSON record.
    pub fn journal(&self, uid: &str) -> Vec<serde_json::Value> {
        journal(&self.data_dir().join("pods").join(uid))
    }

    /// When something first happened to a container, by the journal of its pod, in nanoseconds since 1970.
    pub fn recorded_at(&self, uid: &str, event: &str, container: &str) -> Option<i128> {
        let records = self.journal(uid);
        let record = records.iter().find(|record| record["event"][event]["container"] == container)?;
        record["time"].as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond)
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
        self.kill_shims();
    }
}

fn journal(pod: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(pod.join("journal")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line.split_once(' ')?.1).ok()).collect()
}

/// The process id of a pod's shim, while it runs: its journal says who opened it last.
pub fn shim_pid(pod: &Path) -> Option<u32> {
    let records = journal(pod);
    let mut opened = records.iter().filter_map(|record| record["event"]["opened"]["pid"].as_u64());
    let pid = u32::try_from(opened.next_back()?).ok()?;
    let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    command_line.contains("__shim").then_some(pid)
}

/// How the server is started.
struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    /// The number of the boot that it sees, if it is not the machine's own.
    boots: Option<u32>,
}

impl Launch {
    fn new(arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Launch { program: program()?, arguments, boots: None })
    }

    /// What starts the program; where the boot is not the machine's, with another name of it before its eyes alone.
    fn command(&self, directory: &Path) -> anyhow::Result<Command> {
        let Some(boots) = self.boots else { return Ok(Command::new(&self.program)) };
        let boot_id = directory.join("boot_id");
        fs::write(&boot_id, format!("00000000-0000-4000-8000-{boots:012}\n"))?;
        let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(boot_id).arg(&self.program);
        Ok(command)
    }

    // A measurement reads the time.
    #[allow(clippy::disallowed_methods)]
    fn spawn(&self, directory: &Path) -> anyhow::Result<(Child, Duration)> {
        let stderr = fs::File::options().create(true).append(true).open(directory.join("stderr"))?;
        let mut command = self.command(directory)?;
        let before = std::time::Instant::now();
        let mut child = command
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.join("data"))
            .arg("--log-root")
            .arg(directory.join("log"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("{:?}", command.get_program()))?;
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
