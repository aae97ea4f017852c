//! What a write goes through before it may be stored: names, defaults, validation, and the rules of change.
//!
//! The order is upstream's: defaults first, then what the server alone decides, then validation of the
//! result. Who calls has put the object into its namespace and asks the store to commit the [`Draft`].

use jiff::Timestamp;

use crate::{
    ApiError, Draft, FieldErrors, Ids, Key, Object, Path, Typed,
    api::{ObjectMeta, Time},
    deletion,
    kinds::Rules,
    managed,
    validate::metadata,
};

/// What a decision about a write rests on besides the object.
pub struct Context<'a> {
    /// The time of the write.
    pub now: Timestamp,
    /// Where UIDs and generated names come from.
    pub ids: &'a mut Ids,
}

/// An object that may be stored.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The object as it is to be stored.
    pub draft: Draft,
    /// What the client should be told although its write is accepted; texts of Warning headers.
    pub warnings: Vec<String>,
}

/// The part of an object that a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// The object itself; its status stays as it is.
    Main,
    /// The status alone; the specification stays as it is.
    Status,
}

/// What a write of an existing object comes to.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Updated {
    /// Nothing would change: nothing is written and nobody told.
    Unchanged,
    /// The object is to be replaced.
    Replace(Admitted),
    /// The object is to be removed: it was being deleted, and the write took away what it still waited for.
    Remove,
}

/// Puts an object into the namespace of the request, or none for a kind without.
///
/// # Errors
/// 400 if the object names another one.
pub fn enter_namespace(object: &mut Typed, namespace: &str) -> Result<(), ApiError> {
    let namespaced = object.kind().descriptor().namespaced;
    let meta = object.metadata_mut();
    match meta.namespace.as_deref().unwrap_or_default() {
        own if own == namespace => {}
        "" if namespaced => meta.namespace = Some(namespace.to_owned()),
        _ if namespaced => return Err(ApiError::bad_request(OTHER_NAMESPACE)),
        _ => meta.namespace = None,
    }
    Ok(())
}

const OTHER_NAMESPACE: &str =
    "the namespace of the provided object does not match the namespace sent on the request";

/// Makes a new object fit to be stored. If the name was generated and turns out to be taken, call again with
/// a copy of the object: the next name is another one.
///
/// # Errors
/// 400 if the object claims to be stored already, 422 if its fields are not acceptable; then all faults are
/// told.
pub fn create(object: Typed, ctx: &mut Context<'_>) -> Result<Admitted, ApiError> {
    with_typed!(object, object => create_one(*object, ctx))
}

fn create_one<T: Rules>(mut object: T, ctx: &mut Context<'_>) -> Result<Admitted, ApiError> {
    if object
        .metadata()
        .resource_version
        .as_ref()
        .is_some_and(|version| !version.is_empty() && version != "0")
    {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let descriptor = T::OBJECT_KIND.descriptor();
    object.set_defaults();
    let meta = object.metadata_mut();
    begin(meta, descriptor.has_generation, ctx);
    object.prepare_create();

    let mut errors = FieldErrors::new();
    metadata::validate(object.metadata(), descriptor.namespaced, T::NAME, &mut errors);
    object.validate(&mut errors);
    if !errors.is_empty() {
        return Err(ApiError::invalid(T::OBJECT_KIND, name_of(object.metadata()), &errors));
    }
    let warnings = object.warnings(None);
    object.finish();
    Ok(Admitted { draft: Draft::of(&object), warnings })
}

/// Fills in the metadata that only the server may set.
fn begin(meta: &mut ObjectMeta, has_generation: bool, ctx: &mut Context<'_>) {
    let base = meta.generate_name.as_deref().filter(|base| !base.is_empty());
    if let Some(base) = base.filter(|_| meta.name.as_deref().unwrap_or_default().is_empty()) {
        meta.name = Some(ctx.ids.name(base));
    }
    meta.uid = Some(ctx.ids.uid());
    meta.creation_timestamp = Some(whole_seconds(ctx.now));
    meta.generation = has_generation.then_some(1);
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.self_link = None;
    meta.managed_fields = None;
    meta.resource_version = None;
}

/// Kubernetes keeps times to the second.
pub(crate) fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).expect("a second of a valid time is a valid time"))
}

fn name_of(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// Makes a replacement for a stored object fit to be stored.
///
/// # Errors
/// 400 if it is not the same object, 404 if the kind has no such subresource, 409 if it was made from another
/// state, 422 if its fields or their changes are not acceptable; then all faults are told.
///
/// The context is that of every write, though no rule about replacements depends on it so far.
pub fn update(
    old: &Object,
    new: Typed,
    subresource: Subresource,
    _ctx: &mut Context<'_>,
) -> Result<Updated, ApiError> {
    if new.kind() != old.kind() {
        let text = format!(
            "the kind of the object ({}) does not match that of the request ({})",
            new.kind(),
            old.kind()
        );
        return Err(ApiError::bad_request(text));
    }
    with_typed!(new, new => update_one(old, *new, subresource))
}

fn update_one<T: Rules>(stored: &Object, mut new: T, subresource: Subresource) -> Result<Updated, ApiError> {
    let descriptor = T::OBJECT_KIND.descriptor();
    if subresource == Subresource::Status && !descriptor.has_status {
        return Err(ApiError::unknown_resource());
    }
    check_identity(stored, new.metadata())?;
    check_revision(stored, new.metadata(), T::UNCONDITIONAL_UPDATE)?;
    let old: T = stored.decode();
    new.set_defaults();
    inherit(new.metadata_mut(), old.metadata());
    match subresource {
        Subresource::Main => new.prepare_update(&old),
        Subresource::Status => new.prepare_status_update(&old),
    }
    if descriptor.has_generation && new.spec_differs(&old) {
        let meta = new.metadata_mut();
        meta.generation = Some(meta.generation.unwrap_or_default() + 1);
    }

    let mut errors = FieldErrors::new();
    metadata::validate_update(new.metadata(), old.metadata(), &mut errors);
    match subresource {
        Subresource::Main => new.validate_update(&old, &mut errors),
        Subresource::Status => new.validate_status_update(&old, &mut errors),
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(T::OBJECT_KIND, stored.name(), &errors));
    }
    let warnings = if subresource == Subresource::Main { new.warnings(Some(&old)) } else { Vec::new() };
    new.finish();
    let typed: Typed = new.into();
    if deletion::is_due(&typed) {
        return Ok(Updated::Remove);
    }
    let draft = Draft::new(&typed);
    if draft.is_same_as(stored) {
        Ok(Updated::Unchanged)
    } else {
        Ok(Updated::Replace(Admitted { draft, warnings }))
    }
}

/// The replacement must be of the object that the request names.
fn check_identity(stored: &Object, new: &ObjectMeta) -> Result<(), ApiError> {
    let Key { kind, namespace, name } = stored.key();
    match name_of(new) {
        "" => {
            let text = format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            );
            return Err(ApiError::bad_request(text));
        }
        other if other != name.as_ref() => {
            let text =
                format!("the name of the object ({other}) does not match the name on the URL ({name})");
            return Err(ApiError::bad_request(text));
        }
        _ => {}
    }
    let other = new.namespace.as_deref().unwrap_or_default();
    if !other.is_empty() && other != namespace.as_ref() {
        return Err(ApiError::bad_request(OTHER_NAMESPACE));
    }
    let record = &stored.meta().uid;
    match new.uid.as_deref().filter(|uid| !uid.is_empty() && *uid != record.as_ref()) {
        None => Ok(()),
        Some(uid) => {
            let plural = kind.descriptor().plural;
            let place = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /{plural}{place}/{name}, ResourceVersion: 0, \
                 AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: \
                 {record}"
            );
            Err(ApiError::conflict_because(*kind, name, &why))
        }
    }
}

/// The replacement must have been made from the stored state, if it says from which.
fn check_revision(stored: &Object, new: &ObjectMeta, unconditional: bool) -> Result<(), ApiError> {
    let Key { kind, name, .. } = stored.key();
    match new.resource_version.as_deref().unwrap_or_default() {
        "" | "0" if unconditional => Ok(()),
        "" | "0" => {
            let mut errors = FieldErrors::new();
            let field = Path::root("metadata").child("resourceVersion");
            errors.invalid(&field, 0, "must be specified for an update");
            Err(ApiError::invalid(*kind, name, &errors))
        }
        version => match version.parse::<u64>() {
            Ok(revision) if revision == stored.revision() => Ok(()),
            Ok(_) => Err(ApiError::conflict(*kind, name)),
            Err(_) => {
                let text = format!(
                    "metadata.resourceVersion: {version:?} is not a resource version: it must be a number"
                );
                Err(ApiError::bad_request(text))
            }
        },
    }
}

/// Takes over the metadata that only the server may set.
fn inherit(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.namespace.clone_from(&old.namespace);
    new.uid.clone_from(&old.uid);
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    new.generation = old.generation;
    new.managed_fields = managed::chosen(new.managed_fields.take(), old.managed_fields.as_ref());
    new.self_link = None;
    new.resource_version = None;
}

#[cfg(test)]
mod tests;
