//! How a claim for storage becomes a directory: the rules that the controllers and the runtime share.

use std::borrow::Cow;

use crate::{
    ApiError, Key, Kind, Object, Snapshot,
    api::{ObjectMeta, PersistentVolume, PersistentVolumeClaim, StorageClass, Volume},
    quantity::Quantity,
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

/// The name of the claim that a pod's volume is, if it is one: the one that it names, or the one that is made for the pod
/// from a template in it.
pub fn name_in_pod<'a>(volume: &'a Volume, pod_name: &str) -> Option<Cow<'a, str>> {
    if let Some(source) = &volume.persistent_volume_claim {
        return Some(Cow::from(&source.claim_name));
    }
    volume.ephemeral.as_ref().map(|_| Cow::from(ephemeral_name(pod_name, &volume.name)))
}

/// The name of the claim that is made for a pod's ephemeral volume.
pub fn ephemeral_name(pod_name: &str, volume: &str) -> String {
    format!("{pod_name}-{volume}")
}

/// Whether a claim was made for a pod: nobody else's may be used as its ephemeral volume.
///
/// # Errors
/// If it is somebody else's, in upstream's words.
pub fn check_made_for(claim: &Object, pod: &ObjectMeta) -> Result<(), String> {
    let owner = claim.meta().controller().map(|owner| &*owner.uid);
    if owner.is_some() && owner == pod.uid.as_deref() {
        return Ok(());
    }
    let name = pod.name.as_deref().unwrap_or_default();
    let namespace = claim.namespace();
    let claim = claim.name();
    Err(format!("PVC {namespace}/{claim} was not created for pod {namespace}/{name} (pod is not owner)"))
}

/// Whether a claim may be changed in this way: if it is to be larger, it must be bound, and its class must allow it
/// (upstream's admission plugin `PersistentVolumeClaimResize`).
///
/// # Errors
/// 403 if it may not grow.
pub fn check_growth(
    old: &PersistentVolumeClaim,
    new: &PersistentVolumeClaim,
    snapshot: &Snapshot,
) -> Result<(), ApiError> {
    if requested(new) <= requested(old) {
        return Ok(());
    }
    let name = old.metadata.name.as_deref().unwrap_or_default();
    let forbidden = |why| Err(ApiError::forbidden(Kind::PersistentVolumeClaim, name, why));
    if !is_bound(old) {
        return forbidden("Only bound persistent volume claims can be expanded");
    }
    let class = class_of(&old.metadata, old.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref()));
    let class = class.and_then(|class| snapshot.decode::<StorageClass>("", class));
    if class.and_then(|class| class.allow_volume_expansion) == Some(true) {
        return Ok(());
    }
    forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
         support resize",
    )
}

/// How much storage a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.and_then(|all| all.get("storage")?.0.parse().ok()).unwrap_or(Quantity::ZERO)
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

    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

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
    fn a_claim_grows_if_it_is_bound_and_its_class_allows_it() {
        let sized = |phase: &str, size: &str| {
            let mut claim = claim(Some("v"), Some(phase));
            let spec = claim.spec.get_or_insert_default();
            spec.storage_class_name = Some("c".into());
            let storage = [("storage".to_owned(), Quantity(size.into()))].into();
            spec.resources.get_or_insert_default().requests = Some(storage);
            claim
        };
        let mut snapshot = Snapshot::default();
        let check = |phase, size, snapshot: &Snapshot| {
            let checked = check_growth(&sized(phase, "1Gi"), &sized(phase, size), snapshot);
            checked.map_err(|error| error.message().to_owned())
        };
        assert_eq!(check("Bound", "1Gi", &snapshot), Ok(()));
        let why = check("Pending", "2Gi", &snapshot).unwrap_err();
        assert!(why.ends_with("is forbidden: Only bound persistent volume claims can be expanded"), "{why}");
        for (allowed, grows) in [(None, false), (Some(false), false), (Some(true), true)] {
            let mut class = StorageClass { allow_volume_expansion: allowed, ..StorageClass::default() };
            class.metadata.name = Some("c".into());
            snapshot.insert(Arc::new(Draft::of(&class).seal(1)));
            assert_eq!(check("Bound", "2Gi", &snapshot).is_ok(), grows, "{allowed:?}");
        }
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
