//! Starts: each scheduled time at most once, never early or late, and as the concurrency policy has it.

use cronlet_object::{
    Kind, Object, Snapshot,
    ledger::{Entry, Reason},
};
use jiff::SignedDuration;

use super::{Checked, Checks, ensure, owner, read::dependents};
use crate::Committed;

impl Checks {
    /// A Job came to be.
    pub(super) fn job_is_created(&mut self, job: &Object, before: &Snapshot, after: &Snapshot) -> Checked {
        let time = self.reader.job(job).scheduled;
        let (Some(time), Some(parent)) = (time, owner(job, Kind::CronJob, after)) else {
            return Ok(());
        };
        let key = (parent.meta().uid.clone(), time);
        // Once somebody has edited the status, only the Job itself shows that there was a start.
        let is_known = |first: &String| {
            !self.edited.contains(&parent.meta().uid)
                || dependents(parent, Kind::Job, before).any(|other| other.name() == first)
        };
        if let Some(first) = self.starts.insert(key, job.name().to_owned()).filter(is_known) {
            let found = format!("{} and {first} are both for {time}", job.name());
            return ensure(false, "one Job for each CronJob and scheduled time", || found);
        }
        let name = format!("{}-{}", parent.name(), time.as_second() / 60);
        ensure(job.name() == name, "a Job is named for its scheduled minute", || {
            format!("{} is for {time}: expected {name}", job.name())
        })?;
        let cron_job = self.reader.cron_job(before.get(parent.key()).unwrap_or(parent));
        let spec = &cron_job.spec;
        ensure(spec.suspend != Some(true), "a suspended CronJob starts nothing", || job.name().to_owned())?;
        let created = job.meta().created.unwrap_or(time);
        ensure(time <= created, "no start before its time", || {
            format!("{} for {time} at {created}", job.name())
        })?;
        if let Some(deadline) = spec.starting_deadline_seconds {
            // Times of creation are cut to the second.
            let latest = time + SignedDuration::from_secs(deadline + 1);
            ensure(created <= latest, "no start after startingDeadlineSeconds", || {
                format!("{} for {time} at {created}, deadline {deadline} s", job.name())
            })?;
        }
        let running = |snapshot: &Snapshot| -> Vec<String> {
            let others = dependents(parent, Kind::Job, snapshot).filter(|other| other.key() != job.key());
            let active = others.filter(|other| {
                let read = self.reader.job(other);
                read.scheduled.is_some() && !read.is_finished() && other.meta().deleted.is_none()
            });
            active.map(|other| other.name().to_owned()).collect()
        };
        let overlap = match spec.concurrency_policy.as_deref() {
            Some("Forbid") => running(before),
            Some("Replace") => running(after),
            _ => Vec::new(),
        };
        let holds = overlap.is_empty() || self.edited.contains(&parent.meta().uid);
        ensure(holds, "Forbid and Replace leave one Job", || {
            format!("{} beside {}", job.name(), overlap.join(", "))
        })
    }
}

impl Checks {
    /// A CronJob changed.
    pub(super) fn cron_job_changed(&mut self, old: &Object, new: &Object, by_controller: bool) -> Checked {
        let status = |object: &Object| self.reader.cron_job(object).status.clone().unwrap_or_default();
        let (was, is) = (status(old), status(new));
        let (before, after) = (was.last_schedule_time, is.last_schedule_time);
        let falls = after < before;
        if !by_controller && (falls || was.active != is.active) {
            self.edited.insert(new.meta().uid.clone());
        }
        ensure(!falls || !by_controller, "lastScheduleTime never falls", || {
            format!("{}: {before:?} to {after:?}", new.name())
        })
    }
}

impl Checks {
    /// What the ledger says was started was, in the same transaction.
    pub(super) fn ledger_agrees(&self, committed: &Committed) -> Checked {
        let mut started: Vec<String> = committed
            .ledger
            .iter()
            .filter_map(|entry| match entry {
                Entry::Decision(decision) if decision.reason == Reason::Started => decision.job.clone(),
                _ => None,
            })
            .collect();
        let created = committed.changes.iter().filter(|change| change.old.is_none());
        let jobs = created.filter_map(|change| change.new.as_ref()).filter(|new| new.kind() == Kind::Job);
        let mut created: Vec<String> = jobs
            .filter(|job| self.reader.job(job).scheduled.is_some())
            .map(|job| job.name().to_owned())
            .collect();
        started.sort();
        created.sort();
        ensure(started == created, "the ledger says what was started", || {
            format!("started {started:?}, created {created:?}")
        })
    }
}
