//! Counting finished pods: which ones count as what, and which ones are let go.

use std::collections::HashSet;

use cronlet_object::api::UncountedTerminatedPods;
use jiff::Timestamp;

use super::{
    backoff::Record,
    failure_policy, limits,
    pod::Pod,
    situation::{Situation, counter},
    verdict::Verdict,
};

/// What a pass counts. Upstream first notes the UIDs in the status, then takes the finalizers off, then moves the
/// counters; here that is one transaction, so that nothing stays noted.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The succeeded pods in all; for an Indexed Job its succeeded indexes.
    pub(super) succeeded: usize,
    /// The failed pods in all.
    pub(super) failed: usize,
    /// The places of the pods that lose the tracking finalizer.
    pub(super) release: Vec<usize>,
    /// What the status goes on to list as finished but uncounted, because another controller listed it and the pods
    /// are still held.
    pub(super) uncounted: UncountedTerminatedPods,
    /// Whether pods are left that have yet to be counted and could not be in this pass.
    pub(super) more: bool,
    /// The failures that are counted from now on.
    pub(super) record: Record,
}

/// Counts the pods that have ended. `removed` are the places of pods which this pass deletes; `record` is what earlier
/// passes remembered.
pub(super) fn count(
    situation: &Situation<'_>,
    verdict: Option<&Verdict>,
    removed: &[usize],
    record: Record,
) -> Account {
    let removed: HashSet<usize> = removed.iter().copied().collect();
    let (known_succeeded, known_failed) = situation.uncounted();
    let mut account = Account::default();
    let (mut succeeded_at, mut failed_at): (Vec<Timestamp>, Vec<Timestamp>) = Default::default();
    for (at, pod) in situation.pods.iter().enumerate() {
        let removed = removed.contains(&at);
        if !pod.tracked || !(removed || can_release(situation, verdict, at)) {
            continue;
        }
        // Removed pods are bounded already. They are let go while it is known that this pass removed them: the next
        // one could not tell them from pods that somebody else deleted, which count as failed.
        if !removed && account.release.len() >= limits::COUNTED_PER_PASS_MAX {
            account.more = true;
            continue;
        }
        account.release.push(at);
        let in_range = situation.indexed.as_ref().is_none_or(|indexed| indexed.has(pod));
        if !in_range || known_failed.contains(pod.uid()) || known_succeeded.contains(pod.uid()) {
            continue;
        }
        if pod.is_succeeded() {
            succeeded_at.push(pod.finished_at());
        } else if situation.is_failed(pod) || verdict.is_some_and(|verdict| !verdict.success) {
            if situation.is_failed(pod) {
                failed_at.push(pod.finished_at());
            }
            account.failed += usize::from(failure_policy::counts(situation.spec.failure_policy, pod));
        }
    }
    account.record = record.after(&succeeded_at, &failed_at);
    account.settle(situation, succeeded_at.len());
    account
}

/// Whether a pod need not be held any longer. At the end of its Job it must not be active, which it still is when
/// there were too many to delete in one pass.
fn can_release(situation: &Situation<'_>, verdict: Option<&Verdict>, at: usize) -> bool {
    let pod = &situation.pods[at];
    if situation.is_deleting() || pod.is_succeeded() {
        return true;
    }
    if verdict.is_some() {
        return !pod.is_active();
    }
    situation.is_failed(pod) && !awaits_replacement(situation, at, pod)
}

fn awaits_replacement(situation: &Situation<'_>, at: usize, pod: &Pod<'_>) -> bool {
    let awaiting = situation.indexed.as_ref().map(|indexed| &indexed.awaiting_replacement);
    awaiting.zip(pod.index).is_some_and(|(awaiting, index)| awaiting.get(&index) == Some(&at))
}

impl Account {
    /// Adds what was counted before, and what the status listed as uncounted of pods that are not held any more.
    fn settle(&mut self, situation: &Situation<'_>, succeeded: usize) {
        let held: HashSet<&str> = {
            let released: HashSet<usize> = self.release.iter().copied().collect();
            let pods = situation.pods.iter().enumerate();
            pods.filter(|(at, pod)| pod.tracked && !released.contains(at)).map(|(_, pod)| pod.uid()).collect()
        };
        let listed = situation.status.uncounted_terminated_pods.clone().unwrap_or_default();
        let (held_succeeded, gone_succeeded) = split(listed.succeeded, &held);
        let (held_failed, gone_failed) = split(listed.failed, &held);
        self.uncounted = UncountedTerminatedPods { succeeded: held_succeeded, failed: held_failed };
        self.more |= self.uncounted != UncountedTerminatedPods::default();
        self.failed += counter(situation.status.failed) + gone_failed;
        self.succeeded = match &situation.indexed {
            Some(indexed) => indexed.succeeded.len(),
            None => counter(situation.status.succeeded) + succeeded + gone_succeeded,
        };
    }
}

/// Those of the listed UIDs whose pods are `held`, and how many are not.
fn split(listed: Option<Vec<String>>, held: &HashSet<&str>) -> (Option<Vec<String>>, usize) {
    let mut listed = listed.unwrap_or_default();
    let before = listed.len();
    listed.retain(|uid| held.contains(uid.as_str()));
    let gone = before - listed.len();
    ((!listed.is_empty()).then_some(listed), gone)
}
