//! Jobs.

mod indexes;
mod policies;
mod selector;
mod spec;
mod status;
mod template;

use jiff::Timestamp;

use super::{Rules, pod_template};
use crate::{
    FieldErrors, Path,
    age::human_duration,
    api::{Job, JobSpec, JobStatus},
    selector::format_label_selector,
    table::{self, Column, Row},
    validate::{
        equal, immutable,
        names::{NameRule, dns_label_errors},
    },
};

pub(crate) use spec::{set_failure_policy_defaults, validate_unselected_spec, warnings};

pub(crate) const INDEXED: &str = "Indexed";
pub(crate) const NON_INDEXED: &str = "NonIndexed";

impl Rules for Job {
    const NAME: NameRule = NameRule::Subdomain;
    const FIELDS: &[&str] = &["status.successful"];
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Status"),
        Column::text("Completions"),
        Column::text("Duration"),
        Column::text("Age"),
        Column::wide("Containers"),
        Column::wide("Images"),
        Column::wide("Selector"),
    ];

    fn set_defaults(&mut self) {
        spec::set_defaults(self.spec.get_or_insert_default());
    }

    fn prepare_create(&mut self) {
        self.status = Some(JobStatus::default());
        selector::generate(self);
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        self.finish();
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    /// A Job without labels shows those of its pods, which it may have only got now.
    fn finish(&mut self) {
        if let Some(spec) = &self.spec {
            selector::share_template_labels(&mut self.metadata, spec);
        }
    }

    fn spec_differs(&self, old: &Self) -> bool {
        !equal(&self.spec, &old.spec)
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        selector::validate_generated(self, spec, errors);
        validate_spec(spec, errors);
        validate_host_names(self, spec, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
        let (Some(new), Some(before)) = (&self.spec, &old.spec) else { return };
        let child = |name: &str| Path::root("spec").child(name);
        validate_completions(new, before, errors);
        immutable(&new.selector, &before.selector, || child("selector"), errors);
        template::validate_update(new, old, before, errors);
        immutable(&new.completion_mode, &before.completion_mode, || child("completionMode"), errors);
        immutable(&new.pod_failure_policy, &before.pod_failure_policy, || child("podFailurePolicy"), errors);
        immutable(
            &new.backoff_limit_per_index,
            &before.backoff_limit_per_index,
            || child("backoffLimitPerIndex"),
            errors,
        );
        immutable(&new.managed_by, &before.managed_by, || child("managedBy"), errors);
        immutable(&new.success_policy, &before.success_policy, || child("successPolicy"), errors);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut FieldErrors) {
        status::validate_update(self, old, errors);
    }

    fn warnings(&self, old: Option<&Self>) -> Vec<String> {
        let mut warnings = Vec::new();
        let name_faults = dns_label_errors(self.metadata.name.as_deref().unwrap_or_default());
        if old.is_none() && !name_faults.is_empty() {
            warnings.push(name_warning(&name_faults));
        }
        if old.is_none_or(|old| self.spec_differs(old)) {
            warnings.extend(self.spec.iter().flat_map(|spec| spec::warnings(spec, &Path::root("spec"))));
        }
        warnings
    }

    fn field(&self, _label: &str) -> Option<String> {
        let succeeded = self.status.as_ref().and_then(|status| status.succeeded);
        Some(succeeded.unwrap_or_default().to_string())
    }

    fn row(&self, now: Timestamp) -> Row {
        let spec = self.spec.as_ref();
        let pod = spec.and_then(|spec| spec.template.spec.as_ref());
        Row::of([
            table::name(&self.metadata),
            condition(self).into(),
            completions(self).into(),
            duration(self, now).into(),
            table::age_of(&self.metadata, now),
            pod_template::container_names(pod).into(),
            pod_template::container_images(pod).into(),
            format_label_selector(spec.and_then(|spec| spec.selector.as_ref())).into(),
        ])
    }
}

/// A name that is no DNS label is accepted, but cannot be a host name.
pub(crate) fn name_warning(faults: &[String]) -> String {
    format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; \
         a DNS label is recommended: [{}]",
        faults.join(" ")
    )
}

pub(crate) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some(INDEXED)
}

fn validate_spec(spec: &JobSpec, errors: &mut FieldErrors) {
    let field = Path::root("spec");
    validate_unselected_spec(spec, &field, errors);
    selector::validate(spec, &field, errors);
}

/// The pods of an indexed Job get host names that end in their index.
fn validate_host_names(job: &Job, spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(completions) = spec.completions.filter(|completions| is_indexed(spec) && *completions > 0)
    else {
        return;
    };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let longest = format!("{name}-{}", completions - 1);
    if !dns_label_errors(&longest).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {longest}");
        errors.invalid(&Path::root("metadata").child("name"), name, detail);
    }
}

/// Only indexed Jobs can be made larger or smaller, and only as a whole.
fn validate_completions(new: &JobSpec, old: &JobSpec, errors: &mut FieldErrors) {
    let field = || Path::root("spec").child("completions");
    if !is_indexed(new) {
        return immutable(&new.completions, &old.completions, field, errors);
    }
    if new.completions != old.completions && new.completions.is_some() && new.completions != new.parallelism {
        errors.invalid(&field(), new.completions, "can only be modified in tandem with spec.parallelism");
    }
}

/// Whether a condition holds.
fn has_condition(status: Option<&JobStatus>, kind: &str) -> bool {
    let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

fn condition(job: &Job) -> &'static str {
    let has = |kind| has_condition(job.status.as_ref(), kind);
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if job.metadata.deletion_timestamp.is_some() {
        "Terminating"
    } else {
        ["Suspended", "FailureTarget", "SuccessCriteriaMet"]
            .into_iter()
            .find(|kind| has(kind))
            .unwrap_or("Running")
    }
}

fn completions(job: &Job) -> String {
    let succeeded = job.status.as_ref().and_then(|status| status.succeeded).unwrap_or_default();
    let spec = job.spec.as_ref();
    let parallelism = spec.and_then(|spec| spec.parallelism).unwrap_or_default();
    match spec.and_then(|spec| spec.completions) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }
}

fn duration(job: &Job, now: Timestamp) -> String {
    let status = job.status.as_ref();
    let Some(start) = status.and_then(|status| status.start_time.as_ref()) else { return String::new() };
    let end = status.and_then(|status| status.completion_time.as_ref()).map_or(now, |time| time.0);
    human_duration(end.duration_since(start.0))
}

#[cfg(test)]
mod tests;
