//! StorageClasses: who makes the volumes of claims that name them, and how.

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::StorageClass,
    claim,
    table::{self, Column, Row},
    validate::{
        immutable,
        names::{NameRule, qualified_name_errors, report},
        one_of,
    },
};

const BINDING_MODES: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];
const RECLAIM_POLICIES: [&str; 2] = ["Delete", "Retain"];
const IMMEDIATE: &str = "Immediate";
const DELETE: &str = "Delete";
/// How many parameters a class may have, and how long all their keys and values may be together, in bytes (upstream's).
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

impl Rules for StorageClass {
    const NAME: NameRule = NameRule::Subdomain;
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Provisioner"),
        Column::text("ReclaimPolicy"),
        Column::text("VolumeBindingMode"),
        Column::text("AllowVolumeExpansion"),
        Column::text("Age"),
    ];

    fn set_defaults(&mut self) {
        self.reclaim_policy.get_or_insert_with(|| DELETE.to_owned());
        self.volume_binding_mode.get_or_insert_with(|| IMMEDIATE.to_owned());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let field = Path::root("provisioner");
        if self.provisioner.is_empty() {
            errors.required(&field, &self.provisioner);
        } else {
            let name = self.provisioner.to_lowercase();
            report(qualified_name_errors(&name), &self.provisioner, || field, errors);
        }
        validate_parameters(self, errors);
        let policy = self.reclaim_policy.as_deref().unwrap_or_default();
        if !policy.is_empty() {
            one_of(policy, &RECLAIM_POLICIES, || Path::root("reclaimPolicy"), errors);
        }
        match self.volume_binding_mode.as_deref() {
            None => errors.required(&Path::root("volumeBindingMode"), ""),
            Some(mode) => one_of(mode, &BINDING_MODES, || Path::root("volumeBindingMode"), errors),
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let mut forbid = |field: &str, differs: bool| {
            if differs {
                errors.forbidden(&Path::root(field), format!("updates to {field} are forbidden."));
            }
        };
        let given = |parameters: &Option<std::collections::BTreeMap<String, String>>| {
            parameters.clone().unwrap_or_default()
        };
        forbid("parameters", given(&self.parameters) != given(&old.parameters));
        forbid("provisioner", self.provisioner != old.provisioner);
        forbid("reclaimPolicy", self.reclaim_policy != old.reclaim_policy);
        let field = || Path::root("volumeBindingMode");
        immutable(&self.volume_binding_mode, &old.volume_binding_mode, field, errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let shown = if claim::is_default_class(self) { format!("{name} (default)") } else { name.to_owned() };
        Row::of([
            shown.into(),
            self.provisioner.as_str().into(),
            table::text_or(self.reclaim_policy.as_deref(), DELETE),
            table::text_or(self.volume_binding_mode.as_deref(), IMMEDIATE),
            (self.allow_volume_expansion == Some(true)).into(),
            table::age_of(&self.metadata, now),
        ])
    }
}

fn validate_parameters(class: &StorageClass, errors: &mut FieldErrors) {
    let field = Path::root("parameters");
    let parameters = class.parameters.iter().flatten();
    let count = class.parameters.as_ref().map_or(0, std::collections::BTreeMap::len);
    if count > PARAMETERS_MAX {
        errors.too_long(&field, PARAMETERS_MAX);
        return;
    }
    let mut bytes = 0;
    for (key, value) in parameters {
        if key.is_empty() {
            errors.invalid(&field, key, "field can not be empty.");
        }
        bytes += key.len() + value.len();
    }
    if bytes > PARAMETERS_BYTES_MAX {
        errors.too_long(&field, PARAMETERS_BYTES_MAX);
    }
}
