//! The scheduler: a task for each job, and what can be seen and asked of them.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{
    Job, JobError,
    runner::{Runner, Signals},
    stamp,
};
use crate::{
    WallClock,
    time::{Context, after},
};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It gave `Ok`.
    Succeeded,
    /// It gave an error, or panicked.
    Failed,
    /// It took too long and was dropped.
    TimedOut,
    /// It was dropped for another run, or because the scheduler did not want to wait any longer.
    Terminated,
}

/// What can be seen of a job.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::cron::{Job, Outcome, Scheduler, Status};
///
/// let scheduler = Scheduler::new();
/// let job = Job::every("heartbeat", Duration::from_secs(3600));
/// scheduler.add(job.run(|_| async { Err("no route to host") })).unwrap();
/// assert!(scheduler.trigger("heartbeat"));
/// cronlet_sdk::time::after(Duration::from_secs(1)).await;
/// let Status { next, last_outcome, last_error, .. } = scheduler.status()["heartbeat"].clone();
/// assert!(next.is_some());
/// assert_eq!((last_outcome, last_error.as_deref()), (Some(Outcome::Failed), Some("no route to host")));
/// // Runs that are under way have five seconds, and five more to notice that they are told to end.
/// scheduler.stop_within(Duration::from_secs(5)).await;
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// The next nominal time; `None` if there is none, or the scheduler was stopped.
    pub next: Option<Timestamp>,
    /// The nominal time of the last run that started, or that the stamp told of.
    pub last: Option<Timestamp>,
    /// How the last run that ended did so.
    pub last_outcome: Option<Outcome>,
    /// The error of the last run that failed, or of keeping the stamp.
    pub last_error: Option<String>,
    /// How many runs are under way.
    pub running: usize,
    /// How many runs wait for others to end.
    pub waiting: usize,
    /// How many runs have succeeded.
    pub succeeded: u64,
    /// How many runs have failed, timed out or been dropped.
    pub failed: u64,
    /// How many runs did not take place because of others under way.
    pub skipped: u64,
    /// How many times passed too long ago for a run to be made up for.
    pub missed: u64,
}

/// What the scheduler tells a job's task.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// Run now, whatever the schedule says.
    Trigger,
}

/// Runs jobs at their times, each in a task of its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::{WallClock, cron::{Job, Scheduler}};
///
/// // In a test, a clock that goes with tokio's paused time; `Scheduler::new()` takes the machine's.
/// let clock = WallClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap());
/// let scheduler = Scheduler::with_clock(clock);
/// let job = Job::cron("report", "0 9 * * *").unwrap().zone("Europe/Berlin").unwrap();
/// scheduler.add(job.run(|run| async move { Ok::<_, String>(println!("report of {}", run.scheduled)) })).unwrap();
/// cronlet_sdk::time::after(Duration::from_secs(86_400)).await;
/// let status = scheduler.stop().await;
/// assert_eq!(status["report"].succeeded, 1);
/// # }
/// ```
#[derive(Debug)]
pub struct Scheduler {
    clock: WallClock,
    /// Ends when no run may start any more.
    accepting: Context,
    /// Ends when the runs should.
    working: Context,
    /// Ends when the runs are not waited for any longer.
    terminating: Context,
    jobs: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    status: Arc<Mutex<Status>>,
    orders: mpsc::Sender<Order>,
    /// Ends when the job's task has.
    ended: Context,
}

impl Scheduler {
    /// A scheduler without jobs, by the machine's clock.
    pub fn new() -> Scheduler {
        Scheduler::with_clock(WallClock::system())
    }

    /// A scheduler without jobs, by another clock.
    pub fn with_clock(clock: WallClock) -> Scheduler {
        Scheduler {
            clock,
            accepting: Context::background(),
            working: Context::background(),
            terminating: Context::background(),
            jobs: Mutex::default(),
        }
    }

    /// Schedules a job from now on, or from its last run if it keeps a stamp of that. Reads the stamp at once, blocking.
    ///
    /// # Errors
    /// If the name is taken, the scheduler was stopped, or the stamp is there and cannot be read.
    pub fn add(&self, job: Job) -> Result<(), JobError> {
        let mut jobs = self.lock();
        if self.accepting.is_done() {
            return Err(JobError::Stopped(job.name));
        }
        if jobs.contains_key(&job.name) {
            return Err(JobError::NameTaken(job.name));
        }
        let last = match &job.stamp {
            None => None,
            Some(path) => stamp::read(path).map_err(|problem| JobError::Stamp {
                name: job.name.clone(),
                path: path.clone(),
                problem,
            })?,
        };
        let status = Arc::new(Mutex::new(Status { last, ..Status::default() }));
        let (orders, inbox) = mpsc::channel(16);
        let name = job.name.clone();
        let since = last.unwrap_or_else(|| self.clock.now());
        let signals = Signals {
            accepting: self.accepting.clone(),
            working: self.working.clone(),
            terminating: self.terminating.clone(),
            ended: Context::background(),
        };
        let ended = signals.ended.clone();
        let runner = Runner::new(job, self.clock, signals, status.clone(), since);
        tokio::spawn(runner.run(inbox));
        jobs.insert(name, Entry { status, orders, ended });
        Ok(())
    }

    /// What can be seen of every job.
    pub fn status(&self) -> BTreeMap<String, Status> {
        let seen = |entry: &Entry| entry.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.lock().iter().map(|(name, entry)| (name.clone(), seen(entry))).collect()
    }

    /// Makes a run of a job due now, under its overlap policy. False if there is no such job, or it has more of these
    /// to deal with already than it can take.
    pub fn trigger(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|entry| entry.orders.try_send(Order::Trigger).is_ok())
    }

    /// Starts no further run, and waits for those under way. Runs that wait for others are skipped. Gives the status of
    /// every job after that.
    ///
    /// Cancel safe: a stop that nobody waits for any more is still a stop.
    pub async fn stop(&self) -> BTreeMap<String, Status> {
        self.accepting.cancel();
        let ended: Vec<Context> = self.lock().values().map(|entry| entry.ended.clone()).collect();
        for job in ended {
            job.done().await;
        }
        self.status()
    }

    /// As [`stop`](Scheduler::stop); cancels the contexts of runs that are under way `patience` from now, and drops
    /// those that are still under way after as long again.
    pub async fn stop_within(&self, patience: Duration) -> BTreeMap<String, Status> {
        let mut stop = pin!(self.stop());
        tokio::select! {
            biased;
            status = &mut stop => return status,
            _ = after(patience) => self.working.cancel_because("the scheduler stops"),
        }
        tokio::select! {
            biased;
            status = &mut stop => return status,
            _ = after(patience) => self.terminating.cancel(),
        }
        stop.await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Scheduler {
    /// Nobody could stop it any more: starts no further run, and tells those under way to end.
    fn drop(&mut self) {
        self.accepting.cancel();
        self.working.cancel_because("the scheduler is gone");
    }
}

impl Default for Scheduler {
    fn default() -> Scheduler {
        Scheduler::new()
    }
}
