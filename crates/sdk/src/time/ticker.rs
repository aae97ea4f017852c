//! Events at a steady pace: Go's `time.Ticker`.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::{clock, limits::TICKER_PERIOD_MS_MIN};

/// What becomes of the ticks that fell due while nobody was waiting.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::{MissedTicks, Ticker, after};
///
/// let second = Duration::from_secs(1);
/// let mut ticker = Ticker::new(second).missed_ticks(MissedTicks::Burst);
/// after(second * 3).await;
/// let ticks = [ticker.tick().await, ticker.tick().await];
/// assert_eq!(ticks[1] - ticks[0], second);
/// ticker.reset(second * 2);
/// assert_eq!(ticker.period(), second * 2);
/// // In a future of your own:
/// assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(ticker.poll_tick(cx).is_pending())).await);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedTicks {
    /// The oldest is received at once, the others are dropped, and the pace stays on its grid: Go's one-slot channel.
    #[default]
    Drop,
    /// All are received, one after the other, at once.
    Burst,
    /// The oldest is received at once, and the next comes a full period after that.
    Delay,
}

/// Ticks every `period`, for the first time one period from now.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::Ticker;
///
/// let mut ticker = Ticker::new(Duration::from_secs(1));
/// let first = ticker.tick().await;
/// assert_eq!(ticker.tick().await - first, Duration::from_secs(1));
/// # }
/// ```
#[derive(Debug)]
pub struct Ticker {
    /// Ends with the next tick; `None` when stopped. Kept from tick to tick, so that ticks allocate nothing.
    sleep: Option<Pin<Box<Sleep>>>,
    period: Duration,
    missed: MissedTicks,
}

impl Ticker {
    /// Ticks every `period`, which is at least [`TICKER_PERIOD_MS_MIN`] (Go panics at zero).
    pub fn new(period: Duration) -> Ticker {
        let mut ticker = Ticker { sleep: None, period, missed: MissedTicks::default() };
        ticker.reset(period);
        ticker
    }

    /// Chooses what becomes of missed ticks.
    #[must_use]
    pub fn missed_ticks(mut self, missed: MissedTicks) -> Ticker {
        self.missed = missed;
        self
    }

    /// Waits for the next tick and gives the instant it was due. Waits forever when the ticker is stopped.
    ///
    /// Cancel safe: a future that is dropped has received nothing.
    pub fn tick(&mut self) -> impl Future<Output = Instant> + Send + '_ {
        poll_fn(|cx| self.poll_tick(cx))
    }

    /// [`tick`](Ticker::tick) for futures written by hand.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        let due = sleep.deadline();
        sleep.as_mut().reset(next_due(due, clock::now(), self.period, self.missed));
        Poll::Ready(due)
    }

    /// Stops the ticker: no tick comes after this, not even one that was due. [`reset`](Ticker::reset) starts it again.
    pub fn stop(&mut self) {
        self.sleep = None;
    }

    /// Ticks every `period` from now on, whatever was before; the next tick comes one period from now.
    pub fn reset(&mut self, period: Duration) {
        self.period = at_least(period);
        let next = clock::later(self.period);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(next),
            None => self.sleep = Some(Box::pin(clock::sleep_until(next))),
        }
    }

    /// The time between ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}

/// When the tick after the one of `due`, received `now`, is due.
fn next_due(due: Instant, now: Instant, period: Duration, missed: MissedTicks) -> Instant {
    let next = match missed {
        MissedTicks::Burst => due.checked_add(period),
        MissedTicks::Delay => now.checked_add(period),
        MissedTicks::Drop => {
            let into = now.saturating_duration_since(due).as_nanos() % period.as_nanos().max(1);
            let rest = period.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX)));
            now.checked_add(rest)
        }
    };
    next.unwrap_or_else(|| clock::later(Duration::MAX))
}

fn at_least(period: Duration) -> Duration {
    period.max(Duration::from_millis(TICKER_PERIOD_MS_MIN))
}
