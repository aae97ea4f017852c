//! Retries, time limits and breakers for commands in any language: what `cronlet exec -- cmd args` stands on.

use std::{ffi::OsString, fmt, io, process::ExitStatus, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::{
    clock, event,
    resilience::{Backoff, CallOutcome, CircuitBreaker, RetryCore, RetryLimits},
    time::{Context, after},
};

/// The exit code if a breaker let no attempt begin: `EX_TEMPFAIL`, as another run may help.
pub const REFUSED_CODE: u8 = 75;
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
#[derive(Clone)]
pub struct Exec {
    command: OsString,
    arguments: Vec<OsString>,
    limits: RetryLimits,
    backoff: Backoff,
    timeout: Option<Duration>,
    grace: Duration,
    permanent: Vec<u8>,
    breaker: Option<CircuitBreaker>,
    on_retry: Option<Arc<Tell>>,
}

type Tell = dyn Fn(&ExecRetry) + Send + Sync;

/// How a command ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use cronlet_sdk::exec::{Exec, ExecEnded, NOT_EXECUTABLE_CODE, NOT_FOUND_CODE};
/// use cronlet_sdk::time::Context;
///
/// let run = async |command: &str| Exec::new(command, [""; 0]).run(&Context::background()).await;
/// assert_eq!(run("true").await.code, 0);
/// assert_eq!(run("/").await.code, NOT_EXECUTABLE_CODE);
/// let ExecEnded { code, attempts, not_started, .. } = run("/no/such/command").await;
/// assert_eq!((code, attempts), (NOT_FOUND_CODE, 1));
/// assert_eq!(not_started, Some(std::io::ErrorKind::NotFound));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecEnded {
    /// The exit code of the last attempt, as a shell would give it; [`REFUSED_CODE`] if there was none.
    pub code: u8,
    /// How many attempts there were.
    pub attempts: u32,
    /// Whether there would have been another if the breaker had let it begin.
    pub refused: bool,
    /// Why the command could not be executed, if it could not.
    pub not_started: Option<io::ErrorKind>,
}

/// That an attempt failed and there will be another.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::exec::{Exec, ExecRetry, TIMED_OUT_CODE};
/// use cronlet_sdk::{resilience::{Backoff, RetryLimits}, time::Context};
///
/// let exec = Exec::new("sleep", ["600"])
///     .limits(RetryLimits { max_attempts: 2, ..RetryLimits::default() })
///     .backoff(Backoff::constant(Duration::from_millis(1)))
///     .timeout(Duration::from_millis(20))
///     .grace(Duration::from_millis(20))
///     .permanent_codes([2, 65])
///     .on_retry(|retry: &ExecRetry| println!("attempt {} ended with {}", retry.attempt, retry.code));
/// assert_eq!(exec.run(&Context::background()).await.code, TIMED_OUT_CODE);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecRetry {
    /// The attempt that failed, from 1.
    pub attempt: u32,
    /// Its exit code, as a shell would give it.
    pub code: u8,
    /// How long until the next begins.
    pub wait: Duration,
}

/// How one attempt ended: its exit code, and why it did not start if it did not.
type Attempt = (u8, Option<io::ErrorKind>);

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
            breaker: None,
            on_retry: None,
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

    /// No attempt begins while this breaker is open. An attempt that fails is a failure to it, but for one that could not
    /// be executed, or was ended because the context was.
    ///
    /// A breaker is of use to commands if it [outlives the process](CircuitBreaker::shared).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let directory = tempfile::tempdir().unwrap();
    /// use cronlet_sdk::{exec::{Exec, REFUSED_CODE}, time::Context};
    /// use cronlet_sdk::resilience::{BreakerConfig, BreakerState, CircuitBreaker, SharedState};
    ///
    /// let breaker = CircuitBreaker::new("stock", BreakerConfig::default());
    /// let breaker = breaker.shared(&SharedState::in_directory(directory.path()));
    /// breaker.force(BreakerState::Open);
    /// let ended = Exec::new("true", [""; 0]).breaker(breaker).run(&Context::background()).await;
    /// assert_eq!((ended.code, ended.attempts, ended.refused), (REFUSED_CODE, 0, true));
    /// # }
    /// ```
    #[must_use]
    pub fn breaker(mut self, breaker: CircuitBreaker) -> Exec {
        self.breaker = Some(breaker);
        self
    }

    /// Tells of each attempt that will be followed by another.
    #[must_use]
    pub fn on_retry(mut self, tell: impl Fn(&ExecRetry) + Send + Sync + 'static) -> Exec {
        self.on_retry = Some(Arc::new(tell));
        self
    }

    /// Runs the command until it succeeds, there is no further attempt, or `context` ends; the latter ends the attempt
    /// that is under way as a time limit does.
    ///
    /// Dropping the future kills the command, but not what it has started itself.
    pub async fn run(&self, context: &Context) -> ExecEnded {
        let mut core = RetryCore::new(clock::now());
        let mut ended = ExecEnded { code: REFUSED_CODE, attempts: 0, refused: false, not_started: None };
        loop {
            let attempt = core.attempts();
            let Some((code, not_started)) = self.admitted(attempt, context).await else {
                return ExecEnded { refused: true, ..ended };
            };
            ended = ExecEnded { code, attempts: attempt, refused: false, not_started };
            let in_vain = self.permanent.contains(&code) || not_started.is_some();
            if code == 0 || in_vain || context.is_done() {
                return ended;
            }
            match core.next(&self.limits, &self.backoff, clock::now(), None, fastrand::f64()) {
                Ok(wait) => {
                    event::retry(core.attempts(), wait);
                    if let Some(tell) = &self.on_retry {
                        tell(&ExecRetry { attempt, code, wait });
                    }
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

    /// An attempt, if the breaker lets it begin.
    async fn admitted(&self, number: u32, context: &Context) -> Option<Attempt> {
        let Some(breaker) = &self.breaker else { return Some(self.attempt(number, context).await) };
        let under_way = breaker.begin().ok()?;
        let (code, not_started) = self.attempt(number, context).await;
        if code == 0 {
            under_way.end(CallOutcome::Success);
        } else if not_started.is_none() && !context.is_done() {
            under_way.end(CallOutcome::Failure);
        }
        Some((code, not_started))
    }

    async fn attempt(&self, number: u32, context: &Context) -> Attempt {
        let mut command = Command::new(&self.command);
        command.args(&self.arguments).env("CRONLET_ATTEMPT", number.to_string());
        let mut child = match command.process_group(0).kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return (NOT_FOUND_CODE, Some(error.kind()));
            }
            Err(error) => return (NOT_EXECUTABLE_CODE, Some(error.kind())),
        };
        let limit = self.timeout.unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            status = child.wait() => return (code_of(status), None),
            _ = context.done() => {}
            _ = after(limit) => {}
        }
        let status = self.end(&mut child).await;
        (if context.is_done() { code_of(status) } else { TIMED_OUT_CODE }, None)
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

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("command", &self.command)
            .field("arguments", &self.arguments.len())
            .field("limits", &self.limits)
            .field("backoff", &self.backoff)
            .field("timeout", &self.timeout)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
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
