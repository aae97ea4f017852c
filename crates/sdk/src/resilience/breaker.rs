//! A circuit breaker: stops calling what keeps failing or is slow, and finds out by a few probes when it works again.

mod config;
mod core;
mod window;

pub use config::{BreakerConfig, Window};
pub use core::{Admission, BreakerCore, BreakerState, CallOutcome, Ticket};

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Failure, Layer, Operation, SharedState,
    shared::{Held, SharedFile},
};
use crate::{clock, event, limits::SHARED_PROBE_SECONDS_MAX, sync};

/// A circuit breaker that all clones share. Usually one for each thing that is called.
///
/// The call's own errors and timeouts count as failures; what an inner guard refused does not count at all.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use cronlet_sdk::resilience::{BreakerConfig, BreakerState, CircuitBreaker, Failure, Window};
///
/// let config = BreakerConfig { window: Window::Count(2), ..BreakerConfig::default() };
/// let breaker = CircuitBreaker::new("stock", config);
/// for _ in 0..2 {
///     let _: Result<(), _> = breaker.call(|| async { Err("refused") }).await;
/// }
/// assert_eq!(breaker.state(), BreakerState::Open);
/// let refused: Result<(), Failure<&str>> = breaker.call(|| async { Ok(()) }).await;
/// assert!(matches!(refused, Err(Failure::CircuitOpen { .. })));
/// # }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    core: Mutex<BreakerCore>,
    on_change: Option<Box<Tell>>,
    /// Where it keeps what it knows, if that is to outlive it.
    file: OnceLock<SharedFile>,
}

type Tell = dyn Fn(BreakerState, BreakerState) + Send + Sync;

impl CircuitBreaker {
    /// A closed breaker. The name is for people who read logs.
    pub fn new(name: impl Into<String>, config: BreakerConfig) -> CircuitBreaker {
        CircuitBreaker::build(name.into(), config, None)
    }

    /// As [`new`](CircuitBreaker::new); `tell` hears of each change of the state, from one to the other. For metrics.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::sync::{Arc, Mutex};
    /// use cronlet_sdk::resilience::{BreakerConfig, BreakerState, CircuitBreaker};
    ///
    /// let heard = Arc::new(Mutex::new(Vec::new()));
    /// let changes = heard.clone();
    /// let breaker = CircuitBreaker::with_listener("stock", BreakerConfig::default(), move |from, to| {
    ///     changes.lock().unwrap().push((from, to));
    /// });
    /// breaker.force(BreakerState::Disabled);
    /// assert_eq!(breaker.name(), "stock");
    /// assert_eq!(*heard.lock().unwrap(), [(BreakerState::Closed, BreakerState::Disabled)]);
    /// # }
    /// ```
    pub fn with_listener(
        name: impl Into<String>,
        config: BreakerConfig,
        tell: impl Fn(BreakerState, BreakerState) + Send + Sync + 'static,
    ) -> CircuitBreaker {
        CircuitBreaker::build(name.into(), config, Some(Box::new(tell)))
    }

    fn build(name: String, config: BreakerConfig, on_change: Option<Box<Tell>>) -> CircuitBreaker {
        let core = Mutex::new(BreakerCore::new(config, clock::now()));
        CircuitBreaker { shared: Arc::new(Shared { name, core, on_change, file: OnceLock::new() }) }
    }

    /// Keeps what it knows in `state` from now on, under its name: it knows what breakers of that name have learnt that
    /// share the directory, in this process or in others, and forcing one forces all. Their rules should be the same.
    ///
    /// Probes whose process died are waited for as `max_wait_in_half_open` says, and for an hour if that says nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let directory = tempfile::tempdir().unwrap();
    /// use cronlet_sdk::resilience::{BreakerConfig, BreakerState, CircuitBreaker, SharedState};
    ///
    /// let shared = SharedState::in_directory(directory.path());
    /// let breaker = || CircuitBreaker::new("stock", BreakerConfig::default()).shared(&shared);
    /// breaker().force(BreakerState::ForcedOpen);
    /// assert_eq!(breaker().state(), BreakerState::ForcedOpen);
    /// # }
    /// ```
    #[must_use]
    pub fn shared(self, state: &SharedState) -> CircuitBreaker {
        self.lock().bound_probes(Duration::from_secs(SHARED_PROBE_SECONDS_MAX));
        // Whoever was first keeps it: a breaker has one file.
        let _first = self.shared.file.set(state.file("breaker", &self.shared.name));
        self
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The state as of now.
    pub fn state(&self) -> BreakerState {
        self.change(|core| {
            core.advance(clock::now());
            core.state()
        })
    }

    /// Puts the breaker into a state, where it stays as long as that state's rules say. The window begins anew.
    pub fn force(&self, state: BreakerState) {
        self.change(|core| core.force(state, clock::now()));
    }

    /// Calls `operation` if the breaker lets it.
    ///
    /// # Errors
    /// The call's own, or [`Failure::CircuitOpen`].
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }

    /// Begins a call, or says when probes are let through, where that is known.
    pub(crate) fn begin(&self) -> Result<UnderWay<'_>, Option<Duration>> {
        let began = clock::now();
        match self.change(|core| core.admit(began)) {
            Admission::Admitted(ticket) => Ok(UnderWay { breaker: self, ticket: Some(ticket), began }),
            Admission::Refused { retry_after } => Err(retry_after),
        }
    }

    /// Does something with the core, and tells if that changed its state.
    fn change<R>(&self, f: impl FnOnce(&mut BreakerCore) -> R) -> R {
        let mut core = self.lock();
        let before = core.state();
        let held = self.shared.file.get().and_then(SharedFile::hold);
        if let Some(known) = held.as_ref().and_then(Held::known) {
            let _kept = core.recall(&known.text, known.age, clock::now());
        }
        let result = f(&mut core);
        if let Some(held) = held {
            held.keep(&core.remember(clock::now()));
        }
        let after = core.state();
        drop(core);
        if before != after {
            event::breaker(&self.shared.name, before, after);
            if let Some(tell) = &self.shared.on_change {
                tell(before, after);
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, BreakerCore> {
        sync::lock(&self.shared.core)
    }
}

/// A call under way, which gives its probe back if it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    breaker: &'a CircuitBreaker,
    ticket: Option<Ticket>,
    began: Instant,
}

impl UnderWay<'_> {
    /// Counts how the call ended, which was now.
    pub(crate) fn end(mut self, outcome: CallOutcome) {
        if let Some(ticket) = self.ticket.take() {
            let now = clock::now();
            self.breaker.change(|core| core.record(ticket, outcome, now - self.began, now));
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.change(|core| core.release(ticket));
        }
    }
}

impl<T: Send, E: Send> Layer<T, E> for CircuitBreaker {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        let under_way = self.begin().map_err(|retry_after| Failure::CircuitOpen { retry_after })?;
        let result = operation.call().await;
        let outcome = match &result {
            Ok(_) => CallOutcome::Success,
            Err(failure) if failure.is_rejection() => return result,
            Err(_) => CallOutcome::Failure,
        };
        under_way.end(outcome);
        result
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.shared.name)
            .field("core", &*self.lock())
            .finish()
    }
}
