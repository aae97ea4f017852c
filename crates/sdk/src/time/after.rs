//! Something after a while: Go's `time.After` and `time.AfterFunc`.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

use super::Timer;
use crate::{clock, sync};

/// A future of the instant `duration` from this call, whenever it is polled. Can be polled by reference in `select!`.
///
/// Cancel safe. Once it has ended it is pending forever.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// let started = tokio::time::Instant::now();
/// cronlet_sdk::time::after(Duration::from_secs(3)).await;
/// assert_eq!(started.elapsed(), Duration::from_secs(3));
/// # }
/// ```
pub fn after(duration: Duration) -> After {
    After { timer: Timer::new(duration) }
}

/// What [`after`] gives.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::{After, Ticker, after};
///
/// let mut over: After = after(Duration::from_millis(3200));
/// let mut ticker = Ticker::new(Duration::from_secs(1));
/// let mut ticks = 0;
/// loop {
///     tokio::select! {
///         _ = ticker.tick() => ticks += 1,
///         _ = &mut over => break,
///     }
/// }
/// assert_eq!(ticks, 3);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct After {
    timer: Timer,
}

impl Future for After {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.timer.poll_fired(cx)
    }
}

/// Runs `f` in a task of its own, `duration` from now. Dropping the handle changes nothing, as in Go.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::after_func;
///
/// let (sent, received) = tokio::sync::oneshot::channel();
/// let sent = std::sync::Mutex::new(Some(sent));
/// let timer = after_func(Duration::from_secs(1), move || {
///     let sent = sent.lock().unwrap().take();
///     async move { sent.map(|s| s.send("done")); }
/// });
/// assert_eq!(received.await, Ok("done"));
/// assert!(!timer.stop(), "it ran");
/// # }
/// ```
pub fn after_func<F, Fut>(duration: Duration, f: F) -> AfterFunc
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let run: Arc<Run> = Arc::new(move || Box::pin(f()));
    let timer = AfterFunc { state: Arc::default(), run };
    timer.reset(duration);
    timer
}

type Run = dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The handle on a function that [`after_func`] will run.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::{AfterFunc, after, after_func};
///
/// let timer: AfterFunc = after_func(Duration::from_secs(1), || async { println!("nobody was here") });
/// for _ in 0..5 {
///     after(Duration::from_millis(500)).await;
///     // Somebody was: it waits for another second.
///     assert!(timer.reset(Duration::from_secs(1)));
/// }
/// assert!(timer.stop());
/// # }
/// ```
#[derive(Clone)]
pub struct AfterFunc {
    state: Arc<Mutex<State>>,
    run: Arc<Run>,
}

#[derive(Default)]
struct State {
    /// Counts the settings: a task that waited for an earlier one finds that it is not meant any more.
    setting: u64,
    /// The task that waits, until it claims the run or is stopped.
    waiting: Option<AbortHandle>,
}

impl AfterFunc {
    /// True if this call prevented the run. False if the function was started already, or the timer was stopped; does
    /// not wait for a run that was started.
    pub fn stop(&self) -> bool {
        let Some(waiting) = self.lock().waiting.take() else { return false };
        waiting.abort();
        true
    }

    /// Runs the function `duration` from now, again if it has run already. True if it was waiting to run. A run that
    /// was started is neither stopped nor waited for, so two may run at a time.
    pub fn reset(&self, duration: Duration) -> bool {
        let deadline = clock::later(duration);
        let mut state = self.lock();
        let stopped = state.waiting.take().inspect(AbortHandle::abort).is_some();
        state.setting += 1;
        let (setting, timer) = (state.setting, self.clone());
        let task = tokio::spawn(async move {
            clock::sleep_until(deadline).await;
            if timer.claim(setting) {
                (timer.run)().await;
            }
        });
        state.waiting = Some(task.abort_handle());
        stopped
    }

    /// Takes the run of a setting, which nobody can stop after this. The lock decides between this and a stop.
    pub(super) fn claim(&self, setting: u64) -> bool {
        let mut state = self.lock();
        state.setting == setting && state.waiting.take().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").field("waiting", &self.lock().waiting.is_some()).finish_non_exhaustive()
    }
}
