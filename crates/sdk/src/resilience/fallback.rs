//! Something else when a call fails.

use std::future::Future;

use super::{Failure, Layer, Operation};

/// Handles what a call failed with: gives another result, or the same or another failure.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use cronlet_sdk::resilience::{Failure, Fallback, Policy};
///
/// let policy = Policy::new().fallback(|_: Failure<&str>| async { Ok("what we had yesterday") });
/// assert_eq!(policy.call(|| async { Err("no route to host") }).await, Ok("what we had yesterday"));
/// // Alone, as a layer of your own stack:
/// let fallback = Fallback::new(|failure: Failure<String>| async move { Err::<u32, _>(failure) });
/// # drop(fallback);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Fallback<F> {
    recover: F,
}

impl<F> Fallback<F> {
    /// `recover` is a `Fn(Failure<E>) -> impl Future<Output = Result<T, Failure<E>>>`.
    pub fn new(recover: F) -> Fallback<F> {
        Fallback { recover }
    }
}

impl<T, E, F, Fut> Layer<T, E> for Fallback<F>
where
    T: Send,
    E: Send,
    F: Fn(Failure<E>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, Failure<E>>> + Send,
{
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        match operation.call().await {
            Ok(value) => Ok(value),
            Err(failure) => (self.recover)(failure).await,
        }
    }
}
