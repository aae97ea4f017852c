use tokio::time::{Instant, advance};

use super::{ms, now_or_never};
use crate::time::{MissedTicks, Ticker};

#[tokio::test(start_paused = true)]
async fn the_first_tick_comes_after_one_period_and_the_others_on_its_grid() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(500));
    for n in 1..=5 {
        assert_eq!(ticker.tick().await, start + ms(500 * n));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_oldest_tick_and_misses_the_others() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(100));
    advance(ms(450)).await;
    assert_eq!(now_or_never(ticker.tick()).await, Some(start + ms(100)));
    assert_eq!(now_or_never(ticker.tick()).await, None, "200, 300 and 400 are dropped");
    assert_eq!(ticker.tick().await, start + ms(500));
}

#[tokio::test(start_paused = true)]
async fn a_tick_received_exactly_on_a_later_tick_does_not_swallow_the_one_after() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(100));
    advance(ms(300)).await;
    assert_eq!(now_or_never(ticker.tick()).await, Some(start + ms(100)));
    assert_eq!(ticker.tick().await, start + ms(400));
}

#[tokio::test(start_paused = true)]
async fn burst_delivers_every_missed_tick() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(100)).missed_ticks(MissedTicks::Burst);
    advance(ms(350)).await;
    for n in 1..=3 {
        assert_eq!(now_or_never(ticker.tick()).await, Some(start + ms(100 * n)));
    }
    assert_eq!(now_or_never(ticker.tick()).await, None);
}

#[tokio::test(start_paused = true)]
async fn delay_begins_a_full_period_with_each_tick() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(100)).missed_ticks(MissedTicks::Delay);
    advance(ms(350)).await;
    assert_eq!(now_or_never(ticker.tick()).await, Some(start + ms(100)));
    assert_eq!(ticker.tick().await, start + ms(450));
}

#[tokio::test(start_paused = true)]
async fn no_tick_comes_after_a_stop_not_even_one_that_was_due() {
    let mut ticker = Ticker::new(ms(100));
    advance(ms(150)).await;
    ticker.stop();
    advance(ms(1000)).await;
    assert_eq!(now_or_never(ticker.tick()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_reset_begins_a_new_period_without_a_stale_tick_and_revives_a_stopped_ticker() {
    let mut ticker = Ticker::new(ms(100));
    advance(ms(150)).await;
    let reset = Instant::now();
    ticker.reset(ms(1000));
    assert_eq!(now_or_never(ticker.tick()).await, None);
    assert_eq!(ticker.tick().await, reset + ms(1000));
    ticker.stop();
    let reset = Instant::now();
    ticker.reset(ms(10));
    assert_eq!(ticker.tick().await, reset + ms(10));
    assert_eq!(ticker.period(), ms(10));
}

#[tokio::test(start_paused = true)]
async fn a_period_of_zero_is_a_millisecond() {
    let mut ticker = Ticker::new(ms(0));
    let first = ticker.tick().await;
    assert_eq!(ticker.tick().await - first, ms(1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_no_tick() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(100));
    assert!(tokio::time::timeout(ms(50), ticker.tick()).await.is_err());
    assert_eq!(ticker.tick().await, start + ms(100));
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_ticks_does_not_drift() {
    let start = Instant::now();
    let mut ticker = Ticker::new(ms(60));
    let mut last = start;
    for _ in 0..60_000 {
        last = ticker.tick().await;
    }
    assert_eq!(last - start, ms(60 * 60_000));
}
