//! A circuit breaker: stops calling what keeps failing or is slow, and finds out by a few probes when it works again.

mod config;
mod core;
mod window;

pub use config::{BreakerConfig, Window};
pub use core::{Admission, BreakerCore, BreakerState, CallOutcome, Ticket};

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Failure, Layer, Operation};
use crate::{clock, event};

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
}

type Tell = dyn Fn(BreakerState, BreakerState) + Send + Sync;

impl CircuitBreaker {
    /// A closed breaker. The name is for people who read logs.
    pub fn new(name: impl Into<String>, config: BreakerConfig) -> CircuitBreaker {
        CircuitBreaker::build(name.into(), config, None)
    }

    /// As [`new`](CircuitBreaker::new); `tell` hears of each change of the state, from one to the other. For metrics.
    pub fn with_listener(
        name: impl Into<String>,
        config: BreakerConfig,
        tell: impl Fn(BreakerState, BreakerState) + Send + Sync + 'static,
    ) -> CircuitBreaker {
        CircuitBreaker::build(name.into(), config, Some(Box::new(tell)))
    }

    fn build(name: String, config: BreakerConfig, on_change: Option<Box<Tell>>) -> CircuitBreaker {
        let core = Mutex::new(BreakerCore::new(config, clock::now()));
        CircuitBreaker { shared: Arc::new(Shared { name, core, on_change }) }
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

    /// Does something with the core, and tells if that changed its state.
    fn change<R>(&self, f: impl FnOnce(&mut BreakerCore) -> R) -> R {
        let mut core = self.lock();
        let before = core.state();
        let result = f(&mut core);
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
        self.shared.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way, which gives its probe back if it is dropped.
struct UnderWay<'a> {
    breaker: &'a CircuitBreaker,
    ticket: Option<Ticket>,
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
        let began = clock::now();
        let ticket = match self.change(|core| core.admit(began)) {
            Admission::Admitted(ticket) => ticket,
            Admission::Refused { retry_after } => return Err(Failure::CircuitOpen { retry_after }),
        };
        let mut under_way = UnderWay { breaker: self, ticket: Some(ticket) };
        let result = operation.call().await;
        let outcome = match &result {
            Ok(_) => CallOutcome::Success,
            Err(failure) if failure.is_rejection() => return result,
            Err(_) => CallOutcome::Failure,
        };
        if let Some(ticket) = under_way.ticket.take() {
            let now = clock::now();
            self.change(|core| core.record(ticket, outcome, now - began, now));
        }
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
