//! RuntimeClasses: how the containers of pods that name one are run.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceRequirements;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::RuntimeClass,
    table::{self, Column, Row},
    validate::{
        immutable,
        labels::validate_labels,
        names::{NameRule, dns_label_errors, report},
        resources::validate_requirements,
        scheduling::validate_tolerations,
    },
};

impl Rules for RuntimeClass {
    const NAME: NameRule = NameRule::Subdomain;
    const UNCONDITIONAL_UPDATE: bool = false;
    const COLUMNS: &[Column] = &[table::NAME, Column::text("Handler"), Column::text("Age")];

    fn validate(&self, errors: &mut FieldErrors) {
        report(dns_label_errors(&self.handler), &self.handler, || Path::root("handler"), errors);
        if let Some(overhead) = &self.overhead {
            // Upstream has the rules for limits of containers look at it.
            let fixed = ResourceRequirements {
                limits: overhead.pod_fixed.clone(),
                ..ResourceRequirements::default()
            };
            validate_requirements(&fixed, &[], &Path::root("overhead"), errors);
        }
        if let Some(scheduling) = &self.scheduling {
            let field = Path::root("scheduling");
            let selector = scheduling.node_selector.as_ref();
            validate_labels(selector, || field.child("nodeSelector"), errors);
            let tolerations = scheduling.tolerations.as_deref().unwrap_or_default();
            validate_tolerations(tolerations, &field.child("tolerations"), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
        immutable(&self.handler, &old.handler, || Path::root("handler"), errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        Row::of([
            table::name(&self.metadata),
            self.handler.as_str().into(),
            table::age_of(&self.metadata, now),
        ])
    }
}
