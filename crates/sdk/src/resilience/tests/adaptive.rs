use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use super::{ms, secs};
use crate::resilience::{AdaptiveLimiter, Aimd, Bbr, Failure, Gradient2, LimitAlgorithm, Sample};

fn sample(ms_taken: u64, in_flight: usize, dropped: bool) -> Sample {
    Sample { now: Instant::now(), round_trip: ms(ms_taken), in_flight, dropped }
}

#[test]
fn aimd_adds_one_while_in_use_and_takes_a_tenth_for_a_drop() {
    let mut aimd = Aimd::new(100);
    aimd.update(sample(10, 49, false));
    assert_eq!(aimd.limit(), 100, "less than half of it is in use");
    aimd.update(sample(10, 50, false));
    assert_eq!(aimd.limit(), 101);
    aimd.update(sample(10, 101, true));
    assert_eq!(aimd.limit(), 90);
    aimd.update(sample(5001, 90, false));
    assert_eq!(aimd.limit(), 81);
    for _ in 0..1000 {
        aimd.update(sample(10, 200, true));
    }
    assert_eq!(aimd.limit(), 20);
    for _ in 0..1000 {
        aimd.update(sample(10, 200, false));
    }
    assert_eq!(aimd.limit(), 200);
}

#[test]
fn gradient_grows_by_the_smoothed_queue_while_calls_take_as_long_as_ever() {
    let mut gradient = Gradient2::default();
    for expected in [20, 21, 22, 23, 24, 24] {
        // 20.8, 21.6, 22.4, …: a fifth of the queue of 4 each time.
        assert!(gradient.limit() <= expected);
        gradient.update(sample(100, gradient.limit(), false));
    }
    assert_eq!(gradient.limit(), 24);
    for _ in 0..1000 {
        gradient.update(sample(100, gradient.limit(), false));
    }
    assert_eq!(gradient.limit(), 200);
}

#[test]
fn gradient_shrinks_when_calls_take_far_longer_than_they_used_to() {
    let mut gradient = Gradient2::new(100);
    for _ in 0..10 {
        gradient.update(sample(100, 1, false));
    }
    assert_eq!(gradient.limit(), 100, "a limit that is not in use does not change");
    gradient.update(sample(1000, 100, false));
    // The gradient is at its least, one half: 100 × 0.8 + (100 × 0.5 + 4) × 0.2.
    assert_eq!(gradient.limit(), 90);
}

#[test]
fn bbr_holds_under_load_at_throughput_times_round_trip() {
    let loaded = Arc::new(AtomicBool::new(false));
    let signal = loaded.clone();
    let mut bbr = Bbr::new(move || signal.load(Ordering::SeqCst));
    let start = Instant::now();
    for n in 0..100 {
        let now = start + ms(n);
        bbr.update(Sample { now, round_trip: ms(50), in_flight: 50, dropped: false });
    }
    // 100 calls in 100 ms at 50 ms each: 50 at a time.
    assert_eq!(bbr.capacity(), Some(50));
    assert_eq!(bbr.limit(), usize::MAX);
    loaded.store(true, Ordering::SeqCst);
    assert_eq!(bbr.limit(), 50);
    bbr.update(Sample { now: start + secs(20), round_trip: ms(50), in_flight: 1, dropped: false });
    assert_eq!(bbr.limit(), 1, "what is older than 10 s is forgotten");
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_are_refused_and_places_come_back() {
    let mut rules = Aimd::new(1);
    (rules.min, rules.max) = (1, 1);
    let limiter = AdaptiveLimiter::new(rules);
    let outer: Result<(), Failure<()>> = limiter
        .call(|| async {
            let inner: Result<(), Failure<()>> = limiter.call(|| async { Ok(()) }).await;
            assert_eq!((inner, limiter.in_flight()), (Err(Failure::Overloaded), 1));
            Ok(())
        })
        .await;
    assert_eq!((outer, limiter.in_flight()), (Ok(()), 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_short_counts_as_a_drop_and_an_error_as_nothing() {
    let limiter = AdaptiveLimiter::new(Aimd::new(100));
    let failed: Result<(), Failure<&str>> = limiter.call(|| async { Err("no") }).await;
    assert_eq!((failed, limiter.limit()), (Err(Failure::Call("no")), 100));
    let slow = limiter.call(std::future::pending::<Result<(), ()>>);
    assert!(tokio::time::timeout(ms(1), slow).await.is_err());
    assert_eq!((limiter.limit(), limiter.in_flight()), (90, 0));
}
