//! Rate limits: so many calls per time.

mod fixed;
mod gcra;

pub use fixed::FixedWindow;
pub use gcra::Gcra;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Failure, Layer, Operation, SharedState,
    shared::{Held, SharedFile},
};
use crate::{clock, sync};

/// How long a call waits for its turn unless told otherwise (resilience4j's `timeoutDuration`).
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// A rule of turns without a clock: every method is handed the time.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{FixedWindow, Gcra, RateCore};
///
/// let (now, second) = (tokio::time::Instant::now(), Duration::from_secs(1));
/// let mut steady = Gcra::new(2, second).burst(1);
/// assert_eq!(steady.reserve(now, second), Ok(Duration::ZERO));
/// assert_eq!(steady.reserve(now, second), Ok(second / 2));
/// let mut window = FixedWindow::new(2, second);
/// assert_eq!([(); 3].map(|()| window.reserve(now, second)), [Ok(Duration::ZERO), Ok(Duration::ZERO), Ok(second)]);
///
/// // What one knows another can take over.
/// let mut heir = FixedWindow::new(2, second);
/// heir.recall(&window.remember(now).unwrap(), Duration::ZERO, now);
/// assert_eq!(heir.reserve(now, Duration::ZERO), Err(second));
/// ```
pub trait RateCore: Send {
    /// Takes a turn as of `now`, and says how long to wait for it, if that is no longer than `max_wait`.
    ///
    /// # Errors
    /// How long the wait would be; no turn is taken.
    fn reserve(&mut self, now: Instant, max_wait: Duration) -> Result<Duration, Duration>;

    /// What it knows, as a text that [`recall`](RateCore::recall) understands; nothing if it knows
    /// nothing, or cannot be kept.
    fn remember(&self, _now: Instant) -> Option<String> {
        None
    }

    /// Takes over what a rule of the same kind and numbers knew `age` before `now`; what makes no sense changes nothing.
    fn recall(&mut self, _text: &str, _age: Duration, _now: Instant) {}
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
    shared: Arc<Shared<dyn RateCore>>,
    timeout: Duration,
}

struct Shared<C: ?Sized> {
    /// Where it keeps what it knows, if that is to outlive it.
    file: OnceLock<SharedFile>,
    core: Mutex<C>,
}

impl RateLimiter {
    /// Turns by a rule, [`Gcra`] or [`FixedWindow`]; calls wait up to 5 s for theirs.
    pub fn new(rule: impl RateCore + 'static) -> RateLimiter {
        let shared = Shared { file: OnceLock::new(), core: Mutex::new(rule) };
        RateLimiter { shared: Arc::new(shared), timeout: TIMEOUT_DEFAULT }
    }

    /// Keeps what it knows in `state` from now on, under this name: limiters of that name which share the directory give
    /// turns of one rate together, in this process or in others. Their rules should be the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let directory = tempfile::tempdir().unwrap();
    /// use std::time::Duration;
    /// use cronlet_sdk::resilience::{Gcra, RateLimiter, SharedState};
    ///
    /// let shared = SharedState::in_directory(directory.path());
    /// let hourly = || RateLimiter::new(Gcra::new(1, Duration::from_secs(3600))).shared("mail", &shared);
    /// assert_eq!(hourly().acquire().await, Ok(()));
    /// // Another process, a little later:
    /// assert!(hourly().acquire().await.is_err());
    /// # }
    /// ```
    #[must_use]
    pub fn shared(self, name: &str, state: &SharedState) -> RateLimiter {
        // Whoever was first keeps it: a limiter has one file.
        let _first = self.shared.file.set(state.file("rate", name));
        self
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
        if let Some(turn) = self.reserve()? {
            clock::sleep_until(turn).await;
        }
        Ok(())
    }

    /// When it is its turn, if not at once.
    fn reserve(&self) -> Result<Option<Instant>, Duration> {
        let mut core = sync::lock(&self.shared.core);
        let held = self.shared.file.get().and_then(SharedFile::hold);
        // Under the lock: to a rule, whoever asks later asks at a later time.
        let now = clock::now();
        if let Some(known) = held.as_ref().and_then(Held::known) {
            core.recall(&known.text, known.age, now);
        }
        let reserved = core.reserve(now, self.timeout);
        if let (Some(held), Some(text)) = (held, core.remember(now)) {
            held.keep(&text);
        }
        let wait = reserved?;
        Ok((!wait.is_zero()).then(|| now.checked_add(wait).unwrap_or(now)))
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
