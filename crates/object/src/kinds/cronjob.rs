//! CronJobs.

use cronlet_schedule::{
    Schedule, ZONE_IN_SCHEDULE, ZONE_IN_SCHEDULE_AND_FIELD, mentions_time_zone, validate_time_zone,
};
use jiff::Timestamp;

use super::{Rules, job, pod_template};
use crate::{
    FieldErrors, Path,
    api::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec},
    selector::format_label_selector,
    table::{self, Column, Row},
    validate::{
        equal,
        names::{NameRule, dns_label_errors},
        one_of, optional_non_negative,
    },
};

/// Longest name of a CronJob, in characters: its Jobs' names have eleven more, and become labels.
const NAME_CHARS_MAX: usize = 52;
const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];

impl Rules for CronJob {
    const NAME: NameRule = NameRule::Subdomain;
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Schedule"),
        Column::text("Timezone"),
        Column::text("Suspend").declared("boolean"),
        Column::text("Active").declared("integer"),
        Column::text("Last Schedule"),
        Column::text("Age"),
        Column::wide("Containers"),
        Column::wide("Images"),
        Column::wide("Selector"),
    ];

    /// Of the Job template only the pod template gets defaults; the rest gets them when a Job is made.
    fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        if spec.concurrency_policy.as_deref().unwrap_or_default().is_empty() {
            spec.concurrency_policy = Some("Allow".to_owned());
        }
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        spec.job_template.metadata.get_or_insert_default();
        let job = spec.job_template.spec.get_or_insert_default();
        pod_template::set_template_defaults(&mut job.template);
        job::set_failure_policy_defaults(job);
    }

    fn prepare_create(&mut self) {
        self.status = Some(Default::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn spec_differs(&self, old: &Self) -> bool {
        !equal(&self.spec, &old.spec)
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_spec(&self.spec, None, errors);
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name.len() > NAME_CHARS_MAX {
            let detail = format!("must be no more than {NAME_CHARS_MAX} characters");
            errors.invalid(&Path::root("metadata").child("name"), name, detail);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        validate_spec(&self.spec, Some(&old.spec), errors);
    }

    fn warnings(&self, old: Option<&Self>) -> Vec<String> {
        let mut warnings = Vec::new();
        let name_faults = dns_label_errors(self.metadata.name.as_deref().unwrap_or_default());
        if old.is_none() && !name_faults.is_empty() {
            warnings.push(job::name_warning(&name_faults));
        }
        if old.is_none_or(|old| self.spec_differs(old)) {
            let template = Path::root("spec").child("jobTemplate").child("spec");
            warnings
                .extend(self.spec.job_template.spec.iter().flat_map(|spec| job::warnings(spec, &template)));
            if mentions_time_zone(&self.spec.schedule) {
                warnings.push(
                    "CRON_TZ or TZ used in spec.schedule is not officially supported, see \
                     https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                        .to_owned(),
                );
            }
        }
        warnings
    }

    fn row(&self, now: Timestamp) -> Row {
        let (spec, status) = (&self.spec, self.status.as_ref());
        let suspend = match spec.suspend {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = status.and_then(|status| status.last_schedule_time.as_ref());
        let job = spec.job_template.spec.as_ref();
        let pod = job.and_then(|job| job.template.spec.as_ref());
        Row::of([
            table::name(&self.metadata),
            spec.schedule.as_str().into(),
            spec.time_zone.as_deref().unwrap_or("<none>").into(),
            suspend.into(),
            status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len).into(),
            last.map_or_else(|| "<none>".to_owned(), |time| table::since(Some(time), now)).into(),
            table::age_of(&self.metadata, now),
            pod_template::container_names(pod).into(),
            pod_template::container_images(pod).into(),
            format_label_selector(job.and_then(|job| job.selector.as_ref())).into(),
        ])
    }
}

fn validate_spec(spec: &CronJobSpec, old: Option<&CronJobSpec>, errors: &mut FieldErrors) {
    let field = Path::root("spec");
    if spec.schedule.is_empty() {
        errors.required(&field.child("schedule"), "");
    } else {
        // What was accepted once stays acceptable: old CronJobs may name a zone in their schedule.
        let zone_allowed = old.is_some_and(|old| mentions_time_zone(&old.schedule));
        validate_schedule(spec, zone_allowed, || field.child("schedule"), errors);
    }
    optional_non_negative(spec.starting_deadline_seconds, &field, "startingDeadlineSeconds", errors);
    if let Some(zone) =
        spec.time_zone.as_deref().filter(|_| old.is_none_or(|old| old.time_zone != spec.time_zone))
    {
        for error in validate_time_zone(zone) {
            errors.invalid(&field.child("timeZone"), zone, error.to_string());
        }
    }
    let policy = spec.concurrency_policy.as_deref().unwrap_or_default();
    one_of(policy, &POLICIES, || field.child("concurrencyPolicy"), errors);
    validate_template(&spec.job_template, &field.child("jobTemplate").child("spec"), errors);
    optional_non_negative(spec.successful_jobs_history_limit, &field, "successfulJobsHistoryLimit", errors);
    optional_non_negative(spec.failed_jobs_history_limit, &field, "failedJobsHistoryLimit", errors);
}

fn validate_schedule(
    spec: &CronJobSpec,
    zone_allowed: bool,
    field: impl Fn() -> Path,
    errors: &mut FieldErrors,
) {
    let schedule = spec.schedule.as_str();
    if let Err(error) = Schedule::parse(schedule) {
        errors.invalid(&field(), schedule, error.to_string());
    }
    if !mentions_time_zone(schedule) {
        return;
    }
    if !zone_allowed {
        errors.invalid(&field(), schedule, ZONE_IN_SCHEDULE);
    } else if spec.time_zone.is_some() {
        errors.invalid(&field(), schedule, ZONE_IN_SCHEDULE_AND_FIELD);
    }
}

fn validate_template(template: &JobTemplateSpec, field: &Path, errors: &mut FieldErrors) {
    let absent = JobSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&absent);
    job::validate_unselected_spec(spec, field, errors);
    if let Some(selector) = &spec.selector {
        errors.invalid(&field.child("selector"), selector, "`selector` will be auto-generated");
    }
    if spec.manual_selector == Some(true) {
        errors.not_supported(&field.child("manualSelector"), true, &["nil", "false"]);
    }
}
