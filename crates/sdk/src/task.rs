//! The `main` of a scheduled task: what it is told, how it is stopped, and what its exit code says.
//!
//! ```no_run
//! use cronlet_sdk::task::{self, TaskError};
//!
//! fn main() -> std::process::ExitCode {
//!     task::main(|task| async move {
//!         println!("the run of {:?}, attempt {}", task.environment.scheduled_time, task.environment.attempt);
//!         let text = std::fs::read_to_string("/data/orders.csv").map_err(TaskError::permanent)?;
//!         // Ends with an error, and exit code 143, if the task is told to stop meanwhile.
//!         task.context.run(async { text.len() }).await?;
//!         Ok(())
//!     })
//! }
//! ```

mod checkpoint;
mod environment;
mod exit;
mod measured;
mod program;
mod trace;
mod traced;

pub use checkpoint::Checkpoint;
pub use environment::{Environment, EnvironmentFault};
pub use exit::{ExitCodes, TaskError};
pub use program::{Program, Task, main};
pub use trace::{NoTraceParent, TraceParent};

/// A value that is made once, by whoever asks first; others wait for it. An attempt that fails is made again by the
/// next who asks. Go's `sync.Once`, with a value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use cronlet_sdk::task::Once;
///
/// static POOL: Once<String> = Once::const_new();
/// let pool = POOL.get_or_init(|| async { "connected".to_owned() }).await;
/// assert_eq!(pool, "connected");
/// # }
/// ```
pub use tokio::sync::OnceCell as Once;

#[cfg(test)]
mod tests;
