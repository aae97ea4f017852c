// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Jobs and CronJobs.

use super::Kind::{Bool, Int, Message, Text, Time};
use super::{Fields, core, field, list, meta, optional, pod};

pub(super) static CRON_JOB: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&CRON_JOB_SPEC)),
    field(3, "status", Message(&CRON_JOB_STATUS)),
]);

pub(super) static CRON_JOB_SPEC: Fields = Fields(&[
    field(1, "schedule", Text),
    field(2, "startingDeadlineSeconds", Int),
    optional(3, "concurrencyPolicy", Text),
    field(4, "suspend", Bool),
    field(5, "jobTemplate", Message(&JOB_TEMPLATE_SPEC)),
    field(6, "successfulJobsHistoryLimit", Int),
    field(7, "failedJobsHistoryLimit", Int),
    field(8, "timeZone", Text),
]);

pub(super) static CRON_JOB_STATUS: Fields = Fields(&[
    list(1, "active", Message(&core::OBJECT_REFERENCE)),
    field(4, "lastScheduleTime", Time),
    field(5, "lastSuccessfulTime", Time),
]);

pub(super) static JOB: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&JOB_SPEC)),
    field(3, "status", Message(&JOB_STATUS)),
]);

pub(super) static JOB_CONDITION: Fields = Fields(&[
    field(1, "type", Text),
    field(2, "status", Text),
    field(3, "lastProbeTime", Time),
    field(4, "lastTransitionTime", Time),
    optional(5, "reason", Text),
    optional(6, "message", Text),
]);

pub(super) static JOB_SPEC: Fields = Fields(&[
    field(1, "parallelism", Int),
    field(2, "completions", Int),
    field(3, "activeDeadlineSeconds", Int),
    field(4, "selector", Message(&meta::LABEL_SELECTOR)),
    field(5, "manualSelector", Bool),
    field(6, "template", Message(&pod::POD_TEMPLATE_SPEC)),
    field(7, "backoffLimit", Int),
    field(8, "ttlSecondsAfterFinished", Int),
    field(9, "completionMode", Text),
    field(10, "suspend", Bool),
    field(11, "podFailurePolicy", Message(&POD_FAILURE_POLICY)),
    field(12, "backoffLimitPerIndex", Int),
    field(13, "maxFailedIndexes", Int),
    field(14, "podReplacementPolicy", Text),
    field(15, "managedBy", Text),
    field(16, "successPolicy", Message(&SUCCESS_POLICY)),
]);

pub(super) static JOB_STATUS: Fields = Fields(&[
    list(1, "conditions", Message(&JOB_CONDITION)),
    field(2, "startTime", Time),
    field(3, "completionTime", Time),
    optional(4, "active", Int),
    optional(5, "succeeded", Int),
    optional(6, "failed", Int),
    optional(7, "completedIndexes", Text),
    field(8, "uncountedTerminatedPods", Message(&UNCOUNTED_TERMINATED_PODS)),
    field(9, "ready", Int),
    field(10, "failedIndexes", Text),
    field(11, "terminating", Int),
]);

pub(super) static JOB_TEMPLATE_SPEC: Fields =
    Fields(&[field(1, "metadata", Message(&meta::OBJECT_META)), field(2, "spec", Message(&JOB_SPEC))]);

pub(super) static POD_FAILURE_POLICY: Fields = Fields(&[list(1, "rules", Message(&POD_FAILURE_POLICY_RULE))]);

pub(super) static POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT: Fields =
    Fields(&[field(1, "containerName", Text), field(2, "operator", Text), list(3, "values", Int)]);

pub(super) static POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN: Fields =
    Fields(&[field(1, "type", Text), field(2, "status", Text)]);

pub(super) static POD_FAILURE_POLICY_RULE: Fields = Fields(&[
    field(1, "action", Text),
    field(2, "onExitCodes", Message(&POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT)),
    list(3, "onPodConditions", Message(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN)),
]);

pub(super) static SUCCESS_POLICY: Fields = Fields(&[list(1, "rules", Message(&SUCCESS_POLICY_RULE))]);

pub(super) static SUCCESS_POLICY_RULE: Fields =
    Fields(&[field(1, "succeededIndexes", Text), field(2, "succeededCount", Int)]);

pub(super) static UNCOUNTED_TERMINATED_PODS: Fields =
    Fields(&[list(1, "succeeded", Text), list(2, "failed", Text)]);
