//! Whether a pod fits the node: its claims, and what the node's labels and taints say. The messages are upstream's.

use std::borrow::Cow;

use crate::claim::class;
use cronlet_object::{
    Object, Snapshot,
    api::{Node, PersistentVolume, PersistentVolumeClaim, Pod, StorageClass},
    claim::{check_made_for, is_bound, name_in_pod},
};
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration};

/// The taint that stands for `spec.unschedulable` of a node.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// A claim that a pod needs.
pub(super) struct Claim<'a> {
    /// The claim's name.
    pub name: Cow<'a, str>,
    /// Whether it is made for this pod from a template in it.
    ephemeral: bool,
}

/// The claims that a pod needs.
pub(super) fn claims(pod: &Pod) -> impl Iterator<Item = Claim<'_>> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(move |volume| {
        let name = name_in_pod(volume, pod_name)?;
        Some(Claim { name, ephemeral: volume.ephemeral.is_some() })
    })
}

/// The claim of that name, which is bound or will be when its pod has a node, or why not.
pub(super) fn check_claim<'a>(
    claim: &Claim,
    pod: &Pod,
    stored: Option<&'a Object>,
    snapshot: &Snapshot,
) -> Result<&'a Object, String> {
    let name = &claim.name;
    match stored {
        None if claim.ephemeral => Err(format!(
            "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""
        )),
        None => Err(format!("persistentvolumeclaim \"{name}\" not found")),
        Some(stored) if stored.meta().deleted.is_some() => {
            Err(format!("persistentvolumeclaim \"{name}\" is being deleted"))
        }
        Some(stored) => {
            if claim.ephemeral {
                check_made_for(stored, &pod.metadata)?;
            }
            let claim = stored.decode::<PersistentVolumeClaim>();
            let class = || snapshot.decode::<StorageClass>("", class::name(&claim)?);
            if is_bound(&claim) || class().as_ref().is_some_and(class::waits_for_pod) {
                return Ok(stored);
            }
            Err("pod has unbound immediate PersistentVolumeClaims".to_owned())
        }
    }
}

/// Whether the node takes the pod, or the first reason why not.
pub(super) fn check_node(pod: &Pod, node: &Node) -> Result<(), &'static str> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let tolerated = |taint: &Taint| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    let spec = node.spec.as_ref();
    if spec.and_then(|spec| spec.unschedulable) == Some(true) {
        let taint = Taint { key: UNSCHEDULABLE.into(), effect: "NoSchedule".into(), ..Taint::default() };
        if !tolerated(&taint) {
            return Err("node(s) were unschedulable");
        }
    }
    let mut taints = spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    if taints.any(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !tolerated(taint)) {
        return Err("node(s) had untolerated taint(s)");
    }
    if !selects(pod, node) {
        return Err("node(s) didn't match Pod's node affinity/selector");
    }
    Ok(())
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let same_effect = given(&toleration.effect).is_none_or(|effect| effect == taint.effect);
    let same_key = given(&toleration.key).is_none_or(|key| key == taint.key);
    let same_value = match toleration.operator.as_deref() {
        None | Some("" | "Equal") => given(&toleration.value) == given(&taint.value),
        Some("Exists") => true,
        Some(_) => false,
    };
    same_effect && same_key && same_value
}

/// Whether the pod's node selector and its required node affinity choose the node.
fn selects(pod: &Pod, node: &Node) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let selector = spec.node_selector.iter().flatten();
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selector.into_iter().all(|(key, value)| label(node, key) == Some(value))
        && required.is_none_or(|terms| terms.node_selector_terms.iter().any(|term| matches_term(term, node)))
}

/// Whether a volume can be used on the node.
pub(super) fn reaches(volume: &PersistentVolume, node: &Node) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    required.is_none_or(|terms| terms.node_selector_terms.iter().any(|term| matches_term(term, node)))
}

/// Whether all of a term holds. An empty term holds for no node.
fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let field = |name: &str| if name == "metadata.name" { node.metadata.name.as_deref() } else { None };
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|e| holds(e, label(node, &e.key)))
        && fields.iter().all(|f| holds(f, field(&f.key)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.iter().any(|listed| listed == value));
    let bound = || values.first()?.parse::<i64>().ok().zip(value?.parse::<i64>().ok());
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => bound().is_some_and(|(bound, value)| value > bound),
        "Lt" => bound().is_some_and(|(bound, value)| value < bound),
        _ => false,
    }
}

fn label<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
