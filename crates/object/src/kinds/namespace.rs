//! Namespaces: they end in two steps, and carry their name as a label.

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::Namespace,
    table::{self, Column, Row},
    validate::names::{NameRule, qualified_name_errors, report},
};

/// The label that lets selectors name a namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The entry of `spec.finalizers` that stands until the contents of the namespace are gone.
pub(crate) const FINALIZER: &str = "kubernetes";

pub(crate) const ACTIVE: &str = "Active";
pub(crate) const TERMINATING: &str = "Terminating";

impl Rules for Namespace {
    const NAME: NameRule = NameRule::Label;
    const FIELDS: &[&str] = &["status.phase"];
    const COLUMNS: &[Column] = &[table::NAME, Column::text("Status"), Column::text("Age")];

    fn set_defaults(&mut self) {
        self.spec.get_or_insert_default();
        if let Some(name) = self.metadata.name.clone().filter(|name| !name.is_empty()) {
            self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
        }
    }

    fn prepare_create(&mut self) {
        let finalizers = self.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        self.status = Some(Default::default());
        self.status.get_or_insert_default().phase = Some(ACTIVE.to_owned());
        // A generated name is known only now.
        self.set_defaults();
    }

    fn prepare_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.status.clone_from(&old.status);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let finalizers = self.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten());
        for name in finalizers {
            let field = || Path::root("spec").child("finalizers");
            report(qualified_name_errors(name), name, field, errors);
            if !name.contains('/') && name != FINALIZER {
                let detail = "name is neither a standard finalizer name nor is it fully qualified";
                errors.invalid(&field(), name, detail);
            }
        }
    }

    fn validate_update(&self, _old: &Self, _errors: &mut FieldErrors) {}

    fn validate_status_update(&self, _old: &Self, errors: &mut FieldErrors) {
        let phase = phase(self);
        let field = || Path::root("status").child("Phase");
        if self.metadata.deletion_timestamp.is_some() {
            if phase != TERMINATING {
                errors.invalid(
                    &field(),
                    phase,
                    "may only be 'Terminating' if `deletionTimestamp` is not empty",
                );
            }
        } else if phase != ACTIVE {
            errors.invalid(&field(), phase, "may only be 'Active' if `deletionTimestamp` is empty");
        }
    }

    fn field(&self, _label: &str) -> Option<String> {
        Some(phase(self).to_owned())
    }

    fn row(&self, now: Timestamp) -> Row {
        Row::of([table::name(&self.metadata), phase(self).into(), table::age_of(&self.metadata, now)])
    }
}

fn phase(namespace: &Namespace) -> &str {
    namespace.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}
