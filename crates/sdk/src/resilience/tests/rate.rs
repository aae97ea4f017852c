use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{ms, secs};
use crate::resilience::{Failure, FixedWindow, Gcra, RateCore, RateLimiter};

/// When the calls that ask at these times (in ms from the start) get their turns, in ms; `None` if refused.
fn turns(rule: &mut dyn RateCore, max_wait: Duration, asked: &[u64]) -> Vec<Option<u128>> {
    let start = Instant::now();
    let turn = |at: &u64| {
        let wait = rule.reserve(start + ms(*at), max_wait).ok()?;
        Some((ms(*at) + wait).as_millis())
    };
    asked.iter().map(turn).collect()
}

#[test]
fn gcra_gives_a_burst_and_then_a_steady_pace() {
    let mut rule = Gcra::new(10, secs(1)).burst(2);
    let given = turns(&mut rule, secs(1), &[0, 0, 0, 0, 1000]);
    assert_eq!(given, [Some(0), Some(0), Some(100), Some(200), Some(1000)]);
}

#[test]
fn gcra_refuses_what_would_wait_too_long_and_keeps_the_turn() {
    let mut rule = Gcra::new(10, secs(1)).burst(1);
    assert_eq!(turns(&mut rule, ms(100), &[0, 0, 0, 0]), [Some(0), Some(100), None, None]);
    assert_eq!(Gcra::new(1, secs(1)).burst(1).reserve(Instant::now(), ms(0)), Ok(ms(0)));
}

#[test]
fn a_fixed_window_gives_its_turns_at_once_and_the_next_when_the_period_is_over() {
    let mut rule = FixedWindow::new(2, secs(1));
    let given = turns(&mut rule, secs(5), &[0, 10, 20, 30, 40, 3500, 3600, 3700]);
    let expected = [0, 10, 1000, 1000, 2000, 3500, 3600, 4000];
    assert_eq!(given, expected.map(Some));
}

#[test]
fn a_fixed_window_without_patience_refuses_until_the_next_period() {
    let mut rule = FixedWindow::new(1, secs(1));
    assert_eq!(turns(&mut rule, ms(0), &[0, 500, 999, 1000]), [Some(0), None, None, Some(1000)]);
}

#[test]
fn odd_rules_neither_panic_nor_stop_everything() {
    let now = Instant::now();
    for mut rule in
        [Gcra::new(0, Duration::MAX), Gcra::new(u32::MAX, Duration::ZERO), Gcra::new(1, secs(1)).burst(0)]
    {
        assert_eq!(rule.reserve(now, ms(0)), Ok(ms(0)));
        let _second = rule.reserve(now, Duration::MAX);
    }
    for mut rule in [FixedWindow::new(0, Duration::ZERO), FixedWindow::new(u32::MAX, Duration::MAX)] {
        assert_eq!(rule.reserve(now, ms(0)), Ok(ms(0)));
        let _second = rule.reserve(now, Duration::MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turns_and_are_told_when_the_wait_is_too_long() {
    let limiter = RateLimiter::new(Gcra::new(1, secs(1)).burst(1)).timeout(secs(1));
    let start = Instant::now();
    for expected in [0, 1] {
        let answered: Result<(), Failure<()>> = limiter.call(|| async { Ok(()) }).await;
        assert_eq!((answered, start.elapsed()), (Ok(()), secs(expected)));
    }
    let (first, second) = tokio::join!(limiter.acquire(), limiter.acquire());
    assert_eq!((first, second), (Ok(()), Err(secs(2))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn gcra_never_exceeds_its_rate_over_any_window(
        gaps in prop::collection::vec(0..400_u64, 1..80),
        limit in 1..20_u32, burst in 1..8_u32, max_wait in 0..2000_u64,
    ) {
        let period = secs(1);
        let mut rule = Gcra::new(limit, period).burst(burst);
        let (start, mut at, mut turns) = (Instant::now(), Duration::ZERO, Vec::new());
        for gap in gaps {
            at += ms(gap);
            if let Ok(wait) = rule.reserve(start + at, ms(max_wait)) {
                turns.push(at + wait);
            }
        }
        prop_assert!(turns.is_sorted());
        for (i, first) in turns.iter().enumerate() {
            for (j, last) in turns.iter().enumerate().skip(i) {
                let allowed = u128::from(burst) + (*last - *first).as_nanos() * u128::from(limit) / period.as_nanos();
                prop_assert!((j - i + 1) as u128 <= allowed, "{} turns from {first:?} to {last:?}", j - i + 1);
            }
        }
    }

    #[test]
    fn a_fixed_window_never_gives_more_than_its_limit_in_a_period(
        gaps in prop::collection::vec(0..400_u64, 1..80), limit in 1..8_u32, max_wait in 0..3000_u64,
    ) {
        let mut rule = FixedWindow::new(limit, secs(1));
        let (start, mut at) = (Instant::now(), ms(0));
        let mut first = None;
        let mut given = std::collections::BTreeMap::new();
        for gap in gaps {
            at += ms(gap);
            let origin = *first.get_or_insert(at);
            if let Ok(wait) = rule.reserve(start + at, ms(max_wait)) {
                *given.entry((at + wait - origin).as_secs()).or_insert(0_u32) += 1;
            }
        }
        prop_assert!(given.values().all(|turns| *turns <= limit), "{given:?}");
    }
}
