//! The task of one job: waits for its times, starts runs, and sees them end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use super::{Decision, Job, Outcome, Overlaps, Run, Status, due, scheduler::Order, stamp};
use crate::{
    WallClock, event,
    limits::RECHECK_SECONDS_MAX,
    time::{Context, after},
};

/// What the scheduler and a job's task tell each other.
pub(super) struct Signals {
    /// Ends when no run may start any more.
    pub(super) accepting: Context,
    /// Ends when the runs should.
    pub(super) working: Context,
    /// Ends when the runs are not waited for any longer.
    pub(super) terminating: Context,
    /// Ended by the task when it is over.
    pub(super) ended: Context,
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

type Ended = (Outcome, Option<String>);

pub(super) struct Runner {
    job: Job,
    clock: WallClock,
    signals: Signals,
    status: Arc<Mutex<Status>>,
    /// The last time that was dealt with.
    dealt_with: Timestamp,
    overlaps: Overlaps,
    runs: JoinSet<Ended>,
    /// Above the contexts of the runs under way.
    current: Context,
}

impl Runner {
    pub(super) fn new(
        job: Job,
        clock: WallClock,
        signals: Signals,
        status: Arc<Mutex<Status>>,
        dealt_with: Timestamp,
    ) -> Runner {
        let (overlaps, current) = (Overlaps::new(job.overlap), signals.working.child());
        Runner { job, clock, signals, status, dealt_with, overlaps, runs: JoinSet::new(), current }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        while !self.signals.accepting.is_done() {
            let wait = self.look_at_the_clock().await;
            let accepting = self.signals.accepting.clone();
            tokio::select! {
                biased;
                _ = accepting.done() => {}
                Some(ended) = self.runs.join_next() => self.ended(ended),
                Some(Order::Trigger) = inbox.recv() => self.is_due(self.clock.now()).await,
                _ = after(wait) => {}
            }
        }
        self.wind_up().await;
    }

    /// Deals with what is due, and says how long nothing else will be.
    async fn look_at_the_clock(&mut self) -> Duration {
        let now = self.clock.now();
        let windows = (self.job.catch_up, self.job.jitter);
        let due = due(&self.job.trigger, &self.job.name, windows, self.dealt_with, now);
        self.see(|status| {
            status.missed += due.missed;
            status.next = due.next.map(|(nominal, _)| nominal);
        });
        if due.after != self.dealt_with {
            self.dealt_with = due.after;
            self.keep_stamp().await;
        }
        for nominal in due.runs {
            self.is_due(nominal).await;
        }
        let recheck =
            if self.clock.can_be_set() { Duration::from_secs(RECHECK_SECONDS_MAX) } else { Duration::MAX };
        let until = due.next.and_then(|(_, start)| Duration::try_from(start.duration_since(now)).ok());
        until.unwrap_or(recheck).min(recheck)
    }

    async fn keep_stamp(&self) {
        let Some(path) = self.job.stamp.clone() else { return };
        let last = self.dealt_with;
        let written = tokio::task::spawn_blocking(move || stamp::write(&path, last)).await;
        if let Ok(Err(error)) = written {
            self.see(|status| status.last_error = Some(format!("the stamp of the last run: {error}")));
        }
    }

    async fn is_due(&mut self, nominal: Timestamp) {
        // What has ended in this very moment is no longer under way.
        while let Some(ended) = self.runs.try_join_next() {
            self.ended(ended);
        }
        let waiting = self.overlaps.waiting() as u64;
        match self.overlaps.due(nominal) {
            Decision::Start => self.start(nominal),
            Decision::Skip => self.see(|status| status.skipped += 1),
            Decision::Buffer => {}
            Decision::CancelOthers => {
                self.current.cancel();
                self.current = self.signals.working.child();
                // What waited for an earlier cancellation gives way to this run.
                self.see(|status| status.skipped += waiting);
            }
            Decision::TerminateOthers => {
                self.terminate().await;
                self.start(nominal);
            }
        }
        self.see_counts();
    }

    fn start(&mut self, nominal: Timestamp) {
        event::run(&self.job.name, "run starts");
        self.see(|status| status.last = Some(nominal));
        let Some(work) = self.job.work.clone() else {
            self.runs.spawn(async { (Outcome::Succeeded, None) });
            return;
        };
        let timeout = self.job.timeout;
        let context = timeout.map_or_else(|| self.current.child(), |limit| self.current.with_timeout(limit));
        let run = Run { name: self.job.name.clone(), scheduled: nominal, context };
        self.runs.spawn(async move {
            let result = match timeout {
                None => Some(work(run).await),
                Some(limit) => tokio::select! {
                    biased;
                    result = work(run) => Some(result),
                    _ = after(limit) => None,
                },
            };
            match result {
                Some(Ok(())) => (Outcome::Succeeded, None),
                Some(Err(error)) => (Outcome::Failed, Some(error.to_string())),
                None => {
                    let limit = timeout.unwrap_or_default();
                    (Outcome::TimedOut, Some(format!("no end within {limit:?}")))
                }
            }
        });
    }

    /// A run has ended; the one that waited for that starts.
    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let (outcome, error) = ended.unwrap_or_else(|error| {
            let outcome = if error.is_panic() { Outcome::Failed } else { Outcome::Terminated };
            (outcome, Some(error.to_string()))
        });
        event::run(
            &self.job.name,
            if outcome == Outcome::Succeeded { "run succeeded" } else { "run failed" },
        );
        self.see(|status| {
            if outcome == Outcome::Succeeded {
                status.succeeded += 1;
            } else {
                status.failed += 1;
            }
            status.last_outcome = Some(outcome);
            status.last_error = error.or(status.last_error.take());
        });
        if let Some(next) = self.overlaps.ended() {
            self.start(next);
        }
        self.see_counts();
    }

    /// Drops the runs under way, and returns when they are gone.
    async fn terminate(&mut self) {
        let terminated = self.runs.len() as u64;
        self.runs.shutdown().await;
        self.see(|status| {
            status.failed += terminated;
            if terminated > 0 {
                status.last_outcome = Some(Outcome::Terminated);
            }
        });
    }

    /// Waits for the runs under way, as long as the scheduler wants that.
    async fn wind_up(mut self) {
        let forgotten = self.overlaps.forget_waiting() as u64;
        self.see(|status| {
            status.skipped += forgotten;
            status.next = None;
        });
        let terminating = self.signals.terminating.clone();
        loop {
            tokio::select! {
                biased;
                ended = self.runs.join_next() => match ended {
                    Some(ended) => self.ended(ended),
                    None => break,
                },
                _ = terminating.done() => {
                    self.terminate().await;
                    break;
                }
            }
        }
        self.see(|status| (status.running, status.waiting) = (0, 0));
    }

    fn see_counts(&self) {
        let counts = (self.overlaps.running(), self.overlaps.waiting());
        self.see(|status| (status.running, status.waiting) = counts);
    }

    fn see(&self, change: impl FnOnce(&mut Status)) {
        let mut status: MutexGuard<'_, Status> = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut status);
    }
}
