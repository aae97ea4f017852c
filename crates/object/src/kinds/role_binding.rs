//! RoleBindings and ClusterRoleBindings: who has which role.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use serde_json::Value;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::{ClusterRoleBinding, RoleBinding},
    rbac::GROUP,
    table::{self, Column, Row},
    validate::names::{NameRule, dns_subdomain_errors, report},
};

const COLUMNS: &[Column] = &[
    table::NAME,
    Column::text("Role"),
    Column::text("Age"),
    Column::wide("Users"),
    Column::wide("Groups"),
    Column::wide("ServiceAccounts"),
];

impl Rules for RoleBinding {
    const NAME: NameRule = NameRule::PathSegment;
    const COLUMNS: &[Column] = COLUMNS;

    fn set_defaults(&mut self) {
        set_defaults(&mut self.role_ref, self.subjects.as_deref_mut().unwrap_or_default());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_role(&self.role_ref, &["Role", "ClusterRole"], errors);
        validate_subjects(self.subjects.as_deref().unwrap_or_default(), true, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
        keep_role(&self.role_ref, &old.role_ref, errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        let age = table::age_of(&self.metadata, now);
        row(table::name(&self.metadata), &self.role_ref, self.subjects.as_deref().unwrap_or_default(), age)
    }
}

impl Rules for ClusterRoleBinding {
    const NAME: NameRule = NameRule::PathSegment;
    const COLUMNS: &[Column] = COLUMNS;

    fn set_defaults(&mut self) {
        set_defaults(&mut self.role_ref, self.subjects.as_deref_mut().unwrap_or_default());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_role(&self.role_ref, &["ClusterRole"], errors);
        validate_subjects(self.subjects.as_deref().unwrap_or_default(), false, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
        keep_role(&self.role_ref, &old.role_ref, errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        let age = table::age_of(&self.metadata, now);
        row(table::name(&self.metadata), &self.role_ref, self.subjects.as_deref().unwrap_or_default(), age)
    }
}

fn set_defaults(role: &mut RoleRef, subjects: &mut [Subject]) {
    if role.api_group.as_deref().unwrap_or_default().is_empty() {
        role.api_group = Some(GROUP.to_owned());
    }
    for subject in subjects {
        if matches!(subject.kind.as_str(), "User" | "Group") {
            subject.api_group.get_or_insert_with(|| GROUP.to_owned());
        }
    }
}

fn validate_role(role: &RoleRef, kinds: &[&str], errors: &mut FieldErrors) {
    let field = |name: &str| Path::root("roleRef").child(name);
    let group = role.api_group.as_deref().unwrap_or_default();
    if group != GROUP {
        errors.not_supported(&field("apiGroup"), group, &[GROUP]);
    }
    if !kinds.contains(&role.kind.as_str()) {
        // Upstream lists what is supported by the alphabet.
        let mut kinds = kinds.to_vec();
        kinds.sort_unstable();
        errors.not_supported(&field("kind"), &role.kind, &kinds);
    }
    if role.name.is_empty() {
        errors.required(&field("name"), "");
    } else {
        report(NameRule::PathSegment.errors(&role.name), &role.name, || field("name"), errors);
    }
}

fn keep_role(new: &RoleRef, old: &RoleRef, errors: &mut FieldErrors) {
    if new != old {
        errors.invalid(&Path::root("roleRef"), new, "cannot change roleRef");
    }
}

fn validate_subjects(subjects: &[Subject], namespaced: bool, errors: &mut FieldErrors) {
    for (i, subject) in subjects.iter().enumerate() {
        let field = |name: &str| Path::root("subjects").index(i).child(name);
        let (name, group) = (subject.name.as_str(), subject.api_group.as_deref().unwrap_or_default());
        if name.is_empty() {
            errors.required(&field("name"), "");
        }
        match subject.kind.as_str() {
            "ServiceAccount" => {
                if !name.is_empty() {
                    report(dns_subdomain_errors(name), name, || field("name"), errors);
                }
                if !group.is_empty() {
                    errors.not_supported(&field("apiGroup"), group, &[""]);
                }
                if !namespaced && subject.namespace.as_deref().unwrap_or_default().is_empty() {
                    errors.required(&field("namespace"), "");
                }
            }
            kind @ ("User" | "Group") => {
                if name.is_empty() {
                    let detail = format!("{} name cannot be empty", kind.to_lowercase());
                    errors.invalid(&field("name"), name, detail);
                }
                if group != GROUP {
                    errors.not_supported(&field("apiGroup"), group, &[GROUP]);
                }
            }
            kind => errors.not_supported(&field("kind"), kind, &["Group", "ServiceAccount", "User"]),
        }
    }
}

fn row(name: Value, role: &RoleRef, subjects: &[Subject], age: Value) -> Row {
    let of_kind = |kind: &str| {
        let found = subjects.iter().filter(|subject| subject.kind == kind);
        let names = found.map(|subject| match kind {
            "ServiceAccount" => {
                format!("{}/{}", subject.namespace.as_deref().unwrap_or_default(), subject.name)
            }
            _ => subject.name.clone(),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    Row::of([
        name,
        format!("{}/{}", role.kind, role.name).into(),
        age,
        of_kind("User"),
        of_kind("Group"),
        of_kind("ServiceAccount"),
    ])
}
