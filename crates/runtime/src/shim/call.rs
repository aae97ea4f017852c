//! What probes and hooks do, each in a process of its own: it may take its time, and may be ended.

mod network;

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rustix::{
    event::{Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, set_parent_process_death_signal, setsid},
    stdio::{dup2_stdin, dup2_stdout},
};

use super::{
    enter,
    launch::{self, Failure, Settings},
    live::Live,
};
use crate::{
    journal::Said,
    limits, processes,
    spec::{Call, Container},
    sys::{self, Ended, Fork},
};

/// Exit code of a call over the network that failed; that of one that could not be made is higher.
const FAILED: i32 = 1;
const UNKNOWN: i32 = 2;

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Calling {
    pub(super) pid: i32,
    /// When it is ended.
    pub(super) until: Option<Timestamp>,
    /// What it says; absent once that has ended.
    output: Option<OwnedFd>,
    text: Vec<u8>,
    /// The program, for messages, if it is one.
    program: Option<String>,
    timed_out: bool,
}

/// What is called, and where.
pub(super) struct Place<'a> {
    pub(super) container: &'a Container,
    pub(super) live: &'a Live,
    pub(super) settings: &'a Settings,
}

impl Calling {
    /// Begins a call, which may take so long. Why it could not be made, otherwise.
    pub(super) fn start(
        call: &Call,
        timeout: Option<Duration>,
        place: &Place<'_>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let (output, child_output) = launch::pipe().map_err(|error| words(&error))?;
        let (pid, program) = match call {
            Call::Impossible { message } => return Err(message.clone()),
            Call::Exec { argv } => (execute(argv, timeout, place, child_output)?, Some(argv.join(" "))),
            other => (ask(other, timeout, &child_output)?, None),
        };
        // What is asked over the network notices by itself, and says at what.
        let patience = if program.is_some() { Duration::ZERO } else { limits::CALL_PATIENCE };
        let until = timeout.map(|timeout| {
            let timeout = SignedDuration::try_from(timeout + patience).unwrap_or(SignedDuration::MAX);
            now.saturating_add(timeout).unwrap_or(Timestamp::MAX)
        });
        Ok(Calling { pid, until, output: Some(output), text: Vec::new(), program, timed_out: false })
    }

    /// What tells that it has said something.
    pub(super) fn fd(&self) -> Option<&OwnedFd> {
        self.output.as_ref()
    }

    /// Takes in what it said; whether there may be more at once.
    pub(super) fn listen(&mut self, buffer: &mut [u8]) -> bool {
        let Some(output) = &self.output else { return false };
        match rustix::io::read(output, &mut *buffer) {
            Ok(0) => {
                self.output = None;
                false
            }
            Ok(length) => {
                let room = limits::CALL_OUTPUT_BYTES_MAX - self.text.len();
                self.text.extend_from_slice(&buffer[..length.min(room)]);
                true
            }
            Err(Errno::INTR) => true,
            Err(_) => false,
        }
    }

    /// Ends it, if it has taken too long; its process is waited for as usual.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if self.until.is_some_and(|until| until <= now) {
            self.timed_out = true;
            self.until = None;
            self.kill();
        }
    }

    /// Forces it to end.
    pub(super) fn kill(&self) {
        processes::signal_group(self.pid, Signal::KILL);
    }

    /// What came of it, now that its process has ended.
    pub(super) fn finish(mut self, ended: &Ended, buffer: &mut [u8]) -> Said {
        // What it left behind may go on writing.
        while self.text.len() < limits::CALL_OUTPUT_BYTES_MAX && self.listen(buffer) {}
        let text = || String::from_utf8_lossy(&self.text).into_owned();
        match (ended.code, &self.program) {
            _ if self.timed_out => Said::Failure(match &self.program {
                Some(program) => format!("command {program:?} timed out"),
                None => "timed out".to_owned(),
            }),
            (Some(0), _) => Said::Success,
            // Not by its own doing: its container may be about to end, and the kernel ends it first.
            _ if ended.signal == Some(Signal::KILL.as_raw()) => Said::Unknown("it was killed".to_owned()),
            (Some(FAILED), None) | (_, Some(_)) => Said::Failure(text()),
            (_, None) => Said::Unknown(text()),
        }
    }
}

/// Puts a question over the network, from a process of its own. It has the network of the pod, as the shim does.
fn ask(call: &Call, timeout: Option<Duration>, output: &OwnedFd) -> Result<i32, String> {
    match sys::fork().map_err(|error| words(&error))? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            let child = || {
                settle(output)?;
                set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok::<_, io::Error>(match call {
                    Call::Sleep { seconds } => {
                        let length = Timespec { tv_sec: i64::from(*seconds), tv_nsec: 0 };
                        // Every signal that could interrupt it is blocked.
                        let _ = poll(&mut [], Some(&length));
                        Said::Success
                    }
                    call => network::ask(call, timeout),
                })
            };
            let said =
                catch_unwind(AssertUnwindSafe(child)).unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            let (code, text) = match said {
                Ok(Said::Success) => (0, String::new()),
                Ok(Said::Failure(text)) => (FAILED, text),
                Ok(Said::Unknown(text)) => (UNKNOWN, text),
                Err(error) => (UNKNOWN, words(&error)),
            };
            // If the shim is gone, so will be this process.
            let _ = rustix::io::write(output, text.as_bytes());
            sys::exit_now(code);
        }
    }
}

/// Makes this process one of its own: nobody's signals, no input, and its output where it is to go.
fn settle(output: &OwnedFd) -> io::Result<()> {
    // It is no group's leader: it was just made.
    setsid()?;
    let null = File::open("/dev/null")?;
    dup2_stdin(null.as_fd())?;
    dup2_stdout(output)?;
    Ok(())
}

/// Executes a program in a container that runs, as the container's user.
fn execute(
    argv: &[String],
    timeout: Option<Duration>,
    place: &Place<'_>,
    output: OwnedFd,
) -> Result<i32, String> {
    let (report, child_report) = UnixStream::pair().map_err(|error| words(&error))?;
    // The container may hold its process up before the program is executed, and must not hold the shim up.
    let patience =
        timeout.map_or(limits::CALL_START_PATIENCE, |timeout| timeout.min(limits::CALL_START_PATIENCE));
    report.set_read_timeout(Some(patience)).map_err(|error| words(&error))?;
    let pid = match sys::fork().map_err(|error| words(&error))? {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            let child = || enter(argv, place, &output, child_report);
            // A panic must not go on into what the shim was doing.
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(1);
            sys::exit_now(code);
        }
    };
    drop((output, child_report));
    match launch::listen(&report) {
        Ok(_) => Ok(pid),
        Err(Failure::NotStarted(message) | Failure::Refused(crate::mounts::Refused { message, .. })) => {
            // It is reaped like any other child, when it has ended.
            processes::signal_group(pid, Signal::KILL);
            Err(format!("failed to exec in container: {message}"))
        }
    }
}

/// Goes where the container is and becomes the program, or its parent if it can only be so from there. Returns the exit
/// code of this process.
fn enter(argv: &[String], place: &Place<'_>, output: &OwnedFd, report: UnixStream) -> i32 {
    let entered = join(place, output).map_err(|error| Failure::NotStarted(words(&error)));
    let child = match entered {
        // Only what is made after that is in the container's process namespace.
        Ok(true) => sys::fork().map_err(|error| Failure::NotStarted(words(&error))),
        Ok(false) => Ok(Fork::Child),
        Err(failure) => Err(failure),
    };
    let failure = match child {
        Ok(Fork::Parent(pid)) => {
            // Whoever waits for the report waits for all who could give it.
            drop(report);
            let ended = sys::reap(pid);
            if ended.as_ref().is_ok_and(|ended| ended.signal == Some(Signal::KILL.as_raw())) {
                // So that the shim can tell.
                processes::signal(getpid().as_raw_pid(), Signal::KILL);
            }
            return ended.map_or(1, |ended| ended.exit_code());
        }
        Ok(Fork::Child) => enter::become_program(argv, place.container, output.as_fd(), &report),
        Err(failure) => failure,
    };
    launch::tell_failure(&report, &failure);
    1
}

/// Moves this process into the groups and namespaces of the container. Whether its process namespace is another one.
fn join(place: &Place<'_>, output: &OwnedFd) -> io::Result<bool> {
    settle(output)?;
    let (live, root) = (place.live, &place.container.root);
    if let Some(cgroup) = live.cgroup() {
        cgroup.join()?;
    }
    let score = root.as_ref().and_then(|root| root.resources.oom_score_adj).map(|score| score.to_string());
    if let Some(score) = score.or_else(|| place.settings.oom_score.clone()) {
        // As when the container was started.
        let _ = fs::write("/proc/self/oom_score_adj", score);
    }
    // It is not reaped, so that it is still that process.
    let pid = Pid::from_raw(live.process.pid).ok_or(Errno::SRCH)?;
    enter::join(live.process.pid, pidfd_open(pid, PidfdFlags::empty())?.as_fd())
}

fn words(error: &io::Error) -> String {
    launch::words(error)
}
