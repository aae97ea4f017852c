//! A program that somebody wants to run in a container: what `kubectl exec` asks for. It is run by a process of its own,
//! which stays its parent, says how it ended, and ends it when nobody hears that any more or the container has ended.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::Mode,
    io::Errno,
    process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, set_child_subreaper, setsid, umask},
    stdio::{dup2_stdin, dup2_stdout},
};
use serde::{Deserialize, Serialize};

use super::{
    enter,
    launch::{self, Failure},
    terminal::Terminal,
};
use crate::{
    journal, processes,
    sandbox::cgroup,
    spec::{Container, Pod},
    state::{Process, State},
    sys::{self, Children, Fork},
};

/// What is to be run, and where.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) pod_dir: PathBuf,
    pub(crate) container: String,
    pub(crate) argv: Vec<String>,
    /// Whether its input and output are a terminal of its own, which is handed to whoever asks.
    pub(crate) tty: bool,
}

/// What is said of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It runs.
    Started,
    /// It does not, and why.
    NotStarted(String),
    /// It has ended.
    Ended(i32),
}

impl Said {
    /// One line: `started`, `ended <code>`, or `not started: <why>`.
    fn encode(&self) -> String {
        match self {
            Said::Started => "started".to_owned(),
            Said::NotStarted(why) => format!("not started: {}", why.replace('\n', " ")),
            Said::Ended(code) => format!("ended {code}"),
        }
    }

    /// Nothing if it is not what was said.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        match text.strip_prefix("not started: ") {
            Some(why) => Some(Said::NotStarted(why.to_owned())),
            None if text == "started" => Some(Said::Started),
            None => text.strip_prefix("ended ")?.parse().ok().map(Said::Ended),
        }
    }
}

/// The input and output of a program: standard input, output and error; or nothing, if they are to be a terminal.
type Streams = Vec<OwnedFd>;

/// Runs a program to its end and says so. Returns the exit code of this process, which has one thread.
pub(crate) fn run(request: &Request, report: OwnedFd, streams: Streams) -> i32 {
    let report = UnixStream::from(report);
    match start(request, streams) {
        Ok(Started { program, container, terminal }) => {
            tell(&report, &Said::Started, terminal.as_ref());
            // The terminal ends with whoever has it.
            drop(terminal);
            watch(program, container.as_fd(), &report);
            let code = sys::reap(program).map_or(1, |ended| ended.exit_code());
            tell(&report, &Said::Ended(code), None);
            drop(report);
            look_after_strays(container.as_fd());
            0
        }
        Err(why) => {
            tell(&report, &Said::NotStarted(why), None);
            1
        }
    }
}

fn tell(mut report: &UnixStream, said: &Said, terminal: Option<&File>) {
    // If nobody hears it, nobody wants to.
    let _ = match terminal {
        Some(terminal) => launch::tell_files(report, &[terminal]),
        None => Ok(()),
    };
    let _ = report.write_all(format!("{}\n", said.encode()).as_bytes());
}

struct Started {
    program: i32,
    container: OwnedFd,
    terminal: Option<File>,
}

/// Starts the program as a child of this process.
fn start(request: &Request, streams: Streams) -> Result<Started, String> {
    let words = |error: io::Error| launch::words(&error);
    let (pod, process) = find(&request.pod_dir, &request.container)?;
    let position = pod.position(&request.container).ok_or("container not found")?;
    let container = &pod.containers[position];
    let pid = Pid::from_raw(process.pid).ok_or("container not found")?;
    // Before `/proc` is another one.
    let held = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| words(error.into()))?;
    if processes::start_ticks(process.pid) != Some(process.ticks) {
        return Err(not_running(&request.container));
    }
    let null = File::open("/dev/null").map_err(words)?;
    dup2_stdin(null.as_fd()).map_err(|error| words(error.into()))?;
    // Interrupts of the terminal that the server was started from are not for it.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(|error| words(error.into()))?;
    umask(Mode::from_raw_mode(0o022));
    // Only the program itself is one of the container's processes.
    let mut groups = Vec::new();
    if let Some(root) = &container.root {
        groups = cgroup::open_running(&pod.uid, &container.name).map_err(words)?;
        if let Some(score) = root.resources.oom_score_adj {
            // As when the container was started.
            let _ = fs::write("/proc/self/oom_score_adj", score.to_string());
        }
    }
    // A process of the host has the host's terminals, which cannot always be opened from where it is.
    let terminal =
        (request.tty && container.root.is_none()).then(Terminal::open).transpose().map_err(words)?;
    enter::join(process.pid, held.as_fd()).map_err(words)?;
    let (report, child_report) = UnixStream::pair().map_err(words)?;
    let program = match sys::fork().map_err(words)? {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            drop(report);
            let child = || match groups.iter().try_for_each(|mut group| group.write_all(b"0")) {
                Ok(()) => become_program(request, container, &streams, (terminal, &child_report)),
                Err(error) => {
                    Failure::NotStarted(format!("cannot enter its control group: {}", words(error)))
                }
            };
            // A panic must not go on into what the parent was doing.
            let failure = catch_unwind(AssertUnwindSafe(child))
                .unwrap_or_else(|_| Failure::NotStarted("its preparation failed".to_owned()));
            launch::tell_failure(&child_report, &failure);
            sys::exit_now(1);
        }
    };
    drop((streams, child_report));
    match launch::listen(&report) {
        Ok([terminal, ..]) => Ok(Started { program, container: held, terminal }),
        Err(Failure::NotStarted(message) | Failure::Refused(crate::mounts::Refused { message, .. })) => {
            let _ = sys::reap(program);
            Err(message)
        }
    }
}

/// The pod, and the process of one of its containers.
pub(super) fn find(pod_dir: &Path, container: &str) -> Result<(Pod, Process), String> {
    let records = journal::Reader::open(pod_dir).and_then(|mut reader| reader.read());
    let records = records.map_err(|error| format!("the pod's journal cannot be read: {error}"))?;
    let pod = journal::specification(&records).ok_or("the pod has not been started")?;
    let state = State::replay(&pod, &records);
    let running = state.container(container).filter(|container| container.is_running());
    let process = running.and_then(|container| container.current.as_ref()?.process);
    process.map(|process| (pod, process)).ok_or_else(|| not_running(container))
}

/// In the kubelet's words.
fn not_running(container: &str) -> String {
    format!("container not found ({container:?})")
}

/// Becomes the program. Returns only if that fails.
fn become_program(
    request: &Request,
    container: &Container,
    streams: &Streams,
    (terminal, report): (Option<Terminal>, &UnixStream),
) -> Failure {
    let own;
    let streams = if request.tty {
        let terminal = terminal.map_or_else(Terminal::open, Ok);
        match terminal.and_then(|terminal| take(terminal, container, report)) {
            Ok(terminal) => {
                own = [terminal.try_clone(), terminal.try_clone(), Ok(terminal)];
                own.iter().flatten().collect::<Vec<_>>()
            }
            Err(error) => {
                return Failure::NotStarted(format!("cannot open a terminal: {}", launch::words(&error)));
            }
        }
    } else {
        // Its children end with it if it is made to.
        let _ = setsid();
        streams.iter().collect()
    };
    let [stdin, stdout, stderr] = streams[..] else {
        return Failure::NotStarted("there must be three streams".to_owned());
    };
    match dup2_stdin(stdin).and_then(|()| dup2_stdout(stdout)) {
        Ok(()) => enter::become_program(&request.argv, container, stderr.as_fd(), report),
        Err(error) => {
            Failure::NotStarted(format!("cannot redirect the output: {}", launch::words(&error.into())))
        }
    }
}

/// Makes a terminal that of this process. Its other side goes to the parent.
fn take(terminal: Terminal, container: &Container, report: &UnixStream) -> io::Result<OwnedFd> {
    setsid()?;
    terminal.take(container)?;
    launch::tell_files(report, &[&terminal.ours])?;
    Ok(terminal.theirs)
}

/// Waits until the program has ended. It is made to when its container has ended, or nobody hears the report.
fn watch(program: i32, container: BorrowedFd<'_>, report: &UnixStream) {
    let Some(pid) = Pid::from_raw(program) else { return };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    loop {
        let mut fds = [
            PollFd::new(&process, PollFlags::IN),
            PollFd::from_borrowed_fd(container, PollFlags::IN),
            PollFd::new(report, PollFlags::RDHUP),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return processes::signal_group(program, Signal::KILL),
        }
        let [ended, alone, deaf] = [0, 1, 2].map(|index: usize| !fds[index].revents().is_empty());
        if ended {
            return;
        }
        if alone || deaf {
            return processes::signal_group(program, Signal::KILL);
        }
    }
}

/// Ends what the program has left behind when the container ends. With a process namespace the kernel does it, and what
/// is left has another parent.
fn look_after_strays(container: BorrowedFd<'_>) {
    let Ok(signals) = sys::take_signals() else { return };
    let mut is_alone = false;
    loop {
        while let Ok(Children::Ended(pid)) = sys::peek_children() {
            let _ = sys::reap(pid);
        }
        if !matches!(sys::peek_children(), Ok(Children::Running)) {
            return;
        }
        if is_alone {
            processes::kill_strays(&[], None);
        }
        let mut fds = [
            PollFd::new(&signals, PollFlags::IN),
            // Once it is known to have ended, it has nothing more to tell.
            PollFd::from_borrowed_fd(container, if is_alone { PollFlags::empty() } else { PollFlags::IN }),
        ];
        if !matches!(poll(&mut fds, None), Ok(_) | Err(Errno::INTR)) {
            return;
        }
        is_alone |= !fds[1].revents().is_empty();
        while sys::read_signal(signals.as_fd()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for said in [Said::Started, Said::Ended(0), Said::Ended(137), Said::NotStarted("no: x".to_owned())] {
            assert_eq!(Said::decode(&said.encode()), Some(said));
        }
        assert_eq!(Said::NotStarted("two\nlines".to_owned()).encode(), "not started: two lines");
        for text in ["", "ended", "ended x", "not started"] {
            assert_eq!(Said::decode(text), None, "{text}");
        }
    }
}
