//! Runs a task as a program: signals, grace, exit code.

use std::{future::Future, io, process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinError,
};

use super::{Environment, EnvironmentFault, ExitCodes, TaskError, measured::Measured, traced::Traced};
use crate::{
    clock,
    time::{Context, after},
};

/// Less than the 30 s that Kubernetes gives pods by default, so that the task says itself how it ended.
const GRACE_DEFAULT: Duration = Duration::from_secs(25);

/// What a task is given.
///
/// ```
/// use cronlet_sdk::task::{Task, TaskError};
///
/// async fn report(task: Task) -> Result<(), TaskError> {
///     println!("attempt {}", task.environment.attempt);
///     task.context.run(async { /* the work */ }).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Task {
    /// Ends when the task should: SIGTERM or SIGINT came.
    pub context: Context,
    /// What the environment says.
    pub environment: Environment,
    /// The span of the whole run, which ends with it. Make [children](crate::otlp::Span::child) of it.
    #[cfg(feature = "otlp")]
    pub span: std::sync::Arc<crate::otlp::Span>,
}

/// Runs `work` with the defaults of [`Program`].
///
/// The exit code is 0 for `Ok`, and for errors as in [`ExitCodes`]. Errors go to standard error, in logfmt.
pub fn main<F, Fut>(work: F) -> ExitCode
where
    F: FnOnce(Task) -> Fut,
    Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
{
    Program::default().run(work)
}

/// How a task is run.
///
/// ```no_run
/// use std::{process::ExitCode, time::Duration};
/// use cronlet_sdk::task::{ExitCodes, Program};
///
/// fn main() -> ExitCode {
///     Program::default()
///         .grace(Duration::from_secs(5))
///         .exit_codes(ExitCodes { permanent: 2, ..ExitCodes::default() })
///         .run(|_task| async { Ok(()) })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Program {
    grace: Duration,
    codes: ExitCodes,
    measured: Measured,
}

impl Default for Program {
    fn default() -> Program {
        Program { grace: GRACE_DEFAULT, codes: ExitCodes::default(), measured: Measured::default() }
    }
}

impl Program {
    /// How long the task may go on after it was told to end; 25 s unless told otherwise. Keep it below the pod's
    /// `terminationGracePeriodSeconds`. A second signal ends it at once.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Program {
        self.grace = grace;
        self
    }

    /// Other exit codes.
    #[must_use]
    pub fn exit_codes(mut self, codes: ExitCodes) -> Program {
        self.codes = codes;
        self
    }

    /// Counts the run in `registry` when it has ended, as [`Runs`](crate::metrics::Runs) does: as `succeeded`, `failed`,
    /// `cancelled` or `panicked`.
    ///
    /// ```no_run
    /// use cronlet_sdk::{metrics::{Registry, serve}, task::{Program, Task}};
    ///
    /// let registry = Registry::new();
    /// let served = registry.clone();
    /// Program::default().metrics(&registry).push("pushgateway:9091", "nightly-report").run(|task: Task| async move {
    ///     // For long tasks, which are there to be scraped.
    ///     let listener = tokio::net::TcpListener::bind("127.0.0.1:9100").await?;
    ///     tokio::spawn(serve(listener, served, task.context.clone()));
    ///     Ok(())
    /// });
    /// ```
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics(mut self, registry: &crate::metrics::Registry) -> Program {
        self.measured.registry = Some(registry.clone());
        self
    }

    /// Pushes the metrics to a Pushgateway at `address` (`host:port`) under the name of `job` when the run has ended: for
    /// tasks that end before a scrape.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn push(mut self, address: impl Into<String>, job: impl Into<String>) -> Program {
        self.measured.push = Some((address.into(), job.into()));
        self
    }

    /// Runs `work` in a multi-threaded tokio runtime, and returns what `main` should.
    pub fn run<F, Fut>(self, work: F) -> ExitCode
    where
        F: FnOnce(Task) -> Fut,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        match self.try_run(work) {
            Ok(code) => ExitCode::from(code),
            Err(faults) => {
                for fault in faults {
                    log_error(&fault, self.codes.misconfigured);
                }
                ExitCode::from(self.codes.misconfigured)
            }
        }
    }

    /// The exit code, or why the task cannot be run.
    fn try_run<F, Fut>(&self, work: F) -> Result<u8, Vec<String>>
    where
        F: FnOnce(Task) -> Fut,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let told = |faults: Vec<EnvironmentFault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        let environment = Environment::read(|name| std::env::var(name).ok()).map_err(told)?;
        let traced = Traced::begin(&environment).map_err(|fault| told(vec![fault]))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| vec![format!("there is no runtime: {error}")])?;
        let (began, attempt) = (clock::now(), environment.attempt);
        let code = runtime.block_on(async {
            let context = Context::background();
            let task = Task {
                context: context.clone(),
                environment,
                #[cfg(feature = "otlp")]
                span: traced.span.clone(),
            };
            let ending = match Signals::new() {
                Ok(mut signals) => {
                    supervise(work(task), &context, self.grace, async || signals.next().await).await
                }
                Err(error) => Ending::Failed(TaskError::retriable(error)),
            };
            let outcome = ending.outcome();
            let (code, message) = ending.verdict(&self.codes);
            if let Some(message) = &message {
                log_error(message, code);
            }
            let lost = tokio::join!(
                traced.end(code, message.as_deref()),
                self.measured.end(outcome, attempt, began.elapsed()),
            );
            for lost in [lost.0, lost.1].into_iter().flatten() {
                log_error(&lost, code);
            }
            code
        });
        // Blocking work that did not notice is left behind; the process ends.
        runtime.shutdown_background();
        Ok(code)
    }
}

/// How a task came to its end.
#[derive(Debug)]
pub(super) enum Ending {
    Succeeded,
    Failed(TaskError),
    Panicked(JoinError),
    /// It was told to end, and failed then.
    Cancelled(TaskError),
    /// It was told to end, did not in time, and was dropped.
    Abandoned(&'static str),
}

impl Ending {
    /// What it is counted as.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Ending::Succeeded => "succeeded",
            Ending::Failed(_) => "failed",
            Ending::Panicked(_) => "panicked",
            Ending::Cancelled(_) | Ending::Abandoned(_) => "cancelled",
        }
    }

    /// The exit code, and what to say.
    pub(super) fn verdict(self, codes: &ExitCodes) -> (u8, Option<String>) {
        match self {
            Ending::Succeeded => (0, None),
            Ending::Failed(error) | Ending::Cancelled(error) if error.is_permanent() => {
                (codes.permanent, Some(error.to_string()))
            }
            Ending::Failed(error) => (codes.retriable, Some(error.to_string())),
            Ending::Cancelled(error) => (codes.cancelled, Some(error.to_string())),
            Ending::Panicked(error) => (codes.panicked, Some(error.to_string())),
            Ending::Abandoned(why) => (codes.cancelled, Some(format!("did not end in time after {why}"))),
        }
    }
}

/// Runs `work` to its end. The first stop cancels the context; a second, or the end of the grace, drops the work.
pub(super) async fn supervise<Fut>(
    work: Fut,
    context: &Context,
    grace: Duration,
    mut stop: impl AsyncFnMut() -> &'static str,
) -> Ending
where
    Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
{
    let mut running = tokio::spawn(work);
    let name = tokio::select! {
        biased;
        result = &mut running => return ended(result, false),
        name = stop() => name,
    };
    context.cancel_because(name);
    tokio::select! {
        biased;
        result = &mut running => return ended(result, true),
        _ = stop() => {}
        _ = after(grace) => {}
    }
    running.abort();
    Ending::Abandoned(name)
}

fn ended(result: Result<Result<(), TaskError>, JoinError>, told_to_end: bool) -> Ending {
    match result {
        Ok(Ok(())) => Ending::Succeeded,
        Ok(Err(error)) if told_to_end || error.is_cancelled() => Ending::Cancelled(error),
        Ok(Err(error)) => Ending::Failed(error),
        Err(error) => Ending::Panicked(error),
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Signals { terminate, interrupt })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn log_error(message: &str, code: u8) {
    eprintln!("level=error msg={message:?} exit_code={code}");
}
