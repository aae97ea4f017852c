//! What timers and guards of the SDK cost, beside the crates that do the same.

mod tower;

use std::{
    fs,
    future::{Future, poll_fn},
    hint::black_box,
    num::NonZeroU32,
    pin::Pin,
    task::Poll,
    time::Duration,
};

use anyhow::Context;
use cronlet_sdk::{
    resilience::{
        AdaptiveLimiter, Backoff, BreakerConfig, Bulkhead, CircuitBreaker, Failure, Gcra, Gradient2, Policy,
        RateLimiter, Retry, Timeout,
    },
    time::{Ticker, Timer},
};
use tokio::{
    runtime::Runtime,
    time::{Instant, Sleep},
};
use tokio_util::time::{DelayQueue, delay_queue::Key};

use super::{Row, median, percentile};

const WORKLOAD: &str = "sdk";
/// Timers that wait at a time.
const TIMERS: usize = 1_000_000;
/// Timers that fire, each in a task of its own, and the time over which they are spread.
const FIRING: usize = 200_000;
const FIRING_SPREAD_MS: u64 = 2_000;
/// Calls of a guard in one round.
const CALLS: u32 = 200_000;
const ROUNDS: usize = 5;
/// A ticker's period, and for how many of them it ticks: a minute.
const DRIFT_PERIOD: Duration = Duration::from_millis(10);
const DRIFT_TICKS: u32 = 6_000;
const POLICY_TARGET: &str = "≤ 150";
const STACK_TARGET: &str = "≤ 1000";

/// Medians of several rounds, in one process, the programs taking turns.
///
/// # Errors
/// If there is no runtime, or memory cannot be asked for.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = waiting(&runtime)?;
    rows.extend(firing(&runtime));
    let single = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    rows.extend(guards(&single));
    rows.extend(peers(&single));
    rows.extend(tower::measure(&single)?);
    rows.extend(single.block_on(drift()));
    Ok(rows)
}

fn row(figure: impl Into<String>, value: f64, unit: &'static str) -> Row {
    Row::new(WORKLOAD, figure, value, unit)
}

/// Bytes and nanoseconds to arm, of one of many timers that wait; and the timers.
struct Waiting<T> {
    bytes: f64,
    arm: f64,
    timers: T,
}

fn waiting(runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
    // All are held until all are measured: none finds memory that another has given back.
    let ours = runtime.block_on(hold(Timer::at, |timer, cx| timer.poll_fired(cx).map(drop)))?;
    let tokio =
        runtime.block_on(hold(|at| Box::pin(sleep_until(at)), |sleep, cx| sleep.as_mut().poll(cx)))?;
    let queue = runtime.block_on(queue())?;
    let armed = [
        ("cronlet", ours.bytes, ours.arm),
        ("tokio sleep", tokio.bytes, tokio.arm),
        ("DelayQueue", queue.bytes, queue.arm),
    ];
    let cancelled = [
        cancel(|| drop(ours.timers)),
        cancel(|| drop(tokio.timers)),
        cancel(|| {
            let (mut queue, keys) = queue.timers;
            for key in &keys {
                black_box(queue.remove(key));
            }
        }),
    ];
    let target = format!("≤ {:.0}, 1.2 × tokio's", armed[1].1 * 1.2);
    let mut rows = Vec::new();
    for ((program, bytes, arm), cancel) in armed.into_iter().zip(cancelled) {
        let memory = row(format!("memory of 1 of {TIMERS} timers, {program}"), bytes, "B");
        rows.push(if program == "cronlet" { memory.with_target(target.clone()) } else { memory });
        rows.push(row(format!("arming, {program}"), arm, "ns"));
        rows.push(row(format!("cancelling, {program}"), cancel, "ns"));
    }
    Ok(rows)
}

/// Nanoseconds for each of the timers that `all` cancels.
fn cancel(all: impl FnOnce()) -> f64 {
    let start = Instant::now();
    all();
    each(start.elapsed(), TIMERS)
}

#[expect(clippy::disallowed_methods, reason = "the peer that is measured")]
fn sleep_until(deadline: Instant) -> Sleep {
    tokio::time::sleep_until(deadline)
}

/// Deadlines an hour away and more, none like another.
fn far_deadlines() -> impl Iterator<Item = Instant> {
    let start = Instant::now() + Duration::from_secs(3600);
    (0..TIMERS as u64).map(move |n| start + Duration::from_millis(n * 7 % 3_600_000))
}

async fn hold<T>(
    make: impl Fn(Instant) -> T,
    mut poll: impl FnMut(&mut T, &mut std::task::Context<'_>) -> Poll<()>,
) -> anyhow::Result<Waiting<Vec<T>>> {
    let before = resident_bytes()?;
    let start = Instant::now();
    let mut timers: Vec<T> = far_deadlines().map(make).collect();
    poll_fn(|cx| {
        for timer in &mut timers {
            black_box(poll(timer, cx).is_ready());
        }
        Poll::Ready(())
    })
    .await;
    let armed = start.elapsed();
    let bytes = (resident_bytes()? - before) / TIMERS as f64;
    Ok(Waiting { bytes, arm: each(armed, TIMERS), timers })
}

async fn queue() -> anyhow::Result<Waiting<(DelayQueue<()>, Vec<Key>)>> {
    let before = resident_bytes()?;
    let start = Instant::now();
    let mut queue = DelayQueue::new();
    let keys: Vec<_> = far_deadlines().map(|deadline| queue.insert_at((), deadline)).collect();
    let armed = start.elapsed();
    let bytes = (resident_bytes()? - before) / TIMERS as f64;
    Ok(Waiting { bytes, arm: each(armed, TIMERS), timers: (queue, keys) })
}

fn each(total: Duration, of: usize) -> f64 {
    total.as_nanos() as f64 / of as f64
}

/// What of the process lies in memory.
fn resident_bytes() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024.0)
}

fn firing(runtime: &Runtime) -> Vec<Row> {
    let ours = |at| async move {
        Timer::at(at).fired().await;
    };
    let (mut fifty, mut ninety_nine) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for _ in 0..ROUNDS {
        for (program, mut late) in [runtime.block_on(lateness(ours)), runtime.block_on(lateness(sleep_until))]
            .into_iter()
            .enumerate()
        {
            fifty[program].push(percentile(&mut late, 50.0));
            ninety_nine[program].push(percentile(&mut late, 99.0));
        }
    }
    let mut rows = Vec::new();
    for (percent, rounds) in [("p50", fifty), ("p99", ninety_nine)] {
        let [ours, tokio] = rounds.map(|mut rounds| median(&mut rounds));
        let figure = |program| format!("lateness of {FIRING} timers, {percent}, {program}");
        let target = format!("≤ {:.2}, 1.2 × tokio's", tokio * 1.2);
        rows.push(row(figure("cronlet"), ours, "ms").with_target(target));
        rows.push(row(figure("tokio sleep"), tokio, "ms"));
    }
    rows
}

/// How many milliseconds each timer was late.
async fn lateness<F, Fut>(fired: F) -> Vec<f64>
where
    F: Fn(Instant) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now() + Duration::from_secs(1);
    let tasks: Vec<_> = (0..FIRING as u64)
        .map(|n| {
            let deadline = start + Duration::from_millis(n * 7919 % FIRING_SPREAD_MS);
            let fired = fired(deadline);
            tokio::spawn(async move {
                fired.await;
                deadline.elapsed().as_secs_f64() * 1e3
            })
        })
        .collect();
    let mut late = Vec::with_capacity(FIRING);
    for task in tasks {
        late.extend(task.await.ok());
    }
    late
}

/// How far the last tick of many is from a multiple of the period, of a ticker and of tokio's beside it. Ours leaves a tick
/// out that nobody has taken in time, as Go's does, and ends one period later then.
async fn drift() -> Vec<Row> {
    let (mut ours, mut tokio) = (Ticker::new(DRIFT_PERIOD), tokio::time::interval(DRIFT_PERIOD));
    let start = Instant::now();
    // Tokio's first tick is at once.
    tokio.tick().await;
    let our_last = async {
        for _ in 0..DRIFT_TICKS {
            ours.tick().await;
        }
        start.elapsed()
    };
    let tokio_last = async {
        for _ in 0..DRIFT_TICKS {
            tokio.tick().await;
        }
        start.elapsed()
    };
    let (ours, tokio) = tokio::join!(our_last, tokio_last);
    let off = |ended: Duration| {
        let periods = ended.as_secs_f64() / DRIFT_PERIOD.as_secs_f64();
        (periods - periods.round()) * DRIFT_PERIOD.as_secs_f64() * 1e3
    };
    let seconds = (DRIFT_PERIOD * DRIFT_TICKS).as_secs();
    let figure = |program| format!("drift over {seconds} s of ticks, {program}");
    vec![row(figure("cronlet"), off(ours), "ms"), row(figure("tokio interval"), off(tokio), "ms")]
}

/// Nanoseconds per call, of calls one after the other that succeed at once.
fn per_call<Fut: Future<Output = bool>>(runtime: &Runtime, call: impl Fn() -> Fut) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..CALLS {
                    black_box(call().await);
                }
                each(start.elapsed(), CALLS as usize)
            })
        })
        .collect();
    median(&mut rounds)
}

type Outcome = Result<u32, Failure<u32>>;

async fn work() -> Result<u32, u32> {
    black_box(Ok(7))
}

/// So many turns that none has to be waited for.
fn plenty() -> RateLimiter {
    RateLimiter::new(Gcra::new(1_000_000_000, Duration::from_secs(1)))
}

fn guards(runtime: &Runtime) -> Vec<Row> {
    let retry: Retry<u32, u32> = Retry::new(Backoff::default());
    let breaker = CircuitBreaker::new("bench", BreakerConfig::default());
    let (rate, timeout) = (plenty(), Timeout::new(Duration::from_secs(1)));
    let bulkhead = Bulkhead::default();
    let adaptive = AdaptiveLimiter::new(Gradient2::default());
    let stack = Policy::new()
        .deadline(Duration::from_secs(30))
        .fallback(|failure: Failure<u32>| async move { Outcome::Err(failure) })
        .retry(retry.clone())
        .breaker(breaker.clone())
        .rate_limit(rate.clone())
        .timeout(Duration::from_secs(1))
        .bulkhead(bulkhead.clone());
    let figures = [
        ("retry", per_call(runtime, async || retry.call(work).await.is_ok()), POLICY_TARGET),
        ("breaker", per_call(runtime, async || breaker.call(work).await.is_ok()), POLICY_TARGET),
        ("rate limit", per_call(runtime, async || rate.call(work).await.is_ok()), POLICY_TARGET),
        ("timeout", per_call(runtime, async || timeout.call(work).await.is_ok()), POLICY_TARGET),
        ("bulkhead", per_call(runtime, async || bulkhead.call(work).await.is_ok()), POLICY_TARGET),
        ("adaptive", per_call(runtime, async || adaptive.call(work).await.is_ok()), POLICY_TARGET),
        ("all but hedge", per_call(runtime, async || stack.call(work).await.is_ok()), STACK_TARGET),
    ];
    figures
        .into_iter()
        .map(|(guard, value, target)| row(format!("call through {guard}"), value, "ns").with_target(target))
        .collect()
}

fn peers(runtime: &Runtime) -> Vec<Row> {
    use backon::Retryable as _;
    use failsafe::futures::CircuitBreaker as _;

    let quota = governor::Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap_or(NonZeroU32::MIN));
    let governor = governor::RateLimiter::direct(quota);
    let failsafe = failsafe::Config::new().build();
    let backoff = backon::ExponentialBuilder::default();
    let bare = per_call(runtime, async || work().await.is_ok());
    let retry = per_call(runtime, async || work.retry(backoff).await.is_ok());
    let breaker = per_call(runtime, async || {
        let call: Pin<Box<dyn Future<Output = Result<u32, u32>>>> = Box::pin(work());
        failsafe.call(call).await.is_ok()
    });
    let rate = per_call(runtime, async || governor.check().is_ok() && work().await.is_ok());
    [
        ("nothing", bare),
        ("retry, backon", retry),
        ("breaker, failsafe", breaker),
        ("rate limit, governor", rate),
    ]
    .into_iter()
    .map(|(guard, value)| row(format!("call through {guard}"), value, "ns"))
    .collect()
}
