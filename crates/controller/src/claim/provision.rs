//! Volumes that are made for claims: directories of this node.

use cronlet_object::{
    Draft, Write,
    admit::{self, Admitted},
    api::{ObjectMeta, PersistentVolume, StorageClass},
    claim::{PROVISIONED_BY, PROVISIONER, STORAGE_PROVISIONER, volume_name},
    event::Note,
};
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolumeSpec,
    VolumeNodeAffinity,
};

use super::{
    STORAGE_PROVISIONER_BEFORE, Turn, class,
    matching::{bind_claim, reference, set_phase},
};
use crate::volume::PROTECTION;

/// Provisioners of this domain are part of a cluster's own program; there are none here.
const IN_TREE: &str = "kubernetes.io/";
/// The label of a node that volumes are tied to it by.
const HOSTNAME: &str = "kubernetes.io/hostname";

impl Turn<'_> {
    /// Makes a volume as the claim's class says, or tells why not.
    pub(super) fn provision(&mut self, name: &str, class: Option<&StorageClass>) {
        let Some(class) = class else {
            let message = format!("storageclass.storage.k8s.io \"{name}\" not found");
            return self.tell_once(&Note::warning("ProvisioningFailed", &message));
        };
        let provisioner = class.provisioner.as_str();
        if provisioner.starts_with(IN_TREE) {
            let message = format!("no volume plugin matched name: {provisioner}");
            return self.tell_once(&Note::warning("ProvisioningFailed", &message));
        }
        for annotation in [STORAGE_PROVISIONER, STORAGE_PROVISIONER_BEFORE] {
            self.mark(annotation, provisioner);
        }
        if provisioner != PROVISIONER {
            let message = format!(
                "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by \
                 the system administrator. If volume creation is delayed, please verify that the provisioner is \
                 running and correctly registered."
            );
            return self.tell_once(&Note::normal("ExternalProvisioning", &message));
        }
        let policy = class.reclaim_policy.as_deref().unwrap_or("Delete");
        let made = match self.cannot_be_made() {
            Some(why) => Err(why.to_owned()),
            None => self.make(name, policy),
        };
        match made {
            Ok(volume) => {
                let object = self.object;
                let claim = format!("{}/{}", object.namespace(), object.name());
                let message = format!("External provisioner is provisioning volume for claim \"{claim}\"");
                self.tell(PROVISIONER, &Note::normal("Provisioning", &message));
                let message = format!("Successfully provisioned volume {volume}");
                self.tell(PROVISIONER, &Note::normal("ProvisioningSucceeded", &message));
            }
            Err(why) => {
                let message = format!("failed to provision volume with StorageClass \"{name}\": {why}");
                self.tell_once(&Note::warning("ProvisioningFailed", &message));
            }
        }
    }

    /// Makes the volume of a claim that an older node bound to a directory alone.
    pub(super) fn adopt(&mut self) {
        let class = class::name(&self.claim).unwrap_or_default().to_owned();
        // If admission does not take it, the directory is the claim's as before.
        if self.make(&class, "Delete").is_ok() {
            self.mark(STORAGE_PROVISIONER, PROVISIONER);
        }
    }

    fn cannot_be_made(&self) -> Option<&'static str> {
        let spec = self.claim.spec.as_ref()?;
        if spec.selector.is_some() {
            Some("claim.Spec.Selector is not supported")
        } else if spec.volume_mode.as_deref() == Some("Block") {
            Some("this class provides directories, not block devices: set spec.volumeMode to Filesystem")
        } else {
            None
        }
    }

    /// Makes a volume that is bound to the claim, and returns its name.
    fn make(&mut self, class: &str, policy: &str) -> Result<String, String> {
        let spec = self.claim.spec.clone().unwrap_or_default();
        let name = volume_name(&self.object.meta().uid);
        let requested = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
        let storage = requested.into_iter().filter(|(resource, _)| resource == "storage");
        let volume = PersistentVolume {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                annotations: Some([(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())].into()),
                finalizers: Some(vec![PROTECTION.to_owned()]),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeSpec {
                access_modes: spec.access_modes,
                capacity: Some(storage.collect()),
                claim_ref: Some(reference(self.object)),
                local: Some(LocalVolumeSource {
                    path: format!("{}/{name}", self.view.settings.volumes_dir),
                    fs_type: None,
                }),
                node_affinity: Some(tied_to(self.view.settings.node_name.as_deref())),
                persistent_volume_reclaim_policy: Some(policy.to_owned()),
                storage_class_name: Some(class.to_owned()),
                volume_mode: spec.volume_mode,
                ..PersistentVolumeSpec::default()
            }),
            status: None,
        };
        let mut context = admit::Context { now: self.view.now, ids: self.ids };
        let Admitted { draft, .. } =
            admit::create(volume.into(), &mut context).map_err(|error| error.message().to_owned())?;
        let mut admitted: PersistentVolume = draft.unsealed().decode();
        set_phase(&mut admitted, "Bound", self.view.now);
        bind_claim(&mut self.claim, &admitted);
        self.plan.transaction.writes.push(Write::Create(Draft::of(&admitted)));
        Ok(name)
    }
}

/// Ties a volume to the node, or where none runs pods to any.
fn tied_to(node: Option<&str>) -> VolumeNodeAffinity {
    let requirement = NodeSelectorRequirement {
        key: HOSTNAME.to_owned(),
        operator: if node.is_some() { "In" } else { "Exists" }.to_owned(),
        values: node.map(|node| vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![requirement]), match_fields: None };
    VolumeNodeAffinity { required: Some(NodeSelector { node_selector_terms: vec![term] }) }
}
