//! Whether a Job is bound to end, and how.

use jiff::Timestamp;

use super::{
    conditions::{self, FAILURE_TARGET, SUCCESS_CRITERIA_MET},
    failure_policy::{self, Action},
    pod::Pod,
    situation::Situation,
    success_policy,
};

/// The end that a Job is bound for. It gets there when its pods have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the Job succeeds.
    pub(super) success: bool,
    /// The reason of its conditions.
    pub(super) reason: String,
    /// The message of its conditions.
    pub(super) message: String,
    /// Whether an earlier pass reached the verdict, so that it has been told.
    pub(super) stands: bool,
}

impl Verdict {
    fn failure(reason: &str, message: impl Into<String>) -> Self {
        Verdict { success: false, reason: reason.to_owned(), message: message.into(), stands: false }
    }

    /// As many pods have succeeded as the Job needs, and no other runs.
    pub(super) fn completions_reached() -> Self {
        Verdict {
            success: true,
            reason: "CompletionsReached".to_owned(),
            message: "Reached expected number of succeeded pods".to_owned(),
            stands: false,
        }
    }
}

/// The verdict that stands, or else the first that what was found calls for.
pub(super) fn reach(situation: &Situation<'_>) -> Option<Verdict> {
    standing(situation)
        .or_else(|| by_failure_policy(situation))
        .or_else(|| by_backoff_limit(situation))
        .or_else(|| by_deadline(situation))
        .or_else(|| by_failed_indexes(situation))
        .or_else(|| by_success_policy(situation))
}

fn standing(situation: &Situation<'_>) -> Option<Verdict> {
    [SUCCESS_CRITERIA_MET, FAILURE_TARGET].into_iter().find_map(|type_| {
        let condition = conditions::find_true(situation.conditions(), type_)?;
        Some(Verdict {
            success: type_ == SUCCESS_CRITERIA_MET,
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
            stands: true,
        })
    })
}

fn by_failure_policy(situation: &Situation<'_>) -> Option<Verdict> {
    let policy = situation.spec.failure_policy?;
    let mut failed = situation.pods.iter().filter(|pod| situation.is_failed(pod));
    failed.find_map(|pod| match failure_policy::action(policy, pod) {
        Some(Action::FailJob(message)) => Some(Verdict::failure("PodFailurePolicy", message)),
        _ => None,
    })
}

fn by_backoff_limit(situation: &Situation<'_>) -> Option<Verdict> {
    let limit = situation.spec.backoff_limit;
    let reached = situation.failed > limit || restarts_exceed(situation, limit);
    reached.then(|| Verdict::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
}

/// Whether the containers of living pods were restarted in place too often.
fn restarts_exceed(situation: &Situation<'_>, limit: usize) -> bool {
    if !situation.spec.restarts_in_place {
        return false;
    }
    let restarts: u64 = situation.pods.iter().map(Pod::restarts_while_alive).sum();
    // Upstream's rule: restarts fail the Job at the limit, failed pods only above it. A limit of 0 tolerates none.
    restarts >= u64::try_from(limit.max(1)).unwrap_or(u64::MAX)
}

fn by_deadline(situation: &Situation<'_>) -> Option<Verdict> {
    let passed = deadline(situation)? <= situation.now;
    passed.then(|| Verdict::failure("DeadlineExceeded", "Job was active longer than specified deadline"))
}

/// When the Job will have been active for too long; absent without such a limit and while it is suspended.
pub(super) fn deadline(situation: &Situation<'_>) -> Option<Timestamp> {
    let allowed = situation.spec.active_deadline?;
    let started = situation.active_since()?;
    Some(started.saturating_add(allowed).unwrap_or(Timestamp::MAX))
}

fn by_failed_indexes(situation: &Situation<'_>) -> Option<Verdict> {
    let indexed = situation.indexed.as_ref()?;
    let failed = indexed.failed.as_ref()?.len();
    if situation.spec.max_failed_indexes.is_some_and(|max| failed > max) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Verdict::failure("MaxFailedIndexesExceeded", message));
    }
    let all_settled = failed + indexed.succeeded.len() >= indexed.completions as usize;
    (failed > 0 && all_settled).then(|| Verdict::failure("FailedIndexes", "Job has failed indexes"))
}

fn by_success_policy(situation: &Situation<'_>) -> Option<Verdict> {
    let indexed = situation.indexed.as_ref()?;
    let policy = situation.spec.success_policy?;
    let message = success_policy::met(policy, indexed.completions, &indexed.succeeded)?;
    Some(Verdict { success: true, reason: "SuccessPolicy".to_owned(), message, stands: false })
}
