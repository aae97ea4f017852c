//! Hedging: when a call takes long, the same again beside it, and whichever is answered first counts.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use super::{Failure, Layer, Operation};
use crate::{clock, limits::HEDGES_MAX};

/// Begins another call when none has been answered for a while, or the last has failed; drops the others when one
/// succeeds. Only for calls that may be made twice. Defaults of Polly: one more call, after 2 s.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::{resilience::{Failure, Hedge}, time::after};
/// # use std::sync::atomic::{AtomicU64, Ordering};
///
/// let hedge = Hedge::new(Duration::from_millis(100)).max_hedges(2);
/// let calls = AtomicU64::new(0);
/// let answer: Result<u64, Failure<()>> = hedge
///     .call(|| async {
///         // The first call hangs, the second is quick.
///         let call = calls.fetch_add(1, Ordering::SeqCst);
///         after(Duration::from_secs(if call == 0 { 60 } else { 0 })).await;
///         Ok(call)
///     })
///     .await;
/// assert_eq!(answer, Ok(1));
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Hedge {
    delay: Duration,
    max_hedges: usize,
}

impl Hedge {
    /// One more call if there is no answer within `delay`.
    pub fn new(delay: Duration) -> Hedge {
        Hedge { delay, max_hedges: 1 }
    }

    /// Up to this many more calls, `delay` apart; at most [`HEDGES_MAX`].
    #[must_use]
    pub fn max_hedges(mut self, hedges: usize) -> Hedge {
        self.max_hedges = hedges.min(HEDGES_MAX);
        self
    }

    /// Calls `operation`, and again if that takes long.
    ///
    /// # Errors
    /// The last failure, when all calls have failed.
    pub async fn call<T, E, Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }
}

impl Default for Hedge {
    fn default() -> Hedge {
        Hedge::new(Duration::from_secs(2))
    }
}

impl<T: Send, E: Send> Layer<T, E> for Hedge {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        let mut running = vec![Box::pin(operation.call())];
        let mut begun = 1;
        let mut alarm = pin!(clock::sleep_until(clock::later(self.delay)));
        loop {
            let more = begun <= self.max_hedges;
            let answer = poll_fn(|cx| {
                if let Poll::Ready(result) = poll_first(&mut running, cx) {
                    return Poll::Ready(Some(result));
                }
                // The alarm is of no interest once no call may begin any more.
                if more { alarm.as_mut().poll(cx).map(|()| None) } else { Poll::Pending }
            });
            match answer.await {
                Some(Err(failure)) if !more && running.is_empty() => return Err(failure),
                Some(Err(_)) if !more => continue,
                Some(Err(_)) | None => {}
                Some(answered) => return answered,
            }
            running.push(Box::pin(operation.call()));
            begun += 1;
            alarm.as_mut().reset(clock::later(self.delay));
        }
    }
}

/// The output of the first of `running` that has ended, which is taken out.
fn poll_first<F: Future>(running: &mut Vec<Pin<Box<F>>>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
    for index in 0..running.len() {
        if let Poll::Ready(output) = running[index].as_mut().poll(cx) {
            drop(running.swap_remove(index));
            return Poll::Ready(output);
        }
    }
    Poll::Pending
}
