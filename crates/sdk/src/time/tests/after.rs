use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::time::{Instant, advance};

use super::{ms, now_or_never};
use crate::time::{AfterFunc, after, after_func};

/// A function that counts its runs.
fn counting(delay: u64) -> (AfterFunc, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let timer = after_func(ms(delay), move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    (timer, runs)
}

/// Lets time pass and every task that is due run.
async fn pass(by: u64) {
    advance(ms(by)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_counts_from_the_call_not_from_the_first_poll() {
    let start = Instant::now();
    let timeout = after(ms(300));
    advance(ms(1000)).await;
    assert_eq!(now_or_never(timeout).await, Some(start + ms(300)));
}

#[tokio::test(start_paused = true)]
async fn after_can_be_awaited_by_reference_in_a_loop() {
    let mut timeout = after(ms(25));
    let mut rounds = 0;
    loop {
        tokio::select! {
            _ = &mut timeout => break,
            _ = after(ms(10)) => rounds += 1,
        }
    }
    assert_eq!(rounds, 2);
}

#[tokio::test(start_paused = true)]
async fn the_function_runs_once_in_a_task_of_its_own() {
    let (timer, runs) = counting(100);
    pass(99).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    pass(1).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    pass(1000).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(!timer.stop(), "it ran");
}

#[tokio::test(start_paused = true)]
async fn stop_says_whether_it_prevented_the_run() {
    let (timer, runs) = counting(100);
    assert!(timer.stop());
    assert!(!timer.stop());
    pass(1000).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn stop_does_not_wait_for_or_end_a_run_that_was_started() {
    let ended = Arc::new(AtomicU32::new(0));
    let counted = ended.clone();
    let timer = after_func(ms(10), move || {
        let counted = counted.clone();
        async move {
            after(ms(100)).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    pass(10).await;
    assert!(!timer.stop());
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    pass(100).await;
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn reset_moves_a_run_and_repeats_one_that_was() {
    let (timer, runs) = counting(100);
    assert!(timer.reset(ms(500)));
    pass(400).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0, "the first time is forgotten");
    pass(100).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(!timer.reset(ms(10)));
    pass(10).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

/// What decides the race between a task that has woken up and whoever stops or resets it.
#[tokio::test(start_paused = true)]
async fn a_run_can_be_claimed_once_and_only_for_the_setting_that_holds() {
    let (timer, _) = counting(100);
    timer.reset(ms(200));
    assert!(!timer.claim(1), "reset since");
    timer.stop();
    assert!(!timer.claim(2), "stopped since");
    timer.reset(ms(300));
    assert!(timer.claim(3));
    assert!(!timer.claim(3) && !timer.stop(), "claimed already");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_does_not_stop_the_function() {
    let (timer, runs) = counting(100);
    drop(timer);
    pass(100).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

/// Real threads and real time: what stop says and what happens must agree however the two race.
#[test]
fn a_function_runs_exactly_when_stop_did_not_prevent_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let Ok(runtime) = runtime else { panic!("no runtime") };
    runtime.block_on(async {
        for round in 0..200 {
            let (timer, runs) = counting(round % 3);
            after(ms(1)).await;
            let prevented = timer.stop();
            after(ms(3)).await;
            assert_eq!(runs.load(Ordering::SeqCst), u32::from(!prevented));
        }
    });
}
