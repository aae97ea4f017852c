//! How a Job finds its pods: by a label with its own UID, unless told otherwise.

use std::collections::BTreeMap;

use crate::{
    FieldErrors, Path,
    api::{Job, JobSpec, ObjectMeta},
    selector::Selector,
    validate::labels::validate_selector,
};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// The names of these labels before they had a domain; still set for those who select by them.
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";

fn template_labels(spec: &JobSpec) -> Option<&BTreeMap<String, String>> {
    spec.template.metadata.as_ref()?.labels.as_ref()
}

/// A Job without labels of its own takes those of its pods.
pub(super) fn share_template_labels(meta: &mut ObjectMeta, spec: &JobSpec) {
    if meta.labels.as_ref().is_none_or(BTreeMap::is_empty)
        && let Some(labels) = template_labels(spec).filter(|labels| !labels.is_empty())
    {
        meta.labels = Some(labels.clone());
    }
}

/// Makes the selector and the labels it selects, unless the client does so itself, and the Job's own labels
/// if it has none.
pub(super) fn generate(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    if spec.manual_selector == Some(true) {
        return share_template_labels(&mut job.metadata, spec);
    }
    let name = job.metadata.name.clone().unwrap_or_default();
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    // Upstream's Job and template share one map when the Job takes the template's labels: so it gets these as
    // well.
    let shares = !labels.is_empty() && job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty);
    let entries = [(OLD_NAME_LABEL, &name), (NAME_LABEL, &name), (OLD_UID_LABEL, &uid), (UID_LABEL, &uid)];
    for (key, value) in entries {
        // A different value is a conflict, which validation reports.
        if !labels.contains_key(key) {
            labels.insert(key.to_owned(), value.clone());
        }
    }
    if shares {
        job.metadata.labels = Some(labels.clone());
    }
    let selector = spec.selector.get_or_insert_default().match_labels.get_or_insert_default();
    selector.entry(UID_LABEL.to_owned()).or_insert(uid);
}

/// A generated selector and its labels must be as [`generate`] makes them.
pub(super) fn validate_generated(job: &Job, spec: &JobSpec, errors: &mut FieldErrors) {
    if spec.manual_selector == Some(true) || spec.selector.is_none() {
        return;
    }
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let expected = [(OLD_UID_LABEL, uid), (OLD_NAME_LABEL, name), (UID_LABEL, uid), (NAME_LABEL, name)];
    let labels = template_labels(spec);
    for (key, value) in expected {
        let field = || Path::root("spec").child("template").child("metadata").child("labels").key(key);
        let detail = || format!("must be '{value}'");
        match labels.and_then(|labels| labels.get(key)) {
            None => errors.required(&field(), detail()),
            Some(actual) if actual != value => errors.invalid(&field(), labels, detail()),
            Some(_) => {}
        }
    }
    if let Ok(selector) = Selector::from_label_selector(spec.selector.as_ref()) {
        let value = |key: &str| expected.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        if !selector.matches(value) {
            errors.invalid(
                &Path::root("spec").child("selector"),
                &spec.selector,
                "`selector` not auto-generated",
            );
        }
    }
}

/// The selector must be well formed, and select the pods that the template makes.
pub(super) fn validate(spec: &JobSpec, field: &Path, errors: &mut FieldErrors) {
    match &spec.selector {
        None => errors.required(&field.child("selector"), ""),
        Some(selector) => validate_selector(selector, &field.child("selector"), errors),
    }
    let labels = template_labels(spec);
    if let Ok(selector) = Selector::from_label_selector(spec.selector.as_ref())
        && !selector.matches(|key| labels.and_then(|labels| labels.get(key)).map(String::as_str))
    {
        let field = field.child("template").child("metadata").child("labels");
        errors.invalid(&field, labels, "`selector` does not match template `labels`");
    }
}
