//! A bulkhead: so many calls at a time, so that one slow callee cannot take all there is.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Failure, Layer, Operation};
use crate::{clock, sync};

/// Lets so many calls run at a time; others wait their turn, first come first served, or are refused. Clones share it.
///
/// Defaults, of resilience4j: nobody waits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use cronlet_sdk::resilience::{Bulkhead, Failure};
///
/// let bulkhead = Bulkhead::new(1);
/// let inside: Result<(), Failure<()>> = bulkhead
///     .call(|| async {
///         let second: Result<(), Failure<()>> = bulkhead.call(|| async { Ok(()) }).await;
///         assert_eq!(second, Err(Failure::BulkheadFull));
///         Ok(())
///     })
///     .await;
/// assert_eq!(inside, Ok(()));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Bulkhead {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    max_queue: usize,
    max_wait: Duration,
}

impl Bulkhead {
    /// At most `max_concurrent_calls` at a time; nobody waits.
    pub fn new(max_concurrent_calls: usize) -> Bulkhead {
        Bulkhead {
            places: Arc::new(Semaphore::new(max_concurrent_calls.min(Semaphore::MAX_PERMITS))),
            waiting: Arc::default(),
            max_queue: usize::MAX,
            max_wait: Duration::ZERO,
        }
    }

    /// Calls wait up to this long for a place.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Bulkhead {
        self.max_wait = max_wait;
        self
    }

    /// At most this many calls wait at a time; default: no bound.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cronlet_sdk::resilience::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::new(25).max_wait(Duration::from_millis(100)).max_queue(50);
    /// assert_eq!(bulkhead.available(), 25);
    /// ```
    #[must_use]
    pub fn max_queue(mut self, max_queue: usize) -> Bulkhead {
        self.max_queue = max_queue;
        self
    }

    /// How many calls could begin now.
    pub fn available(&self) -> usize {
        self.places.available_permits()
    }

    /// Calls `operation` once there is a place.
    ///
    /// # Errors
    /// The call's own, or [`Failure::BulkheadFull`].
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }

    async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        sync::point();
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        if self.max_wait.is_zero() {
            return None;
        }
        let _queued = Queued::join(&self.waiting, self.max_queue)?;
        tokio::select! {
            biased;
            place = self.places.acquire() => place.ok(),
            () = clock::sleep_until(clock::later(self.max_wait)) => None,
        }
    }
}

/// One of those who wait, until dropped.
struct Queued<'a>(&'a AtomicUsize);

impl Queued<'_> {
    fn join(waiting: &AtomicUsize, max: usize) -> Option<Queued<'_>> {
        sync::point();
        let one_more = |count: usize| (count < max).then_some(count + 1);
        waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Queued(waiting))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        sync::point();
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Default for Bulkhead {
    /// resilience4j's: 25 calls at a time, nobody waits.
    fn default() -> Bulkhead {
        Bulkhead::new(25)
    }
}

impl<T: Send, E: Send> Layer<T, E> for Bulkhead {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        let _place = self.enter().await.ok_or(Failure::BulkheadFull)?;
        operation.call().await
    }
}
