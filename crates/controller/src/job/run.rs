//! The run of a Job as the ledger keeps it.

use std::cmp::Reverse;

use cronlet_object::{
    Object,
    api::Job,
    ledger::{ContainerExit, Run},
};
use jiff::Timestamp;

use super::{limits, pod::Pod, situation::Situation, status::Progress, verdict::Verdict};

/// Annotation of a Job: the time that a CronJob created it for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What the ledger is to know after a pass: that a run has begun, unless a CronJob's tick has entered it, or that it has
/// ended. `settled` are the pods that earlier passes counted.
pub(super) fn entry(
    situation: &Situation<'_>,
    job: &Job,
    progress: &Progress,
    verdict: Option<&Verdict>,
    settled: &[&Object],
) -> Option<Run> {
    let begins = situation.status.start_time.is_none() && progress.status.start_time.is_some();
    match verdict.filter(|_| progress.finished) {
        Some(verdict) => Some(ended(situation, job, verdict, settled)),
        None => (begins && scheduled(job).is_none()).then(|| begun(situation, job)),
    }
}

fn begun(situation: &Situation<'_>, job: &Job) -> Run {
    let object = situation.object;
    let owner = object.meta().controller().filter(|owner| owner.kind.as_ref() == "CronJob");
    Run {
        job_uid: object.meta().uid.as_ref().to_owned(),
        namespace: object.namespace().to_owned(),
        job: object.name().to_owned(),
        cronjob: owner.map(|owner| owner.name.as_ref().to_owned()),
        scheduled: scheduled(job),
        created: object.meta().created.unwrap_or(situation.now),
        finished: None,
        outcome: None,
        containers: Vec::new(),
    }
}

fn ended(situation: &Situation<'_>, job: &Job, verdict: &Verdict, settled: &[&Object]) -> Run {
    let outcome = if verdict.success { "Complete" } else { &verdict.reason };
    let settled: Vec<Pod<'_>> = settled.iter().map(|pod| Pod::read(pod, false)).collect();
    Run {
        finished: Some(situation.now),
        outcome: Some(outcome.to_owned()),
        containers: exits(settled.iter().chain(&situation.pods)),
        ..begun(situation, job)
    }
}

fn scheduled(job: &Job) -> Option<Timestamp> {
    job.metadata.annotations.as_ref()?.get(SCHEDULED)?.parse().ok()
}

/// How the containers of all pods ended, in the order in which they did.
fn exits<'a>(pods: impl Iterator<Item = &'a Pod<'a>>) -> Vec<ContainerExit> {
    let mut exits: Vec<ContainerExit> = pods.flat_map(exits_of).collect();
    exits.sort_by_key(|exit| Reverse(exit.finished));
    exits.truncate(limits::LEDGER_CONTAINERS_MAX);
    exits.reverse();
    exits
}

fn exits_of<'a>(pod: &'a Pod<'a>) -> impl Iterator<Item = ContainerExit> + 'a {
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
