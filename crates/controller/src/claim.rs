//! Claims for storage: bound to a volume that is there, or to one that is made for them, and kept as long as a pod uses
//! them. The rules and words are those of upstream's volume controller.

pub mod class;
pub mod ephemeral;
pub(crate) mod matching;
mod provision;

use std::{borrow::Cow, sync::Arc};

use cronlet_object::{
    Ids, Key, Kind, Object, Snapshot,
    api::{ObjectReference, PersistentVolume, PersistentVolumeClaim, StorageClass},
    claim::{PROVISIONER, STORAGE_PROVISIONER, ephemeral_name, is_bound, volume_name, volume_of},
    deletion::replace,
    event::{self, Note, Recorder},
};
use serde::{Deserialize, de::IgnoredAny};

use self::matching::{Fit, bind};
use crate::{Plan, View};

/// The component that claims' and volumes' events come from.
pub(crate) const COMPONENT: &str = "persistentvolume-controller";
/// Keeps a deleted claim until no pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Marks a claim whose binding is complete.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Marks a claim or a volume whose other half was chosen by the controller, not by its author.
pub(crate) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Names the node of the pod that a claim has waited for.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The older name of [`STORAGE_PROVISIONER`], which is written as well, as upstream does.
const STORAGE_PROVISIONER_BEFORE: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// Looks at one claim.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    let Some(object) = view.snapshot.get(key).map(AsRef::as_ref) else { return Plan::default() };
    let claim = object.decode::<PersistentVolumeClaim>();
    let about = event::reference(object);
    let mut turn = Turn { view, object, about, claim, ids, plan: Plan::default() };
    if object.meta().deleted.is_some() {
        if is_in_use(object, view.snapshot) {
            return turn.plan;
        }
        if let Some(finalizers) = &mut turn.claim.metadata.finalizers {
            finalizers.retain(|finalizer| finalizer != PROTECTION);
        }
    } else {
        let finalizers = turn.claim.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == PROTECTION) {
            finalizers.push(PROTECTION.to_owned());
        }
        turn.find_volume();
    }
    turn.plan.transaction.writes.extend(replace(object, &turn.claim.into()));
    turn.plan
}

/// A claim that is looked at, and what is to become of it.
struct Turn<'a> {
    view: &'a View<'a>,
    object: &'a Object,
    about: ObjectReference,
    claim: PersistentVolumeClaim,
    ids: &'a mut Ids,
    plan: Plan,
}

impl Turn<'_> {
    fn find_volume(&mut self) {
        if is_bound(&self.claim) || self.is_marked(BIND_COMPLETED) {
            return self.keep();
        }
        if let Some(name) = volume_of(&self.claim).map(str::to_owned) {
            return self.take(&name);
        }
        if class::name(&self.claim).is_none()
            && let Some(class) = class::default(self.view.snapshot)
        {
            self.claim.spec.get_or_insert_default().storage_class_name = class.metadata.name;
        }
        let name = class::name(&self.claim).unwrap_or_default().to_owned();
        let class = self.view.snapshot.decode::<StorageClass>("", &name);
        let waits = class.as_ref().is_some_and(class::waits_for_pod) && !self.is_marked(SELECTED_NODE);
        if let Some(volume) = matching::best(self.view.snapshot, &self.claim, waits) {
            self.bind_to(&volume);
        } else if waits {
            let message = "waiting for first consumer to be created before binding";
            self.tell_once(&Note::normal("WaitForFirstConsumer", message));
        } else if name.is_empty() {
            let message = "no persistent volumes available for this claim and no storage class is set";
            self.tell_once(&Note::normal("FailedBinding", message));
        } else {
            self.provision(&name, class.as_ref());
        }
    }

    /// Looks after a claim that was bound.
    fn keep(&mut self) {
        let uid = self.claim.metadata.uid.clone().unwrap_or_default();
        let own = volume_name(&uid);
        let name = volume_of(&self.claim).map(str::to_owned);
        let volume = name.as_ref().and_then(|name| self.volume(name));
        let Some(volume) = volume else {
            // Older nodes made a directory alone.
            if !self.is_marked(STORAGE_PROVISIONER) && name.as_ref().is_none_or(|name| *name == own) {
                return self.adopt();
            }
            let what = if name.is_none() { "reference to PersistentVolume" } else { "its PersistentVolume" };
            let message = format!("Bound claim has lost {what}. Data on the volume is lost!");
            return self.lose("ClaimLost", &message);
        };
        let typed = volume.decode::<PersistentVolume>();
        let claimed = typed.spec.and_then(|spec| spec.claim_ref);
        if claimed.is_none_or(|claimed| claimed.uid.as_ref() == Some(&uid)) {
            let capacity =
                |claim: &PersistentVolumeClaim| claim.status.clone().and_then(|status| status.capacity);
            let before = capacity(&self.claim);
            self.bind_to(&volume);
            if before.is_some() && capacity(&self.claim) != before {
                self.tell(PROVISIONER, &Note::normal("VolumeResizeSuccessful", "Resize volume succeeded"));
            }
        } else {
            let message = "Two claims are bound to the same volume, this one is bound incorrectly";
            self.lose("ClaimMisbound", message);
        }
    }

    /// Binds the claim to the volume that it asks for by name.
    fn take(&mut self, name: &str) {
        // Nobody has made it yet: it is waited for in silence.
        let Some(object) = self.volume(name) else { return };
        let volume = object.decode::<PersistentVolume>();
        match matching::fits(&volume, &self.claim) {
            Fit::Free | Fit::Reserved => match matching::mismatch(&volume, &self.claim) {
                None => self.bind_to(&object),
                Some(why) => {
                    let message = format!("Cannot bind to requested volume \"{name}\": {why}");
                    self.tell_once(&Note::warning("VolumeMismatch", &message));
                }
            },
            Fit::Taken => {
                let message = format!("volume \"{name}\" already bound to a different claim.");
                self.tell_once(&Note::warning("FailedBinding", &message));
            }
        }
    }

    fn bind_to(&mut self, volume: &Object) {
        let write = bind(volume, self.object, &mut self.claim, self.view.now);
        self.plan.transaction.writes.extend(write);
    }

    fn lose(&mut self, reason: &str, message: &str) {
        let status = self.claim.status.get_or_insert_default();
        if status.phase.as_deref() != Some("Lost") {
            status.phase = Some("Lost".to_owned());
            (status.access_modes, status.capacity) = (None, None);
            self.tell_once(&Note::warning(reason, message));
        }
    }

    fn volume(&self, name: &str) -> Option<Arc<Object>> {
        self.view.snapshot.get(&Key::new(Kind::PersistentVolume, "", name)).cloned()
    }

    fn is_marked(&self, annotation: &str) -> bool {
        self.claim.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(annotation))
    }

    fn mark(&mut self, annotation: &str, value: &str) {
        let annotations = self.claim.metadata.annotations.get_or_insert_default();
        annotations.insert(annotation.to_owned(), value.to_owned());
    }

    /// Tells what nothing has changed about since: each look at the claim would tell it again.
    fn tell_once(&mut self, note: &Note<'_>) {
        if self.recorder(COMPONENT).last_told(&self.about, note).is_none() {
            self.tell(COMPONENT, note);
        }
    }

    fn tell(&mut self, component: &str, note: &Note<'_>) {
        let recorder = self.recorder(component);
        recorder.record(&mut self.plan.transaction.writes, &self.about, note, self.ids);
    }

    fn recorder<'c>(&self, component: &'c str) -> Recorder<'c>
    where
        Self: 'c,
    {
        Recorder { snapshot: self.view.snapshot, now: self.view.now, component, host: None }
    }
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
    name: Cow<'a, str>,
    #[serde(borrow)]
    persistent_volume_claim: Option<SourceGlance<'a>>,
    ephemeral: Option<IgnoredAny>,
}

impl VolumeGlance<'_> {
    /// Whether the volume is a claim of that name.
    fn is(&self, claim: &str, pod: &str) -> bool {
        match &self.persistent_volume_claim {
            Some(source) => source.claim_name == claim,
            None => self.ephemeral.is_some() && ephemeral_name(pod, &self.name) == claim,
        }
    }
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
    users(claim, snapshot).next().is_some()
}

/// The pods that have a node, have not finished and use a claim.
pub(crate) fn users<'a>(claim: &'a Object, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Object>> {
    snapshot.list_namespace(Kind::Pod, claim.namespace()).filter(|pod| {
        let Ok(PodGlance { spec, status }) = serde_json::from_str(pod.json()) else { return false };
        let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let uses = |volume: &VolumeGlance<'_>| volume.is(claim.name(), pod.name());
        spec.node_name.is_some() && !finished && spec.volumes.iter().any(uses)
    })
}

#[cfg(test)]
mod tests;
