//! The roles and bindings that every cluster has, as far as they speak of what is served here.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::rbac::v1::{AggregationRule, PolicyRule, RoleRef, Subject},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::{AUTHENTICATED, GROUP, MASTERS, UNAUTHENTICATED, cover, everything};
use crate::{
    Object, Typed,
    api::{ClusterRole, ClusterRoleBinding, ObjectMeta},
};

/// Whether the node adds what is missing at its start.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CREATE: &[&str] = &["create"];
/// What leads into pods or to their secrets.
const ENTRANCES: &[&str] = &["pods/attach", "pods/exec", "pods/portforward", "secrets"];

/// The roles and bindings, to be created where they are missing.
pub fn default_objects() -> Vec<Typed> {
    let mut objects: Vec<Typed> = Vec::new();
    objects.push(role("cluster-admin", everything()).into());
    for (name, parts) in [("admin", ["admin"]), ("edit", ["edit"]), ("view", ["view"])] {
        objects.push(gathering(name, &parts, higher(name)).into());
    }
    objects.extend(parts());
    let user = vec![
        rule(CREATE, &["authentication.k8s.io"], &["selfsubjectreviews"]),
        rule(CREATE, &["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ];
    objects.push(role("system:basic-user", user).into());
    let health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    objects.push(role("system:discovery", vec![paths(&[&discovery[..], &health[..]].concat())]).into());
    objects.push(role("system:public-info-viewer", vec![paths(&health)]).into());
    let reviews = vec![
        rule(CREATE, &["authentication.k8s.io"], &["tokenreviews"]),
        rule(CREATE, &["authorization.k8s.io"], &["subjectaccessreviews"]),
    ];
    objects.push(role("system:auth-delegator", reviews).into());
    for (name, groups) in [
        ("cluster-admin", &[MASTERS][..]),
        ("system:basic-user", &[AUTHENTICATED][..]),
        ("system:discovery", &[AUTHENTICATED][..]),
        ("system:public-info-viewer", &[AUTHENTICATED, UNAUTHENTICATED][..]),
    ] {
        objects.push(binding(name, groups).into());
    }
    objects
}

/// The role that includes another one, which its label says.
fn higher(name: &str) -> Option<&'static str> {
    match name {
        "view" => Some("edit"),
        "edit" => Some("admin"),
        _ => None,
    }
}

/// What the roles for people are gathered from.
fn parts() -> Vec<Typed> {
    let admin = vec![
        rule(CREATE, &["authorization.k8s.io"], &["localsubjectaccessreviews"]),
        rule(READ_WRITE, &[GROUP], &["rolebindings", "roles"]),
    ];
    let edit = vec![
        rule(READ, &[""], ENTRANCES),
        rule(&["impersonate"], &[""], &["serviceaccounts"]),
        rule(WRITE, &[""], &["pods", "pods/attach", "pods/exec", "pods/portforward"]),
        rule(CREATE, &[""], &["pods/eviction"]),
        rule(
            WRITE,
            &[""],
            &["configmaps", "events", "persistentvolumeclaims", "secrets", "serviceaccounts", "services"],
        ),
        rule(CREATE, &[""], &["serviceaccounts/token"]),
        rule(WRITE, &["batch"], &["cronjobs", "jobs"]),
        rule(READ_WRITE, &["coordination.k8s.io"], &["leases"]),
    ];
    let view = vec![
        rule(
            READ,
            &[""],
            &[
                "configmaps",
                "persistentvolumeclaims",
                "persistentvolumeclaims/status",
                "pods",
                "serviceaccounts",
                "services",
                "services/status",
            ],
        ),
        rule(
            READ,
            &[""],
            &[
                "events",
                "limitranges",
                "namespaces/status",
                "pods/log",
                "pods/status",
                "resourcequotas",
                "resourcequotas/status",
            ],
        ),
        rule(READ, &[""], &["namespaces"]),
        rule(READ, &["batch"], &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    ];
    let metrics = vec![rule(READ, &["metrics.k8s.io"], &["nodes", "pods"])];
    let part = |name: &str, to: &[&str], rules| {
        let mut role = role(name, rules);
        let labels = to.iter().map(|to| (format!("{GROUP}/aggregate-to-{to}"), "true".to_owned()));
        role.metadata.labels.get_or_insert_default().extend(labels);
        Typed::from(role)
    };
    vec![
        part("system:aggregate-to-admin", &["admin"], admin),
        part("system:aggregate-to-edit", &["edit"], edit),
        part("system:aggregate-to-view", &["view"], view),
        part("system:aggregated-metrics-reader", &["admin", "edit", "view"], metrics),
    ]
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(groups)),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

fn paths(urls: &[&str]) -> PolicyRule {
    PolicyRule { non_resource_urls: Some(texts(urls)), verbs: texts(&["get"]), ..PolicyRule::default() }
}

fn metadata(name: &str) -> ObjectMeta {
    let one = |key: &str, value: &str| Some(BTreeMap::from([(key.to_owned(), value.to_owned())]));
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: one(AUTO_UPDATE, "true"),
        labels: one("kubernetes.io/bootstrapping", "rbac-defaults"),
        ..ObjectMeta::default()
    }
}

fn role(name: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole { metadata: metadata(name), rules: Some(rules), aggregation_rule: None }
}

/// A role of the rules of others: those labelled for it.
fn gathering(name: &str, parts: &[&str], higher: Option<&str>) -> ClusterRole {
    let label = |to: &str| BTreeMap::from([(format!("{GROUP}/aggregate-to-{to}"), "true".to_owned())]);
    let selectors =
        parts.iter().map(|part| LabelSelector { match_labels: Some(label(part)), match_expressions: None });
    let mut role = role(name, Vec::new());
    role.aggregation_rule = Some(AggregationRule { cluster_role_selectors: Some(selectors.collect()) });
    if let Some(higher) = higher {
        role.metadata.labels.get_or_insert_default().extend(label(higher));
    }
    role
}

fn binding(name: &str, groups: &[&str]) -> ClusterRoleBinding {
    let subjects = groups.iter().map(|group| Subject {
        api_group: Some(GROUP.to_owned()),
        kind: "Group".to_owned(),
        name: (*group).to_owned(),
        namespace: None,
    });
    ClusterRoleBinding {
        metadata: metadata(name),
        role_ref: RoleRef {
            api_group: Some(GROUP.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: name.to_owned(),
        },
        subjects: Some(subjects.collect()),
    }
}

/// What a stored role or binding becomes that lacks something of the default one: roles get the missing rules, bindings
/// the missing subjects. Nothing if it lacks nothing, gathers its rules from others, or wants to be let alone.
pub fn refreshed(stored: &Object, wanted: &Typed) -> Option<Typed> {
    let is_let_alone = |metadata: &ObjectMeta| {
        let mark = metadata.annotations.as_ref().and_then(|all| all.get(AUTO_UPDATE));
        mark.is_some_and(|mark| mark == "false")
    };
    match wanted {
        Typed::ClusterRole(wanted) if wanted.aggregation_rule.is_none() => {
            let mut role: ClusterRole = stored.decode();
            let missing = cover::missing(
                role.rules.as_deref().unwrap_or_default(),
                wanted.rules.as_deref().unwrap_or_default(),
            );
            if missing.is_empty() || is_let_alone(&role.metadata) {
                return None;
            }
            role.rules.get_or_insert_default().extend(missing);
            Some(role.into())
        }
        Typed::ClusterRoleBinding(wanted) => {
            let mut binding: ClusterRoleBinding = stored.decode();
            let subjects = binding.subjects.get_or_insert_default();
            let missing: Vec<Subject> = wanted
                .subjects
                .iter()
                .flatten()
                .filter(|subject| !subjects.contains(subject))
                .cloned()
                .collect();
            if missing.is_empty() || is_let_alone(&binding.metadata) || binding.role_ref != wanted.role_ref {
                return None;
            }
            binding.subjects.get_or_insert_default().extend(missing);
            Some(binding.into())
        }
        _ => None,
    }
}
