//! Scheduled tasks in Rust, from a timer to a production job.
//!
//! Works alone, in any tokio program. Nothing here needs a cronlet node.

mod atomic_file;
mod clock;
pub mod cron;
mod event;
pub mod limits;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod resilience;
pub mod task;
pub mod time;

pub use clock::WallClock;
