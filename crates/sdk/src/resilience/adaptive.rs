//! Adaptive concurrency: finds out how many calls at a time the callee can take.

mod aimd;
mod bbr;
mod gradient;

pub use aimd::Aimd;
pub use bbr::Bbr;
pub use gradient::Gradient2;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use super::{Failure, Layer, Operation};
use crate::{clock, sync};

/// What one call tells about the callee.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When it ended.
    pub now: Instant,
    /// How long it took.
    pub round_trip: Duration,
    /// How many calls were under way when it began, this one included.
    pub in_flight: usize,
    /// Whether it was cut short instead of ending.
    pub dropped: bool,
}

/// A rule for the limit without a clock.
///
/// ```
/// use cronlet_sdk::resilience::{AdaptiveLimiter, LimitAlgorithm, Sample};
///
/// /// As many calls at a time as were ever answered within a second.
/// struct Simple(usize);
///
/// impl LimitAlgorithm for Simple {
///     fn limit(&self) -> usize {
///         self.0
///     }
///
///     fn update(&mut self, sample: Sample) {
///         if !sample.dropped && sample.round_trip.as_secs() == 0 {
///             self.0 = self.0.max(sample.in_flight + 1);
///         }
///     }
/// }
///
/// let limiter = AdaptiveLimiter::new(Simple(1));
/// assert_eq!((limiter.limit(), limiter.in_flight()), (1, 0));
/// ```
pub trait LimitAlgorithm: Send {
    /// How many calls may run at a time.
    fn limit(&self) -> usize;

    /// Learns from a call.
    fn update(&mut self, sample: Sample);
}

/// Lets as many calls run at a time as an algorithm finds good; refuses others at once. Clones share it.
///
/// Learns from calls that succeed and from those that are cut short by a timeout or dropped. A call's own error says
/// nothing about the load, and is left out.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use cronlet_sdk::resilience::{AdaptiveLimiter, Failure, Gradient2};
///
/// let limiter = AdaptiveLimiter::new(Gradient2::default());
/// assert_eq!(limiter.limit(), 20);
/// let result: Result<u32, Failure<()>> = limiter.call(|| async { Ok(7) }).await;
/// assert_eq!(result, Ok(7));
/// # }
/// ```
#[derive(Clone)]
pub struct AdaptiveLimiter {
    state: Arc<Mutex<State<dyn LimitAlgorithm>>>,
}

struct State<A: ?Sized> {
    in_flight: usize,
    algorithm: A,
}

impl AdaptiveLimiter {
    /// A limit found by [`Aimd`], [`Gradient2`] or [`Bbr`].
    pub fn new(algorithm: impl LimitAlgorithm + 'static) -> AdaptiveLimiter {
        AdaptiveLimiter { state: Arc::new(Mutex::new(State { in_flight: 0, algorithm })) }
    }

    /// How many calls may run at a time, as of now.
    pub fn limit(&self) -> usize {
        self.lock().algorithm.limit()
    }

    /// How many calls are under way.
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Calls `operation` if the limit allows.
    ///
    /// # Errors
    /// The call's own, or [`Failure::Overloaded`].
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }

    fn begin(&self) -> Option<UnderWay<'_>> {
        let mut state = self.lock();
        if state.in_flight >= state.algorithm.limit() {
            return None;
        }
        state.in_flight += 1;
        let in_flight = state.in_flight;
        Some(UnderWay { limiter: self, began: clock::now(), in_flight, ended: Ended::Dropped })
    }

    fn lock(&self) -> MutexGuard<'_, State<dyn LimitAlgorithm + 'static>> {
        sync::lock(&self.state)
    }
}

enum Ended {
    Dropped,
    Well,
    SayingNothing,
}

/// A call under way; what it tells is learnt when it is dropped.
struct UnderWay<'a> {
    limiter: &'a AdaptiveLimiter,
    began: Instant,
    in_flight: usize,
    ended: Ended,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = clock::now();
        let mut state = self.limiter.lock();
        state.in_flight -= 1;
        let dropped = match self.ended {
            Ended::SayingNothing => return,
            Ended::Dropped => true,
            Ended::Well => false,
        };
        let round_trip = now.saturating_duration_since(self.began);
        state.algorithm.update(Sample { now, round_trip, in_flight: self.in_flight, dropped });
    }
}

impl<T: Send, E: Send> Layer<T, E> for AdaptiveLimiter {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        let mut under_way = self.begin().ok_or(Failure::Overloaded)?;
        let result = operation.call().await;
        under_way.ended = match &result {
            Ok(_) => Ended::Well,
            Err(Failure::TimedOut { .. }) => Ended::Dropped,
            Err(_) => Ended::SayingNothing,
        };
        result
    }
}

impl fmt::Debug for AdaptiveLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("AdaptiveLimiter")
            .field("limit", &state.algorithm.limit())
            .field("in_flight", &state.in_flight)
            .finish()
    }
}

/// A limit as a number of calls; fractions are for the algorithms only.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and zero is what is meant"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

/// A number of calls for computing with.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 calls under way")]
fn real(calls: usize) -> f64 {
    calls as f64
}
