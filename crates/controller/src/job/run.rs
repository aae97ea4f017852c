//! The run of a Job as the ledger keeps it.

use std::cmp::Reverse;

use cronlet_object::{
    Object,
    api::Job,
    ledger::{ContainerExit, Run},
};
use jiff::Timestamp;

use super::{limits, pod::Pod, verdict::Verdict};

/// Annotation of a Job: the time that a CronJob created it for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Whether the CronJob controller created a Job, and so has entered its run.
pub(super) fn is_entered(job: &Job) -> bool {
    scheduled(job).is_some()
}

/// A run that has begun.
pub(super) fn begun(object: &Object, job: &Job, now: Timestamp) -> Run {
    let owner = object.meta().controller().filter(|owner| owner.kind.as_ref() == "CronJob");
    Run {
        job_uid: object.meta().uid.as_ref().to_owned(),
        namespace: object.namespace().to_owned(),
        job: object.name().to_owned(),
        cronjob: owner.map(|owner| owner.name.as_ref().to_owned()),
        scheduled: scheduled(job),
        created: object.meta().created.unwrap_or(now),
        finished: None,
        outcome: None,
        containers: Vec::new(),
    }
}

/// A run that has ended.
pub(super) fn ended(object: &Object, job: &Job, verdict: &Verdict, pods: &[Pod<'_>], now: Timestamp) -> Run {
    let outcome = if verdict.success { "Complete" } else { &verdict.reason };
    Run {
        finished: Some(now),
        outcome: Some(outcome.to_owned()),
        containers: exits(pods),
        ..begun(object, job, now)
    }
}

fn scheduled(job: &Job) -> Option<Timestamp> {
    job.metadata.annotations.as_ref()?.get(SCHEDULED)?.parse().ok()
}

/// How the containers of all pods ended, in the order in which they did.
fn exits(pods: &[Pod<'_>]) -> Vec<ContainerExit> {
    let mut exits: Vec<ContainerExit> = pods.iter().flat_map(exits_of).collect();
    exits.sort_by_key(|exit| Reverse(exit.finished));
    exits.truncate(limits::LEDGER_CONTAINERS_MAX);
    exits.reverse();
    exits
}

fn exits_of<'a>(pod: &'a Pod<'_>) -> impl Iterator<Item = ContainerExit> + 'a {
    let status = &pod.view.status;
    status.init_container_statuses.iter().chain(&status.container_statuses).filter_map(|container| {
        let end = container.terminated()?;
        Some(ContainerExit {
            pod: pod.object.name().to_owned(),
            container: container.name.clone(),
            exit_code: end.exit_code,
            reason: end.reason.clone(),
            restarts: i32::try_from(container.restart_count).unwrap_or(i32::MAX),
            started: end.started_at,
            finished: end.finished_at,
        })
    })
}
