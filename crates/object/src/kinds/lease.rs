//! Leases: who leads, and until when. Clients keep them; the node has none of its own.

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::Lease,
    table::{self, Column, Row},
    validate::names::{NameRule, qualified_name_errors, report},
};

const STRATEGY: &str = "OldestEmulationVersion";

impl Rules for Lease {
    const NAME: NameRule = NameRule::Subdomain;
    const UNCONDITIONAL_UPDATE: bool = false;
    const COLUMNS: &[Column] = &[table::NAME, Column::text("Holder"), Column::text("Age")];

    fn set_defaults(&mut self) {
        self.spec.get_or_insert_default();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let field = |name: &str| Path::root("spec").child(name);
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            errors.invalid(&field("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        if let Some(count) = spec.lease_transitions.filter(|count| *count < 0) {
            errors.invalid(&field("leaseTransitions"), count, "must be greater than or equal to 0");
        }
        // Upstream names the field twice.
        let strategy_field = || field("strategy").child("strategy");
        match spec.strategy.as_deref() {
            Some(strategy) if strategy.contains('/') => {
                report(qualified_name_errors(strategy), strategy, strategy_field, errors);
            }
            Some(strategy) if strategy != STRATEGY => {
                errors.not_supported(&strategy_field(), strategy, &[STRATEGY]);
            }
            _ => {}
        }
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if given(&spec.preferred_holder) && !given(&spec.strategy) {
            errors.forbidden(&field("preferredHolder"), "may only be specified if `strategy` is defined");
        }
    }

    fn validate_update(&self, _old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        let holder = self.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        Row::of([
            table::name(&self.metadata),
            holder.unwrap_or_default().into(),
            table::age_of(&self.metadata, now),
        ])
    }
}
