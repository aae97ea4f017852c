//! The Job that a CronJob's template and a scheduled time make.

use cronlet_object::api::{CronJob, Job, ObjectMeta, OwnerReference};
use jiff::{Timestamp, tz::TimeZone};

use crate::pod_start::START_TIMEOUT;

/// Tells a Job the time it was scheduled for, in the zone of its CronJob.
const SCHEDULED_TIMESTAMP: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The name of the Job for a scheduled time: the minutes since 1970 make it unique. It is the lock against a second
/// start; schedules with several times in a minute start one Job a minute.
pub(super) fn job_name(cron_job: &str, scheduled: Timestamp) -> String {
    format!("{cron_job}-{}", scheduled.as_second().div_euclid(60))
}

/// The Job for a scheduled time. `zone` is that of `spec.timeZone`, or UTC.
pub(super) fn job(cron_job: &CronJob, scheduled: Timestamp, zone: &TimeZone) -> Job {
    let owner = &cron_job.metadata;
    let template = cron_job.spec.job_template.clone();
    let metadata = template.metadata.unwrap_or_default();
    let mut annotations = metadata.annotations.unwrap_or_default();
    // Extensions that are about Jobs may stand on the CronJob for all of them.
    if let Some(timeout) = owner.annotations.as_ref().and_then(|own| own.get(START_TIMEOUT)) {
        annotations.entry(START_TIMEOUT.to_owned()).or_insert_with(|| timeout.clone());
    }
    annotations.insert(SCHEDULED_TIMESTAMP.to_owned(), rfc3339(scheduled, zone));
    let name = owner.name.as_deref().unwrap_or_default();
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(name, scheduled)),
            namespace: owner.namespace.clone(),
            labels: metadata.labels.filter(|labels| !labels.is_empty()),
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".into(),
                kind: "CronJob".into(),
                name: name.to_owned(),
                uid: owner.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// As Go writes RFC 3339: an offset of zero is `Z`.
fn rfc3339(time: Timestamp, zone: &TimeZone) -> String {
    let zoned = time.to_zoned(zone.clone());
    let format = if zoned.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    zoned.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let time: Timestamp = "2026-01-15T10:00:00Z".parse().unwrap();
        let at = |zone: &str| rfc3339(time, &TimeZone::get(zone).unwrap());
        assert_eq!(at("UTC"), "2026-01-15T10:00:00Z");
        assert_eq!(at("Europe/London"), "2026-01-15T10:00:00Z");
        assert_eq!(at("America/New_York"), "2026-01-15T05:00:00-05:00");
        assert_eq!(at("Asia/Kolkata"), "2026-01-15T15:30:00+05:30");
    }

    #[test]
    fn a_start_timeout_may_stand_on_either() {
        let made = |own: Option<&str>, template: Option<&str>| {
            let annotations =
                |value: Option<&str>| value.map(|v| [(START_TIMEOUT.to_owned(), v.to_owned())].into());
            let mut cron_job = CronJob::default();
            cron_job.metadata.annotations = annotations(own);
            cron_job.spec.job_template.metadata.get_or_insert_default().annotations = annotations(template);
            let job = job(&cron_job, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
            job.metadata.annotations.unwrap().remove(START_TIMEOUT)
        };
        assert_eq!(made(None, None), None);
        assert_eq!(made(Some("5m"), None).as_deref(), Some("5m"));
        assert_eq!(made(Some("5m"), Some("1m")).as_deref(), Some("1m"));
    }

    #[test]
    fn two_times_in_one_minute_have_one_name() {
        let name = |text: &str| job_name("tick", text.parse().unwrap());
        assert_eq!(name("2016-05-19T10:00:00Z"), "tick-24394200");
        assert_eq!(name("2016-05-19T10:00:58Z"), "tick-24394200");
        assert_eq!(name("2016-05-19T10:01:00Z"), "tick-24394201");
    }
}
