//! What guards promise to threads that use them at once, in many orders of their steps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use shuttle::{future::block_on, thread};

use super::secs;
use crate::{
    resilience::{
        AdaptiveLimiter, BreakerConfig, BreakerState, Bulkhead, CallOutcome, CircuitBreaker, Failure, Gcra,
        LimitAlgorithm, RateLimiter, RetryBudget, Sample, Window,
    },
    sync,
};

/// Runs one closure in so many threads, and gives what they return.
fn threads<T: Send + 'static>(count: usize, work: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let work = Arc::new(work);
    let begun: Vec<_> = (0..count)
        .map(|number| {
            let work = work.clone();
            thread::spawn(move || work(number))
        })
        .collect();
    begun.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Who is inside at a time, and how many there were at most.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Inside {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        sync::point();
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[test]
fn a_half_open_breaker_admits_no_more_than_its_probes() {
    sync::check(|| {
        let config = BreakerConfig {
            window: Window::Count(4),
            permitted_calls_in_half_open: 2,
            wait_in_open: Duration::ZERO,
            ..BreakerConfig::default()
        };
        let breaker = CircuitBreaker::new("stock", config);
        breaker.force(BreakerState::HalfOpen);
        let inside = Arc::new(Inside::default());
        let (shared, counted) = (breaker.clone(), inside.clone());
        let ended = threads(4, move |number| {
            let Ok(under_way) = shared.begin() else { return false };
            let probing = shared.state() == BreakerState::HalfOpen;
            if probing {
                counted.enter();
                counted.leave();
            }
            // One of them is dropped, and gives its place back.
            let ends = number > 0;
            if ends {
                under_way.end(CallOutcome::Success);
            }
            ends
        });
        assert!(inside.most() <= 2, "{} probes at a time", inside.most());
        let ended = ended.into_iter().filter(|ended| *ended).count();
        let closed = breaker.state() == BreakerState::Closed;
        assert_eq!(closed, ended >= 2, "two probes that end well close it, and no fewer: {ended}");
    });
}

#[test]
fn a_rate_gives_no_turn_twice() {
    sync::check(|| {
        let limiter = RateLimiter::new(Gcra::new(2, secs(3600))).timeout(Duration::ZERO);
        let turns = threads(4, move |_| block_on(limiter.acquire()).is_ok());
        assert_eq!(turns.into_iter().filter(|turn| *turn).count(), 2);
    });
}

/// Always two at a time.
struct Two;

impl LimitAlgorithm for Two {
    fn limit(&self) -> usize {
        2
    }

    fn update(&mut self, sample: Sample) {
        assert!((1..=2).contains(&sample.in_flight), "{sample:?}");
    }
}

#[test]
fn an_adaptive_limit_holds_at_every_moment() {
    sync::check(|| {
        let (limiter, inside) = (AdaptiveLimiter::new(Two), Arc::new(Inside::default()));
        let (shared, counted) = (limiter.clone(), inside.clone());
        let passed = threads(4, move |_| {
            let call: Result<(), Failure<()>> = block_on(shared.call(|| async {
                counted.enter();
                counted.leave();
                Ok(())
            }));
            call.is_ok()
        });
        assert!(inside.most() <= 2);
        assert!(passed.into_iter().filter(|passed| *passed).count() >= 2);
        assert_eq!(limiter.in_flight(), 0);
    });
}

#[test]
fn a_bulkhead_lets_one_in_and_one_wait_and_gives_every_place_back() {
    sync::check(|| {
        let bulkhead = Bulkhead::new(1).max_wait(secs(3600)).max_queue(1);
        let inside = Arc::new(Inside::default());
        // Twice: the first leave the second all that there was.
        for _ in 0..2 {
            let (shared, counted) = (bulkhead.clone(), inside.clone());
            let passed = threads(3, move |_| {
                let call: Result<(), Failure<()>> = block_on(shared.call(|| async {
                    counted.enter();
                    counted.leave();
                    Ok(())
                }));
                call.is_ok()
            });
            assert_eq!(inside.most(), 1);
            assert!(passed.into_iter().filter(|passed| *passed).count() >= 2, "whoever waits gets in");
        }
        assert_eq!(bulkhead.available(), 1);
        let last: Result<(), Failure<()>> = block_on(bulkhead.call(|| async { Ok(()) }));
        assert_eq!(last, Ok(()));
    });
}

#[test]
fn a_budget_pays_for_no_retry_twice_and_never_holds_more_than_it_can() {
    sync::check(|| {
        let budget = RetryBudget::new(10, 5);
        let shared = budget.clone();
        let paid = threads(3, move |_| shared.withdraw());
        assert_eq!(paid.into_iter().filter(|paid| *paid).count(), 2);
        let shared = budget.clone();
        threads(3, move |_| shared.deposit(true));
        assert_eq!(budget.tokens(), 10);
    });
}
