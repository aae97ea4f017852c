//! One event in the future, which can be stopped and set anew: Go's `time.Timer`.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::clock;

/// Fires once, at an instant.
///
/// As in Go 1.23, nothing stale is ever received: after [`stop`](Timer::stop) or [`reset`](Timer::reset), what the
/// timer was set to before does not matter any more, even if it had expired and nobody had looked.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::Timer;
///
/// let mut timer = Timer::new(Duration::from_secs(2));
/// timer.fired().await;
/// assert!(!timer.stop(), "it had fired");
/// # }
/// ```
#[derive(Debug)]
pub struct Timer {
    /// `None` when stopped, or fired and received.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Fires `duration` from now.
    pub fn new(duration: Duration) -> Timer {
        Timer::at(clock::later(duration))
    }

    /// Fires at `deadline`; at once if that is past.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use cronlet_sdk::time::Timer;
    ///
    /// let noon = tokio::time::Instant::now() + Duration::from_secs(3600);
    /// let mut timer = Timer::at(noon);
    /// assert_eq!(timer.due(), Some(noon));
    /// assert!(timer.reset(Duration::from_secs(60)), "it had not fired");
    /// let fired = std::future::poll_fn(|cx| timer.poll_fired(cx)).await;
    /// assert!(fired < noon);
    /// # }
    /// ```
    pub fn at(deadline: Instant) -> Timer {
        Timer { sleep: Some(Box::pin(clock::sleep_until(deadline))) }
    }

    /// Waits for the timer to fire and gives the instant it was due. Waits forever once that was received, and when
    /// the timer is stopped.
    ///
    /// Cancel safe: a future that is dropped has received nothing.
    pub fn fired(&mut self) -> impl Future<Output = Instant> + Send + '_ {
        poll_fn(|cx| self.poll_fired(cx))
    }

    /// [`fired`](Timer::fired) for futures written by hand.
    pub fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        let due = sleep.deadline();
        self.sleep = None;
        Poll::Ready(due)
    }

    /// Stops the timer. True if that prevented it from being received: it had not expired, or nobody had looked.
    pub fn stop(&mut self) -> bool {
        self.sleep.take().is_some()
    }

    /// Sets the timer to fire `duration` from now, whatever it was set to. True if it was active, as with
    /// [`stop`](Timer::stop).
    pub fn reset(&mut self, duration: Duration) -> bool {
        let deadline = clock::later(duration);
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(deadline);
            return true;
        }
        *self = Timer::at(deadline);
        false
    }

    /// When the timer is due; `None` once stopped or received.
    pub fn due(&self) -> Option<Instant> {
        self.sleep.as_ref().map(|sleep| sleep.deadline())
    }
}
