//! Who has written which field of an object: server-side apply, and `metadata.managedFields`.
//!
//! The rules are upstream's (structured-merge-diff). Owners are recorded from the first server-side apply of an object on,
//! and then for every write by a client; until then it has no `managedFields`, as if upstream had been told not to keep
//! any (`before-first-apply`). What the node itself writes has no owner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::Value;

use self::{
    schema::{Shape, Struct},
    set::Fields,
};
use crate::{
    ApiError, Draft, FieldErrors, Kind, Object, Path,
    admit::{Admitted, Subresource, Updated, whole_seconds},
    limits::FIELD_MANAGER_BYTES_MAX,
};

mod schema;
mod set;
mod walk;

/// Who owns what an object had before its first server-side apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
const FIELDS_TYPE: &str = "FieldsV1";
/// What nobody owns: it names the object, or is the server's alone.
const UNOWNED: &[&str] = &["apiVersion", "kind"];
/// The same within the metadata.
const UNOWNED_METADATA: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Apply,
    Update,
}

/// Who writes, and how; one entry of `managedFields` each. All kinds have one version, so that is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Manager {
    operation: Operation,
    name: String,
    /// Empty for the object itself.
    subresource: String,
}

impl Manager {
    fn new(operation: Operation, name: &str, part: Subresource) -> Self {
        let subresource = if part == Subresource::Status { "status" } else { "" };
        Manager { operation, name: name.to_owned(), subresource: subresource.to_owned() }
    }

    /// As upstream shows it in conflicts.
    fn shown(&self, api_version: &str) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {api_version}"));
        }
        text
    }
}

/// All managers of an object.
#[derive(Clone, Debug, Default)]
struct Managers(BTreeMap<Manager, Fields>);

impl Managers {
    fn read(entries: &[ManagedFieldsEntry]) -> Self {
        let mut managers = Managers::default();
        for entry in entries {
            let operation = match entry.operation.as_deref() {
                Some("Apply") => Operation::Apply,
                _ => Operation::Update,
            };
            let manager = Manager {
                operation,
                name: entry.manager.clone().unwrap_or_default(),
                subresource: entry.subresource.clone().unwrap_or_default(),
            };
            let fields =
                entry.fields_v1.as_ref().map(|fields| Fields::read_root(&fields.0)).unwrap_or_default();
            managers.0.entry(manager).or_default().unite(&fields);
        }
        managers
    }

    /// The entries, in upstream's order: those who apply first, then by time. Who owns what he owned before keeps his
    /// time.
    fn write(self, kind: Kind, old: &[ManagedFieldsEntry], now: Timestamp) -> Vec<ManagedFieldsEntry> {
        let d = kind.descriptor();
        let api_version =
            if d.group.is_empty() { d.version.to_owned() } else { format!("{}/{}", d.group, d.version) };
        let mut entries: Vec<_> = self.0.into_iter().filter(|(_, fields)| !fields.is_empty()).collect();
        let mut entries: Vec<ManagedFieldsEntry> = entries
            .drain(..)
            .map(|(manager, fields)| {
                let mut entry = ManagedFieldsEntry {
                    api_version: Some(api_version.clone()),
                    fields_type: Some(FIELDS_TYPE.to_owned()),
                    fields_v1: Some(FieldsV1(fields.write())),
                    manager: (!manager.name.is_empty()).then_some(manager.name),
                    operation: Some(format!("{:?}", manager.operation)),
                    subresource: (!manager.subresource.is_empty()).then_some(manager.subresource),
                    time: None,
                };
                let before =
                    old.iter().find(|old| ManagedFieldsEntry { time: None, ..(*old).clone() } == entry);
                entry.time = before.and_then(|old| old.time.clone()).or_else(|| Some(whole_seconds(now)));
                entry
            })
            .collect();
        entries.sort_by_key(|entry| (entry.operation.clone(), entry.time.clone().map(|time| time.0)));
        entries
    }

    /// What somebody owns.
    fn owned(&self) -> Fields {
        let mut owned = Fields::default();
        self.0.values().for_each(|fields| owned.unite(fields));
        owned
    }
}

/// What applying a configuration comes to.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The object as it is to be; not admitted yet.
    pub value: Value,
    /// Its owners.
    pub owners: Vec<ManagedFieldsEntry>,
}

/// How a configuration is applied.
#[derive(Clone, Copy, Debug)]
pub struct Apply<'a> {
    /// Who applies it.
    pub manager: &'a str,
    /// The part that it is about.
    pub part: Subresource,
    /// Whether to take over what others own.
    pub force: bool,
    /// When.
    pub now: Timestamp,
}

/// Applies a configuration to an object, or to nothing: its fields are set, and those that this manager has applied before
/// and does not any more are removed unless somebody else owns them.
///
/// # Errors
/// 400 for a configuration that says who owns what; 409 if it changes what others own, unless that is forced.
pub fn apply(
    live: Option<&Object>,
    mut config: Value,
    kind: Kind,
    options: Apply<'_>,
) -> Result<Applied, ApiError> {
    if config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    walk::drop_nulls(&mut config);
    let root = Some(Shape::Struct(Struct::of_kind(kind.descriptor().kind)));
    let part = options.part;
    keep_part(&mut config, kind, part);
    let live_value = live.map_or_else(|| Value::Object(serde_json::Map::new()), Object::value);
    let old_entries = live.map(entries).unwrap_or_default();
    let mut managers = Managers::read(&old_entries);
    if live.is_some() && old_entries.is_empty() {
        let manager = Manager::new(Operation::Update, BEFORE_FIRST_APPLY, Subresource::Main);
        managers.0.insert(manager, walk::extract(&owned_part(&live_value, kind, Subresource::Main), root));
    }

    let manager = Manager::new(Operation::Apply, options.manager, part);
    let before = managers.0.remove(&manager).unwrap_or_default();
    let own = root_set(&owned_part(&config, kind, part), root);
    let mut owned = managers.owned();
    owned.unite(&own);
    let mut merged = walk::merge(&live_value, &config, root);
    walk::prune(&mut merged, &before, &owned, root);

    let changes = walk::compare(&live_value, &merged, root);
    let mut conflicts = Vec::new();
    for (other, fields) in &mut managers.0 {
        let common = fields.common(&changes.set);
        if !common.is_empty() {
            conflicts.extend(common.paths().into_iter().map(|path| (other.clone(), path)));
            *fields = fields.without(&common);
        }
        *fields = fields.without(&changes.removed);
    }
    if !conflicts.is_empty() && !options.force {
        return Err(conflict(kind, &conflicts));
    }
    managers.0.insert(manager, own);
    Ok(Applied { value: merged, owners: managers.write(kind, &old_entries, options.now) })
}

/// The owners of an object after it was created by applying a configuration.
pub fn record_created(admitted: Admitted, owners: Vec<ManagedFieldsEntry>) -> Admitted {
    Admitted { draft: owned_by(admitted.draft, owners), ..admitted }
}

/// The owners of an object after a configuration was applied to it: also if nothing else has changed.
pub fn record_applied(old: &Object, updated: Updated, owners: Vec<ManagedFieldsEntry>) -> Updated {
    match updated {
        Updated::Unchanged if entries(old) == owners => Updated::Unchanged,
        Updated::Unchanged => {
            let draft = owned_by(Draft::new(&old.typed()), owners);
            Updated::Replace(Admitted { draft, warnings: Vec::new() })
        }
        Updated::Replace(admitted) => Updated::Replace(record_created(admitted, owners)),
        Updated::Remove => Updated::Remove,
    }
}

/// The owners of an object after a client has changed it in any other way than by applying a configuration: what it has
/// changed is its own. An object that nobody has applied yet has none.
pub fn record_update(
    old: &Object,
    updated: Updated,
    manager: &str,
    part: Subresource,
    now: Timestamp,
) -> Updated {
    let Updated::Replace(admitted) = updated else { return updated };
    let new = admitted.draft.clone().unsealed();
    let before = entries(&new);
    if before.is_empty() {
        return Updated::Replace(admitted);
    }
    let kind = old.kind();
    let root = Some(Shape::Struct(Struct::of_kind(kind.descriptor().kind)));
    let part_of = |object: &Object| owned_part(&object.value(), kind, part);
    let changes = walk::compare(&part_of(old), &part_of(&new), root);
    let own = Manager::new(Operation::Update, manager, part);
    let mut managers = Managers::read(&before);
    for (other, fields) in &mut managers.0 {
        *fields = fields.without(&changes.removed);
        if *other != own {
            *fields = fields.without(&changes.set);
        }
    }
    managers.0.entry(own).or_default().unite(&changes.set);
    let owners = managers.write(kind, &before, now);
    Updated::Replace(Admitted { draft: owned_by(admitted.draft, owners), ..admitted })
}

/// What a client's own `managedFields` come to: none if it resets them by one empty entry, and those that are stored if it
/// sends none.
pub(crate) fn chosen(
    sent: Option<Vec<ManagedFieldsEntry>>,
    stored: Option<&Vec<ManagedFieldsEntry>>,
) -> Option<Vec<ManagedFieldsEntry>> {
    match sent {
        Some(entries) if entries == [ManagedFieldsEntry::default()] => None,
        Some(entries) if !entries.is_empty() => Some(entries),
        _ => stored.cloned(),
    }
}

/// Checks `managedFields` as a client may have sent them.
pub(crate) fn validate(entries: &[ManagedFieldsEntry], errors: &mut FieldErrors) {
    for (position, entry) in entries.iter().enumerate() {
        let path = |field: &str| Path::root("metadata").child("managedFields").index(position).child(field);
        let operation = entry.operation.as_deref().unwrap_or_default();
        if !matches!(operation, "Apply" | "Update") {
            errors.invalid(&path("operation"), operation, "must be `Apply` or `Update`");
        }
        let fields_type = entry.fields_type.as_deref().unwrap_or_default();
        if !matches!(fields_type, "" | FIELDS_TYPE) {
            errors.invalid(&path("fieldsType"), fields_type, "must be `FieldsV1`");
        }
        if entry.manager.as_ref().is_some_and(|manager| manager.len() > FIELD_MANAGER_BYTES_MAX) {
            errors.too_long(&path("fieldManager"), FIELD_MANAGER_BYTES_MAX);
        }
    }
}

fn entries(object: &Object) -> Vec<ManagedFieldsEntry> {
    // Most objects have none: nothing is decoded for them.
    if !object.metadata_json().contains("\"managedFields\":") {
        return Vec::new();
    }
    object.typed().metadata().managed_fields.clone().unwrap_or_default()
}

fn owned_by(draft: Draft, owners: Vec<ManagedFieldsEntry>) -> Draft {
    let mut typed = draft.unsealed().typed();
    typed.metadata_mut().managed_fields = (!owners.is_empty()).then_some(owners);
    Draft::new(&typed)
}

/// Leaves out of a configuration what its request is not about: the status, or all but that.
fn keep_part(config: &mut Value, kind: Kind, part: Subresource) {
    let Value::Object(map) = config else { return };
    match part {
        Subresource::Main if kind.descriptor().has_status => drop(map.remove("status")),
        Subresource::Main => {}
        Subresource::Status => {
            map.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
            if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                metadata.retain(|name, _| UNOWNED_METADATA.contains(&name.as_str()));
            }
        }
    }
}

/// What of an object can be owned by a request about a part of it.
fn owned_part(value: &Value, kind: Kind, part: Subresource) -> Value {
    let mut value = value.clone();
    keep_part(&mut value, kind, part);
    if let Value::Object(map) = &mut value {
        map.retain(|name, _| !UNOWNED.contains(&name.as_str()));
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.retain(|name, _| !UNOWNED_METADATA.contains(&name.as_str()));
            if metadata.is_empty() {
                map.remove("metadata");
            }
        }
    }
    value
}

/// The set of an object, which is no member itself.
fn root_set(value: &Value, root: Option<Shape>) -> Fields {
    Fields { is_member: false, ..walk::extract(value, root) }
}

fn conflict(kind: Kind, conflicts: &[(Manager, String)]) -> ApiError {
    let d = kind.descriptor();
    let api_version =
        if d.group.is_empty() { d.version.to_owned() } else { format!("{}/{}", d.group, d.version) };
    let shown = |manager: &Manager| manager.shown(&api_version);
    let message = match conflicts {
        [(manager, path)] => {
            format!("Apply failed with 1 conflict: conflict with {}: {path}", shown(manager))
        }
        _ => {
            let mut managers: Vec<&Manager> = conflicts.iter().map(|(manager, _)| manager).collect();
            managers.sort_by_key(|manager| shown(manager));
            managers.dedup();
            let texts = managers.into_iter().map(|manager| {
                let paths = conflicts.iter().filter(|(other, _)| other == manager);
                let paths: Vec<String> = paths.map(|(_, path)| format!("- {path}")).collect();
                format!("conflicts with {}:\n{}", shown(manager), paths.join("\n"))
            });
            let texts: Vec<String> = texts.collect();
            format!("Apply failed with {} conflicts: {}", conflicts.len(), texts.join("\n"))
        }
    };
    let causes =
        conflicts.iter().map(|(manager, path)| (format!("conflict with {}", shown(manager)), path.clone()));
    ApiError::apply_conflict(message, causes)
}

#[cfg(test)]
mod tests;
