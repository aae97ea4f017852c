//! OpenAPI documents: as much as kubectl needs to create, apply and explain.
//!
//! For every kind they say that PATCH understands `fieldValidation`, which is how kubectl learns that the server checks
//! fields itself, and which fields the kind has at its top. They say nothing about merge keys: kubectl then uses the
//! ones compiled into it.

use axum::response::Response;
use cronlet_object::{ApiError, Descriptor, Kind};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use serde_json::{Map, Value, json};

use crate::{discovery::group_version_text, document::Document, query::Query, reply};

mod v2;

/// `info.title` of every document.
const TITLE: &str = "Kubernetes";
/// `info.version` of every document.
const VERSION: &str = "unversioned";
/// What PATCH understands in its query. kubectl looks for `fieldValidation`.
const QUERY_PARAMETERS: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];
/// The media type that kubectl wants the v2 document in, and the one it is called by when sent.
const V2_ACCEPTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const V2_SENT: HeaderValue =
    HeaderValue::from_static("application/com.github.proto-openapi.spec.v2.v1.0+protobuf");

/// How long a document may be kept under the URL that names its hash.
const CACHE_HOURS: i64 = 365 * 24;
const METADATA_SCHEMA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The documents of all groups and the index of them.
#[derive(Debug)]
pub struct OpenApi {
    index: Document,
    documents: Vec<(&'static str, &'static str, Document)>,
    v2: Document,
}

impl OpenApi {
    /// Writes the documents.
    pub fn new() -> Self {
        let mut groups: Vec<_> =
            Kind::ALL.iter().map(|k| (k.descriptor().group, k.descriptor().version)).collect();
        groups.sort_unstable();
        groups.dedup();
        let documents: Vec<_> = groups
            .into_iter()
            .map(|(group, version)| (group, version, Document::new(&group_document(group, version))))
            .collect();
        let paths: Map<String, Value> = documents
            .iter()
            .map(|(group, version, document)| {
                (group_path(group, version), json!({"serverRelativeURL": url(group, version, document)}))
            })
            .collect();
        OpenApi {
            index: Document::new(&json!({"paths": paths})),
            documents,
            v2: Document::of(v2::document().into()),
        }
    }

    /// Answers `/openapi/v2`.
    ///
    /// # Errors
    /// 406 unless the client accepts protobuf.
    pub fn v2(&self, request: &HeaderMap) -> Result<Response, ApiError> {
        let accepted = request.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if accepted.into_iter().any(|value| value.contains(V2_ACCEPTED)) {
            return Ok(self.v2.reply_unless_cached(V2_SENT, request));
        }
        let why = format!(
            "406: Not Acceptable: OpenAPI v2 is served as {V2_ACCEPTED} only; for JSON see /openapi/v3"
        );
        Err(ApiError::not_acceptable(why))
    }

    /// Answers `/openapi/v3`.
    pub fn index(&self, request: &HeaderMap) -> Response {
        let mut response = self.index.reply_unless_cached(reply::JSON, request);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    /// Answers `/openapi/v3/…` of one group; none if no objects live there. A client that asks with the current hash
    /// may keep the document; with another one it is sent to the current.
    pub fn document(
        &self,
        group: &str,
        version: &str,
        query: &Query,
        request: &HeaderMap,
        now: Timestamp,
    ) -> Option<Response> {
        let (_, _, document) = self.documents.iter().find(|(g, v, _)| (*g, *v) == (group, version))?;
        let cache_control = match query.text("hash") {
            None => "no-cache",
            Some(hash) if hash == document.hash() => "public, immutable",
            Some(_) => {
                return Some(reply::redirect(StatusCode::MOVED_PERMANENTLY, &url(group, version, document)));
            }
        };
        let mut response = document.reply_unless_cached(reply::JSON, request);
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
        if query.text("hash").is_some() {
            let expires = now + jiff::Span::new().hours(CACHE_HOURS);
            if let Some(expires) = http_date(expires) {
                headers.insert(header::EXPIRES, expires);
            }
        }
        Some(response)
    }
}

fn http_date(time: Timestamp) -> Option<HeaderValue> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()?.try_into().ok()
}

/// `api/v1`, `apis/batch/v1`.
fn group_path(group: &str, version: &str) -> String {
    let root = if group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", group_version_text(group, version))
}

fn url(group: &str, version: &str, document: &Document) -> String {
    format!("/openapi/v3/{}?hash={}", group_path(group, version), document.hash())
}

fn group_document(group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert(METADATA_SCHEMA.to_owned(), metadata_schema());
    let kinds = Kind::ALL.iter().copied();
    for kind in kinds.filter(|k| (k.descriptor().group, k.descriptor().version) == (group, version)) {
        let d = kind.descriptor();
        paths.insert(object_path(d), json!({"patch": patch_operation(d)}));
        schemas.insert(schema_name(d), schema(kind));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn object_path(d: &Descriptor) -> String {
    let prefix = format!("/{}", group_path(d.group, d.version));
    let scope = if d.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{prefix}{scope}/{}/{{name}}", d.plural)
}

fn schema_name(d: &Descriptor) -> String {
    let group = if d.group.is_empty() { "core" } else { d.group };
    format!("io.k8s.api.{group}.{}.{}", d.version, d.kind)
}

fn group_version_kind(d: &Descriptor) -> Value {
    json!({"group": d.group, "version": d.version, "kind": d.kind})
}

fn patch_operation(d: &Descriptor) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    json!({
        "parameters": QUERY_PARAMETERS.map(parameter),
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        // An object here, a list on the schema.
        "x-kubernetes-group-version-kind": group_version_kind(d),
    })
}

fn schema(kind: Kind) -> Value {
    let d = kind.descriptor();
    let mut properties = Map::new();
    let mut add = |name: &str, schema: Value| properties.insert(name.to_owned(), schema);
    add("apiVersion", json!({"type": "string", "description": "The group and version of the kind."}));
    add("kind", json!({"type": "string", "description": "The kind of the object."}));
    add(
        "metadata",
        json!({
            "description": "What every object has: name, labels, annotations.",
            "allOf": [{"$ref": format!("#/components/schemas/{METADATA_SCHEMA}")}],
        }),
    );
    for (name, schema_type) in top_fields(kind) {
        let extra = if *schema_type == "array" { json!({"type": "object"}) } else { Value::Null };
        let mut schema = json!({"type": schema_type});
        if !extra.is_null() {
            schema["items"] = extra;
        }
        add(name, schema);
    }
    json!({
        "type": "object",
        "description": description(kind),
        "properties": properties,
        "x-kubernetes-group-version-kind": [group_version_kind(d)],
    })
}

fn metadata_schema() -> Value {
    let text = || json!({"type": "string"});
    let texts = || json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "description": "What every object has.",
        "properties": {
            "name": text(), "namespace": text(), "generateName": text(), "uid": text(), "resourceVersion": text(),
            "creationTimestamp": text(), "deletionTimestamp": text(),
            "generation": {"type": "integer"}, "deletionGracePeriodSeconds": {"type": "integer"},
            "labels": texts(), "annotations": texts(),
            "finalizers": {"type": "array", "items": {"type": "string"}},
            "ownerReferences": {"type": "array", "items": {"type": "object"}},
            "managedFields": {"type": "array", "items": {"type": "object"}},
        },
    })
}

fn description(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "A scope for names.",
        Kind::Node => "A machine that runs pods.",
        Kind::ServiceAccount => "An identity for the processes of a pod.",
        Kind::ConfigMap => "Configuration for pods to read.",
        Kind::Secret => "Secret configuration for pods to read.",
        Kind::PersistentVolumeClaim => "A claim for storage that outlives pods.",
        Kind::PersistentVolume => "Storage that a claim can be bound to.",
        Kind::StorageClass => "How volumes are made for the claims that name it.",
        Kind::RuntimeClass => "How the containers of pods that name it are run.",
        Kind::PriorityClass => "A name for the priority of pods.",
        Kind::ClusterRole => "What may be done, in any namespace and without one.",
        Kind::ClusterRoleBinding => "Who has a cluster role everywhere.",
        Kind::Role => "What may be done in a namespace.",
        Kind::RoleBinding => "Who has a role in a namespace.",
        Kind::Service => "A name for pods. It is stored; nothing is forwarded to it here.",
        Kind::LimitRange => "Bounds and defaults for what the pods and claims of a namespace ask for.",
        Kind::Lease => "Who leads, and until when.",
        Kind::CronJob => "Creates a Job at every time of a schedule.",
        Kind::Job => "Runs pods until enough of them have succeeded.",
        Kind::Pod => "Containers that run together on one node.",
        Kind::Event => "Something that happened to an object.",
    }
}

/// The fields besides `apiVersion`, `kind` and `metadata`, and their JSON types.
fn top_fields(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::ConfigMap => &[("binaryData", "object"), ("data", "object"), ("immutable", "boolean")],
        Kind::Secret => {
            &[("data", "object"), ("immutable", "boolean"), ("stringData", "object"), ("type", "string")]
        }
        Kind::ServiceAccount => &[
            ("automountServiceAccountToken", "boolean"),
            ("imagePullSecrets", "array"),
            ("secrets", "array"),
        ],
        Kind::StorageClass => &[
            ("allowVolumeExpansion", "boolean"),
            ("allowedTopologies", "array"),
            ("mountOptions", "array"),
            ("parameters", "object"),
            ("provisioner", "string"),
            ("reclaimPolicy", "string"),
            ("volumeBindingMode", "string"),
        ],
        Kind::RuntimeClass => &[("handler", "string"), ("overhead", "object"), ("scheduling", "object")],
        Kind::PriorityClass => &[
            ("description", "string"),
            ("globalDefault", "boolean"),
            ("preemptionPolicy", "string"),
            ("value", "integer"),
        ],
        Kind::ClusterRole => &[("aggregationRule", "object"), ("rules", "array")],
        Kind::Role => &[("rules", "array")],
        Kind::ClusterRoleBinding | Kind::RoleBinding => &[("roleRef", "object"), ("subjects", "array")],
        Kind::Lease | Kind::LimitRange => &[("spec", "object")],
        Kind::Event => &[
            ("action", "string"),
            ("count", "integer"),
            ("eventTime", "string"),
            ("firstTimestamp", "string"),
            ("involvedObject", "object"),
            ("lastTimestamp", "string"),
            ("message", "string"),
            ("reason", "string"),
            ("related", "object"),
            ("reportingComponent", "string"),
            ("reportingInstance", "string"),
            ("series", "object"),
            ("source", "object"),
            ("type", "string"),
        ],
        Kind::Namespace
        | Kind::Node
        | Kind::PersistentVolume
        | Kind::PersistentVolumeClaim
        | Kind::Service
        | Kind::CronJob
        | Kind::Job
        | Kind::Pod => &[("spec", "object"), ("status", "object")],
    }
}

#[cfg(test)]
mod tests;
