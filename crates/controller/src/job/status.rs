//! The status that a pass leaves: counters, conditions, times, and the events that go with them.

use cronlet_object::api::{JobCondition, JobStatus, Time};

use super::{
    accounting::Account,
    conditions::{self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED},
    events::Notice,
    situation::Situation,
    verdict::Verdict,
};

/// The pods that are left when the pass is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Pods that are pending or running.
    pub(super) active: usize,
    /// Active pods that are ready.
    pub(super) ready: usize,
    /// Pods on their way out that have not ended.
    pub(super) terminating: usize,
}

/// The status after a pass, and what to tell about it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The new status.
    pub(super) status: JobStatus,
    /// What to tell.
    pub(super) notices: Vec<Notice>,
    /// Whether the Job has reached its end.
    pub(super) finished: bool,
}

/// Works out the new status. A verdict is told as FailureTarget or SuccessCriteriaMet first; only a later pass, which
/// finds it standing and nothing left to wait for, adds the final condition, so that watchers see both states.
pub(super) fn advance(
    situation: &Situation<'_>,
    verdict: Option<&Verdict>,
    account: &Account,
    census: Census,
) -> Progress {
    let mut progress = Progress { status: situation.status.clone(), ..Progress::default() };
    count(&mut progress.status, situation, account, census);
    if !situation.spec.suspended {
        progress.status.start_time.get_or_insert(Time(situation.now));
    }
    let mut list = progress.status.conditions.take().unwrap_or_default();
    match verdict {
        None if !situation.is_deleting() => progress.show_suspension(situation, &mut list),
        None => {}
        Some(verdict) if verdict.stands => {
            let waits = account.more || census.active + census.terminating > 0;
            if !waits {
                progress.finish(situation, verdict, &mut list);
            }
        }
        Some(verdict) => {
            let type_ = if verdict.success { SUCCESS_CRITERIA_MET } else { FAILURE_TARGET };
            conditions::ensure(&mut list, holds(situation, type_, verdict));
        }
    }
    progress.status.conditions = (!list.is_empty()).then_some(list);
    progress
}

fn count(status: &mut JobStatus, situation: &Situation<'_>, account: &Account, census: Census) {
    let nonzero = |count: usize| (count > 0).then(|| saturate(count));
    status.active = nonzero(census.active);
    status.ready = Some(saturate(census.ready));
    status.terminating = Some(saturate(census.terminating));
    status.succeeded = nonzero(account.succeeded);
    status.failed = nonzero(account.failed);
    status.uncounted_terminated_pods = Some(account.uncounted.clone());
    let indexed = situation.indexed.as_ref();
    status.completed_indexes =
        indexed.map(|indexed| indexed.succeeded.to_string()).filter(|text| !text.is_empty());
    status.failed_indexes = indexed.and_then(|indexed| indexed.failed.as_ref()).map(ToString::to_string);
}

fn saturate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn holds(situation: &Situation<'_>, type_: &str, verdict: &Verdict) -> JobCondition {
    conditions::condition(type_, true, &verdict.reason, &verdict.message, situation.now)
}

impl Progress {
    /// A suspended Job has no start time, and a resumed one starts anew: its deadline counts from there.
    fn show_suspension(&mut self, situation: &Situation<'_>, list: &mut Vec<JobCondition>) {
        let suspended = situation.spec.suspended;
        let (reason, message, told) = if suspended {
            ("JobSuspended", "Job suspended", "Suspended")
        } else {
            ("JobResumed", "Job resumed", "Resumed")
        };
        let condition = conditions::condition(SUSPENDED, suspended, reason, message, situation.now);
        if conditions::ensure(list, condition) {
            self.notices.push(Notice::normal(told, message));
            self.status.start_time = (!suspended).then_some(Time(situation.now));
        } else if suspended {
            self.status.start_time = None;
        }
    }

    fn finish(&mut self, situation: &Situation<'_>, verdict: &Verdict, list: &mut Vec<JobCondition>) {
        self.finished = true;
        let now = Time(situation.now);
        // A Job that ends while it is suspended, say of zero completions, may never have started.
        self.status.start_time.get_or_insert_with(|| now.clone());
        if !verdict.success {
            conditions::ensure(list, holds(situation, FAILED, verdict));
            self.notices.push(Notice::warning(&verdict.reason, &verdict.message));
            return;
        }
        conditions::ensure(list, holds(situation, COMPLETE, verdict));
        self.status.completion_time = Some(now);
        let wanted = situation.spec.completions.unwrap_or(usize::MAX);
        if situation.succeeded > wanted {
            let message = "Too many succeeded pods running after completion count reached";
            self.notices.push(Notice::warning("TooManySucceededPods", message));
        }
        self.notices.push(Notice::normal("Completed", "Job completed"));
    }
}
