use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::{ms, now_or_never};
use crate::time::Timer;

#[tokio::test(start_paused = true)]
async fn a_timer_fires_once_when_it_is_due_and_says_when_that_was() {
    let start = Instant::now();
    let mut timer = Timer::new(ms(2000));
    advance(ms(1999)).await;
    assert_eq!(now_or_never(timer.fired()).await, None);
    assert_eq!(timer.fired().await, start + ms(2000));
    advance(ms(10_000)).await;
    assert_eq!(now_or_never(timer.fired()).await, None);
    assert_eq!(timer.due(), None);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_nobody_waited_for_gives_the_instant_it_was_due() {
    let start = Instant::now();
    let mut timer = Timer::new(ms(100));
    advance(ms(5000)).await;
    assert_eq!(now_or_never(timer.fired()).await, Some(start + ms(100)));
}

#[tokio::test(start_paused = true)]
async fn stop_is_true_before_the_timer_expires_and_false_the_second_time() {
    let mut timer = Timer::new(ms(100));
    assert!(timer.stop());
    assert!(!timer.stop());
    advance(ms(1000)).await;
    assert_eq!(now_or_never(timer.fired()).await, None);
}

#[tokio::test(start_paused = true)]
async fn stop_after_expiry_takes_back_what_nobody_received() {
    let mut timer = Timer::new(ms(100));
    advance(ms(1000)).await;
    assert!(timer.stop(), "as in Go 1.23: the value had not been received");
    assert_eq!(now_or_never(timer.fired()).await, None);
}

#[tokio::test(start_paused = true)]
async fn stop_is_false_once_the_value_was_received() {
    let mut timer = Timer::new(ms(100));
    timer.fired().await;
    assert!(!timer.stop());
}

#[tokio::test(start_paused = true)]
async fn nothing_stale_is_received_after_a_reset() {
    let mut timer = Timer::new(ms(100));
    advance(ms(1000)).await;
    let reset = Instant::now();
    assert!(timer.reset(ms(500)));
    assert_eq!(now_or_never(timer.fired()).await, None);
    assert_eq!(timer.fired().await, reset + ms(500));
}

#[tokio::test(start_paused = true)]
async fn a_reset_revives_a_timer_that_fired_or_was_stopped() {
    let mut timer = Timer::new(ms(1));
    timer.fired().await;
    assert!(!timer.reset(ms(1)));
    timer.fired().await;
    assert!(!timer.reset(ms(1)));
    assert!(timer.stop());
    assert!(!timer.reset(ms(1)));
    timer.fired().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_no_duration_fires_at_once_and_one_of_all_time_does_not() {
    Timer::new(ms(0)).fired().await;
    let mut longest = Timer::new(std::time::Duration::MAX);
    assert_eq!(now_or_never(longest.fired()).await, None);
    advance(ms(86_400_000)).await;
    assert_eq!(now_or_never(longest.fired()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_has_received_nothing() {
    let mut timer = Timer::new(ms(100));
    let quick = tokio::time::timeout(ms(50), timer.fired()).await;
    assert!(quick.is_err());
    timer.fired().await;
}

#[tokio::test]
async fn timers_and_their_futures_can_be_sent_to_other_threads() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let mut timer = sent(Timer::new(ms(0)));
    sent(timer.fired()).await;
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Stop,
    Reset(u64),
    Receive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..200_u64).prop_map(Step::Advance),
        Just(Step::Stop),
        (0..200_u64).prop_map(Step::Reset),
        Just(Step::Receive),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    /// The model is one optional instant; what is received, and what stop and reset say, follows from it.
    #[test]
    fn a_stopped_timer_never_fires_and_a_reset_one_fires_at_its_new_time(steps in steps()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let mut due = Some(Instant::now() + ms(100));
            let mut timer = Timer::new(ms(100));
            for step in steps {
                match step {
                    Step::Advance(by) => advance(ms(by)).await,
                    Step::Stop => prop_assert_eq!(timer.stop(), due.take().is_some()),
                    Step::Reset(to) => {
                        let deadline = Instant::now() + ms(to);
                        prop_assert_eq!(timer.reset(ms(to)), due.replace(deadline).is_some());
                    }
                    Step::Receive => {
                        let expected = due.filter(|due| *due <= Instant::now());
                        prop_assert_eq!(now_or_never(timer.fired()).await, expected);
                        due = due.filter(|_| expected.is_none());
                    }
                }
                prop_assert_eq!(timer.due(), due);
            }
            Ok(())
        })?;
    }
}
