//! What becomes of a call whose future is dropped in its midst: a row each of the table in docs/sdk.md.

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::time::timeout;

use super::{Calls, ms, secs};
use crate::{
    resilience::{
        Backoff, BreakerConfig, BreakerState, Bulkhead, CircuitBreaker, Failure, Gcra, Hedge, Policy,
        RateLimiter, Retry, RetryBudget,
    },
    time::after,
};

/// Counts the calls that are under way; one that is dropped is not.
#[derive(Default)]
struct UnderWay(AtomicUsize);

impl UnderWay {
    async fn for_ever(&self) -> Result<(), ()> {
        struct Gone<'a>(&'a AtomicUsize);
        impl Drop for Gone<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        let _gone = Gone(&self.0);
        pending().await
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_dropped_while_it_waits_calls_no_more_and_has_paid() {
    let (calls, budget) = (Calls::default(), RetryBudget::new(10, 5));
    let retry = Retry::new(Backoff::constant(secs(1))).budget(budget.clone());
    let call = retry.call(|| std::future::ready(Err::<(), _>(calls.next())));
    assert!(timeout(ms(500), call).await.is_err());
    after(secs(10)).await;
    assert_eq!((calls.count(), budget.tokens()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_dropped_drops_all_its_calls() {
    let under_way = UnderWay::default();
    {
        let hedge = Hedge::new(secs(1)).max_hedges(2);
        let mut call = std::pin::pin!(hedge.call(|| under_way.for_ever()));
        assert!(timeout(secs(5), &mut call).await.is_err());
        assert_eq!(under_way.count(), 3);
    }
    assert_eq!(under_way.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_a_rate_stays_spent() {
    let limiter = RateLimiter::new(Gcra::new(1, secs(10)).burst(1)).timeout(secs(60));
    assert_eq!(limiter.acquire().await, Ok(()));
    assert!(timeout(secs(1), limiter.acquire()).await.is_err());
    let started = tokio::time::Instant::now();
    assert_eq!(limiter.acquire().await, Ok(()));
    assert_eq!(started.elapsed(), secs(19), "the second turn was nobody's");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_a_bulkheads_queue_makes_room_in_it() {
    let bulkhead = Bulkhead::new(1).max_wait(secs(60)).max_queue(1);
    let mut inside = std::pin::pin!(bulkhead.call(pending::<Result<(), ()>>));
    assert!(timeout(ms(1), &mut inside).await.is_err());
    for _ in 0..3 {
        let waiting = bulkhead.call(|| async { Ok::<(), ()>(()) });
        assert!(timeout(secs(1), waiting).await.is_err(), "it waits, as the one before it left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_dropped_leaves_all_its_guards_as_they_were() {
    let (under_way, bulkhead) = (UnderWay::default(), Bulkhead::new(1));
    let config = BreakerConfig { permitted_calls_in_half_open: 1, ..BreakerConfig::default() };
    let breaker = CircuitBreaker::new("stock", config);
    breaker.force(BreakerState::HalfOpen);
    let policy = Policy::new()
        .deadline(secs(60))
        .fallback(|failure: Failure<()>| async move { Err::<(), _>(failure) })
        .retry(Retry::default())
        .breaker(breaker.clone())
        .timeout(secs(30))
        .bulkhead(bulkhead.clone());
    for _ in 0..3 {
        assert!(timeout(secs(1), policy.call(|| under_way.for_ever())).await.is_err());
        assert_eq!(
            (under_way.count(), bulkhead.available(), breaker.state()),
            (0, 1, BreakerState::HalfOpen)
        );
    }
    assert!(breaker.begin().is_ok(), "the only probe was given back each time");
}
