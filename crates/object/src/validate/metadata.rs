//! `metadata`: what every kind asks of it.

use super::{
    labels::{validate_annotations, validate_labels},
    names::{NameRule, qualified_name_errors, report},
};
use crate::{
    FieldErrors, Path,
    api::{ObjectMeta, OwnerReference},
    managed,
};

/// Finalizers that need no domain before their name.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN_FINALIZER, FOREGROUND_FINALIZER];
/// The finalizer of an object whose dependents are to be left behind.
pub(crate) const ORPHAN_FINALIZER: &str = "orphan";
/// The finalizer of an object that goes after its dependents.
pub(crate) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";

/// The metadata of a new object, its name already generated.
pub(crate) fn validate(meta: &ObjectMeta, namespaced: bool, rule: NameRule, errors: &mut FieldErrors) {
    let root = || Path::root("metadata");
    if let Some(base) = meta.generate_name.as_deref().filter(|base| !base.is_empty()) {
        report(rule.base_errors(base), base, || root().child("generateName"), errors);
    }
    match meta.name.as_deref() {
        None | Some("") => errors.required(&root().child("name"), "name or generateName is required"),
        Some(name) => report(rule.errors(name), name, || root().child("name"), errors),
    }
    match meta.namespace.as_deref().unwrap_or_default() {
        "" if namespaced => errors.required(&root().child("namespace"), ""),
        "" => {}
        name if namespaced => {
            report(NameRule::Label.errors(name), name, || root().child("namespace"), errors);
        }
        _ => errors.forbidden(&root().child("namespace"), "not allowed on this type"),
    }
    validate_parts(meta, errors);
}

/// The metadata of a replacement for `old`; what may not change has been restored already.
pub(crate) fn validate_update(new: &ObjectMeta, old: &ObjectMeta, errors: &mut FieldErrors) {
    if old.deletion_timestamp.is_some() {
        let had = old.finalizers.as_deref().unwrap_or_default();
        let mut added: Vec<&String> = new.finalizers.iter().flatten().filter(|f| !had.contains(f)).collect();
        if !added.is_empty() {
            added.sort_unstable();
            let list: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
            errors.forbidden(
                &Path::root("metadata").child("finalizers"),
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers \
                     []string{{{}}}",
                    list.join(", ")
                ),
            );
        }
    }
    validate_parts(new, errors);
}

fn validate_parts(meta: &ObjectMeta, errors: &mut FieldErrors) {
    let child = |field: &str| Path::root("metadata").child(field);
    validate_labels(meta.labels.as_ref(), || child("labels"), errors);
    validate_annotations(meta.annotations.as_ref(), || child("annotations"), errors);
    if let Some(owners) = &meta.owner_references {
        validate_owners(owners, errors);
    }
    if let Some(finalizers) = &meta.finalizers {
        validate_finalizers(finalizers, &child("finalizers"), errors);
    }
    managed::validate(meta.managed_fields.as_deref().unwrap_or_default(), errors);
}

fn validate_owners(owners: &[OwnerReference], errors: &mut FieldErrors) {
    let field = || Path::root("metadata").child("ownerReferences");
    for owner in owners {
        let version =
            owner.api_version.rsplit_once('/').map_or(owner.api_version.as_str(), |(_, version)| version);
        if version.is_empty() {
            errors.invalid(&field().child("apiVersion"), &owner.api_version, "version must not be empty");
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.invalid(&field().child(name), value, "must not be empty");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.invalid(&field(), owner, "/v1, Kind=Event is disallowed from being an owner");
        }
    }
    let mut controllers =
        owners.iter().filter(|owner| owner.controller == Some(true)).map(|owner| &owner.name);
    if let (Some(first), Some(second)) = (controllers.next(), controllers.next()) {
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
             and {second}"
        );
        errors.invalid(&field(), owners, detail);
    }
}

fn validate_finalizers(finalizers: &[String], field: &Path, errors: &mut FieldErrors) {
    for name in finalizers {
        report(qualified_name_errors(name), name, || field.clone(), errors);
    }
    let has = |name| finalizers.iter().any(|finalizer| finalizer == name);
    if has(ORPHAN_FINALIZER) && has(FOREGROUND_FINALIZER) {
        let detail = format!("finalizer {ORPHAN_FINALIZER} and {FOREGROUND_FINALIZER} cannot be both set");
        errors.invalid(field, finalizers, detail);
    }
    for (i, name) in finalizers.iter().enumerate() {
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name.as_str()) {
            errors.invalid(
                &field.index(i),
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
}
