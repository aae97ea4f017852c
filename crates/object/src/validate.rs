//! What upstream asks of the fields of an object: the rules that several kinds share, with upstream's paths
//! and words.
//!
//! A rule adds to [`FieldErrors`] and goes on, so that a client learns of every mistake at once. Paths are
//! built only where they are needed: nearly every object is valid, and controllers write thousands in a
//! burst.

pub(crate) mod container;
pub(crate) mod env;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod names;
pub(crate) mod pod_spec;
pub(crate) mod probes;
pub(crate) mod resources;
pub(crate) mod scheduling;
pub(crate) mod security;
pub(crate) mod volume_sources;
pub(crate) mod volumes;

use serde::Serialize;
use serde_json::Value;

use crate::{FieldErrors, Path};

pub(crate) const IMMUTABLE: &str = "field is immutable";
const NEGATIVE: &str = "must be greater than or equal to 0";
const NOT_POSITIVE: &str = "must be greater than zero";

/// The number may not be below zero.
pub(crate) fn non_negative(value: i64, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if value < 0 {
        errors.invalid(&field(), value, NEGATIVE);
    }
}

/// The number, where given, may not be below zero.
pub(crate) fn optional_non_negative<N: Into<i64>>(
    value: Option<N>,
    parent: &Path,
    field: &str,
    errors: &mut FieldErrors,
) {
    if let Some(value) = value {
        non_negative(value.into(), || parent.child(field), errors);
    }
}

/// The field may not change after creation.
pub(crate) fn immutable<T: PartialEq + Serialize>(
    new: &T,
    old: &T,
    field: impl FnOnce() -> Path,
    errors: &mut FieldErrors,
) {
    if !equal(new, old) {
        errors.invalid(&field(), new, IMMUTABLE);
    }
}

/// The value, where given and not empty, must be one of `supported`.
pub(crate) fn one_of(
    value: &str,
    supported: &[&str],
    field: impl FnOnce() -> Path,
    errors: &mut FieldErrors,
) {
    if value.is_empty() {
        errors.required(&field(), "");
    } else if !supported.contains(&value) {
        errors.not_supported(&field(), value, supported);
    }
}

/// The words for a number outside its range.
pub(crate) fn inclusive_range(min: i64, max: i64) -> String {
    format!("must be between {min} and {max}, inclusive")
}

/// Whether two values are the same to Kubernetes, which tells no empty list or map from an absent one.
pub(crate) fn equal<T: PartialEq + Serialize>(a: &T, b: &T) -> bool {
    a == b || pruned(a) == pruned(b)
}

fn pruned(value: &impl Serialize) -> Option<Value> {
    let value = serde_json::to_value(value).expect("Kubernetes types serialise to JSON");
    prune(value)
}

fn prune(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            let kept: serde_json::Map<_, _> =
                map.into_iter().filter_map(|(key, value)| Some((key, prune(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        // An element keeps its place even if nothing is left of it.
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => {
            Some(Value::Array(list.into_iter().map(|value| prune(value).unwrap_or_default()).collect()))
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests;
