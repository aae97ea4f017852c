//! All guards in one, in the one order that makes sense.

use std::{future::Future, marker::PhantomData, time::Duration};

use super::{
    AdaptiveLimiter, Bulkhead, CircuitBreaker, Failure, Fallback, Hedge, Layer, Operation, RateLimiter,
    Retry, Stack, Timeout,
};

/// The places of the order, outermost first. A policy's type names the innermost guard it has so far.
pub mod stage {
    macro_rules! order {
        ($stage:ident: $doc:literal $(, $later:ident: $docs:literal)* $(,)?) => {
            #[doc = $doc]
            #[derive(Debug, Clone, Copy)]
            pub struct $stage;
            $(impl super::Precedes<$later> for $stage {})*
            order!($($later: $docs),*);
        };
        () => {};
    }

    order! {
        Start: "Nothing yet.",
        Deadline: "A time limit on everything.",
        Fallbacks: "Something else when all has failed.",
        Retries: "Further attempts.",
        Hedging: "The same call beside a slow one.",
        Breaking: "No calls to what is broken.",
        Rate: "So many calls per time.",
        PerAttempt: "A time limit on each attempt.",
        Concurrency: "So many calls at a time.",
    }
}

/// A guard of stage `Later` may be put inside one of this stage.
///
/// ```
/// use cronlet_sdk::resilience::{Precedes, stage};
///
/// fn may_contain<Outer: Precedes<Inner>, Inner>() {}
/// may_contain::<stage::Retries, stage::Breaking>();
/// ```
#[diagnostic::on_unimplemented(
    message = "a `{Later}` guard cannot be put inside a `{Self}` guard",
    note = "the order is: deadline, fallback, retry, hedge, breaker, rate limit, timeout, bulkhead or adaptive"
)]
pub trait Precedes<Later> {}

/// The innermost layer of a policy that has none: makes the call.
#[derive(Debug, Clone, Copy)]
pub struct NoLayer;

impl<T: Send, E: Send> Layer<T, E> for NoLayer {
    fn guard(&self, operation: &impl Operation<T, E>) -> impl Future<Output = Result<T, Failure<E>>> + Send {
        operation.call()
    }
}

/// Guards around a call, added from the outermost inwards. Another order does not compile.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Backoff, Bulkhead, CircuitBreaker, Failure, Policy, Retry};
///
/// let policy = Policy::new()
///     .deadline(Duration::from_secs(30))
///     .retry(Retry::new(Backoff::exponential(Duration::from_millis(100), 2.0)))
///     .breaker(CircuitBreaker::new("stock", Default::default()))
///     .timeout(Duration::from_secs(2))
///     .bulkhead(Bulkhead::default());
/// let answer: Result<u32, Failure<std::io::Error>> = policy.call(|| async { Ok(42) }).await;
/// assert_eq!(answer.unwrap(), 42);
/// # }
/// ```
///
/// All of them but the fallback, with an adaptive limit in the place of the bulkhead:
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{
///     AdaptiveLimiter, CircuitBreaker, Gcra, Gradient2, Hedge, Policy, RateLimiter, Retry,
/// };
///
/// let policy = Policy::new()
///     .deadline(Duration::from_secs(30))
///     .retry(Retry::<u32, std::io::Error>::default())
///     .hedge(Hedge::default())
///     .breaker(CircuitBreaker::new("stock", Default::default()))
///     .rate_limit(RateLimiter::new(Gcra::new(10, Duration::from_secs(1))))
///     .timeout(Duration::from_secs(2))
///     .adaptive(AdaptiveLimiter::new(Gradient2::default()));
/// # drop(policy);
/// ```
///
/// A retry inside a breaker would hide failures from it:
///
/// ```compile_fail
/// use cronlet_sdk::resilience::{CircuitBreaker, Policy, Retry};
///
/// let breaker = CircuitBreaker::new("stock", Default::default());
/// let policy = Policy::new().breaker(breaker).retry(Retry::<(), ()>::default());
/// ```
#[derive(Debug, Clone)]
pub struct Policy<S, L> {
    layer: L,
    stage: PhantomData<S>,
}

impl Policy<stage::Start, NoLayer> {
    /// No guards: the call as it is.
    pub fn new() -> Policy<stage::Start, NoLayer> {
        Policy { layer: NoLayer, stage: PhantomData }
    }
}

impl Default for Policy<stage::Start, NoLayer> {
    fn default() -> Self {
        Policy::new()
    }
}

impl<S, L> Policy<S, L> {
    /// Limits the time of everything inside, retries and their waits included.
    pub fn deadline(self, limit: Duration) -> Policy<stage::Deadline, Stack<L, Timeout>>
    where
        S: Precedes<stage::Deadline>,
    {
        self.inside(Timeout::new(limit))
    }

    /// Does something else when everything inside has failed.
    pub fn fallback<F>(self, recover: F) -> Policy<stage::Fallbacks, Stack<L, Fallback<F>>>
    where
        S: Precedes<stage::Fallbacks>,
    {
        self.inside(Fallback::new(recover))
    }

    /// Tries again.
    pub fn retry<T, E>(self, retry: Retry<T, E>) -> Policy<stage::Retries, Stack<L, Retry<T, E>>>
    where
        S: Precedes<stage::Retries>,
    {
        self.inside(retry)
    }

    /// Makes the same call again beside one that takes long.
    pub fn hedge(self, hedge: Hedge) -> Policy<stage::Hedging, Stack<L, Hedge>>
    where
        S: Precedes<stage::Hedging>,
    {
        self.inside(hedge)
    }

    /// Stops calling what is broken. The breaker sees every attempt.
    pub fn breaker(self, breaker: CircuitBreaker) -> Policy<stage::Breaking, Stack<L, CircuitBreaker>>
    where
        S: Precedes<stage::Breaking>,
    {
        self.inside(breaker)
    }

    /// Limits the calls per time.
    pub fn rate_limit(self, limiter: RateLimiter) -> Policy<stage::Rate, Stack<L, RateLimiter>>
    where
        S: Precedes<stage::Rate>,
    {
        self.inside(limiter)
    }

    /// Limits the time of each attempt, the wait for a place in the bulkhead included.
    pub fn timeout(self, limit: Duration) -> Policy<stage::PerAttempt, Stack<L, Timeout>>
    where
        S: Precedes<stage::PerAttempt>,
    {
        self.inside(Timeout::new(limit))
    }

    /// Limits the calls at a time.
    pub fn bulkhead(self, bulkhead: Bulkhead) -> Policy<stage::Concurrency, Stack<L, Bulkhead>>
    where
        S: Precedes<stage::Concurrency>,
    {
        self.inside(bulkhead)
    }

    /// Limits the calls at a time by how fast they are answered.
    pub fn adaptive(self, limiter: AdaptiveLimiter) -> Policy<stage::Concurrency, Stack<L, AdaptiveLimiter>>
    where
        S: Precedes<stage::Concurrency>,
    {
        self.inside(limiter)
    }

    /// Calls `operation` under all guards. It is called anew for each attempt.
    ///
    /// # Errors
    /// The call's own, or that of the guard that refused it or cut it short.
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        L: Layer<T, E>,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.layer.guard(&async || operation().await.map_err(Failure::Call)).await
    }

    fn inside<Next, G>(self, guard: G) -> Policy<Next, Stack<L, G>> {
        Policy { layer: Stack { outer: self.layer, inner: guard }, stage: PhantomData }
    }
}

impl<S: Send + Sync, L: Layer<T, E>, T: Send, E: Send> Layer<T, E> for Policy<S, L> {
    fn guard(&self, operation: &impl Operation<T, E>) -> impl Future<Output = Result<T, Failure<E>>> + Send {
        self.layer.guard(operation)
    }
}
