//! The kinds of object this API server knows, and what clients must be told about each.

use std::fmt;

use k8s_openapi::api::{
    batch::v1 as batch, coordination::v1 as coordination, core::v1 as core, node::v1 as node,
    rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
};

/// What discovery, routing and printing need to know about a kind.
#[derive(Debug)]
pub struct Descriptor {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version; every kind here has exactly one.
    pub version: &'static str,
    /// `kind` as written in manifests.
    pub kind: &'static str,
    /// Resource name in request paths.
    pub plural: &'static str,
    /// Singular resource name.
    pub singular: &'static str,
    /// Abbreviations kubectl accepts.
    pub short_names: &'static [&'static str],
    /// Groups of resources such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether `status` is written through its own subresource.
    pub has_status: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub has_generation: bool,
}

impl Descriptor {
    /// `apiVersion` as written in manifests: `v1`, `batch/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `plural.group`, the form error messages use: `jobs.batch`, `pods`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Kind.group`, the form validation messages use: `Job.batch`, `Pod`.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }
}

macro_rules! kinds {
    ($($variant:ident($type:ty) { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A kind of object. The order is the order of storage keys and of listings over all kinds.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = concat!("`", stringify!($variant), "`")] $variant),* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$variant),*];

            /// What clients are told about this kind.
            pub fn descriptor(self) -> &'static Descriptor {
                match self { $(Kind::$variant => {
                    static DESCRIPTOR: Descriptor = Descriptor { kind: stringify!($variant), $($field: $value),* };
                    &DESCRIPTOR
                }),* }
            }
        }

        /// An object of any kind in its typed form.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Typed { $(#[doc = concat!("`", stringify!($variant), "`")] $variant(Box<$type>)),* }

        $(
            impl Resource for $type { const OBJECT_KIND: Kind = Kind::$variant; }
            impl From<$type> for Typed {
                fn from(object: $type) -> Self { Typed::$variant(Box::new(object)) }
            }
        )*

        /// Runs `$body` with `$object` bound to the typed object inside a [`Typed`], whatever its kind.
        #[macro_export]
        macro_rules! with_typed {
            ($typed:expr, $object:ident => $body:expr) => {
                match $typed { $($crate::Typed::$variant($object) => $body),* }
            };
        }

        /// Runs `$body` with the type alias `$T` naming the type of the given [`Kind`].
        #[macro_export]
        macro_rules! with_kind {
            ($kind:expr, $T:ident => $body:expr) => {
                match $kind { $($crate::Kind::$variant => { type $T = $crate::api::$variant; $body }),* }
            };
        }
    };
}

/// A Kubernetes type that is stored: ties the Rust type to its [`Kind`].
pub trait Resource:
    k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>
    + serde::Serialize
    + serde::de::DeserializeOwned
    + Clone
    + Default
    + Into<Typed>
{
    /// The kind of this type.
    const OBJECT_KIND: Kind;
}

const NONE: &[&str] = &[];

kinds! {
    Namespace(core::Namespace) {
        group: "", version: "v1", plural: "namespaces", singular: "namespace", short_names: &["ns"],
        categories: NONE, namespaced: false, has_status: true, has_generation: false,
    }
    Node(core::Node) {
        group: "", version: "v1", plural: "nodes", singular: "node", short_names: &["no"],
        categories: NONE, namespaced: false, has_status: true, has_generation: false,
    }
    ServiceAccount(core::ServiceAccount) {
        group: "", version: "v1", plural: "serviceaccounts", singular: "serviceaccount", short_names: &["sa"],
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    ConfigMap(core::ConfigMap) {
        group: "", version: "v1", plural: "configmaps", singular: "configmap", short_names: &["cm"],
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    Secret(core::Secret) {
        group: "", version: "v1", plural: "secrets", singular: "secret", short_names: NONE,
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    PersistentVolumeClaim(core::PersistentVolumeClaim) {
        group: "", version: "v1", plural: "persistentvolumeclaims", singular: "persistentvolumeclaim",
        short_names: &["pvc"], categories: NONE, namespaced: true, has_status: true, has_generation: false,
    }
    PersistentVolume(core::PersistentVolume) {
        group: "", version: "v1", plural: "persistentvolumes", singular: "persistentvolume",
        short_names: &["pv"], categories: NONE, namespaced: false, has_status: true, has_generation: false,
    }
    StorageClass(storage::StorageClass) {
        group: "storage.k8s.io", version: "v1", plural: "storageclasses", singular: "storageclass",
        short_names: &["sc"], categories: NONE, namespaced: false, has_status: false, has_generation: false,
    }
    RuntimeClass(node::RuntimeClass) {
        group: "node.k8s.io", version: "v1", plural: "runtimeclasses", singular: "runtimeclass",
        short_names: NONE, categories: NONE, namespaced: false, has_status: false, has_generation: false,
    }
    PriorityClass(scheduling::PriorityClass) {
        group: "scheduling.k8s.io", version: "v1", plural: "priorityclasses", singular: "priorityclass",
        short_names: &["pc"], categories: NONE, namespaced: false, has_status: false, has_generation: true,
    }
    ClusterRole(rbac::ClusterRole) {
        group: "rbac.authorization.k8s.io", version: "v1", plural: "clusterroles", singular: "clusterrole",
        short_names: NONE, categories: NONE, namespaced: false, has_status: false, has_generation: false,
    }
    ClusterRoleBinding(rbac::ClusterRoleBinding) {
        group: "rbac.authorization.k8s.io", version: "v1", plural: "clusterrolebindings",
        singular: "clusterrolebinding", short_names: NONE, categories: NONE, namespaced: false, has_status: false,
        has_generation: false,
    }
    Role(rbac::Role) {
        group: "rbac.authorization.k8s.io", version: "v1", plural: "roles", singular: "role", short_names: NONE,
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    RoleBinding(rbac::RoleBinding) {
        group: "rbac.authorization.k8s.io", version: "v1", plural: "rolebindings", singular: "rolebinding",
        short_names: NONE, categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    LimitRange(core::LimitRange) {
        group: "", version: "v1", plural: "limitranges", singular: "limitrange", short_names: &["limits"],
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    Service(core::Service) {
        group: "", version: "v1", plural: "services", singular: "service", short_names: &["svc"],
        categories: &["all"], namespaced: true, has_status: true, has_generation: false,
    }
    Lease(coordination::Lease) {
        group: "coordination.k8s.io", version: "v1", plural: "leases", singular: "lease", short_names: NONE,
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
    CronJob(batch::CronJob) {
        group: "batch", version: "v1", plural: "cronjobs", singular: "cronjob", short_names: &["cj"],
        categories: &["all"], namespaced: true, has_status: true, has_generation: true,
    }
    Job(batch::Job) {
        group: "batch", version: "v1", plural: "jobs", singular: "job", short_names: NONE,
        categories: &["all"], namespaced: true, has_status: true, has_generation: true,
    }
    Pod(core::Pod) {
        group: "", version: "v1", plural: "pods", singular: "pod", short_names: &["po"],
        categories: &["all"], namespaced: true, has_status: true, has_generation: true,
    }
    Event(core::Event) {
        group: "", version: "v1", plural: "events", singular: "event", short_names: &["ev"],
        categories: NONE, namespaced: true, has_status: false, has_generation: false,
    }
}

impl Kind {
    /// The kind served under a group, version and resource name of a request path.
    pub fn from_resource(group: &str, version: &str, plural: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| {
            let d = kind.descriptor();
            d.group == group && d.version == version && d.plural == plural
        })
    }

    /// The kind named by a manifest's `apiVersion` and `kind`.
    pub fn from_manifest(api_version: &str, kind: &str) -> Option<Kind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Kind::ALL.iter().copied().find(|k| {
            let d = k.descriptor();
            d.group == group && d.version == version && d.kind == kind
        })
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.descriptor().kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.descriptor().kind)
    }
}

impl Typed {
    /// The kind of this object.
    pub fn kind(&self) -> Kind {
        fn kind_of<T: Resource>(_: &T) -> Kind {
            T::OBJECT_KIND
        }
        with_typed!(self, object => kind_of(object.as_ref()))
    }

    /// The object's metadata.
    pub fn metadata(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        with_typed!(self, object => &object.metadata)
    }

    /// The object's metadata, to be changed.
    pub fn metadata_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        with_typed!(self, object => &mut object.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_path_and_by_manifest() {
        for &kind in Kind::ALL {
            let d = kind.descriptor();
            assert_eq!(Kind::from_resource(d.group, d.version, d.plural), Some(kind));
            assert_eq!(Kind::from_manifest(&d.api_version(), d.kind), Some(kind));
            assert_eq!(with_kind!(kind, T => T::OBJECT_KIND), kind);
        }
        assert_eq!(Kind::from_manifest("batch/v1beta1", "CronJob"), None);
    }

    #[test]
    fn names_in_messages_carry_the_group() {
        assert_eq!(Kind::Job.descriptor().resource(), "jobs.batch");
        assert_eq!(Kind::Job.descriptor().qualified_kind(), "Job.batch");
        assert_eq!(Kind::Pod.descriptor().resource(), "pods");
        assert_eq!(Kind::CronJob.descriptor().api_version(), "batch/v1");
    }
}
