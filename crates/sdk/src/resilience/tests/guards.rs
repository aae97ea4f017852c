use tokio::time::Instant;

use super::{Calls, ms, secs};
use crate::{
    resilience::{Bulkhead, Failure, Hedge, Timeout},
    time::after,
};

#[tokio::test(start_paused = true)]
async fn a_bulkhead_lets_so_many_in_and_others_wait_their_turn() {
    let bulkhead = Bulkhead::new(2).max_wait(secs(10));
    let start = Instant::now();
    let call = || async {
        let answered: Result<(), Failure<()>> = bulkhead
            .call(|| async {
                after(secs(1)).await;
                Ok(())
            })
            .await;
        (answered, start.elapsed().as_secs())
    };
    let (a, b, c, d, e) = tokio::join!(call(), call(), call(), call(), call());
    assert_eq!(
        [a, b, c, d, e].map(|(answered, at)| (answered.is_ok(), at)),
        [1, 1, 2, 2, 3].map(|at| (true, at))
    );
    assert_eq!(bulkhead.available(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_refuses_when_the_queue_is_full_or_the_wait_too_long() {
    let bulkhead = Bulkhead::new(1).max_wait(secs(1)).max_queue(1);
    let start = Instant::now();
    let call = || async {
        let answered: Result<(), Failure<()>> = bulkhead
            .call(|| async {
                after(secs(5)).await;
                Ok(())
            })
            .await;
        (answered, start.elapsed())
    };
    let (first, second, third) = tokio::join!(call(), call(), call());
    assert_eq!(first, (Ok(()), secs(5)));
    assert_eq!(second, (Err(Failure::BulkheadFull), secs(1)), "waited in vain");
    assert_eq!(third, (Err(Failure::BulkheadFull), secs(0)), "no room to wait");
    let (first, second) = tokio::join!(call(), call());
    assert_eq!(first, (Ok(()), secs(10)));
    assert_eq!(second, (Err(Failure::BulkheadFull), secs(6)), "there was room to wait again");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_place_back() {
    let bulkhead = Bulkhead::new(1);
    let slow = bulkhead.call(std::future::pending::<Result<(), ()>>);
    assert!(tokio::time::timeout(ms(1), slow).await.is_err());
    assert_eq!(bulkhead.available(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_drops_the_call_and_says_what_time_it_had() {
    let slow: Result<(), Failure<()>> = Timeout::default().call(std::future::pending).await;
    assert_eq!(slow, Err(Failure::TimedOut { after: secs(1) }));
    let just: Result<(), Failure<()>> = Timeout::default()
        .call(|| async {
            after(secs(1)).await;
            Ok(())
        })
        .await;
    assert_eq!(just, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_begins_another_call_and_takes_the_first_answer() {
    let (calls, start) = (Calls::default(), Instant::now());
    let answered: Result<u32, Failure<()>> = Hedge::default()
        .call(|| {
            let n = calls.next();
            async move {
                after(if n == 1 { secs(60) } else { secs(1) }).await;
                Ok(n)
            }
        })
        .await;
    assert_eq!((answered, calls.count(), start.elapsed()), (Ok(2), 2, secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_quick_answer_needs_no_hedge_and_a_failure_begins_it_at_once() {
    let calls = Calls::default();
    let quick: Result<u32, Failure<()>> =
        Hedge::default().call(|| std::future::ready(Ok(calls.next()))).await;
    assert_eq!((quick, calls.count()), (Ok(1), 1));

    let (calls, start) = (Calls::default(), Instant::now());
    let failing: Result<(), Failure<u32>> =
        Hedge::default().max_hedges(2).call(|| std::future::ready(Err(calls.next()))).await;
    assert_eq!((failing, calls.count(), start.elapsed()), (Err(Failure::Call(3)), 3, secs(0)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_hedge_leaves_the_first_call_its_chance() {
    let calls = Calls::default();
    let answered: Result<u32, Failure<&str>> = Hedge::default()
        .call(|| {
            let n = calls.next();
            async move {
                after(if n == 1 { secs(3) } else { ms(500) }).await;
                if n == 1 { Ok(n) } else { Err("refused") }
            }
        })
        .await;
    assert_eq!(answered, Ok(1));
}
