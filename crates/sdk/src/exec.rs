//! Retries and time limits for commands in any language: what a `cronlet exec -- cmd args` stands on.

use std::{ffi::OsString, io, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::{
    clock, event,
    resilience::{Backoff, RetryCore, RetryLimits},
    time::{Context, after},
};

/// The exit code of an attempt that took too long: that of coreutils' `timeout`.
pub const TIMED_OUT_CODE: u8 = 124;
/// The exit code if the command is there and cannot be executed, as of shells.
pub const NOT_EXECUTABLE_CODE: u8 = 126;
/// The exit code if there is no such command, as of shells.
pub const NOT_FOUND_CODE: u8 = 127;
/// What shells add to the number of the signal that ended a command.
const SIGNAL_BASE: i32 = 128;

/// A command, and how often and how long it is tried.
///
/// Each attempt is a process group of its own and finds its number in `CRONLET_ATTEMPT`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use cronlet_sdk::{exec::Exec, time::Context};
///
/// let exec = Exec::new("sh", ["-c", "exit $((3 - CRONLET_ATTEMPT))"]);
/// let ended = exec.backoff(Default::default()).run(&Context::background()).await;
/// assert_eq!((ended.code, ended.attempts), (0, 3));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Exec {
    command: OsString,
    arguments: Vec<OsString>,
    limits: RetryLimits,
    backoff: Backoff,
    timeout: Option<Duration>,
    grace: Duration,
    permanent: Vec<u8>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecEnded {
    /// The exit code of the last attempt, as a shell would give it.
    pub code: u8,
    /// How many attempts there were.
    pub attempts: u32,
}

impl Exec {
    /// A command and its arguments; 3 attempts, 500 ms apart, without a time limit.
    pub fn new<A: Into<OsString>>(
        command: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Exec {
        Exec {
            command: command.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limits: RetryLimits::default(),
            backoff: Backoff::default(),
            timeout: None,
            grace: Duration::from_secs(5),
            permanent: Vec::new(),
        }
    }

    /// How often and how long to try.
    #[must_use]
    pub fn limits(mut self, limits: RetryLimits) -> Exec {
        self.limits = limits;
        self
    }

    /// The waits between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Exec {
        self.backoff = backoff;
        self
    }

    /// Ends an attempt that takes longer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Exec {
        self.timeout = Some(timeout);
        self
    }

    /// How long after SIGTERM an attempt is killed; 5 s unless told otherwise.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Exec {
        self.grace = grace;
        self
    }

    /// Exit codes after which another attempt is in vain. A command that is not there is never tried again.
    #[must_use]
    pub fn permanent_codes(mut self, codes: impl IntoIterator<Item = u8>) -> Exec {
        self.permanent = codes.into_iter().collect();
        self
    }

    /// Runs the command until it succeeds, there is no further attempt, or `context` ends; the latter ends the attempt
    /// that is under way as a time limit does.
    ///
    /// Dropping the future kills the command, but not what it has started itself.
    pub async fn run(&self, context: &Context) -> ExecEnded {
        let mut core = RetryCore::new(clock::now());
        loop {
            let code = self.attempt(core.attempts(), context).await;
            let ended = ExecEnded { code, attempts: core.attempts() };
            let in_vain =
                self.permanent.contains(&code) || [NOT_FOUND_CODE, NOT_EXECUTABLE_CODE].contains(&code);
            if code == 0 || in_vain || context.is_done() {
                return ended;
            }
            match core.next(&self.limits, &self.backoff, clock::now(), None, fastrand::f64()) {
                Ok(wait) => {
                    event::retry(core.attempts(), wait);
                    if context.run(after(wait)).await.is_err() {
                        return ended;
                    }
                }
                Err(reason) => {
                    event::give_up(core.attempts(), reason);
                    return ended;
                }
            }
        }
    }

    async fn attempt(&self, number: u32, context: &Context) -> u8 {
        let mut command = Command::new(&self.command);
        command.args(&self.arguments).env("CRONLET_ATTEMPT", number.to_string());
        let mut child = match command.process_group(0).kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return NOT_FOUND_CODE,
            Err(_) => return NOT_EXECUTABLE_CODE,
        };
        let limit = self.timeout.unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            status = child.wait() => return code_of(status),
            _ = context.done() => {}
            _ = after(limit) => {}
        }
        let status = self.end(&mut child).await;
        if context.is_done() { code_of(status) } else { TIMED_OUT_CODE }
    }

    /// Asks the attempt to end, and kills it after the grace; kills what it has started and left behind.
    async fn end(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        signal(group, Signal::TERM);
        let status = tokio::select! {
            biased;
            status = child.wait() => status,
            _ = after(self.grace) => {
                signal(group, Signal::KILL);
                child.wait().await
            }
        };
        // A group outlives its leader. Its number cannot be given to another as long as it has members, and is not
        // given again at once when it has none.
        signal(group, Signal::KILL);
        status
    }
}

/// To the whole group. A group that is gone needs no signal, so errors are none.
fn signal(group: Option<Pid>, signal: Signal) {
    let _gone = group.map(|group| kill_process_group(group, signal));
}

fn code_of(status: io::Result<ExitStatus>) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;

    let code =
        status.ok().and_then(|status| status.code().or(status.signal().map(|number| SIGNAL_BASE + number)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_EXECUTABLE_CODE)
}

#[cfg(test)]
mod tests;
