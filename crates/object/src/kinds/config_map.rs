//! ConfigMaps.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::ConfigMap,
    table::{self, Column, Row},
    validate::{
        equal,
        names::{NameRule, config_key_errors, report},
    },
};

/// Most bytes that all values may have together.
const DATA_BYTES_MAX: usize = 1024 * 1024;
pub(crate) const IMMUTABLE_SET: &str = "field is immutable when `immutable` is set";

impl Rules for ConfigMap {
    const NAME: NameRule = NameRule::Subdomain;
    const COLUMNS: &[Column] = &[table::NAME, Column::text("Data"), Column::text("Age")];

    fn validate(&self, errors: &mut FieldErrors) {
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            let field = || Path::root("data").key(key);
            report(config_key_errors(key), key, field, errors);
            if self.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
                errors.invalid(&field(), key, "duplicate of key present in binaryData");
            }
            bytes += value.len();
        }
        for (key, value) in self.binary_data.iter().flatten() {
            report(config_key_errors(key), key, || Path::root("binaryData").key(key), errors);
            bytes += value.0.len();
        }
        if bytes > DATA_BYTES_MAX {
            errors.too_long(&Path::default(), DATA_BYTES_MAX);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if old.immutable == Some(true) {
            let changed = [
                ("immutable", self.immutable != Some(true)),
                ("data", !equal(&self.data, &old.data)),
                ("binaryData", !equal(&self.binary_data, &old.binary_data)),
            ];
            for (field, _) in changed.into_iter().filter(|(_, changed)| *changed) {
                errors.forbidden(&Path::root(field), IMMUTABLE_SET);
            }
        }
        self.validate(errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        let keys = self.data.as_ref().map_or(0, BTreeMap::len);
        let binary_keys = self.binary_data.as_ref().map_or(0, BTreeMap::len);
        Row::of([
            table::name(&self.metadata),
            (keys + binary_keys).into(),
            table::age_of(&self.metadata, now),
        ])
    }
}
