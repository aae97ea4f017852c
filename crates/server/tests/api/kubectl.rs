//! Real kubectl against a server on a socket: a session of commands with their exact output, in several versions.
//!
//! A version is used if its binary `kubectl.1.NN` lies beside the `kubectl` on the path, or is that `kubectl`. What is
//! not there is not tested, and said so on the standard error output.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use super::running::Running;

/// Where the manifests and the session lie.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/kubectl");
/// A command that takes longer is taken to hang.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);
/// When set, the session's expected output is replaced by what the command printed.
const REWRITE: &str = "CRONLET_REWRITE";

/// The binary of a version, or a note on the standard error output that there is none.
fn binary(version: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut installed =
        std::env::split_paths(&path).filter_map(|directory| directory.join("kubectl").canonicalize().ok());
    let found = installed.find_map(|kubectl| {
        let sibling = kubectl.parent()?.join(format!("kubectl.{version}"));
        if sibling.is_file() { Some(sibling) } else { is_of_version(&kubectl, version).then_some(kubectl) }
    });
    if found.is_none() {
        // Written past the test harness, which hides what passing tests print.
        let note = format!("NOT RUN: the session with kubectl {version}, which is not installed\n");
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    found
}

fn is_of_version(kubectl: &Path, version: &str) -> bool {
    let output = std::process::Command::new(kubectl).args(["version", "--client", "--output=json"]).output();
    let tag = format!("\"gitVersion\": \"v{version}.");
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&tag))
}

/// A home directory in which `kubectl` is one version of it and talks to one server.
struct Home {
    directory: TempDir,
}

impl Home {
    fn new(running: &Running, binary: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(binary, directory.path().join("kubectl")).unwrap();
        let kubeconfig = running.pki.kubeconfig(&format!("https://{}", running.address));
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig).unwrap();
        Home { directory }
    }

    fn command(&self, line: &str) -> Command {
        let home = self.directory.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(DIRECTORY)
            .env("HOME", home)
            .env("PATH", format!("{}:{path}", home.display()))
            .env("KUBECONFIG", home.join("kubeconfig"))
            .env("KUBE_EDITOR", format!("{DIRECTORY}/editor.sh"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Everything a command prints, and its exit code if it is not 0. Blanks at the ends of lines, which differ
    /// between the versions, are left out.
    async fn run(&self, line: &str) -> String {
        let output = timeout(COMMAND_TIME_MAX, self.command(&format!("{{ {line}\n}} 2>&1")).output()).await;
        let output = output.unwrap_or_else(|_| panic!("`{line}` does not end")).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
        let code = output.status.to_string();
        if !output.status.success() {
            lines.push(&code);
        }
        lines.join("\n")
    }
}

/// A piece of a session.
enum Piece {
    /// A line that begins with `# `.
    Comment(String),
    /// A line that begins with `$ `, and what the command prints: the lines up to the next piece.
    Step { command: String, output: String },
}

fn pieces(session: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for line in session.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            pieces.push(Piece::Step { command: command.to_owned(), output: String::new() });
        } else if let Some(comment) = line.strip_prefix("# ") {
            pieces.push(Piece::Comment(comment.to_owned()));
        } else if let Some(Piece::Step { output, .. }) = pieces.last_mut() {
            output.push_str(line);
            output.push('\n');
        }
    }
    pieces
}

async fn session(version: &str) {
    let Some(binary) = binary(version) else { return };
    let running = Running::start().await;
    let home = Home::new(&running, &binary);
    let file = Path::new(DIRECTORY).join("session.txt");
    let mut rewritten = Vec::new();
    for piece in pieces(&std::fs::read_to_string(&file).unwrap()) {
        match piece {
            Piece::Comment(comment) => rewritten.push(format!("# {comment}\n")),
            Piece::Step { command, output } => {
                let printed = home.run(&command).await;
                if std::env::var_os(REWRITE).is_none() {
                    assert_eq!(printed, output.trim_end(), "kubectl {version}: `{command}`");
                }
                rewritten.push(format!("$ {command}\n{printed}\n"));
            }
        }
    }
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&file, rewritten.join("\n")).unwrap();
    }
    watching(&home).await;
    running.stop().await;
}

/// `kubectl get --watch` shows a change when it happens, and goes on.
async fn watching(home: &Home) {
    let mut child = home.command("exec kubectl get cronjobs --watch").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(COMMAND_TIME_MAX, lines.next_line()).await.expect("a watch shows what happens");
        line.unwrap().expect("a watch does not end by itself")
    };
    assert!(next().await.starts_with("NAME "));
    assert!(next().await.starts_with("watched "));
    home.run("kubectl patch cronjob watched -p '{\"spec\":{\"schedule\":\"@yearly\"}}'").await;
    let changed = next().await;
    assert!(changed.contains("@yearly"), "{changed}");
    child.kill().await.unwrap();
}

macro_rules! versions {
    ($($test:ident: $version:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            session($version).await;
        }
    )*};
}

versions! {
    version_1_28: "1.28"
    version_1_29: "1.29"
    version_1_30: "1.30"
    version_1_31: "1.31"
    version_1_32: "1.32"
    version_1_33: "1.33"
}
