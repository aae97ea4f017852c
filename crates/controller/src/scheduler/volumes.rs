//! Whether a pod can have its claims' volumes on the node. The messages are upstream's.

use cronlet_object::{
    Draft, Object, Unchanged, Write,
    api::{Node, PersistentVolume, PersistentVolumeClaim, Pod, StorageClass},
    claim::{READ_WRITE_ONCE_POD, directory_without_volume, is_bound, is_own_volume, volume_of},
};

use super::{Found, fit, unavailable};
use crate::{
    View,
    claim::{SELECTED_NODE, class, matching, users},
};

/// The provisioner of classes whose volumes are made by hand alone.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Names, on a claim that one pod alone may use, the pod that was let in last. Two pods that are looked at at the same
/// time both write it, so that one of them is refused.
const USED_BY: &str = "cronlet.dev/used-by";

/// Looks whether a pod can have a claim's volume, and what must be said of the claim if it can.
pub(super) fn check(
    view: &View,
    object: &Object,
    node: &Node,
    pod: &Pod,
    found: &mut Found,
) -> Result<(), String> {
    let claim = object.decode::<PersistentVolumeClaim>();
    if !is_bound(&claim) {
        return wait(view, object, claim, node, found);
    }
    match volume_of(&claim) {
        None => {}
        Some(name) => match view.snapshot.decode::<PersistentVolume>("", name) {
            // Those of this node are wherever its data is, whatever its name was when they were made.
            Some(volume) if is_own_volume(&volume) || fit::reaches(&volume, node) => {}
            Some(_) => return Err(unavailable("1 node(s) didn't match PersistentVolume's node affinity")),
            None if directory_without_volume(&claim, view.snapshot).is_some() => {}
            None => {
                let problem = "1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
                return Err(unavailable(problem));
            }
        },
    }
    let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    if !modes.iter().any(|mode| mode == READ_WRITE_ONCE_POD) {
        found.read.push(Unchanged { key: object.key().clone(), revision: object.revision() });
        return Ok(());
    }
    if users(object, view.snapshot).next().is_some() {
        return Err("0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and \
                    ReadWriteOncePod access mode. preemption: 0/1 nodes are available: 1 No preemption victims found \
                    for incoming pod."
            .to_owned());
    }
    let user = pod.metadata.uid.clone().unwrap_or_default();
    found.writes.push(marked(object, claim, USED_BY, user));
    Ok(())
}

/// Hands a claim on that is bound when its pod has a node, if it can be.
fn wait(
    view: &View,
    object: &Object,
    claim: PersistentVolumeClaim,
    node: &Node,
    found: &mut Found,
) -> Result<(), String> {
    let class = class::name(&claim).and_then(|name| view.snapshot.decode::<StorageClass>("", name));
    let by_hand = class.is_none_or(|class| class.provisioner == NO_PROVISIONER);
    if by_hand && matching::best(view.snapshot, &claim, false).is_none() {
        return Err(unavailable("1 node(s) didn't find available persistent volumes to bind"));
    }
    found.waits = true;
    if !claim.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(SELECTED_NODE)) {
        let name = node.metadata.name.clone().unwrap_or_default();
        found.writes.push(marked(object, claim, SELECTED_NODE, name));
    }
    Ok(())
}

fn marked(object: &Object, mut claim: PersistentVolumeClaim, annotation: &str, value: String) -> Write {
    claim.metadata.annotations.get_or_insert_default().insert(annotation.to_owned(), value);
    Write::Update { draft: Draft::of(&claim), expect: object.revision() }
}
