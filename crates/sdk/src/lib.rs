//! Scheduled tasks in Rust, from a timer to a production job.
//!
//! | module | what it is |
//! |---|---|
//! | [`time`] | timers, tickers and cancellation, with the guarantees of Go 1.23 |
//! | [`resilience`] | retry, circuit breaker, bulkhead, rate limits, adaptive concurrency, timeout, fallback, hedge |
//! | [`cron`] | a scheduler inside a program, with Temporal's overlap policies |
//! | [`task`] | the `main` of a job: signals, grace, exit codes, checkpoints |
//! | `metrics` | counters and histograms for Prometheus (feature `metrics`) |
//! | `otlp` | spans of a task for an OpenTelemetry collector, in the trace that the node names (feature `otlp`) |
//! | `exec` | retries, time limits and breakers for commands in any language (feature `exec`) |
//!
//! Other features: `tower` gives `tower::Layer`s of policies, `tracing` tells of retries, breakers and runs. Everything
//! works in any tokio program, and nothing needs a cronlet node. Where there is one, [`task`] knows from it when a run was
//! due and which attempt it is, and [`SharedState`](resilience::SharedState) keeps what breakers and rates have learnt
//! from one run to the next.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//! use cronlet_sdk::{resilience::{Backoff, Policy, Retry}, time::{Context, Ticker}};
//!
//! let policy = Policy::new()
//!     .retry(Retry::new(Backoff::exponential(Duration::from_millis(100), 2.0)).max_attempts(3))
//!     .timeout(Duration::from_secs(2));
//! let context = Context::background().with_timeout(Duration::from_secs(10));
//! let mut ticker = Ticker::new(Duration::from_secs(1));
//! let mut fetched = 0;
//! while context.run(ticker.tick()).await.is_ok() {
//!     fetched += policy.call(|| async { Ok::<_, std::io::Error>(1) }).await.unwrap();
//! }
//! assert!(fetched >= 9);
//! # }
//! ```
//!
//! Tests of your own need no real time: under `#[tokio::test(start_paused = true)]` all of this, the scheduler with a
//! [`WallClock::starting_at`] included, runs in virtual time.

mod atomic_file;
mod clock;
pub mod cron;
mod event;
#[cfg(feature = "exec")]
pub mod exec;
#[cfg(any(feature = "metrics", feature = "otlp"))]
mod http;
pub mod limits;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod resilience;
mod sync;
pub mod task;
pub mod time;

pub use clock::WallClock;
