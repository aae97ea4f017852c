//! A job for production: goes on where it was stopped, ends cleanly on SIGTERM, says by its exit code if a retry helps.

use std::{env, process::ExitCode, time::Duration};

use cronlet_sdk::{
    resilience::{Backoff, Jitter, Policy, Retry},
    task::{self, Checkpoint, Task, TaskError},
    time::after,
};

fn main() -> ExitCode {
    task::main(run)
}

async fn run(task: Task) -> Result<(), TaskError> {
    let data = env::var("DATA_DIR").map_err(|_| TaskError::permanent("DATA_DIR must name a directory"))?;
    let checkpoint = Checkpoint::of_index(data, task.environment.completion_index);
    let first: u32 = match checkpoint.load().await? {
        Some(position) => position.parse().map_err(TaskError::permanent)?,
        None => 0,
    };
    let backoff = Backoff::exponential(Duration::from_millis(100), 2.0).jitter(Jitter::Full);
    let policy = Policy::new().retry(Retry::new(backoff).max_attempts(4)).timeout(Duration::from_secs(5));
    for batch in first..10 {
        task.context.run(policy.call(|| send(batch))).await??;
        checkpoint.save((batch + 1).to_string()).await?;
    }
    checkpoint.clear().await?;
    Ok(())
}

async fn send(batch: u32) -> std::io::Result<()> {
    after(Duration::from_millis(100)).await;
    println!("batch {batch} sent");
    Ok(())
}
