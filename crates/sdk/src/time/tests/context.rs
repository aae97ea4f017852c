use tokio::time::{Instant, advance};

use super::{ms, now_or_never};
use crate::time::{Cancelled, Context};

fn reason(context: &Context) -> String {
    context.error().map_or("running".to_owned(), |cause| cause.to_string())
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_all_below_and_nothing_above_or_beside() {
    let root = Context::background();
    let (left, right) = (root.child(), root.child());
    let leaf = left.child();
    left.cancel();
    assert_eq!(
        [&root, &left, &right, &leaf].map(reason),
        ["running", "cancelled", "running", "cancelled"].map(str::to_owned)
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_cause_stays_and_is_told_below() {
    let root = Context::background();
    let leaf = root.child().child();
    root.cancel_because("SIGTERM");
    root.cancel_because("something else");
    leaf.cancel();
    assert_eq!([&root, &leaf].map(reason), ["cancelled: SIGTERM", "cancelled: SIGTERM"].map(str::to_owned));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_woken_and_told_why() {
    let root = Context::background();
    let leaf = root.child();
    let waiting = tokio::spawn(async move { leaf.done().await.to_string() });
    tokio::task::yield_now().await;
    root.cancel();
    assert_eq!(waiting.await.ok().as_deref(), Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_context_and_all_below_at_its_instant() {
    let start = Instant::now();
    let parent = Context::background().with_timeout(ms(100));
    let leaf = parent.child();
    assert_eq!(leaf.deadline(), Some(start + ms(100)));
    assert!(matches!(leaf.done().await, Cancelled::DeadlineExceeded));
    assert_eq!(start.elapsed(), ms(100));
    assert!(parent.is_done());
}

#[tokio::test(start_paused = true)]
async fn a_child_cannot_outlive_its_parents_deadline() {
    let parent = Context::background().with_timeout(ms(100));
    let leaf = parent.with_timeout(ms(500));
    assert_eq!(leaf.deadline(), parent.deadline());
    let sooner = parent.with_timeout(ms(10));
    sooner.done().await;
    assert!(!parent.is_done(), "a child's deadline is its own");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_unseen_came_before_a_later_cancel() {
    let root = Context::background();
    let leaf = root.with_timeout(ms(100));
    advance(ms(200)).await;
    root.cancel();
    assert_eq!([&root, &leaf].map(reason), ["cancelled", "deadline exceeded"].map(str::to_owned));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_have_a_cause_of_its_own() {
    let due = Instant::now() + ms(10);
    let context = Context::background().with_deadline_cause(due, Cancelled::because("the window closed"));
    assert_eq!(context.child().done().await.to_string(), "cancelled: the window closed");
}

#[tokio::test(start_paused = true)]
async fn a_child_of_an_ended_context_has_ended() {
    let root = Context::background();
    root.cancel();
    assert_eq!(reason(&root.child()), "cancelled");
    assert_eq!(reason(&root.child().with_timeout(ms(10))), "cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_passes_through_nodes_that_nobody_holds() {
    let root = Context::background();
    let leaf = root.child().child().child();
    root.cancel();
    assert!(leaf.is_done());
}

#[tokio::test(start_paused = true)]
async fn run_gives_the_result_or_the_cause() {
    let context = Context::background().with_timeout(ms(100));
    assert!(matches!(context.run(async { 7 }).await, Ok(7)));
    let slow = context.run(crate::time::after(ms(500))).await;
    assert!(matches!(slow, Err(Cancelled::DeadlineExceeded)));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_end_and_giving_up_changes_nothing() {
    let context = Context::background();
    assert!(now_or_never(context.done()).await.is_none());
    assert!(!context.is_done());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_generations_need_no_stack() {
    let root = Context::background();
    let mut leaf = root.child();
    for _ in 0..100_000 {
        leaf = leaf.child();
    }
    root.cancel();
    assert!(leaf.is_done());
}

#[tokio::test(start_paused = true)]
async fn children_that_are_gone_are_forgotten() {
    let root = Context::background();
    for _ in 0..10_000 {
        drop(root.child());
    }
    assert!(root.children() < 100);
}

/// Real threads: no wait may be slept through, whenever the cancel comes.
#[test]
fn every_wait_ends_however_it_races_with_the_cancel() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let Ok(runtime) = runtime else { panic!("no runtime") };
    runtime.block_on(async {
        for _ in 0..2000 {
            let root = Context::background();
            let leaf = root.child();
            let waiting = tokio::spawn(async move { leaf.done().await });
            let late = tokio::spawn({
                let root = root.clone();
                async move { root.child().done().await }
            });
            root.cancel();
            assert!(waiting.await.is_ok() && late.await.is_ok());
        }
    });
}
