//! Timers, tickers and cancellation with the guarantees of Go 1.23's `time` and `context`.
//!
//! Every guarantee has a row in `docs/sdk-time.md` and a test. All of it goes by tokio's clock: a test under
//! `#[tokio::test(start_paused = true)]` needs no real time. Timers must be made inside a tokio runtime with its time
//! driver enabled, as tokio's own; resolution is tokio's, one millisecond.

mod after;
mod context;
mod ticker;
mod timer;

pub use after::{After, AfterFunc, after, after_func};
pub use context::{Cancelled, Context};
pub use ticker::{MissedTicks, Ticker};
pub use timer::Timer;

#[cfg(test)]
mod tests;
