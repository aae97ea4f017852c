//! How a claim for storage becomes a directory: the rules that the controllers and the runtime share.

use crate::{
    Key, Kind, Snapshot,
    api::{ObjectMeta, PersistentVolume, PersistentVolumeClaim, StorageClass},
};

/// The storage class that a node has from its first start on; claims that name no class get it as long as it is the
/// default.
pub const STORAGE_CLASS: &str = "standard";

/// The class of claims that older nodes bound, for which no object was kept.
pub const STORAGE_CLASS_BEFORE: &str = "cronlet-local";

/// The provisioner of classes whose volumes are directories below the node's data directory.
pub const PROVISIONER: &str = "cronlet.dev/directory";

/// Marks the class of claims that name none.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Names the provisioner of a volume.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Names the provisioner that a claim was handed to.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

/// The access mode of which one pod alone may make use.
pub const READ_WRITE_ONCE_POD: &str = "ReadWriteOncePod";

/// The access mode in which a volume can only be read.
pub const READ_ONLY_MANY: &str = "ReadOnlyMany";

/// The older way to name the class of a claim or a volume.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// The class of a claim or a volume whose specification names `class`; empty if it is to have none. The older annotation
/// outranks the field (upstream's rule).
pub fn class_of<'a>(metadata: &'a ObjectMeta, class: Option<&'a String>) -> Option<&'a str> {
    let before = metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION));
    before.or(class).map(String::as_str)
}

/// The volume that is provisioned for a claim: Kubernetes' provisioners use the same name.
pub fn volume_name(claim_uid: &str) -> String {
    format!("pvc-{claim_uid}")
}

/// Whether claims that name no class may get this one.
pub fn is_default_class(class: &StorageClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(DEFAULT_CLASS)).is_some_and(|value| value == "true")
}

/// Whether a volume's data is a directory that this node has made, and that goes with it unless it is to be retained.
pub fn is_own_volume(volume: &PersistentVolume) -> bool {
    let annotations = volume.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(PROVISIONED_BY)).is_some_and(|by| by == PROVISIONER)
}

/// The directory, of those that this node has made, that goes with a volume whose object is gone. It is one path
/// component.
pub fn directory_to_remove(volume: &PersistentVolume) -> Option<&str> {
    let policy = volume.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref()?;
    let name = volume.metadata.name.as_deref()?;
    (is_own_volume(volume) && policy == "Delete").then_some(name)
}

/// Whether a claim is bound to a volume.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"))
}

/// The name of the volume that a claim is bound to or asks for.
pub fn volume_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.volume_name.as_deref().filter(|name| !name.is_empty())
}

/// The name of the directory of a claim that an older node bound: it made no volume object. `None` if there is one, or
/// if there was one. It is one path component, unique for the life of the claim.
pub fn directory_without_volume(claim: &PersistentVolumeClaim, snapshot: &Snapshot) -> Option<String> {
    let own = volume_name(claim.metadata.uid.as_deref()?);
    let marked = claim.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(STORAGE_PROVISIONER));
    let bound_to_it = is_bound(claim) && volume_of(claim) == Some(own.as_str()) && !marked;
    (bound_to_it && snapshot.get(&Key::new(Kind::PersistentVolume, "", own.as_str())).is_none())
        .then_some(own)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Draft;

    fn claim(volume: Option<&str>, phase: Option<&str>) -> PersistentVolumeClaim {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.uid = Some("u-1".into());
        claim.spec.get_or_insert_default().volume_name = volume.map(str::to_owned);
        claim.status.get_or_insert_default().phase = phase.map(str::to_owned);
        claim
    }

    #[test]
    fn only_a_claim_bound_to_its_own_volume_has_a_directory_without_it() {
        let mut snapshot = Snapshot::default();
        let directory =
            |claim: &PersistentVolumeClaim, snapshot: &Snapshot| directory_without_volume(claim, snapshot);
        let mut bound = claim(Some("pvc-u-1"), Some("Bound"));
        assert_eq!(directory(&bound, &snapshot).as_deref(), Some("pvc-u-1"));
        for other in [
            claim(Some("pvc-u-1"), Some("Pending")),
            claim(Some("../escape"), Some("Bound")),
            claim(None, Some("Bound")),
            PersistentVolumeClaim::default(),
        ] {
            assert_eq!(directory(&other, &snapshot), None);
        }
        let mut volume = PersistentVolume::default();
        volume.metadata.name = Some("pvc-u-1".into());
        snapshot.insert(Arc::new(Draft::of(&volume).seal(1)));
        assert_eq!(directory(&bound, &snapshot), None, "its volume says where its data is");
        bound.metadata.annotations = Some([(STORAGE_PROVISIONER.to_owned(), PROVISIONER.to_owned())].into());
        assert_eq!(directory(&bound, &Snapshot::default()), None, "its volume is lost");
    }

    #[test]
    fn what_this_node_has_made_goes_unless_it_is_to_be_retained() {
        let mut volume = PersistentVolume::default();
        volume.metadata.name = Some("pvc-u-1".into());
        volume.spec.get_or_insert_default().persistent_volume_reclaim_policy = Some("Delete".into());
        assert_eq!(directory_to_remove(&volume), None, "made by hand");
        volume.metadata.annotations = Some([(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())].into());
        assert_eq!(directory_to_remove(&volume), Some("pvc-u-1"));
        volume.spec.get_or_insert_default().persistent_volume_reclaim_policy = Some("Retain".into());
        assert_eq!(directory_to_remove(&volume), None);
    }
}
