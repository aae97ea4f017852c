//! How many pods a Job should have: which ones go, and how many come.

use jiff::Timestamp;

use super::{
    backoff,
    indexed::{Indexed, split_duplicates},
    indexes::Indexes,
    limits,
    situation::Situation,
};

/// What to do about the number of pods. Pods are either deleted or created in one pass, never both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scaling {
    /// The places of pods to delete.
    pub(super) delete: Vec<usize>,
    /// Pods to create, each with its completion index if the Job has indexes.
    pub(super) create: Vec<Option<u32>>,
    /// When further pods may be created that a failure holds back now.
    pub(super) wake_at: Option<Timestamp>,
}

/// Compares the pods that are active with those that should be.
pub(super) fn scale(situation: &Situation<'_>) -> Scaling {
    let spec = &situation.spec;
    let active = situation.active();
    if spec.suspended {
        return Scaling { delete: surplus(situation, active.clone(), active.len()), ..Scaling::default() };
    }
    let wanted = match spec.completions {
        Some(completions) => completions.saturating_sub(situation.succeeded).min(spec.parallelism),
        // A work queue starts no further pods once one has succeeded, and lets the others end.
        None if situation.succeeded > 0 => active.len(),
        None => spec.parallelism,
    };
    let running = active.len();
    let delete = surplus(situation, active, running.saturating_sub(wanted));
    if !delete.is_empty() {
        return Scaling { delete, ..Scaling::default() };
    }
    let terminating = situation.pods.iter().filter(|pod| pod.is_terminating()).count();
    let held_by_terminating = if spec.waits_for_terminating { terminating } else { 0 };
    let missing = wanted.saturating_sub(running + held_by_terminating);
    create(situation, missing.min(limits::CREATIONS_PER_PASS_MAX))
}

/// At least `count` active pods to remove, those first that lose least; of an Indexed Job also every pod without an
/// index of its own.
fn surplus(situation: &Situation<'_>, active: Vec<usize>, count: usize) -> Vec<usize> {
    let (mut remove, mut keep) = match &situation.indexed {
        Some(indexed) => split_duplicates(&situation.pods, active, indexed.completions),
        None => (Vec::new(), active),
    };
    let further = count.saturating_sub(remove.len());
    if further > 0 {
        keep.sort_by(|a, b| situation.pods[*a].removal_order(&situation.pods[*b]));
        remove.extend(keep.into_iter().take(further));
    }
    remove.truncate(limits::DELETIONS_PER_PASS_MAX);
    remove
}

fn create(situation: &Situation<'_>, missing: usize) -> Scaling {
    if missing == 0 {
        return Scaling::default();
    }
    let now = situation.now;
    match &situation.indexed {
        Some(indexed) if situation.spec.backoff_limit_per_index.is_some() => {
            create_by_index(situation, indexed, missing)
        }
        _ if situation.record.over_at(&backoff::UPSTREAM, now).is_some() => {
            let wake_at = situation.record.over_at(&backoff::UPSTREAM, now);
            Scaling { wake_at, ..Scaling::default() }
        }
        Some(indexed) => {
            let create = indexed.pending(&taken(situation), missing).into_iter().map(Some).collect();
            Scaling { create, ..Scaling::default() }
        }
        None => Scaling { create: vec![None; missing], ..Scaling::default() },
    }
}

/// With a limit per index every index has a back-off of its own. An index that waits keeps its place among
/// `parallelism`.
fn create_by_index(situation: &Situation<'_>, indexed: &Indexed, missing: usize) -> Scaling {
    let mut scaling = Scaling::default();
    for index in indexed.pending(&taken(situation), missing) {
        match indexed.held_back_until(index, &situation.pods, &backoff::UPSTREAM, situation.now) {
            None => scaling.create.push(Some(index)),
            Some(over) => scaling.wake_at = Some(scaling.wake_at.map_or(over, |at| at.min(over))),
        }
    }
    scaling
}

/// The indexes that pods hold: active ones, and terminating ones if the Job waits for those.
fn taken(situation: &Situation<'_>) -> Indexes {
    let waits = situation.spec.waits_for_terminating;
    let holders = situation.pods.iter().filter(|pod| pod.is_active() || (waits && pod.is_terminating()));
    holders.filter_map(|pod| pod.index).collect()
}
