//! Jobs: counters that agree with the pods, ends that stay, pods that are no more than asked for and not too early.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use cronlet_object::{Change, Kind, Object, Snapshot};
use jiff::Timestamp;

use super::{
    Checked, Checks, ensure, owner,
    read::{JobRead, PodRead, back_off, is_tracked, size},
};

impl Checks {
    /// A Job changed: a decision on what was `seen`.
    pub(super) fn job_changed(
        &mut self,
        (old, new): (&Object, &Object),
        (seen, later): (&Snapshot, &Snapshot),
        at: Timestamp,
    ) -> Checked {
        if old.status_json() == new.status_json() {
            return Ok(());
        }
        let (before, now) = (self.reader.job(old), self.reader.job(new));
        if now.failed() > before.failed() || now.record != before.record {
            let counted = self.failures_counted.entry(new.meta().uid.clone()).or_insert((0, at));
            *counted = (counted.0 + 1, at);
        }
        let told = || format!("{}: {:?} to {:?}", new.name(), before.status, now.status);
        ensure(!before.is_finished() || before.status == now.status, "the end of a Job is final", told)?;
        let shrinks = before.completed_indexes().iter().any(|index| !now.has_index(Some(*index)));
        let falls = now.succeeded() < before.succeeded() && !shrinks;
        ensure(!falls && now.failed() >= before.failed(), "counters never fall", told)?;
        if now.condition("SuccessCriteriaMet").is_some() && before.condition("SuccessCriteriaMet").is_none() {
            self.completions_decided.insert(new.meta().uid.clone(), completions(&now));
        }
        for (end, target) in [("Complete", "SuccessCriteriaMet"), ("Failed", "FailureTarget")] {
            if now.condition(end).is_some() && before.condition(end).is_none() {
                ensure(before.condition(target).is_some(), "the end is announced first", told)?;
                let decided = self.completions_decided.remove(&new.meta().uid).unwrap_or(usize::MAX);
                ended(&now, decided, &self.reader.pods_of(new, later), told)?;
            }
            let lost = before.condition(target).is_some() && now.condition(target).is_none();
            ensure(!lost, "a verdict stands", told)?;
        }
        let both = now.condition("SuccessCriteriaMet").is_some() && now.condition("FailureTarget").is_some();
        ensure(!both, "a Job succeeds or fails", told)?;
        verdict_is_justified(&before, &now, &self.reader.pods_of(old, seen), told)
    }
}

fn completions(job: &JobRead) -> usize {
    job.spec.completions.map_or(1, size)
}

/// A Job is at its end: nothing is left, and the end is the right one. `decided` is how many completions it was to have
/// when that was decided; those of indexes that it lost since do not count any more.
fn ended(job: &JobRead, decided: usize, pods: &[Rc<PodRead>], told: impl Fn() -> String) -> Checked {
    let status = &job.status;
    let left = [status.active, status.terminating].into_iter().flatten().any(|count| count > 0);
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let listed = uncounted.succeeded.is_some() || uncounted.failed.is_some();
    ensure(!left && !listed, "a finished Job has nothing left", &told)?;
    let held: Vec<&str> =
        pods.iter().filter(|pod| !pod.has_ended() || pod.tracked).map(|pod| pod.name.as_str()).collect();
    ensure(held.is_empty(), "a finished Job's pods have ended", || format!("{held:?} of {}", told()))?;
    let complete = job.condition("Complete").is_some();
    ensure(complete == status.completion_time.is_some(), "completionTime is that of success", &told)?;
    ensure(status.start_time.is_some(), "a finished Job has started", &told)?;
    if complete && job.spec.success_policy.is_none() {
        ensure(
            job.succeeded() >= decided.min(completions(job)),
            "a complete Job has its completions",
            &told,
        )?;
    }
    Ok(())
}

/// A verdict that was reached now has a reason that holds.
fn verdict_is_justified(
    before: &JobRead,
    now: &JobRead,
    pods: &[Rc<PodRead>],
    told: impl Fn() -> String,
) -> Checked {
    if before.condition("FailureTarget").is_some() {
        return Ok(());
    }
    let Some(condition) = now.condition("FailureTarget") else { return Ok(()) };
    let holds = match condition.reason.as_deref() {
        Some("DeadlineExceeded") => {
            let start = now.status.start_time.as_ref().map(|time| time.0);
            let passed = condition
                .last_transition_time
                .as_ref()
                .zip(start)
                .map(|(at, start)| at.0.duration_since(start));
            passed
                .zip(now.spec.active_deadline_seconds)
                .is_some_and(|(passed, limit)| passed.as_secs() >= limit)
        }
        Some("BackoffLimitExceeded") => {
            let limit = now.spec.backoff_limit.map_or(6, size);
            let restarts: usize = pods.iter().map(|pod| pod.restarts).sum();
            now.failed() > limit || restarts >= limit.max(1)
        }
        Some("MaxFailedIndexesExceeded") => {
            now.spec.max_failed_indexes.is_some_and(|max| now.failed_indexes().len() > size(max))
        }
        Some("FailedIndexes") => !now.failed_indexes().is_empty(),
        Some("PodFailurePolicy") => now.spec.pod_failure_policy.is_some(),
        _ => false,
    };
    ensure(holds, "a verdict has a reason", told)
}

/// What a transaction let go of a Job's pods.
#[derive(Default)]
struct Released {
    succeeded: Vec<(Option<u32>, Option<Timestamp>)>,
    failed: Vec<(Option<u32>, Option<Timestamp>)>,
    /// Pods that were being deleted already and had not ended.
    terminating: usize,
    /// Pods that the Job itself took away.
    removed: usize,
}

impl Checks {
    /// Every pod that is let go is counted in the same transaction, once, for what it was.
    pub(super) fn pods_are_counted(
        &mut self,
        changes: &[Change],
        before: &Snapshot,
        after: &Snapshot,
    ) -> Checked {
        let mut seen: BTreeSet<&Arc<str>> = BTreeSet::new();
        for change in changes {
            let object = change.object();
            let job = match object.kind() {
                Kind::Job if change.old.is_some() => before.get(object.key()),
                Kind::Pod => owner(object, Kind::Job, before),
                _ => None,
            };
            if let Some(job) = job.filter(|job| seen.insert(&job.meta().uid)) {
                self.job_counts(job, changes, after)?;
            }
        }
        Ok(())
    }

    fn job_counts(&mut self, job: &Object, changes: &[Change], after: &Snapshot) -> Checked {
        let old = self.reader.job(job);
        let new = after.get(job.key()).filter(|found| found.meta().uid == job.meta().uid);
        let new = new.map(|new| self.reader.job(new));
        let range = new.as_ref().unwrap_or(&old);
        let mut released = Released::default();
        for change in changes {
            let (Some(was), true) = (&change.old, change.object().kind() == Kind::Pod) else { continue };
            let lets_go = is_tracked(was) && change.new.as_ref().is_none_or(|now| !is_tracked(now));
            if !lets_go || was.meta().controller().is_none_or(|owner| owner.uid != job.meta().uid) {
                continue;
            }
            // A Job that is being deleted may leave its pods to another, which counts them.
            let once = job.meta().deleted.is_some() || self.released.insert(was.meta().uid.clone());
            ensure(once, "each pod is counted once", || was.name().to_owned())?;
            released.note(&self.reader.pod(was), &old, range);
        }
        let Some(new) = new.filter(|_| !old.is_finished() && job.meta().deleted.is_none()) else {
            return Ok(());
        };
        self.remember(job, &new, &released);
        released.agrees(job.name(), &old, &new)
    }

    fn remember(&mut self, job: &Object, now: &JobRead, released: &Released) {
        let failures = self.failures.entry(job.meta().uid.clone()).or_default();
        let mut last_success = released.succeeded.iter().map(|(_, at)| *at).max();
        if now.spec.backoff_limit_per_index.is_some() {
            // Each index has a count of its own, which ends with its success.
            last_success = None;
        } else if last_success.is_some() {
            failures.clear();
        }
        let later = released.failed.iter().filter(|(_, at)| last_success.is_none_or(|success| *at > success));
        failures.extend(later.filter_map(|(index, at)| Some((*index, (*at)?))));
    }
}

impl Released {
    fn note(&mut self, pod: &PodRead, job: &JobRead, range: &JobRead) {
        if job.is_indexed() && !range.has_index(pod.index) {
            return;
        }
        match pod.phase.as_str() {
            "Succeeded" => self.succeeded.push((pod.index, pod.finished)),
            "Failed" => self.failed.push((pod.index, pod.finished)),
            _ if pod.deleting => self.terminating += 1,
            _ => self.removed += 1,
        }
    }

    fn agrees(&self, name: &str, old: &JobRead, new: &JobRead) -> Checked {
        let told = || {
            format!(
                "{name}: {}/{} succeeded/failed become {}/{}; let go: {} succeeded, {} failed, {} terminating",
                old.succeeded(),
                old.failed(),
                new.succeeded(),
                new.failed(),
                self.succeeded.len(),
                self.failed.len(),
                self.terminating
            )
        };
        const AGREES: &str = "counters agree with the pods";
        if new.is_indexed() {
            let (was, is) = (old.completed_indexes(), new.completed_indexes());
            ensure(new.succeeded() == is.len(), AGREES, told)?;
            let proven =
                |index: &u32| was.contains(index) || self.succeeded.iter().any(|(of, _)| *of == Some(*index));
            ensure(is.iter().all(proven), AGREES, told)?;
            let kept = was.iter().all(|index| is.contains(index) || !new.has_index(Some(*index)));
            ensure(kept, "a completed index stays completed", told)?;
        } else {
            let more = new.succeeded().checked_sub(old.succeeded());
            ensure(more == Some(self.succeeded.len()), AGREES, told)?;
        }
        let fails = new.condition("FailureTarget").is_some();
        let unended = match (fails, new.waits_for_terminating()) {
            (true, _) => self.terminating + self.removed,
            (false, true) => 0,
            (false, false) => self.terminating,
        };
        let more = new.failed().checked_sub(old.failed());
        let most = self.failed.len() + unended;
        // A pod failure policy may have failures ignored.
        let agrees = match new.spec.pod_failure_policy {
            Some(_) => more.is_some_and(|more| more <= most),
            None => more == Some(most),
        };
        ensure(agrees, AGREES, told)
    }
}

impl Checks {
    /// A pod came to be.
    pub(super) fn pod_is_created(&self, pod: &Object, before: &Snapshot, after: &Snapshot) -> Checked {
        let Some(job) = owner(pod, Kind::Job, before) else { return Ok(()) };
        let now = self.reader.job(after.get(job.key()).unwrap_or(job));
        let pods = self.reader.pods_of(job, after);
        let new = self.reader.pod(pod);
        let told = || format!("{} of {}", pod.name(), job.name());
        let wanted = !now.is_finished() && !now.is_suspended() && job.meta().deleted.is_none();
        ensure(wanted, "only a Job that runs starts pods", told)?;
        let counts =
            |pod: &&Rc<PodRead>| pod.is_active() || (now.waits_for_terminating() && pod.is_terminating());
        let running: Vec<&Rc<PodRead>> = pods.iter().filter(counts).collect();
        ensure(running.len() <= now.parallelism(), "at most parallelism pods at once", || {
            format!("{} with {} of {}", told(), running.len(), now.parallelism())
        })?;
        if now.is_indexed() {
            let same = running.iter().filter(|other| other.index == new.index).count();
            let open = now.has_index(new.index)
                && new.index.is_some_and(|index| {
                    !now.completed_indexes().contains(&index) && !now.failed_indexes().contains(&index)
                });
            ensure(same == 1 && open, "one pod for each open index", told)?;
        } else if let Some(completions) = now.spec.completions {
            let enough = running.len() + now.succeeded() <= size(completions);
            ensure(enough, "no more pods than completions are missing", told)?;
        }
        self.is_not_early(job, &now, &new, told)
    }

    /// A failure delays the next pod: 10 s, doubled with each further one. With a limit per index, those of the index.
    fn is_not_early(&self, job: &Object, now: &JobRead, pod: &PodRead, told: impl Fn() -> String) -> Checked {
        let by_index = now.spec.backoff_limit_per_index.is_some();
        let failures = self.failures.get(&job.meta().uid).map(Vec::as_slice).unwrap_or_default();
        let own = failures.iter().filter(|(index, _)| !by_index || *index == pod.index);
        let times: Vec<Timestamp> = own.map(|(_, at)| *at).collect();
        let (Some(last), Some(created), false) = (times.iter().max(), pod.created, self.clock_set_back)
        else {
            return Ok(());
        };
        let earliest = last.saturating_add(back_off(times.len())).unwrap_or(*last);
        ensure(created >= earliest, "no pod before its back-off is over", || {
            format!("{} at {created}, {} failures, the last at {last}", told(), times.len())
        })
    }
}
