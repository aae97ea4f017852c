//! The CronJob controller: creates a Job at each scheduled time, and keeps the list of those that run and of those
//! that have ended.
//!
//! The rules are those of Kubernetes' second CronJob controller. Two things differ because there is no cache between
//! it and the store: a start is one transaction (Job, status, event and ledger together), and what upstream repeats
//! at every look is told once for each scheduled time.

mod children;
mod due;
mod start;
mod template;

pub use due::{ConcurrencyPolicy, Missed, NeverFires, Passed, Timing, Verdict};

use std::sync::Arc;

use cronlet_object::{
    Change, Ids, Key, Kind, Object, Snapshot, Transaction, Typed, Unchanged,
    api::{CronJob, CronJobSpec, CronJobStatus, ObjectReference, Time},
    deletion::replace,
    event::{self, Note, Recorder},
    ledger::{Decision, Entry, Reason},
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Plan, View,
    cronjob::children::{Child, Outcome},
    deletion::{self, Propagation},
};

/// The component that CronJob events come from.
const COMPONENT: &str = "cronjob-controller";

/// Looks at one CronJob: forgets old Jobs, brings its status up to date, and starts what is due.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let Some(object) = view.snapshot.get(key) else { return Plan::default() };
    let mut pass = Pass::new(view, object, ids);
    pass.forget_old_jobs();
    pass.follow_jobs();
    pass.forget_missing_jobs();
    let wake_at = pass.start_due();
    Plan { transaction: pass.finish(), wake_at }
}

/// Whether a change leaves nothing to look at that the look which made it has not seen: the start of a Job, be it the
/// CronJob's side of it or the Job itself. With thousands of CronJobs due at once, no second look may delay the first
/// of the others.
pub(crate) fn is_own_start(change: &Change, snapshot: &Snapshot) -> bool {
    let Some(new) = &change.new else { return false };
    match (&change.old, new.kind()) {
        (Some(old), Kind::CronJob) => {
            // Somebody who takes the time back, or away, has older times considered again.
            without_status(old) == without_status(new) && last_schedule_time(old) < last_schedule_time(new)
        }
        (None, Kind::Job) => new.meta().controller().is_some_and(|owner| {
            let key = Key::new(Kind::CronJob, new.namespace(), owner.name.as_ref());
            let status = snapshot.get(&key).and_then(|cron_job| cron_job.status_json());
            status.is_some_and(|status| status.contains(new.meta().uid.as_ref()))
        }),
        _ => false,
    }
}

/// The text of an object behind its revision, which comes first, and before its status, which comes last.
fn without_status(object: &Object) -> Option<&str> {
    let (_, behind) = object.json().split_once("\"resourceVersion\":\"")?;
    let status = object.status_json().unwrap_or_default();
    let before = behind.strip_suffix('}')?.strip_suffix(status)?;
    Some(before.strip_suffix(",\"status\":").unwrap_or(before).split_once('"')?.1)
}

fn last_schedule_time(object: &Object) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Glance {
        last_schedule_time: Option<Timestamp>,
    }
    serde_json::from_str::<Glance>(object.status_json()?).ok()?.last_schedule_time
}

/// One look at one CronJob.
struct Pass<'a> {
    view: &'a View<'a>,
    object: &'a Object,
    /// The CronJob without its status.
    cron_job: CronJob,
    /// The status as it was read.
    old_status: CronJobStatus,
    /// The status as it will be written.
    status: CronJobStatus,
    jobs: Vec<Child>,
    about: ObjectReference,
    ids: &'a mut Ids,
    transaction: Transaction,
}

impl<'a> Pass<'a> {
    fn new(view: &'a View<'a>, object: &'a Object, ids: &'a mut Ids) -> Self {
        let mut cron_job = object.decode::<CronJob>();
        let mut status = cron_job.status.take().unwrap_or_default();
        status.active.take_if(|active| active.is_empty());
        Pass {
            view,
            object,
            cron_job,
            old_status: status.clone(),
            status,
            jobs: children::of(object, view.snapshot),
            about: event::reference(object),
            ids,
            transaction: Transaction::default(),
        }
    }

    fn spec(&self) -> &CronJobSpec {
        &self.cron_job.spec
    }

    /// Deletes the finished Jobs beyond the history limits, the oldest first.
    fn forget_old_jobs(&mut self) {
        let limit = |limit: Option<i32>| limit.map(|n| usize::try_from(n).unwrap_or_default());
        let successful = limit(self.spec().successful_jobs_history_limit);
        let failed = limit(self.spec().failed_jobs_history_limit);
        for (outcome, limit) in [(Outcome::Complete, successful), (Outcome::Failed, failed)] {
            let Some(limit) = limit else { continue };
            for job in beyond_limit(&self.jobs, outcome, limit) {
                self.delete_job(&job);
            }
        }
    }

    /// Takes note of Jobs that have ended, and of such as run without having been started here.
    fn follow_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            let listed = self.status.active.iter().flatten().any(|r| r.uid.as_deref() == Some(job.uid()));
            match job.outcome {
                None if !listed => {
                    let message =
                        format!("Saw a job that the controller did not create or forgot: {}", job.name());
                    self.tell_once(&Note::warning("UnexpectedJob", &message), Timestamp::MIN);
                }
                None => {}
                Some(outcome) => {
                    if listed {
                        self.remove_active(job.uid());
                        let message =
                            format!("Saw completed job: {}, condition: {}", job.name(), outcome.as_str());
                        self.tell(&Note::normal("SawCompletedJob", &message));
                    }
                    if outcome == Outcome::Complete && job.completion_time > self.last_successful() {
                        self.status.last_successful_time = job.completion_time.map(Time);
                    }
                }
            }
            self.jobs.push(job);
        }
    }

    /// Drops references to Jobs that no longer exist: they would count as running forever.
    fn forget_missing_jobs(&mut self) {
        let (kept, missing): (Vec<_>, Vec<_>) =
            self.status.active.take().unwrap_or_default().into_iter().partition(|reference| {
                let uid = reference.uid.as_deref().unwrap_or_default();
                let stored = || self.stored_job(reference.name.as_deref().unwrap_or_default());
                // A Job that has lost its owner reference is still there.
                self.jobs.iter().any(|job| job.uid() == uid)
                    || stored().is_some_and(|job| job.meta().uid.as_ref() == uid)
            });
        self.status.active = Some(kept);
        for name in missing.iter().filter_map(|reference| reference.name.as_deref()) {
            self.tell(&Note::normal("MissingJob", &format!("Active job went missing: {name}")));
        }
    }

    /// Deletes a Job together with its pods, and says so. Returns whether that is possible.
    fn delete_job(&mut self, job: &Object) -> bool {
        match deletion::write(job, Propagation::Background, self.view.now) {
            Ok(write) => {
                self.remove_active(&job.meta().uid);
                if write.is_some() {
                    self.transaction.writes.extend(write);
                    self.tell(&Note::normal("SuccessfulDelete", &format!("Deleted job {}", job.name())));
                }
                true
            }
            Err(error) => {
                self.tell_once(
                    &Note::warning("FailedDelete", &format!("Deleted job: {error}")),
                    Timestamp::MIN,
                );
                false
            }
        }
    }

    fn stored_job(&self, name: &str) -> Option<&'a Object> {
        let key = Key::new(Kind::Job, self.object.namespace(), name);
        self.view.snapshot.get(&key).map(AsRef::as_ref)
    }

    fn last_successful(&self) -> Option<Timestamp> {
        self.status.last_successful_time.as_ref().map(|time| time.0)
    }

    fn active(&self) -> &[ObjectReference] {
        self.status.active.as_deref().unwrap_or_default()
    }

    fn remove_active(&mut self, uid: &str) {
        if let Some(active) = &mut self.status.active {
            active.retain(|reference| reference.uid.as_deref() != Some(uid));
        }
    }

    fn recorder(&self) -> Recorder<'a> {
        Recorder { snapshot: self.view.snapshot, now: self.view.now, component: COMPONENT, host: None }
    }

    /// Tells of something that happened now.
    fn tell(&mut self, note: &Note) {
        self.recorder().record(&mut self.transaction.writes, &self.about, note, self.ids);
    }

    /// Tells of a state of affairs that is found again at every look, unless it was told at `since` or later.
    /// Returns whether it was news.
    fn tell_once(&mut self, note: &Note, since: Timestamp) -> bool {
        let news = self.recorder().last_told(&self.about, note).is_none_or(|told| told < since);
        if news {
            self.tell(note);
        }
        news
    }

    /// Enters a decision about a scheduled time into the ledger.
    fn decide(&mut self, scheduled: Option<Timestamp>, reason: Reason, message: &str, job: Option<&str>) {
        self.transaction.ledger.push(Entry::Decision(Decision {
            at: self.view.now,
            namespace: self.object.namespace().to_owned(),
            cronjob: self.object.name().to_owned(),
            cronjob_uid: self.object.meta().uid.as_ref().to_owned(),
            scheduled,
            reason,
            message: message.to_owned(),
            job: job.map(str::to_owned),
        }));
    }

    /// The transaction with the new status. What is only said, not written, holds for the CronJob as it was read.
    fn finish(mut self) -> Transaction {
        self.status.active.take_if(|active| active.is_empty());
        if self.status != self.old_status {
            self.cron_job.status = Some(self.status);
            self.transaction.writes.extend(replace(self.object, &Typed::from(self.cron_job)));
        } else if !self.transaction.is_empty() {
            let (key, revision) = (self.object.key().clone(), self.object.revision());
            self.transaction.require.push(Unchanged { key, revision });
        }
        self.transaction
    }
}

/// The Jobs with an outcome that exceed a history limit, the oldest first.
fn beyond_limit(jobs: &[Child], outcome: Outcome, limit: usize) -> Vec<Arc<Object>> {
    let mut ended: Vec<&Child> = jobs.iter().filter(|job| job.outcome == Some(outcome)).collect();
    let excess = ended.len().saturating_sub(limit);
    ended.sort_by(|a, b| children::by_start_time(a, b));
    ended.into_iter().take(excess).map(|job| job.object.clone()).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
