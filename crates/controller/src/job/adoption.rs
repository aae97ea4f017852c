//! Which pods are a Job's: those it owns and selects, and those without a controller that it selects and adopts.

use cronlet_object::{
    Kind, Object, Snapshot,
    api::{Job, OwnerReference},
    selector::Selector,
};

use super::pod::{Pod, is_settled};

/// The label of a Job's pods by which generated selectors find them.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// The pods of a Job, and those that it lets go.
#[derive(Debug, Default)]
pub(super) struct Claim<'a> {
    /// The Job's pods that still matter to it, adopted ones last.
    pub(super) pods: Vec<Pod<'a>>,
    /// The Job's pods that have ended and been counted. A large Job has many, so they are not read.
    pub(super) settled: Vec<&'a Object>,
    /// Pods that the Job owns but whose labels it does not select any more.
    pub(super) released: Vec<&'a Object>,
}

/// Claims the pods of `job`. A Job that is being deleted neither adopts nor releases.
pub(super) fn claim<'a>(snapshot: &'a Snapshot, job: &'a Object, selector: &Selector) -> Claim<'a> {
    let mut claim = Claim::default();
    let selects = |pod: &Object| selector.matches(|label| pod.meta().labels.get(label));
    for pod in owned(snapshot, job) {
        if selects(pod) {
            if is_settled(pod) { claim.settled.push(pod) } else { claim.pods.push(Pod::read(pod, false)) }
        } else if job.meta().deleted.is_none() {
            claim.released.push(pod);
        }
    }
    if job.meta().deleted.is_none() {
        let strays = snapshot.uncontrolled_pods(job.namespace());
        let adopted = strays.filter(|pod| pod.meta().deleted.is_none() && selects(pod));
        claim.pods.extend(adopted.map(|pod| Pod::read(pod, true)));
    }
    claim
}

/// The pods that a Job controls, selected or not.
pub(super) fn owned<'a>(snapshot: &'a Snapshot, job: &'a Object) -> impl Iterator<Item = &'a Object> {
    snapshot.dependents(&job.meta().uid).map(AsRef::as_ref).filter(|object: &&Object| {
        object.kind() == Kind::Pod
            && object.namespace() == job.namespace()
            && object.meta().controller().is_some_and(|owner| owner.uid == job.meta().uid)
    })
}

/// The reference that makes a Job the controller of a pod.
pub(super) fn controller_reference(job: &Object) -> OwnerReference {
    let descriptor = job.kind().descriptor();
    OwnerReference {
        api_version: descriptor.api_version(),
        kind: descriptor.kind.to_owned(),
        name: job.name().to_owned(),
        uid: job.meta().uid.as_ref().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The Jobs that select a pod, which has no controller.
pub(super) fn selecting<'a>(snapshot: &'a Snapshot, pod: &'a Object) -> impl Iterator<Item = &'a Object> {
    let generated = pod.meta().labels.get(CONTROLLER_UID);
    // A selector is the generated one, which asks for the Job's UID, unless the Job says otherwise. Decoding every Job
    // of the namespace for each change of a pod would be too dear.
    let may_select = move |job: &&Object| {
        generated == Some(job.meta().uid.as_ref()) || job.json().contains("\"manualSelector\":true")
    };
    let jobs = snapshot.list_namespace(Kind::Job, pod.namespace()).map(AsRef::as_ref);
    jobs.filter(may_select).filter(|job| {
        let spec = job.decode::<Job>().spec.unwrap_or_default();
        Selector::from_label_selector(spec.selector.as_ref())
            .is_ok_and(|selector| selector.matches(|label| pod.meta().labels.get(label)))
    })
}
