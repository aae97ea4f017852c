//! `cronlet exec`: a command with retries, a time limit and a circuit breaker, for jobs in any language.

use std::{ffi::OsString, path::PathBuf, pin::pin, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use cronlet_sdk::{
    exec::{Exec, ExecRetry},
    resilience::{Backoff, BreakerConfig, CircuitBreaker, Jitter, RetryLimits, SharedState, Window},
    time::Context,
};
use jiff::SignedDuration;

use super::block_on;
use crate::signals::Signals;

/// Run a command with retries, a time limit and a circuit breaker.
#[derive(Args)]
#[command(
    after_help = "Exits with the code of the last attempt as a shell would give it: 124 if it took too long, 126 \
                        if the command cannot be executed, 127 if it is not there; 75 if the breaker let none begin."
)]
pub struct ExecArguments {
    /// How often to try again, the first attempt not counted
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    retry: u32,
    /// How long to wait before trying again, such as 500ms, 10s, 1m
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration)]
    delay: Duration,
    /// How many times as long each further wait is
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    multiplier: f64,
    /// No wait is longer
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_delay: Option<Duration>,
    /// How waits are spread
    #[arg(long, value_enum, default_value_t = JitterChoice::None)]
    jitter: JitterChoice,
    /// Begin no attempt later than this after the first
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_total: Option<Duration>,
    /// End an attempt that takes longer, with all it has started
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// How long after SIGTERM an attempt is killed
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    grace: Duration,
    /// Exit codes after which another attempt is in vain, such as 2,65
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    permanent: Vec<u8>,
    /// Begin no attempt while this breaker is open; runs that share --state-dir share it
    #[arg(long, value_name = "NAME")]
    breaker: Option<String>,
    /// How many of the latest attempts the breaker looks at
    #[arg(long, value_name = "COUNT", default_value_t = 10, requires = "breaker")]
    breaker_window: usize,
    /// It opens when so many percent of them failed
    #[arg(long, value_name = "PERCENT", default_value_t = 50.0, requires = "breaker")]
    breaker_failures: f64,
    /// How long it stays open before it lets an attempt probe
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, requires = "breaker")]
    breaker_wait: Duration,
    /// Where breakers keep what they know
    #[arg(long, value_name = "DIR", env = "CRONLET_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How waits are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum JitterChoice {
    /// As they are
    None,
    /// From nothing to the wait
    Full,
    /// From half the wait to the wait
    Equal,
    /// From the first wait to three times the last
    Decorrelated,
}

/// Runs the command. Signals that ask for an end are passed on, and end the attempts.
pub fn run(arguments: &ExecArguments) -> anyhow::Result<ExitCode> {
    block_on(async {
        let state = arguments.state_dir.as_ref().map(SharedState::in_directory);
        let exec = arguments.exec(state.as_ref());
        let (context, mut signals) = (Context::background(), Signals::new().context("cannot hear signals")?);
        let mut work = pin!(exec.run(&context));
        let ended = tokio::select! {
            ended = &mut work => ended,
            () = signals.next() => {
                context.cancel();
                work.await
            }
        };
        if let Some(fault) = state.and_then(|state| state.fault()) {
            eprintln!("cronlet exec: {fault}");
        }
        if let Some(breaker) = arguments.breaker.as_ref().filter(|_| ended.refused) {
            eprintln!("cronlet exec: circuit breaker {breaker:?} is open: no further attempt");
        }
        if let Some(error) = &ended.not_started {
            eprintln!("cronlet exec: cannot run {:?}: {error}", arguments.command[0]);
        }
        Ok(ExitCode::from(ended.code))
    })
}

impl ExecArguments {
    fn exec(&self, state: Option<&SharedState>) -> Exec {
        let jitter = match self.jitter {
            JitterChoice::None => Jitter::None,
            JitterChoice::Full => Jitter::Full,
            JitterChoice::Equal => Jitter::Equal,
            JitterChoice::Decorrelated => Jitter::Decorrelated,
        };
        let backoff = Backoff::exponential(self.delay, self.multiplier).jitter(jitter);
        let mut exec = Exec::new(&self.command[0], &self.command[1..])
            .limits(RetryLimits {
                max_attempts: self.retry.saturating_add(1),
                max_total: self.max_total.unwrap_or(Duration::MAX),
            })
            .backoff(backoff.max(self.max_delay.unwrap_or(Duration::MAX)))
            .grace(self.grace)
            .permanent_codes(self.permanent.iter().copied())
            .on_retry(tell);
        if let Some(timeout) = self.timeout {
            exec = exec.timeout(timeout);
        }
        match &self.breaker {
            Some(name) => exec.breaker(self.breaker(name, state)),
            None => exec,
        }
    }

    fn breaker(&self, name: &str, state: Option<&SharedState>) -> CircuitBreaker {
        let config = BreakerConfig {
            failure_rate_threshold: self.breaker_failures,
            // A command takes as long as it takes; --timeout says when that is too long.
            slow_call_duration_threshold: Duration::MAX,
            window: Window::Count(self.breaker_window),
            minimum_calls: self.breaker_window,
            permitted_calls_in_half_open: 1,
            wait_in_open: self.breaker_wait,
            ..BreakerConfig::default()
        };
        let breaker = CircuitBreaker::new(name, config);
        match state {
            Some(state) => breaker.shared(state),
            None => {
                eprintln!(
                    "cronlet exec: circuit breaker {name:?} knows this run alone: name a directory that outlives it with \
                     --state-dir or CRONLET_STATE_DIR"
                );
                breaker
            }
        }
    }
}

fn tell(retry: &ExecRetry) {
    let ExecRetry { attempt, code, wait, .. } = retry;
    let wait = SignedDuration::try_from(*wait).unwrap_or(SignedDuration::MAX);
    eprintln!("cronlet exec: attempt {attempt} ended with {code}; again in {wait:#}");
}

/// A length of time as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<SignedDuration, _> = text.parse();
    let expected = || "expected a length of time such as 500ms, 10s or 1m30s".to_owned();
    parsed.map_err(|_| expected())?.try_into().map_err(|_| expected())
}
