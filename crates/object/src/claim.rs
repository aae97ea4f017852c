//! How a claim for storage becomes a directory: the rules that the controller and the runtime share.

use crate::api::PersistentVolumeClaim;

/// The one storage class of a node: a directory below its data directory. Claims that name no class get it.
pub const STORAGE_CLASS: &str = "cronlet-local";

/// The volume that is provisioned for a claim: Kubernetes' provisioners use the same name.
pub fn volume_name(claim_uid: &str) -> String {
    format!("pvc-{claim_uid}")
}

/// The name of the directory that holds a claim's data; `None` as long as the claim is not bound to a volume of this
/// node. It is one path component, unique for the life of the claim.
pub fn directory_name(claim: &PersistentVolumeClaim) -> Option<String> {
    let phase = claim.status.as_ref()?.phase.as_deref()?;
    let volume = claim.spec.as_ref()?.volume_name.as_deref()?;
    let own = volume_name(claim.metadata.uid.as_deref()?);
    (phase == "Bound" && volume == own).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(volume: Option<&str>, phase: Option<&str>) -> PersistentVolumeClaim {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.uid = Some("u-1".into());
        claim.spec.get_or_insert_default().volume_name = volume.map(str::to_owned);
        claim.status.get_or_insert_default().phase = phase.map(str::to_owned);
        claim
    }

    #[test]
    fn only_a_claim_bound_to_its_own_volume_has_a_directory() {
        assert_eq!(directory_name(&claim(Some("pvc-u-1"), Some("Bound"))).as_deref(), Some("pvc-u-1"));
        assert_eq!(directory_name(&claim(Some("pvc-u-1"), Some("Pending"))), None);
        assert_eq!(directory_name(&claim(Some("../escape"), Some("Bound"))), None);
        assert_eq!(directory_name(&claim(None, Some("Bound"))), None);
        assert_eq!(directory_name(&PersistentVolumeClaim::default()), None);
    }
}
