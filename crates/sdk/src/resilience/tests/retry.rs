use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Calls, ms, secs};
use crate::resilience::{Backoff, Failure, GiveUp, Jitter, Retry, RetryBudget, RetryCore, RetryLimits};

/// The waits between `attempts` attempts with the random number `random`, in milliseconds.
fn waits(backoff: Backoff, attempts: u32, random: f64) -> Vec<u128> {
    let now = Instant::now();
    let limits = RetryLimits { max_attempts: attempts, ..RetryLimits::default() };
    let mut core = RetryCore::new(now);
    std::iter::from_fn(|| core.next(&limits, &backoff, now, None, random).ok())
        .map(|wait| wait.as_millis())
        .collect()
}

#[test]
fn wait_sequences_are_those_of_the_libraries_for_the_same_parameters() {
    let exponential = |initial, multiplier| Backoff::exponential(ms(initial), multiplier);
    let cases: &[(&str, Backoff, u32, &[u128])] = &[
        ("Spring Retry: maxAttempts 3, delay 100, multiplier 2", exponential(100, 2.0), 3, &[100, 200]),
        ("Spring Retry: the third wait takes a fourth attempt", exponential(100, 2.0), 4, &[100, 200, 400]),
        ("Spring Retry: @Retryable alone", Backoff::constant(ms(1000)), 3, &[1000, 1000]),
        ("Spring Retry: maxDelay 300", exponential(100, 2.0).max(ms(300)), 5, &[100, 200, 300, 300]),
        ("resilience4j: defaults", Backoff::default(), 3, &[500, 500]),
        ("resilience4j: ofExponentialBackoff()", exponential(500, 1.5), 5, &[500, 750, 1125, 1687]),
        ("Polly: 3 retries, 2 s, constant", Backoff::constant(secs(2)), 4, &[2000, 2000, 2000]),
        ("Polly: 3 retries, 2 s, linear", Backoff::linear(secs(2), secs(2)), 4, &[2000, 4000, 6000]),
        ("Polly: 3 retries, 2 s, exponential", exponential(2000, 2.0), 4, &[2000, 4000, 8000]),
        ("failsafe-go: defaults", Backoff::constant(ms(0)), 3, &[0, 0]),
        ("one attempt has no waits", Backoff::default(), 1, &[]),
        ("no attempts are one", Backoff::default(), 0, &[]),
    ];
    for (name, backoff, attempts, expected) in cases {
        assert_eq!(&waits(*backoff, *attempts, 0.5), expected, "{name}");
    }
}

#[test]
fn jitter_spreads_as_its_formula_says() {
    let backoff = |jitter| Backoff::exponential(ms(100), 2.0).jitter(jitter);
    let cases: &[(Jitter, f64, &[u128])] = &[
        (Jitter::Full, 0.0, &[0, 0, 0]),
        (Jitter::Full, 0.5, &[50, 100, 200]),
        (Jitter::Full, 1.0, &[100, 200, 400]),
        (Jitter::Equal, 0.0, &[50, 100, 200]),
        (Jitter::Equal, 1.0, &[100, 200, 400]),
        (Jitter::Decorrelated, 0.0, &[100, 100, 100]),
        (Jitter::Decorrelated, 1.0, &[300, 900, 2700]),
        (Jitter::Factor(0.5), 0.0, &[50, 100, 200]),
        (Jitter::Factor(0.5), 0.5, &[100, 200, 400]),
        (Jitter::Factor(0.5), 1.0, &[150, 300, 600]),
    ];
    for (jitter, random, expected) in cases {
        assert_eq!(&waits(backoff(*jitter), 4, *random), expected, "{jitter:?} at {random}");
    }
    assert_eq!(waits(backoff(Jitter::Decorrelated).max(ms(500)), 4, 1.0), [300, 500, 500]);
}

#[test]
fn no_input_makes_a_wait_panic_or_exceed_its_bound() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300];
    for multiplier in odd {
        for random in odd {
            for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::Factor(multiplier)] {
                let backoff = Backoff::exponential(Duration::MAX, multiplier).jitter(jitter).max(secs(1));
                assert!(backoff.wait(u32::MAX, Duration::MAX, random) <= secs(1));
                let none = Backoff::exponential(ms(0), multiplier).jitter(jitter);
                assert_eq!(none.wait(u32::MAX, ms(0), random), ms(0));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_wait_stays_within_what_its_jitter_allows(
        initial in 0..10_000_u64, multiplier in 1.0..4.0_f64, retry in 1..12_u32, random in 0.0..1.0_f64,
    ) {
        let plain = Backoff::exponential(ms(initial), multiplier);
        let nominal = plain.nominal(retry);
        let full = plain.jitter(Jitter::Full).wait(retry, Duration::ZERO, random);
        let equal = plain.jitter(Jitter::Equal).wait(retry, Duration::ZERO, random);
        prop_assert!(full <= nominal);
        prop_assert!(equal <= nominal && equal + Duration::from_nanos(1) >= nominal / 2);
    }
}

#[test]
fn no_retry_begins_after_the_total_time() {
    let now = Instant::now();
    let limits = RetryLimits { max_attempts: 10, max_total: secs(10) };
    let mut core = RetryCore::new(now);
    let backoff = Backoff::constant(secs(4));
    assert_eq!(core.next(&limits, &backoff, now, None, 0.0), Ok(secs(4)));
    assert_eq!(core.next(&limits, &backoff, now + secs(6), None, 0.0), Ok(secs(4)));
    assert_eq!(core.next(&limits, &backoff, now + secs(7), None, 0.0), Err(GiveUp::TotalTime));
    assert_eq!(core.attempts(), 3);
}

#[test]
fn retry_after_lengthens_a_wait_and_never_shortens_it() {
    let now = Instant::now();
    let (limits, backoff) = (RetryLimits::default(), Backoff::constant(secs(4)));
    let mut core = RetryCore::new(now);
    assert_eq!(core.next(&limits, &backoff, now, Some(secs(60)), 0.0), Ok(secs(60)));
    assert_eq!(core.next(&limits, &backoff, now, Some(secs(1)), 0.0), Ok(secs(4)));
}

#[tokio::test(start_paused = true)]
async fn three_attempts_with_100_ms_times_two_take_300_ms() {
    let (start, calls) = (Instant::now(), Calls::default());
    let retry = Retry::new(Backoff::exponential(ms(100), 2.0));
    let result: Result<(), Failure<&str>> = retry
        .call(|| {
            calls.next();
            async { Err("timed out") }
        })
        .await;
    assert_eq!(result, Err(Failure::Call("timed out")));
    assert_eq!((calls.count(), start.elapsed()), (3, ms(300)));
}

#[tokio::test(start_paused = true)]
async fn whoever_counts_retries_is_told_of_each() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let retry = Retry::new(Backoff::exponential(ms(100), 2.0))
        .on_retry(move |attempt, wait| log.lock().unwrap().push((attempt, wait)));
    let _: Result<(), Failure<()>> = retry.call(|| async { Err(()) }).await;
    assert_eq!(*seen.lock().unwrap(), [(2, ms(100)), (3, ms(200))]);
}

#[tokio::test(start_paused = true)]
async fn max_retries_does_not_count_the_first_attempt() {
    let calls = Calls::default();
    let retry = Retry::default().max_retries(3);
    let _: Result<(), Failure<u32>> = retry.call(|| std::future::ready(Err(calls.next()))).await;
    assert_eq!(calls.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_chosen_errors_and_results_are_retried() {
    let calls = Calls::default();
    let picky = Retry::default().retry_if_error(|error: &u32| *error < 2);
    let result: Result<(), Failure<u32>> = picky.call(|| std::future::ready(Err(calls.next()))).await;
    assert_eq!(result, Err(Failure::Call(2)));

    let calls = Calls::default();
    let patient =
        Retry::default().retry_if(|outcome: &Result<u32, Failure<()>>| matches!(outcome, Ok(n) if *n < 3));
    assert_eq!(patient.call(|| std::future::ready(Ok(calls.next()))).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_retries_for_all_who_share_it() {
    let budget = RetryBudget::new(10, 5);
    let retry = || Retry::new(Backoff::constant(ms(1))).max_attempts(3).budget(budget.clone());
    let calls = Calls::default();
    for _ in 0..3 {
        let _: Result<(), Failure<u32>> = retry().call(|| std::future::ready(Err(calls.next()))).await;
    }
    assert_eq!(calls.count(), 3 + 1 + 1, "two retries were paid for, then none");
    for _ in 0..5 {
        let _: Result<u32, Failure<()>> =
            Retry::default().budget(budget.clone()).call(|| async { Ok(1) }).await;
    }
    assert_eq!(budget.tokens(), 5, "each first success gives one token back");
    budget.deposit(false);
    budget.deposit(true);
    assert_eq!(budget.tokens(), 10, "never more than there is room for");
}
