//! Nodes: the machine that pods run on.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::Node,
    table::{self, Column, Row},
    validate::{
        labels::validate_key,
        names::{NameRule, label_value_errors, report},
        scheduling::validate_taint_effect,
    },
};

const ROLE_LABEL_PREFIX: &str = "node-role.kubernetes.io/";
const OLD_ROLE_LABEL: &str = "kubernetes.io/role";

impl Rules for Node {
    const NAME: NameRule = NameRule::Subdomain;
    const FIELDS: &[&str] = &["spec.unschedulable"];
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Status"),
        Column::text("Roles"),
        Column::text("Age"),
        Column::text("Version"),
        Column::wide("Internal-IP"),
        Column::wide("External-IP"),
        Column::wide("OS-Image"),
        Column::wide("Kernel-Version"),
        Column::wide("Container-Runtime"),
    ];

    /// The agent that registers a node knows its status; so, unlike other kinds', it may be given on
    /// creation.
    fn set_defaults(&mut self) {
        self.spec.get_or_insert_default();
        let status = self.status.get_or_insert_default();
        if status.allocatable.is_none() {
            status.allocatable.clone_from(&status.capacity);
        }
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let taints = self.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        for (i, taint) in taints.iter().enumerate() {
            let at = Path::root("metadata").child("taints").index(i);
            validate_key(&taint.key, || at.child("key"), errors);
            let value = taint.value.as_deref().unwrap_or_default();
            report(label_value_errors(value), value, || at.child("value"), errors);
            validate_taint_effect(&taint.effect, || at.child("effect"), errors);
            let same = |other: &&k8s_openapi::api::core::v1::Taint| {
                other.key == taint.key && other.effect == taint.effect
            };
            if let Some(twin) = taints[..i].iter().find(same) {
                errors.duplicate(&at, twin);
            }
        }
    }

    fn validate_update(&self, _old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
    }

    fn field(&self, _label: &str) -> Option<String> {
        Some(is_unschedulable(self).to_string())
    }

    fn row(&self, now: Timestamp) -> Row {
        let info = self.status.as_ref().and_then(|status| status.node_info.as_ref());
        let version = info.map_or("", |info| info.kubelet_version.as_str());
        let kernel = info.filter(|info| !info.kernel_version.is_empty()).map(|info| {
            if info.architecture.is_empty() {
                info.kernel_version.clone()
            } else {
                format!("{} ({})", info.kernel_version, info.architecture)
            }
        });
        Row::of([
            table::name(&self.metadata),
            status(self).into(),
            roles(self).into(),
            table::age_of(&self.metadata, now),
            version.into(),
            address(self, "InternalIP"),
            address(self, "ExternalIP"),
            table::text_or(info.map(|info| info.os_image.as_str()), "<unknown>"),
            table::text_or(kernel.as_deref(), "<unknown>"),
            table::text_or(info.map(|info| info.container_runtime_version.as_str()), "<unknown>"),
        ])
    }
}

fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
}

fn status(node: &Node) -> String {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = match conditions.find(|condition| condition.type_ == "Ready") {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if is_unschedulable(node) { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn roles(node: &Node) -> String {
    let labels = node.metadata.labels.iter().flatten();
    let role = |(key, value): (&String, &String)| match key.strip_prefix(ROLE_LABEL_PREFIX) {
        Some(role) => Some(role.to_owned()),
        None => (key == OLD_ROLE_LABEL).then(|| value.clone()),
    };
    let roles: BTreeSet<String> = labels.filter_map(role).filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { "<none>".to_owned() } else { Vec::from_iter(roles).join(",") }
}

fn address(node: &Node, kind: &str) -> Value {
    let mut addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let found = addresses.find(|address| address.type_ == kind);
    table::text_or(found.map(|address| address.address.as_str()), "<none>")
}
