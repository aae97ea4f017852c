//! A time limit for a call.

use std::{future::Future, time::Duration};

use super::{Failure, Layer, Operation};
use crate::clock;

/// Drops a call that does not end in time. resilience4j's `TimeLimiter`, whose default is 1 s.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Failure, Timeout};
///
/// let limit = Duration::from_secs(2);
/// let late: Result<(), Failure<()>> = Timeout::new(limit).call(std::future::pending).await;
/// assert_eq!(late, Err(Failure::TimedOut { after: limit }));
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Timeout {
    limit: Duration,
}

impl Timeout {
    /// Calls have `limit` to end.
    pub fn new(limit: Duration) -> Timeout {
        Timeout { limit }
    }

    /// Calls `operation` and waits up to the limit.
    ///
    /// # Errors
    /// The call's own, or [`Failure::TimedOut`].
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }
}

impl Default for Timeout {
    fn default() -> Timeout {
        Timeout::new(Duration::from_secs(1))
    }
}

impl<T: Send, E: Send> Layer<T, E> for Timeout {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        // A call that ends in the very moment its time is up has ended in time.
        tokio::select! {
            biased;
            result = operation.call() => result,
            () = clock::sleep_until(clock::later(self.limit)) => Err(Failure::TimedOut { after: self.limit }),
        }
    }
}
