//! Rate limits: so many calls per time.

mod fixed;
mod gcra;

pub use fixed::FixedWindow;
pub use gcra::Gcra;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Failure, Layer, Operation};
use crate::clock;

/// How long a call waits for its turn unless told otherwise (resilience4j's `timeoutDuration`).
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// A rule of turns without a clock: every method is handed the time.
pub trait RateCore: Send {
    /// Takes a turn as of `now`, and says how long to wait for it, if that is no longer than `max_wait`.
    ///
    /// # Errors
    /// How long the wait would be; no turn is taken.
    fn reserve(&mut self, now: Instant, max_wait: Duration) -> Result<Duration, Duration>;
}

/// Gives calls their turns, in the order in which they ask. Clones share it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), std::time::Duration> {
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Gcra, RateLimiter};
///
/// let limiter = RateLimiter::new(Gcra::new(10, Duration::from_secs(1)).burst(1));
/// let started = tokio::time::Instant::now();
/// for _ in 0..3 {
///     limiter.acquire().await?;
/// }
/// // Tokio's timers round up to the next millisecond.
/// assert!((200..=202).contains(&started.elapsed().as_millis()));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    core: Arc<Mutex<dyn RateCore>>,
    timeout: Duration,
}

impl RateLimiter {
    /// Turns by a rule, [`Gcra`] or [`FixedWindow`]; calls wait up to 5 s for theirs.
    pub fn new(rule: impl RateCore + 'static) -> RateLimiter {
        RateLimiter { core: Arc::new(Mutex::new(rule)), timeout: TIMEOUT_DEFAULT }
    }

    /// Calls wait up to this long for their turn; not at all with zero.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> RateLimiter {
        self.timeout = timeout;
        self
    }

    /// Waits for a turn. A turn stays spent if this future is dropped.
    ///
    /// # Errors
    /// How long the wait would be, at once, if that is too long.
    pub async fn acquire(&self) -> Result<(), Duration> {
        let now = clock::now();
        let reserved = self.core.lock().unwrap_or_else(PoisonError::into_inner).reserve(now, self.timeout);
        let wait = reserved?;
        if !wait.is_zero() {
            clock::sleep_until(now.checked_add(wait).unwrap_or(now)).await;
        }
        Ok(())
    }

    /// Calls `operation` when it is its turn.
    ///
    /// # Errors
    /// The call's own, or [`Failure::RateLimited`].
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }
}

impl<T: Send, E: Send> Layer<T, E> for RateLimiter {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        self.acquire().await.map_err(|retry_after| Failure::RateLimited { retry_after })?;
        operation.call().await
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
