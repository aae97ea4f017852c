//! A Job's spec as the reconciler reads it: upstream's defaults filled in.

use cronlet_object::api::{JobSpec, PodFailurePolicy, SuccessPolicy};
use jiff::SignedDuration;

/// The only value of `spec.managedBy` that leaves a Job to this controller.
const THIS_CONTROLLER: &str = "kubernetes.io/job-controller";
/// The limit on failures where `backoffLimitPerIndex` sets none for the whole Job.
const BACKOFF_LIMIT: i32 = 6;

/// What a Job asks for.
#[derive(Debug)]
pub(super) struct Spec<'a> {
    /// Most pods at once.
    pub(super) parallelism: usize,
    /// Successes needed; absent for a work queue, which is done when any pod has succeeded and none is left.
    pub(super) completions: Option<usize>,
    /// The number of indexes if every index needs one success.
    pub(super) indexes: Option<u32>,
    /// Failures tolerated in the whole Job.
    pub(super) backoff_limit: usize,
    /// Failures tolerated of one index.
    pub(super) backoff_limit_per_index: Option<u32>,
    /// Failed indexes tolerated; absent if they fail the Job only at its end.
    pub(super) max_failed_indexes: Option<usize>,
    /// How long the Job may be active.
    pub(super) active_deadline: Option<SignedDuration>,
    /// Whether no pods are to run.
    pub(super) suspended: bool,
    /// Whether a failed container is restarted in its pod (`restartPolicy: OnFailure`).
    pub(super) restarts_in_place: bool,
    /// Whether a pod that is being deleted is replaced, and counted as failed, only when it has ended.
    pub(super) waits_for_terminating: bool,
    /// What a failure means.
    pub(super) failure_policy: Option<&'a PodFailurePolicy>,
    /// Which indexes suffice.
    pub(super) success_policy: Option<&'a SuccessPolicy>,
}

impl<'a> Spec<'a> {
    /// The spec of a stored Job.
    pub(super) fn of(spec: &'a JobSpec) -> Self {
        let completions = spec.completions.map(clamp);
        let indexed = spec.completion_mode.as_deref() == Some("Indexed");
        let per_index = spec.backoff_limit_per_index.filter(|_| indexed).map(clamp_u32);
        let failure_policy = spec.pod_failure_policy.as_ref();
        Spec {
            parallelism: spec.parallelism.map_or(1, clamp),
            completions,
            indexes: indexed.then(|| spec.completions.map_or(0, clamp_u32)),
            backoff_limit: clamp(spec.backoff_limit.unwrap_or(match per_index {
                Some(_) => i32::MAX,
                None => BACKOFF_LIMIT,
            })),
            backoff_limit_per_index: per_index,
            max_failed_indexes: spec.max_failed_indexes.map(clamp),
            active_deadline: spec.active_deadline_seconds.map(SignedDuration::from_secs),
            suspended: spec.suspend.unwrap_or_default(),
            restarts_in_place: restart_policy(spec) == Some("OnFailure"),
            waits_for_terminating: failure_policy.is_some()
                || spec.pod_replacement_policy.as_deref() == Some("Failed"),
            failure_policy,
            success_policy: spec.success_policy.as_ref().filter(|_| indexed),
        }
    }
}

/// Whether another controller has the say over this Job.
pub(super) fn is_managed_elsewhere(spec: &JobSpec) -> bool {
    spec.managed_by.as_deref().is_some_and(|controller| controller != THIS_CONTROLLER)
}

fn restart_policy(spec: &JobSpec) -> Option<&str> {
    spec.template.spec.as_ref()?.restart_policy.as_deref()
}

fn clamp(count: i32) -> usize {
    usize::try_from(count).unwrap_or_default()
}

fn clamp_u32(count: i32) -> u32 {
    u32::try_from(count).unwrap_or_default()
}
