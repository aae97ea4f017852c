//! Roles and ClusterRoles: lists of what may be done.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::PolicyRule;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::{ClusterRole, Role},
    table::{self, Column, Row},
    validate::{labels::validate_selector, names::NameRule},
};

/// Upstream has no table of its own for them.
const COLUMNS: &[Column] = &[table::NAME, Column::text("Created At").declared("date")];

impl Rules for Role {
    const NAME: NameRule = NameRule::PathSegment;
    const COLUMNS: &[Column] = COLUMNS;

    fn validate(&self, errors: &mut FieldErrors) {
        validate_rules(self.rules.as_deref().unwrap_or_default(), true, errors);
    }

    fn validate_update(&self, _old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
    }

    fn row(&self, _now: Timestamp) -> Row {
        Row::of([table::name(&self.metadata), table::created(&self.metadata)])
    }
}

impl Rules for ClusterRole {
    const NAME: NameRule = NameRule::PathSegment;
    const COLUMNS: &[Column] = COLUMNS;

    fn validate(&self, errors: &mut FieldErrors) {
        validate_rules(self.rules.as_deref().unwrap_or_default(), false, errors);
        if let Some(aggregation) = &self.aggregation_rule {
            let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
            let field = Path::root("aggregationRule").child("clusterRoleSelectors");
            if selectors.is_empty() {
                errors.required(
                    &field,
                    "at least one clusterRoleSelector required if aggregationRule is non-nil",
                );
            }
            for (i, selector) in selectors.iter().enumerate() {
                validate_selector(selector, &field.index(i), errors);
            }
        }
    }

    fn validate_update(&self, _old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
    }

    fn row(&self, _now: Timestamp) -> Row {
        Row::of([table::name(&self.metadata), table::created(&self.metadata)])
    }
}

fn validate_rules(rules: &[PolicyRule], namespaced: bool, errors: &mut FieldErrors) {
    let is_given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    for (i, rule) in rules.iter().enumerate() {
        let field = |name: &str| Path::root("rules").index(i).child(name);
        if rule.verbs.is_empty() {
            errors.required(&field("verbs"), "verbs must contain at least one value");
        }
        if is_given(&rule.non_resource_urls) {
            let urls = &rule.non_resource_urls;
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.invalid(&field("nonResourceURLs"), urls, detail);
            }
            if is_given(&rule.api_groups) || is_given(&rule.resources) || is_given(&rule.resource_names) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&field("nonResourceURLs"), urls, detail);
            }
            continue;
        }
        if !is_given(&rule.api_groups) {
            errors.required(&field("apiGroups"), "resource rules must supply at least one api group");
        }
        if !is_given(&rule.resources) {
            errors.required(&field("resources"), "resource rules must supply at least one resource");
        }
    }
}
