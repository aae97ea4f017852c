//! Claims for storage: every claim of the node's storage class is bound at once to a volume of its own, and none goes
//! while a pod uses it.

use std::borrow::Cow;

use cronlet_object::{
    Ids, Key, Kind, Object, Snapshot,
    api::PersistentVolumeClaim,
    claim::{STORAGE_CLASS, volume_name},
    deletion::replace,
    event::{self, Note, Recorder},
};
use serde::Deserialize;

use crate::{Plan, View};

/// The component that claims' events come from.
const COMPONENT: &str = "persistentvolume-controller";
/// Keeps a deleted claim until no pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Marks a claim whose binding is complete.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Marks a claim whose volume was chosen by the controller, not by its author.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

/// Looks at one claim.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.snapshot.get(key) else { return plan };
    let mut claim = object.decode::<PersistentVolumeClaim>();
    let writes = &mut plan.transaction.writes;
    let about = event::reference(object);
    let recorder = Recorder { snapshot: view.snapshot, now: view.now, component: COMPONENT, host: None };
    if object.meta().deleted.is_some() {
        if is_in_use(object, view.snapshot) {
            return plan;
        }
        if let Some(finalizers) = &mut claim.metadata.finalizers {
            finalizers.retain(|finalizer| finalizer != PROTECTION);
        }
    } else {
        let finalizers = claim.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == PROTECTION) {
            finalizers.push(PROTECTION.to_owned());
        }
        match binding(&claim) {
            Binding::Settled => {}
            Binding::Possible => {
                let volume = bind(&mut claim);
                let message = format!("Successfully provisioned volume {volume}");
                recorder.record(writes, &about, &Note::normal("ProvisioningSucceeded", &message), ids);
            }
            Binding::NoClass => {
                let message = "no persistent volumes available for this claim and no storage class is set";
                let note = Note::normal("FailedBinding", message);
                if recorder.last_told(&about, &note).is_none() {
                    recorder.record(writes, &about, &note, ids);
                }
            }
            Binding::Impossible(message) => {
                let note = Note::warning("ProvisioningFailed", &message);
                if recorder.last_told(&about, &note).is_none() {
                    recorder.record(writes, &about, &note, ids);
                }
            }
        }
    }
    writes.extend(replace(object, &claim.into()));
    plan
}

/// Whether a claim can be bound.
enum Binding {
    /// It is bound, or waits for a volume of its author's choice, which nobody makes here.
    Settled,
    /// It can.
    Possible,
    /// It asks for a volume made by hand: there are none here.
    NoClass,
    /// It asks for what is not offered.
    Impossible(String),
}

fn binding(claim: &PersistentVolumeClaim) -> Binding {
    let Some(spec) = &claim.spec else { return Binding::Settled };
    let bound = claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let own_volume = volume_name(claim.metadata.uid.as_deref().unwrap_or_default());
    if bound || spec.volume_name.as_ref().is_some_and(|name| !name.is_empty() && *name != own_volume) {
        return Binding::Settled;
    }
    match spec.storage_class_name.as_deref() {
        Some("") => return Binding::NoClass,
        Some(class) if class != STORAGE_CLASS => {
            return Binding::Impossible(format!("storageclass.storage.k8s.io \"{class}\" not found"));
        }
        _ => {}
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Binding::Impossible(format!(
            "storage class \"{STORAGE_CLASS}\" provides directories, not block devices: set spec.volumeMode to \
             Filesystem"
        ));
    }
    Binding::Possible
}

/// Binds a claim to the volume made for it, and returns the volume's name.
fn bind(claim: &mut PersistentVolumeClaim) -> String {
    let volume = volume_name(claim.metadata.uid.as_deref().unwrap_or_default());
    let annotations = claim.metadata.annotations.get_or_insert_default();
    for mark in [BIND_COMPLETED, BOUND_BY_CONTROLLER] {
        annotations.insert(mark.to_owned(), "yes".to_owned());
    }
    let spec = claim.spec.get_or_insert_default();
    spec.volume_name = Some(volume.clone());
    spec.storage_class_name.get_or_insert_with(|| STORAGE_CLASS.to_owned());
    let requested = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let storage = requested.and_then(|requests| requests.get("storage")).cloned();
    let status = claim.status.get_or_insert_default();
    status.phase = Some("Bound".to_owned());
    status.access_modes = spec.access_modes.clone();
    status.capacity = storage.map(|size| [("storage".to_owned(), size)].into());
    volume
}

/// The fields of a pod that tell which claims it uses.
#[derive(Deserialize)]
struct PodGlance<'a> {
    #[serde(borrow, default)]
    spec: SpecGlance<'a>,
    #[serde(borrow, default)]
    status: StatusGlance<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecGlance<'a> {
    #[serde(borrow)]
    node_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    volumes: Vec<VolumeGlance<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeGlance<'a> {
    #[serde(borrow)]
    persistent_volume_claim: Option<SourceGlance<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceGlance<'a> {
    #[serde(borrow)]
    claim_name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct StatusGlance<'a> {
    #[serde(borrow)]
    phase: Option<Cow<'a, str>>,
}

/// Whether a pod that has a node and has not finished uses a claim. A pod without a node never gets one for a claim
/// that is being deleted.
fn is_in_use(claim: &Object, snapshot: &Snapshot) -> bool {
    snapshot.list_namespace(Kind::Pod, claim.namespace()).any(|pod| {
        let Ok(PodGlance { spec, status }) = serde_json::from_str(pod.json()) else { return false };
        let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let sources = spec.volumes.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        spec.node_name.is_some() && !finished && sources.into_iter().any(|s| s.claim_name == claim.name())
    })
}

#[cfg(test)]
mod tests;
