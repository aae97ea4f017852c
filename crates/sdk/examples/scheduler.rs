//! Two jobs inside a program, until Ctrl-C; runs under way may end.

use std::{convert::Infallible, error::Error, time::Duration};

use cronlet_sdk::{
    cron::{Job, Overlap, Scheduler},
    time::after,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::new();
    let report = Job::cron("report", "*/5 9-17 * * 1-5")?
        .zone("Europe/Berlin")?
        .overlap(Overlap::BufferOne)
        .timeout(Duration::from_secs(240))
        .run(|run| async move {
            println!("report of {}", run.scheduled);
            // Ends early if the scheduler does not want to wait any longer.
            run.context.run(after(Duration::from_secs(2))).await.map(drop)
        });
    let refresh = Job::every("refresh", Duration::from_secs(1)).run(|run| async move {
        println!("cache refreshed, due {}", run.scheduled);
        Ok::<_, Infallible>(())
    });
    scheduler.add(report)?;
    scheduler.add(refresh)?;

    tokio::signal::ctrl_c().await?;
    for (name, status) in scheduler.stop_within(Duration::from_secs(10)).await {
        println!("{name}: {} runs, {} failed", status.succeeded, status.failed);
    }
    Ok(())
}
