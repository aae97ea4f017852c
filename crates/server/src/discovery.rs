//! What this server serves, as clients ask for it: group by group (legacy), or all at once (aggregated).

use axum::response::Response;
use cronlet_object::Kind;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use crate::{document::Document, metrics, negotiate::DiscoveryForm, reply, review::Review};

const COLLECTION_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Namespaces can only be deleted one by one, as on a cluster.
const NAMESPACE_VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const STATUS_VERBS: &[&str] = &["get", "patch", "update"];
const EXEC_VERBS: &[&str] = &["create", "get"];
const LOG_VERBS: &[&str] = &["get"];
const REVIEW_VERBS: &[&str] = &["create"];
const METRICS_VERBS: &[&str] = &["get", "list"];

/// A resource as clients are told about it.
struct Resource {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    namespaced: bool,
    verbs: &'static [&'static str],
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    subresources: Vec<Part>,
}

/// A part of a resource as clients are told about it.
struct Part {
    name: &'static str,
    verbs: &'static [&'static str],
    /// Group, version and kind of what it takes, if it is not of the resource's own kind.
    takes: Option<(&'static str, &'static str, &'static str)>,
}

impl Part {
    fn new(name: &'static str, verbs: &'static [&'static str]) -> Self {
        Part { name, verbs, takes: None }
    }
}

fn resource_of_kind(kind: Kind) -> Resource {
    let d = kind.descriptor();
    let mut subresources = Vec::new();
    if kind == Kind::Pod {
        let eviction =
            Part { takes: Some(("policy", "v1", "Eviction")), ..Part::new("eviction", REVIEW_VERBS) };
        subresources.extend([
            Part::new("attach", EXEC_VERBS),
            eviction,
            Part::new("exec", EXEC_VERBS),
            Part::new("log", LOG_VERBS),
            Part::new("portforward", EXEC_VERBS),
        ]);
    }
    if kind == Kind::ServiceAccount {
        let takes = Some(("authentication.k8s.io", "v1", "TokenRequest"));
        subresources.push(Part { takes, ..Part::new("token", REVIEW_VERBS) });
    }
    if d.has_status {
        subresources.push(Part::new("status", STATUS_VERBS));
    }
    Resource {
        group: d.group,
        version: d.version,
        kind: d.kind,
        plural: d.plural,
        singular: d.singular,
        namespaced: d.namespaced,
        verbs: if kind == Kind::Namespace { NAMESPACE_VERBS } else { COLLECTION_VERBS },
        short_names: d.short_names,
        categories: d.categories,
        subresources,
    }
}

fn resource_of_review(review: &Review) -> Resource {
    let (group, version) = review.group_version();
    Resource {
        group,
        version,
        kind: review.kind(),
        plural: review.plural(),
        singular: review.singular(),
        namespaced: review.is_namespaced(),
        verbs: REVIEW_VERBS,
        short_names: &[],
        categories: &[],
        subresources: Vec::new(),
    }
}

/// What is used by the objects of a kind.
fn resource_of_metrics(kind: Kind, name: &'static str) -> Resource {
    Resource {
        group: metrics::GROUP,
        version: metrics::VERSION,
        kind: name,
        singular: "",
        verbs: METRICS_VERBS,
        short_names: &[],
        categories: &[],
        subresources: Vec::new(),
        ..resource_of_kind(kind)
    }
}

/// Every resource, sorted by group and name.
fn resources() -> Vec<Resource> {
    let kinds = Kind::ALL.iter().map(|kind| resource_of_kind(*kind));
    let metrics = [(Kind::Node, "NodeMetrics"), (Kind::Pod, "PodMetrics")];
    let mut all: Vec<Resource> = kinds
        .chain(Review::all().iter().map(resource_of_review))
        .chain(metrics.map(|(kind, name)| resource_of_metrics(kind, name)))
        .collect();
    all.sort_by_key(|resource| (resource.group, resource.plural));
    all
}

/// The group and version of a path, if anything is served there.
pub fn group_version(group: &str, version: &str) -> Option<(&'static str, &'static str)> {
    let kinds = Kind::ALL.iter().map(|kind| (kind.descriptor().group, kind.descriptor().version));
    let reviews = Review::all().into_iter().map(|review| review.group_version());
    let mut served = kinds.chain(reviews).chain([(metrics::GROUP, metrics::VERSION)]);
    served.find(|served| *served == (group, version))
}

/// The group of a path below `/apis`, if anything is served there.
pub fn group(group: &str) -> Option<&'static str> {
    groups().into_iter().map(|(name, _)| name).find(|name| *name == group)
}

/// Every group but the core one with its version, in the order clients see them.
fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<_> = resources().iter().map(|r| (r.group, r.version)).collect();
    groups.retain(|(group, _)| !group.is_empty());
    groups.dedup();
    groups
}

/// The documents that never change while the server runs.
#[derive(Debug)]
pub struct Discovery {
    core: Aggregated,
    groups: Aggregated,
}

#[derive(Debug)]
struct Aggregated {
    legacy: Document,
    v2: Document,
    v2beta1: Document,
}

impl Aggregated {
    fn new(legacy: &Value, groups: &[(&str, &str)]) -> Self {
        let aggregated = |version: &str| {
            Document::new(&json!({
                "kind": "APIGroupDiscoveryList",
                "apiVersion": format!("apidiscovery.k8s.io/{version}"),
                "metadata": {},
                "items": groups.iter().map(|(group, version)| aggregated_group(group, version)).collect::<Vec<_>>(),
            }))
        };
        Aggregated { legacy: Document::new(legacy), v2: aggregated("v2"), v2beta1: aggregated("v2beta1") }
    }

    fn reply(&self, form: DiscoveryForm, request: &HeaderMap) -> Response {
        let (document, content_type) = match form {
            DiscoveryForm::Legacy => return self.legacy.reply(reply::JSON),
            DiscoveryForm::V2 => {
                (&self.v2, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
            }
            DiscoveryForm::V2Beta1 => {
                (&self.v2beta1, "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
            }
        };
        let mut response = document.reply_unless_cached(HeaderValue::from_static(content_type), request);
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        response
    }
}

impl Discovery {
    /// Writes the documents.
    pub fn new() -> Self {
        let core_versions = json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            // There is one way to this server: the one the client has taken.
            "serverAddressByClientCIDRs": [],
        });
        let group_list = json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups().iter().map(|(group, version)| api_group(group, version)).collect::<Vec<_>>(),
        });
        Discovery {
            core: Aggregated::new(&core_versions, &[("", "v1")]),
            groups: Aggregated::new(&group_list, &groups()),
        }
    }

    /// Answers `/api`.
    pub fn core(&self, form: DiscoveryForm, request: &HeaderMap) -> Response {
        self.core.reply(form, request)
    }

    /// Answers `/apis`.
    pub fn groups(&self, form: DiscoveryForm, request: &HeaderMap) -> Response {
        self.groups.reply(form, request)
    }

    /// Answers `/apis/{group}`.
    pub fn group(&self, group: &str) -> Response {
        let version =
            groups().into_iter().find(|(name, _)| *name == group).map_or("v1", |(_, version)| version);
        let mut document = api_group(group, version);
        document["kind"] = json!("APIGroup");
        document["apiVersion"] = json!("v1");
        reply::json(&document)
    }

    /// Answers `/api/v1` and `/apis/{group}/{version}`.
    pub fn resources(&self, group: &str, version: &str) -> Response {
        let served = resources().into_iter().filter(|r| r.group == group && r.version == version);
        let mut document = json!({
            "kind": "APIResourceList",
            "groupVersion": group_version_text(group, version),
            "resources": served.flat_map(|resource| legacy_entries(&resource)).collect::<Vec<_>>(),
        });
        if !group.is_empty() {
            document["apiVersion"] = json!("v1");
        }
        reply::json(&document)
    }
}

/// `batch/v1`, or `v1` in the core group.
pub fn group_version_text(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn api_group(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": group_version_text(group, version), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn legacy_entries(resource: &Resource) -> Vec<Value> {
    let mut whole = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        whole["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        whole["categories"] = json!(resource.categories);
    }
    let parts = resource.subresources.iter().map(|part| {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, part.name),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": part.verbs,
        });
        if let Some((group, version, kind)) = part.takes {
            entry["group"] = json!(group);
            entry["version"] = json!(version);
            entry["kind"] = json!(kind);
        }
        entry
    });
    [whole].into_iter().chain(parts).collect()
}

fn aggregated_group(group: &str, version: &str) -> Value {
    let served = resources().into_iter().filter(|r| r.group == group && r.version == version);
    let resources: Vec<Value> = served.map(|resource| aggregated_entry(&resource)).collect();
    json!({
        "metadata": if group.is_empty() { json!({}) } else { json!({"name": group}) },
        "versions": [{"version": version, "resources": resources, "freshness": "Current"}],
    })
}

fn aggregated_entry(resource: &Resource) -> Value {
    // Group and version are empty because they are those of the list the entry is in.
    let response_kind = json!({"group": "", "version": "", "kind": resource.kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": response_kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let parts = resource.subresources.iter();
        entry["subresources"] = parts
            .map(|part| {
                let kind = part.takes.map_or_else(
                    || response_kind.clone(),
                    |(group, version, kind)| json!({"group": group, "version": version, "kind": kind}),
                );
                json!({"subresource": part.name, "responseKind": kind, "verbs": part.verbs})
            })
            .collect();
    }
    entry
}

#[cfg(test)]
mod tests;
