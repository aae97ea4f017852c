//! The guards of tower-resilience around the same work, as the tower services that they are.

use std::{
    future::{Ready, poll_fn, ready},
    hint::black_box,
    io,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Runtime, time::Instant};
use tower_layer::Layer;
use tower_resilience::{
    bulkhead::BulkheadLayer, circuitbreaker::CircuitBreakerLayer, ratelimiter::RateLimiterLayer,
    retry::RetryLayer, timelimiter::TimeLimiterLayer,
};
use tower_service::Service;

use super::{CALLS, ROUNDS, each, row};
use crate::bench::{Row, median};

/// Work that is done at once.
#[derive(Clone)]
struct Work;

impl Service<u32> for Work {
    type Response = u32;
    type Error = io::Error;
    type Future = Ready<Result<u32, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(black_box(Ok(request)))
    }
}

/// Nanoseconds per call, of calls one after the other that succeed at once. What guards wait for is that of
/// resilience4j, as ours.
pub(super) fn measure(runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    let second = Duration::from_secs(1);
    let retry =
        RetryLayer::<u32, u32, io::Error>::builder().max_attempts(3).fixed_backoff(second / 2).build();
    let breaker = CircuitBreakerLayer::builder().sliding_window_size(100).build()?;
    // So many turns that none has to be waited for.
    let rate = RateLimiterLayer::builder().limit_for_period(1_000_000_000).refresh_period(second).build()?;
    let timeout = TimeLimiterLayer::builder().timeout_duration(second).build();
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(25).build()?;
    let figures = [
        ("retry", per_call(runtime, retry.layer(Work))),
        ("breaker", per_call(runtime, breaker.layer(Work))),
        ("rate limit", per_call(runtime, rate.layer(Work))),
        ("timeout", per_call(runtime, timeout.layer(Work))),
        ("bulkhead", per_call(runtime, bulkhead.layer(Work))),
    ];
    let rows =
        figures.map(|(guard, value)| row(format!("call through {guard}, tower-resilience"), value, "ns"));
    Ok(rows.into())
}

fn per_call(runtime: &Runtime, mut service: impl Service<u32>) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..CALLS {
                    let is_ready = poll_fn(|cx| service.poll_ready(cx)).await.is_ok();
                    black_box(is_ready && service.call(7).await.is_ok());
                }
                each(start.elapsed(), CALLS as usize)
            })
        })
        .collect();
    median(&mut rounds)
}
