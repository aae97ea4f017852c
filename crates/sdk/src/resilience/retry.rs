//! Trying again.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Backoff, Failure, Layer, Operation, RetryBudget};
use crate::{clock, event};

/// How often and how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// Attempts in all, the first included; at least 1. Default 3 (resilience4j, Spring Retry).
    pub max_attempts: u32,
    /// No retry begins later than this after the first attempt began. Default: no bound.
    pub max_total: Duration,
}

impl Default for RetryLimits {
    fn default() -> RetryLimits {
        RetryLimits { max_attempts: 3, max_total: Duration::MAX }
    }
}

/// Why there is no further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// All attempts are used up.
    Attempts,
    /// The next attempt would begin after the total time.
    TotalTime,
    /// The shared budget is used up.
    Budget,
}

/// The state of one series of attempts. Pure: time and randomness are handed in.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Backoff, GiveUp, RetryCore, RetryLimits};
///
/// let now = tokio::time::Instant::now();
/// let limits = RetryLimits { max_attempts: 2, ..RetryLimits::default() };
/// let mut series = RetryCore::new(now);
/// let mut next = || series.next(&limits, &Backoff::default(), now, None, 0.5);
/// assert_eq!(next(), Ok(Duration::from_millis(500)));
/// assert_eq!(next(), Err(GiveUp::Attempts));
/// assert_eq!(series.attempts(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct RetryCore {
    started: Instant,
    attempts: u32,
    previous_wait: Duration,
}

impl RetryCore {
    /// A series whose first attempt begins `now`.
    pub fn new(now: Instant) -> RetryCore {
        RetryCore { started: now, attempts: 1, previous_wait: Duration::ZERO }
    }

    /// How many attempts were begun.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The wait before the next attempt, which this counts as begun. `asked` is what the callee asked for
    /// (Retry-After): the wait is not shorter. `random` lies between 0 and 1.
    ///
    /// # Errors
    /// Why there is no next attempt.
    pub fn next(
        &mut self,
        limits: &RetryLimits,
        backoff: &Backoff,
        now: Instant,
        asked: Option<Duration>,
        random: f64,
    ) -> Result<Duration, GiveUp> {
        if self.attempts >= limits.max_attempts {
            return Err(GiveUp::Attempts);
        }
        let wait = backoff.wait(self.attempts, self.previous_wait, random);
        let due = wait.max(asked.unwrap_or_default());
        if now.saturating_duration_since(self.started).saturating_add(due) > limits.max_total {
            return Err(GiveUp::TotalTime);
        }
        self.attempts += 1;
        self.previous_wait = wait;
        Ok(due)
    }
}

type Judge<T, E> = dyn Fn(&Result<T, Failure<E>>) -> bool + Send + Sync;
type Tell = dyn Fn(u32, Duration) + Send + Sync;
type Ask<T, E> = dyn Fn(&Result<T, Failure<E>>) -> Option<Duration> + Send + Sync;

/// Tries again, with waits in between. Only for calls that may be made twice.
///
/// Unless told otherwise, the call's own errors and timeouts are retried, and what a guard refused is not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Backoff, Failure, Retry};
///
/// let retry = Retry::new(Backoff::exponential(Duration::from_millis(100), 2.0)).max_attempts(3);
/// let result: Result<(), Failure<&str>> = retry.call(|| async { Err("no route to host") }).await;
/// assert_eq!(result, Err(Failure::Call("no route to host")));
/// # }
/// ```
pub struct Retry<T, E> {
    backoff: Backoff,
    limits: RetryLimits,
    budget: Option<RetryBudget>,
    retry_if: Arc<Judge<T, E>>,
    retry_after: Arc<Ask<T, E>>,
    on_retry: Option<Arc<Tell>>,
}

impl<T, E> Retry<T, E> {
    /// Waits as `backoff` says; 3 attempts in all.
    pub fn new(backoff: Backoff) -> Retry<T, E> {
        Retry {
            backoff,
            limits: RetryLimits::default(),
            budget: None,
            retry_if: Arc::new(|outcome| outcome.as_ref().is_err_and(|failure| !failure.is_rejection())),
            retry_after: Arc::new(|_| None),
            on_retry: None,
        }
    }

    /// At most this many attempts, the first included (0 is taken as 1). Replaces
    /// [`max_retries`](Retry::max_retries).
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Retry<T, E> {
        self.limits.max_attempts = attempts;
        self
    }

    /// At most this many retries, the first attempt not counted. Replaces [`max_attempts`](Retry::max_attempts).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use cronlet_sdk::resilience::{Backoff, Failure, Retry, RetryBudget};
    ///
    /// let retry: Retry<u32, &str> = Retry::new(Backoff::default())
    ///     .max_retries(5)
    ///     .max_total(Duration::from_secs(60))
    ///     .budget(RetryBudget::default())
    ///     .retry_if_error(|error| *error != "no such order")
    ///     .retry_after(|_| Some(Duration::from_secs(1)))
    ///     .on_retry(|attempt, wait| println!("attempt {attempt} in {wait:?}"));
    /// assert_eq!(retry.call(|| async { Err("no such order") }).await, Err(Failure::Call("no such order")));
    ///
    /// // By the result: until there is an order.
    /// let until = Retry::<u32, &str>::default().retry_if(|outcome| !matches!(outcome, Ok(orders) if *orders > 0));
    /// assert_eq!(until.call(|| async { Ok(3) }).await, Ok(3));
    /// # }
    /// ```
    #[must_use]
    pub fn max_retries(self, retries: u32) -> Retry<T, E> {
        self.max_attempts(retries.saturating_add(1))
    }

    /// Begins no retry later than this after the first attempt began. Does not cut an attempt short: a deadline does.
    #[must_use]
    pub fn max_total(mut self, total: Duration) -> Retry<T, E> {
        self.limits.max_total = total;
        self
    }

    /// Takes retries from a budget that other calls share.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Retry<T, E> {
        self.budget = Some(budget);
        self
    }

    /// Decides by the outcome, which may be a success, whether to try again.
    #[must_use]
    pub fn retry_if(
        mut self,
        judge: impl Fn(&Result<T, Failure<E>>) -> bool + Send + Sync + 'static,
    ) -> Retry<T, E> {
        self.retry_if = Arc::new(judge);
        self
    }

    /// Retries those of the call's own errors that `judge` accepts, and timeouts.
    #[must_use]
    pub fn retry_if_error(self, judge: impl Fn(&E) -> bool + Send + Sync + 'static) -> Retry<T, E> {
        self.retry_if(move |outcome| match outcome {
            Err(Failure::Call(error)) => judge(error),
            Err(failure) => !failure.is_rejection(),
            Ok(_) => false,
        })
    }

    /// Reads from the outcome how long the callee asks to be left alone (Retry-After); the wait is not shorter.
    #[must_use]
    pub fn retry_after(
        mut self,
        ask: impl Fn(&Result<T, Failure<E>>) -> Option<Duration> + Send + Sync + 'static,
    ) -> Retry<T, E> {
        self.retry_after = Arc::new(ask);
        self
    }

    /// Is told of each retry before its wait: the number of the attempt that will follow, and the wait. For metrics.
    #[must_use]
    pub fn on_retry(mut self, tell: impl Fn(u32, Duration) + Send + Sync + 'static) -> Retry<T, E> {
        self.on_retry = Some(Arc::new(tell));
        self
    }

    /// Calls `operation` until it succeeds or there is no further attempt.
    ///
    /// # Errors
    /// The outcome of the last attempt.
    pub async fn call<Fut>(&self, operation: impl Fn() -> Fut + Sync) -> Result<T, Failure<E>>
    where
        T: Send,
        E: Send,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.guard(&async || operation().await.map_err(Failure::Call)).await
    }
}

impl<T: Send, E: Send> Layer<T, E> for Retry<T, E> {
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        let mut core = RetryCore::new(clock::now());
        loop {
            let outcome = operation.call().await;
            if !(self.retry_if)(&outcome) {
                if let (Ok(_), Some(budget)) = (&outcome, &self.budget) {
                    budget.deposit(core.attempts() > 1);
                }
                return outcome;
            }
            let asked = (self.retry_after)(&outcome);
            let next = core.next(&self.limits, &self.backoff, clock::now(), asked, fastrand::f64());
            let affordable = next.and_then(|wait| match &self.budget {
                Some(budget) if !budget.withdraw() => Err(GiveUp::Budget),
                _ => Ok(wait),
            });
            match affordable {
                Ok(wait) => {
                    event::retry(core.attempts(), wait);
                    if let Some(tell) = &self.on_retry {
                        tell(core.attempts(), wait);
                    }
                    clock::sleep_until(clock::later(wait)).await;
                }
                Err(reason) => {
                    event::give_up(core.attempts(), reason);
                    return outcome;
                }
            }
        }
    }
}

impl<T, E> Default for Retry<T, E> {
    fn default() -> Retry<T, E> {
        Retry::new(Backoff::default())
    }
}

impl<T, E> Clone for Retry<T, E> {
    fn clone(&self) -> Retry<T, E> {
        Retry {
            backoff: self.backoff,
            limits: self.limits,
            budget: self.budget.clone(),
            retry_if: self.retry_if.clone(),
            retry_after: self.retry_after.clone(),
            on_retry: self.on_retry.clone(),
        }
    }
}

impl<T, E> fmt::Debug for Retry<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .field("limits", &self.limits)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
