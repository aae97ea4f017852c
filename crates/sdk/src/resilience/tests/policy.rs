use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::{Calls, ms, secs};
use crate::{
    resilience::{
        AdaptiveLimiter, Backoff, BreakerConfig, BreakerState, Bulkhead, CircuitBreaker, Failure, Gcra,
        Gradient2, Hedge, Policy, RateLimiter, Retry, Window,
    },
    time::after,
};

#[tokio::test(start_paused = true)]
async fn all_guards_together_let_a_good_call_through() {
    let policy = Policy::new()
        .deadline(secs(30))
        .fallback(|_: Failure<&str>| async { Ok(0) })
        .retry(Retry::default())
        .hedge(Hedge::default())
        .breaker(CircuitBreaker::new("all", BreakerConfig::default()))
        .rate_limit(RateLimiter::new(Gcra::new(100, secs(1))))
        .timeout(secs(2))
        .adaptive(AdaptiveLimiter::new(Gradient2::default()));
    assert_eq!(policy.call(|| async { Ok(7) }).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_sees_every_attempt_and_its_refusal_is_not_retried() {
    let config = BreakerConfig { window: Window::Count(2), ..BreakerConfig::default() };
    let breaker = CircuitBreaker::new("stock", config);
    let policy =
        Policy::new().retry(Retry::new(Backoff::constant(ms(1))).max_attempts(5)).breaker(breaker.clone());
    let calls = Calls::default();
    let result: Result<(), Failure<u32>> = policy.call(|| std::future::ready(Err(calls.next()))).await;
    assert!(matches!(result, Err(Failure::CircuitOpen { .. })), "{result:?}");
    assert_eq!((calls.count(), breaker.state()), (2, BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_of_one_attempt_and_the_deadline_of_all() {
    let start = Instant::now();
    let attempts = |policy: u32| Retry::new(Backoff::constant(secs(0))).max_attempts(policy);
    let each = Policy::new().retry(attempts(3)).timeout(secs(1));
    let result: Result<(), Failure<()>> = each.call(std::future::pending).await;
    assert_eq!((result, start.elapsed()), (Err(Failure::TimedOut { after: secs(1) }), secs(3)));

    let start = Instant::now();
    let all = Policy::new().deadline(ms(2500)).retry(attempts(9)).timeout(secs(1));
    let result: Result<(), Failure<()>> = all.call(std::future::pending).await;
    assert_eq!((result, start.elapsed()), (Err(Failure::TimedOut { after: ms(2500) }), ms(2500)));
}

#[tokio::test(start_paused = true)]
async fn the_fallback_is_asked_once_when_all_attempts_have_failed() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let policy = Policy::new()
        .fallback(move |failure: Failure<u32>| {
            log.lock().unwrap().push(failure);
            async { Ok("from the cache") }
        })
        .retry(Retry::default());
    let calls = Calls::default();
    assert_eq!(policy.call(|| std::future::ready(Err(calls.next()))).await, Ok("from the cache"));
    assert_eq!(*asked.lock().unwrap(), [Failure::Call(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_can_be_shared_by_tasks() {
    let policy = Arc::new(Policy::new().timeout(secs(10)).bulkhead(Bulkhead::new(1).max_wait(secs(5))));
    let start = Instant::now();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let policy = policy.clone();
            tokio::spawn(async move {
                policy
                    .call(|| async {
                        after(secs(1)).await;
                        Ok::<_, ()>(())
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await, Ok(Ok(()))));
    }
    assert_eq!(start.elapsed(), secs(3));
}

#[cfg(feature = "tower")]
#[tokio::test(start_paused = true)]
async fn a_tower_service_is_called_again_for_each_attempt() {
    use std::{
        future::Ready,
        task::{Context, Poll},
    };
    use tower_layer::Layer as _;
    use tower_service::Service;

    use crate::resilience::PolicyLayer;

    #[derive(Clone, Default)]
    struct Flaky(Arc<Calls>);

    impl Service<u32> for Flaky {
        type Response = u32;
        type Error = u32;
        type Future = Ready<Result<u32, u32>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), u32>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, succeeds_at: u32) -> Self::Future {
            let n = self.0.next();
            std::future::ready(if n >= succeeds_at { Ok(n) } else { Err(n) })
        }
    }

    let layer = PolicyLayer::new(Policy::new().retry(Retry::default()));
    let mut service = layer.layer(Flaky::default());
    assert_eq!(service.call(3).await, Ok(3));
    let mut never = layer.layer(Flaky::default());
    assert_eq!(never.call(9).await, Err(Failure::Call(3)));
}
