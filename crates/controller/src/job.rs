//! The Job controller: runs a Job's pods until enough of them have succeeded or too many have failed.
//!
//! One call decides everything about one Job, and what it decides is one transaction: pods created and deleted,
//! finished pods counted and let go, the status, events, and the ledger. Upstream spreads the same over several
//! requests, each of which may be the last before a crash; what clients can observe is the same.

use cronlet_object::{
    ApiError, Ids, Key, Kind, Object, Snapshot, Transaction, Typed, Unchanged, Write, admit,
    api::{Job, JobSpec, JobStatus, Pod as FullPod},
    deletion::replace,
    ledger, policy,
    selector::Selector,
};
use jiff::{SignedDuration, Timestamp};

use self::{
    accounting::Account,
    adoption::Claim,
    backoff::Record,
    creation::{Admit, Created, Supply},
    events::Notice,
    scaling::Scaling,
    situation::Situation,
    spec::Spec,
    status::Census,
    verdict::Verdict,
    writes::Edit,
};
use crate::{Plan, View};

mod accounting;
mod adoption;
mod backoff;
mod conditions;
mod creation;
mod events;
mod failure_policy;
mod indexed;
mod indexes;
mod limits;
mod pod;
mod run;
mod scaling;
mod situation;
mod spec;
mod status;
mod success_policy;
mod verdict;
mod writes;

/// Annotation of a Job: the pod failures that its next pod has to wait for, as `failures=N,last=RFC3339`.
const BACKOFF_RECORD: &str = "cronlet.dev/backoff-record";

/// Looks at one Job: starts, replaces and removes its pods, counts those that have ended, and moves its status on.
pub fn reconcile(view: &View<'_>, key: &Key, ids: &mut Ids) -> Plan {
    let now = view.now;
    reconcile_admitting(view, key, ids, &mut |pod: FullPod, ids: &mut Ids| {
        let mut context = admit::Context { now, ids };
        policy::create(view.snapshot, Typed::from(pod), &mut context).map(|admitted| admitted.draft)
    })
}

/// Looks at one pod: takes the tracking finalizer off if there is no Job any more that would.
pub fn reconcile_pod(view: &View<'_>, key: &Key, _: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(pod) = view.snapshot.get(key).filter(|pod| pod::has_tracking_finalizer(pod)) else {
        return plan;
    };
    if !is_to_be_counted(view.snapshot, pod) {
        plan.transaction.writes.extend(writes::release(pod));
    }
    plan
}

/// The Jobs to look at when `pod`, which no controller manages, has appeared or changed: they may adopt it.
pub fn adopters(snapshot: &Snapshot, pod: &Object) -> Vec<Key> {
    if pod.meta().controller().is_some() {
        return Vec::new();
    }
    adoption::selecting(snapshot, pod).map(|job| job.key().clone()).collect()
}

/// Whether the controller of a pod will see to its tracking finalizer.
fn is_to_be_counted(snapshot: &Snapshot, pod: &Object) -> bool {
    let Some(owner) = pod.meta().controller() else { return false };
    if owner.kind.as_ref() != "Job" || owner.api_version.as_ref() != "batch/v1" {
        return true;
    }
    let key = Key::new(Kind::Job, pod.namespace(), owner.name.as_ref());
    let Some(job) = snapshot.get(&key).filter(|job| job.meta().uid == owner.uid) else { return false };
    let job: Job = job.decode();
    job.spec.as_ref().is_some_and(spec::is_managed_elsewhere)
        || !job.status.as_ref().is_some_and(conditions::is_finished)
}

fn reconcile_admitting(view: &View<'_>, key: &Key, ids: &mut Ids, admit: &mut Admit<'_>) -> Plan {
    let Some(object) = view.snapshot.get(key) else { return Plan::default() };
    let mut job: Job = object.decode();
    let (spec, status) = (job.spec.take().unwrap_or_default(), job.status.take().unwrap_or_default());
    if spec::is_managed_elsewhere(&spec) {
        return Plan::default();
    }
    if conditions::is_finished(&status) {
        return release_leftovers(view.snapshot, object);
    }
    let Ok(selector) = Selector::from_label_selector(spec.selector.as_ref()) else { return Plan::default() };
    let claim = adoption::claim(view.snapshot, object, &selector);
    let mut pass = Pass { view, object, plan: Plan::default(), notices: Vec::new() };
    let outcome = pass.work(&job, &spec, &status, claim, &mut Supply { ids, admit });
    pass.write_job(Job { spec: Some(spec), ..job }, &status, outcome);
    pass.finish(ids)
}

/// The last pass over a finished Job lets all its pods go. Should one be held nevertheless, it is let go now.
fn release_leftovers(snapshot: &Snapshot, job: &Object) -> Plan {
    let mut plan = Plan::default();
    let writes = adoption::owned(snapshot, job).filter_map(writes::release);
    plan.transaction.writes.extend(writes.take(limits::COUNTED_PER_PASS_MAX));
    plan
}

/// What a pass makes of the Job itself.
struct Outcome {
    status: JobStatus,
    record: Record,
}

/// One pass over a Job, and what has been decided so far.
struct Pass<'a> {
    view: &'a View<'a>,
    object: &'a Object,
    plan: Plan,
    notices: Vec<Notice>,
}

impl Pass<'_> {
    fn work(
        &mut self,
        job: &Job,
        spec: &JobSpec,
        status: &JobStatus,
        claim: Claim<'_>,
        supply: &mut Supply<'_, '_>,
    ) -> Outcome {
        let remembered = remembered(job);
        let situation =
            Situation::new(self.object, Spec::of(spec), status, claim.pods, remembered, self.view.now);
        let mut verdict = verdict::reach(&situation);
        let scaling = self.scale(&situation, verdict.is_some());
        let created = self.create_pods(&situation, spec, &scaling, supply);
        if verdict.is_none() && is_complete(&situation, &scaling, created) {
            verdict = Some(Verdict::completions_reached());
        }
        let account = accounting::count(&situation, verdict.as_ref(), &scaling.delete, remembered);
        let mut census = self.edit_pods(&situation, &scaling, &account);
        census.active += created;
        self.release_pods(&claim.released);
        let progress = status::advance(&situation, verdict.as_ref(), &account, census);
        let run = run::entry(&situation, job, &progress, verdict.as_ref(), &claim.settled);
        self.plan.transaction.ledger.extend(run.map(ledger::Entry::Run));
        if verdict.is_none() {
            self.wake_at(scaling.wake_at);
            self.wake_at(verdict::deadline(&situation));
        }
        let keeps_record = !progress.finished && situation.spec.backoff_limit_per_index.is_none();
        self.notices.extend(progress.notices);
        Outcome {
            status: progress.status,
            record: if keeps_record { account.record } else { Record::default() },
        }
    }

    /// At the end of a Job all active pods go. Otherwise their number is brought to what is wanted, unless the Job is
    /// being deleted: then its pods are the garbage collector's.
    fn scale(&self, situation: &Situation<'_>, is_ending: bool) -> Scaling {
        if is_ending {
            let mut delete = situation.active();
            delete.truncate(limits::DELETIONS_PER_PASS_MAX);
            Scaling { delete, ..Scaling::default() }
        } else if situation.is_deleting() {
            Scaling::default()
        } else {
            scaling::scale(situation)
        }
    }

    /// Creates the pods that are missing. Returns how many there are.
    fn create_pods(
        &mut self,
        situation: &Situation<'_>,
        spec: &JobSpec,
        scaling: &Scaling,
        supply: &mut Supply<'_, '_>,
    ) -> usize {
        // Where no object can be created, trying would have the whole transaction refused.
        if scaling.create.is_empty() || !self.view.snapshot.namespace_is_open(self.object.namespace()) {
            return 0;
        }
        let created = creation::create(situation, spec, &scaling.create, self.view.snapshot, supply);
        let Created { pods, refused } = created;
        let count = pods.len();
        for draft in pods {
            self.notices
                .push(Notice::normal("SuccessfulCreate", format!("Created pod: {}", draft.key().name)));
            self.plan.transaction.writes.push(Write::Create(draft));
        }
        if let Some(error) = refused {
            self.notices.push(Notice::warning("FailedCreate", format!("Error creating: {error}")));
            let retry = SignedDuration::from_secs(limits::REFUSED_CREATION_RETRY_SECONDS);
            self.wake_at(self.view.now.saturating_add(retry).ok());
        }
        count
    }

    /// Deletes, adopts and lets go the Job's pods. Returns what is left of them.
    fn edit_pods(&mut self, situation: &Situation<'_>, scaling: &Scaling, account: &Account) -> Census {
        let mut edits: Vec<Edit> =
            situation.pods.iter().map(|pod| Edit { adopt: pod.adopted, ..Edit::default() }).collect();
        for at in &scaling.delete {
            edits[*at].delete = true;
        }
        for at in &account.release {
            edits[*at].release = true;
        }
        let mut census = Census::default();
        for (pod, edit) in situation.pods.iter().zip(edits) {
            let write = edit.write(pod.object, self.object, self.view.now);
            if edit.delete {
                self.notices.push(told_deletion(pod.object, &write));
            }
            let is_removed = matches!(write, Ok(Some(Write::Delete { .. })));
            let is_deleted = edit.delete && write.is_ok();
            if pod.is_active() && !is_deleted {
                census.active += 1;
                census.ready += usize::from(pod.is_ready());
            } else if (pod.is_terminating() || is_deleted) && !is_removed {
                census.terminating += 1;
            }
            self.plan.transaction.writes.extend(write.ok().flatten());
        }
        census
    }

    /// Lets pods go that the Job's selector does not match any more.
    fn release_pods(&mut self, pods: &[&Object]) {
        let edit = Edit { disown: true, release: true, ..Edit::default() };
        let writes = pods.iter().filter_map(|pod| edit.write(pod, self.object, self.view.now).ok().flatten());
        self.plan.transaction.writes.extend(writes);
    }

    fn wake_at(&mut self, at: Option<Timestamp>) {
        self.plan.wake_at = self.plan.wake_at.into_iter().chain(at).min();
    }

    /// Writes the Job if it has changed. If it has not, what else is written rests on it as it was read.
    fn write_job(&mut self, mut job: Job, before: &JobStatus, outcome: Outcome) {
        let remembered = remembered(&job);
        if outcome.record != remembered {
            remember(&mut job, outcome.record);
        }
        let is_changed = outcome.record != remembered || outcome.status != *before;
        job.status = Some(outcome.status);
        let write = if is_changed { replace(self.object, &Typed::from(job)) } else { None };
        let Transaction { writes, require, .. } = &mut self.plan.transaction;
        match write {
            Some(write) => writes.push(write),
            None if writes.is_empty() => {}
            None => {
                require.push(Unchanged { key: self.object.key().clone(), revision: self.object.revision() });
            }
        }
    }

    fn finish(mut self, ids: &mut Ids) -> Plan {
        events::tell(self.view, self.object, &self.notices, &mut self.plan.transaction.writes, ids);
        self.plan
    }
}

/// Whether as many pods have succeeded as the Job wants and no other runs any more, once `scaling` is done.
fn is_complete(situation: &Situation<'_>, scaling: &Scaling, created: usize) -> bool {
    let wanted = situation.spec.completions.unwrap_or(1);
    let active = situation.active().len() - scaling.delete.len() + created;
    situation.succeeded >= wanted && active == 0
}

fn told_deletion(pod: &Object, write: &Result<Option<Write>, ApiError>) -> Notice {
    match write {
        Ok(_) => Notice::normal("SuccessfulDelete", format!("Deleted pod: {}", pod.name())),
        Err(error) => Notice::warning("FailedDelete", format!("Error deleting: {error}")),
    }
}

/// The back-off record that an earlier pass left with the Job.
fn remembered(job: &Job) -> Record {
    let annotation =
        job.metadata.annotations.as_ref().and_then(|annotations| annotations.get(BACKOFF_RECORD));
    annotation.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn remember(job: &mut Job, record: Record) {
    let annotations = job.metadata.annotations.get_or_insert_default();
    if record == Record::default() {
        annotations.remove(BACKOFF_RECORD);
    } else {
        annotations.insert(BACKOFF_RECORD.to_owned(), record.to_string());
    }
    if annotations.is_empty() {
        job.metadata.annotations = None;
    }
}

#[cfg(test)]
mod tests;
