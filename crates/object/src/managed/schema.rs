//! Which parts of the built-in kinds have an owner of their own, as upstream's types say by `listType`, `listMapKey`,
//! `structType` and `mapType`.
//!
//! What the table does not name is the rule: a map is owned entry by entry, a list as a whole.

/// A type with fields that are not as the rule says, or that lead to such.
#[derive(Debug)]
pub(super) struct Struct(&'static [(&'static str, Shape)]);

/// How a field is owned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Field by field.
    Struct(&'static Struct),
    /// A list, element by element; these fields tell elements apart. The fields that an element may lack have what it is
    /// then taken to have.
    Keyed(&'static [Key], &'static Struct),
    /// A list of scalars, value by value.
    Set,
    /// As a whole, although it is a map.
    Atomic,
}

/// A field that tells elements of a list apart.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) field: &'static str,
    /// What an element has that does not say.
    pub(super) default: Option<&'static str>,
}

impl Struct {
    /// How a field is owned, if in another way than the rule says.
    pub(super) fn field(&self, name: &str) -> Option<Shape> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, shape)| *shape)
    }

    /// The type of a built-in kind.
    pub(super) fn of_kind(kind: &str) -> &'static Struct {
        match kind {
            "CronJob" => &CRON_JOB,
            "Job" => &JOB,
            "Namespace" => &WITH_CONDITIONS,
            "Node" => &NODE,
            "PersistentVolume" => &PERSISTENT_VOLUME,
            "PersistentVolumeClaim" => &PERSISTENT_VOLUME_CLAIM,
            "Pod" => &POD,
            "RuntimeClass" => &RUNTIME_CLASS,
            "Service" => &SERVICE,
            "ServiceAccount" => &SERVICE_ACCOUNT,
            "Event" => &EVENT,
            _ => &OBJECT,
        }
    }
}

use Shape::{Atomic, Keyed, Set, Struct as Of};

const fn key(field: &'static str) -> Key {
    Key { field, default: None }
}

const BY_NAME: &[Key] = &[key("name")];
const BY_TYPE: &[Key] = &[key("type")];
const METADATA: (&str, Shape) = ("metadata", Of(&OBJECT_META));
const CONDITIONS: (&str, Shape) = ("conditions", Keyed(BY_TYPE, &PLAIN));

/// A type all of whose fields are as the rule says.
static PLAIN: Struct = Struct(&[]);

static OBJECT_META: Struct =
    Struct(&[("finalizers", Set), ("ownerReferences", Keyed(&[key("uid")], &PLAIN))]);

static OBJECT: Struct = Struct(&[METADATA]);

static STATUS: Struct = Struct(&[CONDITIONS]);

static WITH_CONDITIONS: Struct = Struct(&[METADATA, ("status", Of(&STATUS))]);

static POD: Struct = Struct(&[METADATA, ("spec", Of(&POD_SPEC)), ("status", Of(&POD_STATUS))]);

static POD_TEMPLATE: Struct = Struct(&[METADATA, ("spec", Of(&POD_SPEC))]);

static POD_SPEC: Struct = Struct(&[
    ("affinity", Of(&AFFINITY)),
    ("containers", Keyed(BY_NAME, &CONTAINER)),
    ("ephemeralContainers", Keyed(BY_NAME, &CONTAINER)),
    ("hostAliases", Keyed(&[key("ip")], &PLAIN)),
    ("imagePullSecrets", Keyed(BY_NAME, &PLAIN)),
    ("initContainers", Keyed(BY_NAME, &CONTAINER)),
    ("nodeSelector", Atomic),
    ("resourceClaims", Keyed(BY_NAME, &PLAIN)),
    ("schedulingGates", Keyed(BY_NAME, &PLAIN)),
    ("topologySpreadConstraints", Keyed(&[key("topologyKey"), key("whenUnsatisfiable")], &SPREAD)),
    ("volumes", Keyed(BY_NAME, &VOLUME)),
]);

static AFFINITY: Struct = Struct(&[("nodeAffinity", Of(&NODE_AFFINITY))]);

static NODE_AFFINITY: Struct = Struct(&[("requiredDuringSchedulingIgnoredDuringExecution", Atomic)]);

static SPREAD: Struct = Struct(&[("labelSelector", Atomic)]);

static POD_STATUS: Struct = Struct(&[
    CONDITIONS,
    ("podIPs", Keyed(&[key("ip")], &PLAIN)),
    ("resourceClaimStatuses", Keyed(BY_NAME, &PLAIN)),
]);

static CONTAINER: Struct = Struct(&[
    ("env", Keyed(BY_NAME, &ENV_VAR)),
    ("ports", Keyed(&[key("containerPort"), Key { field: "protocol", default: Some("TCP") }], &PLAIN)),
    ("resources", Of(&RESOURCES)),
    ("volumeDevices", Keyed(&[key("devicePath")], &PLAIN)),
    ("volumeMounts", Keyed(&[key("mountPath")], &PLAIN)),
]);

static RESOURCES: Struct = Struct(&[("claims", Keyed(BY_NAME, &PLAIN))]);

static ENV_VAR: Struct = Struct(&[("valueFrom", Of(&ENV_VAR_SOURCE))]);

static ENV_VAR_SOURCE: Struct = Struct(&[
    ("configMapKeyRef", Atomic),
    ("fieldRef", Atomic),
    ("fileKeyRef", Atomic),
    ("resourceFieldRef", Atomic),
    ("secretKeyRef", Atomic),
]);

static VOLUME: Struct = Struct(&[("ephemeral", Of(&EPHEMERAL_VOLUME))]);

static EPHEMERAL_VOLUME: Struct = Struct(&[("volumeClaimTemplate", Of(&CLAIM_TEMPLATE))]);

static CLAIM_TEMPLATE: Struct = Struct(&[METADATA, ("spec", Of(&CLAIM_SPEC))]);

static CLAIM_SPEC: Struct = Struct(&[("dataSource", Atomic), ("selector", Atomic)]);

static JOB: Struct = Struct(&[METADATA, ("spec", Of(&JOB_SPEC)), ("status", Of(&JOB_STATUS))]);

static JOB_SPEC: Struct = Struct(&[("selector", Atomic), ("template", Of(&POD_TEMPLATE))]);

static JOB_STATUS: Struct = Struct(&[("uncountedTerminatedPods", Of(&UNCOUNTED))]);

static UNCOUNTED: Struct = Struct(&[("failed", Set), ("succeeded", Set)]);

static CRON_JOB: Struct = Struct(&[METADATA, ("spec", Of(&CRON_JOB_SPEC))]);

static CRON_JOB_SPEC: Struct = Struct(&[("jobTemplate", Of(&JOB_TEMPLATE))]);

static JOB_TEMPLATE: Struct = Struct(&[METADATA, ("spec", Of(&JOB_SPEC))]);

static NODE: Struct = Struct(&[METADATA, ("spec", Of(&NODE_SPEC)), ("status", Of(&NODE_STATUS))]);

static NODE_SPEC: Struct = Struct(&[("podCIDRs", Set)]);

static NODE_STATUS: Struct = Struct(&[("addresses", Keyed(BY_TYPE, &PLAIN)), CONDITIONS]);

static PERSISTENT_VOLUME: Struct = Struct(&[METADATA, ("spec", Of(&PERSISTENT_VOLUME_SPEC))]);

static PERSISTENT_VOLUME_SPEC: Struct = Struct(&[("nodeAffinity", Of(&VOLUME_NODE_AFFINITY))]);

static VOLUME_NODE_AFFINITY: Struct = Struct(&[("required", Atomic)]);

static PERSISTENT_VOLUME_CLAIM: Struct =
    Struct(&[METADATA, ("spec", Of(&CLAIM_SPEC)), ("status", Of(&STATUS))]);

static RUNTIME_CLASS: Struct = Struct(&[METADATA, ("scheduling", Of(&RUNTIME_CLASS_SCHEDULING))]);

static RUNTIME_CLASS_SCHEDULING: Struct = Struct(&[("nodeSelector", Atomic)]);

static SERVICE: Struct = Struct(&[METADATA, ("spec", Of(&SERVICE_SPEC)), ("status", Of(&STATUS))]);

static SERVICE_SPEC: Struct = Struct(&[
    ("ports", Keyed(&[key("port"), Key { field: "protocol", default: Some("TCP") }], &PLAIN)),
    ("selector", Atomic),
]);

static SERVICE_ACCOUNT: Struct = Struct(&[METADATA, ("secrets", Keyed(BY_NAME, &PLAIN))]);

static EVENT: Struct = Struct(&[METADATA, ("involvedObject", Atomic), ("related", Atomic)]);
