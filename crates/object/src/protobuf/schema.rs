//! Which field of which message is which field in JSON.

mod auth;
mod batch;
mod coordination;
mod core;
mod events;
mod meta;
mod node;
mod pod;
mod policy;
mod rbac;
mod scheduling;
mod storage;
mod volume;

/// The fields of a message, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Fields(pub(super) &'static [Field]);

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    /// Its name in JSON; empty for a struct whose fields belong to the struct around it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// How often a field's content may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Once. A zero is a value: of a pointer in Go, or of a field that Go always writes.
    Single,
    /// Once. Zero means that there is no value: protobuf sends it, JSON leaves it out.
    ZeroIsAbsent,
    List,
    Map,
    /// Once, a struct of which JSON knows only the fields.
    Inline,
}

/// The type of a field's content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    /// Base64 in JSON.
    Bytes,
    Message(&'static Fields),
    /// Seconds and nanoseconds, RFC 3339 in whole seconds in JSON.
    Time,
    /// Seconds and nanoseconds, RFC 3339 with six decimals in JSON.
    MicroTime,
    /// A message around a text, a text in JSON.
    Quantity,
    /// Either of two in JSON.
    IntOrString,
    /// A message around a text that is JSON itself.
    Json,
    /// A message around a list of texts, the list in JSON.
    TextList,
}

const fn new(number: u64, name: &'static str, kind: Kind, shape: Shape) -> Field {
    Field { number, name, kind, shape }
}

const fn field(number: u64, name: &'static str, kind: Kind) -> Field {
    new(number, name, kind, Shape::Single)
}

const fn optional(number: u64, name: &'static str, kind: Kind) -> Field {
    new(number, name, kind, Shape::ZeroIsAbsent)
}

const fn list(number: u64, name: &'static str, kind: Kind) -> Field {
    new(number, name, kind, Shape::List)
}

const fn map(number: u64, name: &'static str, value: Kind) -> Field {
    new(number, name, value, Shape::Map)
}

const fn inline(number: u64, fields: &'static Fields) -> Field {
    new(number, "", Kind::Message(fields), Shape::Inline)
}

/// The fields of a kind, if its encoding is known.
pub(super) fn fields_of(api_version: &str, kind: &str) -> Option<&'static Fields> {
    let fields = match (api_version, kind) {
        // Clients send these options in the version of the object that they delete.
        (_, "DeleteOptions") => &meta::DELETE_OPTIONS,
        ("v1", "ConfigMap") => &core::CONFIG_MAP,
        ("v1", "Event") => &core::EVENT,
        ("v1", "LimitRange") => &core::LIMIT_RANGE,
        ("v1", "Namespace") => &core::NAMESPACE,
        ("v1", "Node") => &core::NODE,
        ("v1", "PersistentVolume") => &core::PERSISTENT_VOLUME,
        ("v1", "PersistentVolumeClaim") => &core::PERSISTENT_VOLUME_CLAIM,
        ("v1", "Pod") => &pod::POD,
        ("v1", "Secret") => &core::SECRET,
        ("v1", "Service") => &core::SERVICE,
        ("v1", "ServiceAccount") => &core::SERVICE_ACCOUNT,
        ("batch/v1", "CronJob") => &batch::CRON_JOB,
        ("batch/v1", "Job") => &batch::JOB,
        ("events.k8s.io/v1", "Event") => &events::EVENT,
        ("coordination.k8s.io/v1", "Lease") => &coordination::LEASE,
        ("node.k8s.io/v1", "RuntimeClass") => &node::RUNTIME_CLASS,
        ("policy/v1", "Eviction") => &policy::EVICTION,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => &rbac::CLUSTER_ROLE,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding" | "RoleBinding") => &rbac::CLUSTER_ROLE_BINDING,
        ("rbac.authorization.k8s.io/v1", "Role") => &rbac::ROLE,
        ("scheduling.k8s.io/v1", "PriorityClass") => &scheduling::PRIORITY_CLASS,
        ("storage.k8s.io/v1", "StorageClass") => &storage::STORAGE_CLASS,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => &auth::SELF_SUBJECT_REVIEW,
        ("authentication.k8s.io/v1", "TokenRequest") => &auth::TOKEN_REQUEST,
        ("authentication.k8s.io/v1", "TokenReview") => &auth::TOKEN_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => &auth::SELF_SUBJECT_ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => &auth::SELF_SUBJECT_RULES_REVIEW,
        ("authorization.k8s.io/v1", "LocalSubjectAccessReview" | "SubjectAccessReview") => {
            &auth::SUBJECT_ACCESS_REVIEW
        }
        _ => return None,
    };
    Some(fields)
}
