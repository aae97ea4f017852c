//! What the run ledger remembers after the objects are gone: decisions about ticks, and runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// What was decided about a CronJob's tick.
    Decision(Decision),
    /// A run was started or has moved on: replaces what is known of the same Job UID.
    Run(Run),
}

/// Why a tick did or did not start a Job.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When the decision was made.
    pub at: Timestamp,
    /// Namespace of the CronJob.
    pub namespace: String,
    /// Name of the CronJob.
    pub cronjob: String,
    /// UID of the CronJob.
    pub cronjob_uid: String,
    /// The scheduled time that was decided about; absent when the schedule itself cannot be used.
    pub scheduled: Option<Timestamp>,
    /// The outcome.
    pub reason: Reason,
    /// The outcome in words.
    pub message: String,
    /// Name of the Job that was created, if one was.
    pub job: Option<String>,
}

/// The outcome of a decision, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A Job was created.
    Started,
    /// `concurrencyPolicy: Forbid`, and a Job is still active.
    ForbiddenByActiveJob,
    /// The starting deadline had passed.
    DeadlineMissed,
    /// A Job for this scheduled time exists already.
    AlreadyStarted,
    /// The schedule cannot be parsed.
    InvalidSchedule,
    /// The time zone is not known.
    UnknownTimeZone,
    /// The Job was refused.
    CreateFailed,
}

impl Reason {
    /// The code as it is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Started => "Started",
            Reason::ForbiddenByActiveJob => "ForbiddenByActiveJob",
            Reason::DeadlineMissed => "DeadlineMissed",
            Reason::AlreadyStarted => "AlreadyStarted",
            Reason::InvalidSchedule => "InvalidSchedule",
            Reason::UnknownTimeZone => "UnknownTimeZone",
            Reason::CreateFailed => "CreateFailed",
        }
    }
}

/// One Job, from its creation to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// UID of the Job.
    pub job_uid: String,
    /// Namespace of the Job.
    pub namespace: String,
    /// Name of the Job.
    pub job: String,
    /// Name of the CronJob that created it, if one did.
    pub cronjob: Option<String>,
    /// The time it was scheduled for, if a CronJob created it.
    pub scheduled: Option<Timestamp>,
    /// When the Job was created.
    pub created: Timestamp,
    /// When the Job reached Complete or Failed.
    pub finished: Option<Timestamp>,
    /// `Complete`, or the reason of the Failed condition.
    pub outcome: Option<String>,
    /// How its containers ended; filled when the run is finished.
    pub containers: Vec<ContainerExit>,
}

/// How one container of a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerExit {
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// Exit code; 128 + n after signal n.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub reason: String,
    /// How often it was restarted in place.
    pub restarts: i32,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}
