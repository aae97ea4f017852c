//! A scheduler inside a program: cron or interval, with Temporal's overlap policies, and a stop that waits for runs.
//!
//! Schedules are read as Kubernetes reads them (`cronlet-schedule`). A program that only wants to be run at certain
//! times needs none of this: a CronJob does that, and outlives the program.

mod job;
mod occurrences;
mod overlap;
mod runner;
mod scheduler;
mod stamp;

pub use job::{Job, JobError, Run, Trigger};
pub use occurrences::{Due, due};
pub use overlap::{Decision, Overlap, Overlaps};
pub use scheduler::{Outcome, Scheduler, Status};

#[cfg(test)]
mod tests;
