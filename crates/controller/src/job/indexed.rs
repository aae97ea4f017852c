//! Indexed Jobs: which indexes are done, failed, taken or due, and what a pod's index asks of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    backoff::Backoff,
    failure_policy::{self, Action},
    indexes::Indexes,
    pod::Pod,
    spec::Spec,
};

/// The indexes of a Job as of this pass.
#[derive(Debug, Default)]
pub(super) struct Indexed {
    /// How many indexes there are.
    pub(super) completions: u32,
    /// All indexes that have succeeded.
    pub(super) succeeded: Indexes,
    /// All indexes that have failed for good; absent without a limit per index.
    pub(super) failed: Option<Indexes>,
    /// By index, the failed pod that waits for its replacement to take over its failure count.
    pub(super) awaiting_replacement: BTreeMap<u32, usize>,
}

impl Indexed {
    /// Works out the indexes of a Job whose status says `completed` and `failed`.
    pub(super) fn of(
        spec: &Spec<'_>,
        completions: u32,
        (completed, failed): (&str, &str),
        pods: &[Pod<'_>],
    ) -> Self {
        let counted = Indexes::parse(completed, completions);
        let in_range = |pod: &&Pod<'_>| pod.tracked && pod.index.is_some_and(|index| index < completions);
        let new = pods.iter().filter(in_range).filter(|pod| pod.is_succeeded());
        let succeeded = counted.union(&new.filter_map(|pod| pod.index).collect());
        let mut indexed = Indexed { completions, succeeded, ..Indexed::default() };
        if let Some(limit) = spec.backoff_limit_per_index {
            let new = pods.iter().filter(in_range).filter(|pod| fails_its_index(spec, pod, limit));
            let new: Indexes = new.filter_map(|pod| pod.index).collect();
            indexed.failed = Some(Indexes::parse(failed, completions).union(&new));
            indexed.awaiting_replacement = indexed.awaiting_replacement(spec, pods);
        }
        indexed
    }

    /// Whether a pod has one of the Job's indexes.
    pub(super) fn has(&self, pod: &Pod<'_>) -> bool {
        pod.index.is_some_and(|index| index < self.completions)
    }

    fn has_failed(&self, index: u32) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.contains(index))
    }

    /// Finds the failed pods that must stay until they are replaced: the new pod's annotations are counted on from
    /// theirs.
    fn awaiting_replacement(&self, spec: &Spec<'_>, pods: &[Pod<'_>]) -> BTreeMap<u32, usize> {
        let active: Indexes = pods.iter().filter(|pod| pod.is_active()).filter_map(|pod| pod.index).collect();
        let mut awaiting = BTreeMap::new();
        for (at, pod) in pods.iter().enumerate() {
            let Some(index) = pod.index.filter(|_| pod.tracked && self.has(pod)) else { continue };
            let settled = self.succeeded.contains(index) || self.has_failed(index) || active.contains(index);
            if settled || !pod.is_failed(spec.waits_for_terminating) {
                continue;
            }
            let last = awaiting.entry(index).or_insert(at);
            let known = &pods[*last];
            if failures(known) <= failures(pod) && known.finished_at() <= pod.finished_at() {
                *last = at;
            }
        }
        awaiting
    }

    /// The lowest `count` indexes that are neither done nor failed nor `taken` by pods.
    pub(super) fn pending(&self, taken: &Indexes, count: usize) -> Vec<u32> {
        let mut settled = self.succeeded.union(taken);
        if let Some(failed) = &self.failed {
            settled = settled.union(failed);
        }
        settled.missing(self.completions).take(count).collect()
    }

    /// When an index may get its next pod, if a failure still holds that back.
    pub(super) fn held_back_until(
        &self,
        index: u32,
        pods: &[Pod<'_>],
        backoff: &Backoff,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let pod = &pods[*self.awaiting_replacement.get(&index)?];
        let over = backoff.over_at(failures(pod).saturating_add(1), pod.finished_at(), now);
        (over > now).then_some(over)
    }
}

/// The failure counts that the pod which replaces `replaced` carries: (counted, ignored).
pub(super) fn next_failure_counts(spec: &Spec<'_>, replaced: Option<&Pod<'_>>) -> (u32, u32) {
    let Some(pod) = replaced else { return (0, 0) };
    let (counted, ignored) = (pod.index_failures(), pod.index_ignored_failures());
    if failure_policy::counts(spec.failure_policy, pod) {
        (counted.saturating_add(1), ignored)
    } else {
        (counted, ignored.saturating_add(1))
    }
}

/// All failures of a pod's index before it.
fn failures(pod: &Pod<'_>) -> u32 {
    pod.index_failures().saturating_add(pod.index_ignored_failures())
}

/// Whether the failure of a pod leaves its index no retries.
fn fails_its_index(spec: &Spec<'_>, pod: &Pod<'_>, limit: u32) -> bool {
    if !pod.is_failed(spec.waits_for_terminating) {
        return false;
    }
    match spec.failure_policy.and_then(|policy| failure_policy::action(policy, pod)) {
        Some(Action::FailIndex) => true,
        Some(Action::Ignore) => false,
        _ => pod.index_failures() >= limit,
    }
}

/// Splits active pods, given by their places, into those to remove and those to keep: every pod without one of the
/// Job's indexes goes, and of several with one index all but the one that has come furthest.
pub(super) fn split_duplicates(
    pods: &[Pod<'_>],
    mut active: Vec<usize>,
    completions: u32,
) -> (Vec<usize>, Vec<usize>) {
    let index = |at: &usize| pods[*at].index.filter(|index| *index < completions);
    active.sort_by(|a, b| index(a).cmp(&index(b)).then_with(|| pods[*a].removal_order(&pods[*b])));
    let (mut remove, mut keep) = (Vec::new(), Vec::new());
    for (i, at) in active.iter().enumerate() {
        let is_last_of_its_index = active.get(i + 1).map(index) != Some(index(at));
        if index(at).is_some() && is_last_of_its_index { keep.push(*at) } else { remove.push(*at) }
    }
    (remove, keep)
}
