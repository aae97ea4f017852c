//! Labels, annotations and label selectors.

use std::collections::BTreeMap;

use super::names::{label_value_errors, qualified_name_errors, report};
use crate::{FieldErrors, Path, api::LabelSelector};

/// Most bytes that all annotations of an object may have together, keys and values.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// A map of labels, such as `metadata.labels` or a node selector.
pub(crate) fn validate_labels(
    labels: Option<&BTreeMap<String, String>>,
    field: impl Fn() -> Path,
    errors: &mut FieldErrors,
) {
    for (key, value) in labels.into_iter().flatten() {
        report(qualified_name_errors(key), key, &field, errors);
        report(label_value_errors(value), value, &field, errors);
    }
}

/// `metadata.annotations`.
pub(crate) fn validate_annotations(
    annotations: Option<&BTreeMap<String, String>>,
    field: impl Fn() -> Path,
    errors: &mut FieldErrors,
) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        let faults = if key.bytes().any(|b| b.is_ascii_uppercase()) {
            qualified_name_errors(&key.to_lowercase())
        } else {
            qualified_name_errors(key)
        };
        report(faults, key, &field, errors);
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.too_long(&field(), ANNOTATIONS_BYTES_MAX);
    }
}

/// The key of a label.
pub(crate) fn validate_key(key: &str, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    report(qualified_name_errors(key), key, field, errors);
}

/// A label selector.
pub(crate) fn validate_selector(selector: &LabelSelector, field: &Path, errors: &mut FieldErrors) {
    validate_labels(selector.match_labels.as_ref(), || field.child("matchLabels"), errors);
    for (i, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let at = field.child("matchExpressions").index(i);
        let values = expression.values.as_deref().unwrap_or_default();
        match expression.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.forbidden(
                &at.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&at.child("operator"), other, "not a valid selector operator"),
        }
        validate_key(&expression.key, || at.child("key"), errors);
        for (j, value) in values.iter().enumerate() {
            report(label_value_errors(value), value, || at.child("values").index(j), errors);
        }
    }
}
