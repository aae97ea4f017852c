//! Storage classes: which one a claim has, and the one that a node has from its first start on.

use cronlet_object::{
    Ids, Key, Kind, Snapshot, Write,
    admit::{self, Admitted},
    api::{ObjectMeta, PersistentVolumeClaim, StorageClass},
    claim::{DEFAULT_CLASS, PROVISIONER, STORAGE_CLASS, STORAGE_CLASS_BEFORE, class_of, is_default_class},
};
use jiff::Timestamp;

/// The annotation of the namespace `kube-system` that says that the node's class has been made: who deletes the class
/// does not find it again.
pub const MADE: &str = "cronlet.dev/storage-class";

/// The class that a claim names, which is empty if it wants none.
pub(crate) fn name(claim: &PersistentVolumeClaim) -> Option<&str> {
    class_of(&claim.metadata, claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref()))
}

/// The class of claims that name none: the youngest that is marked, of several as young the first by name (upstream's
/// choice).
pub(crate) fn default(snapshot: &Snapshot) -> Option<StorageClass> {
    let classes = snapshot.list(Kind::StorageClass).map(|object| object.decode::<StorageClass>());
    let age = |class: &StorageClass| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    classes.filter(is_default_class).reduce(|best, class| if age(&class) > age(&best) { class } else { best })
}

/// Whether claims of a class are bound when a pod needs them.
pub(crate) fn waits_for_pod(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// The classes that a node is given at its first start: the default one, and that of claims of an older node, if it has
/// any.
///
/// # Errors
/// If admission refuses one.
pub fn first(
    snapshot: &Snapshot,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Vec<Write>, cronlet_object::ApiError> {
    let has_default = default(snapshot).is_some();
    let is_of_before = |claim: PersistentVolumeClaim| name(&claim) == Some(STORAGE_CLASS_BEFORE);
    let before = snapshot.list(Kind::PersistentVolumeClaim).any(|object| is_of_before(object.decode()));
    let mut writes = Vec::new();
    for (name, is_wanted, is_default) in
        [(STORAGE_CLASS, true, !has_default), (STORAGE_CLASS_BEFORE, before, false)]
    {
        if is_wanted && snapshot.get(&Key::new(Kind::StorageClass, "", name)).is_none() {
            let class = made(name, is_default);
            let Admitted { draft, .. } = admit::create(class.into(), &mut admit::Context { now, ids })?;
            writes.push(Write::Create(draft));
        }
    }
    Ok(writes)
}

fn made(name: &str, is_default: bool) -> StorageClass {
    let annotations = is_default.then(|| [(DEFAULT_CLASS.to_owned(), "true".to_owned())].into());
    StorageClass {
        metadata: ObjectMeta { name: Some(name.to_owned()), annotations, ..ObjectMeta::default() },
        provisioner: PROVISIONER.to_owned(),
        // A directory has no size of its own.
        allow_volume_expansion: Some(true),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        ..StorageClass::default()
    }
}
