//! Which lists of the built-in kinds merge by which key (upstream's `patchStrategy` and `patchMergeKey`
//! tags).
//!
//! The table is a graph of types, not of words: `ports` of a Service merge by `port`, those of a container by
//! `containerPort`, and a ConfigMap's data may have any key. Only what leads to a merging list is in it:
//! every other list is replaced as a whole, every other map merges entry by entry.

/// A type with fields of interest.
#[derive(Debug)]
pub(super) struct Struct(&'static [(&'static str, Field)]);

/// How a field takes a patch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    /// A struct, by its own fields.
    Struct(&'static Struct),
    /// A list of structs, element by element with the same value of the key.
    MergeByKey(&'static str, &'static Struct),
    /// A list of scalars, as a set.
    MergeScalars,
}

impl Struct {
    /// How the field takes a patch, if in another way than a plain map, list or scalar.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, field)| *field)
    }

    /// The type of a built-in kind.
    pub(super) fn of_kind(kind: &str) -> &'static Struct {
        match kind {
            "CronJob" => &CRON_JOB,
            "Job" => &JOB,
            "Namespace" => &NAMESPACE,
            "Node" => &NODE,
            "PersistentVolumeClaim" => &PERSISTENT_VOLUME_CLAIM,
            "Pod" => &POD,
            "Service" => &SERVICE,
            "ServiceAccount" => &SERVICE_ACCOUNT,
            _ => &OBJECT,
        }
    }
}

use Field::{MergeByKey, MergeScalars, Struct as Of};

const METADATA: (&str, Field) = ("metadata", Of(&OBJECT_META));
const CONDITIONS: (&str, Field) = ("conditions", MergeByKey("type", &PLAIN));

/// A type all of whose fields are plain.
static PLAIN: Struct = Struct(&[]);

static OBJECT_META: Struct =
    Struct(&[("finalizers", MergeScalars), ("ownerReferences", MergeByKey("uid", &PLAIN))]);

static OBJECT: Struct = Struct(&[METADATA]);

static STATUS_WITH_CONDITIONS: Struct = Struct(&[CONDITIONS]);

static POD: Struct = Struct(&[METADATA, ("spec", Of(&POD_SPEC)), ("status", Of(&POD_STATUS))]);

static POD_TEMPLATE: Struct = Struct(&[METADATA, ("spec", Of(&POD_SPEC))]);

static POD_SPEC: Struct = Struct(&[
    ("containers", MergeByKey("name", &CONTAINER)),
    ("ephemeralContainers", MergeByKey("name", &CONTAINER)),
    ("hostAliases", MergeByKey("ip", &PLAIN)),
    ("imagePullSecrets", MergeByKey("name", &PLAIN)),
    ("initContainers", MergeByKey("name", &CONTAINER)),
    ("resourceClaims", MergeByKey("name", &PLAIN)),
    ("schedulingGates", MergeByKey("name", &PLAIN)),
    ("topologySpreadConstraints", MergeByKey("topologyKey", &PLAIN)),
    ("volumes", MergeByKey("name", &VOLUME)),
]);

static POD_STATUS: Struct = Struct(&[
    CONDITIONS,
    ("hostIPs", MergeByKey("ip", &PLAIN)),
    ("podIPs", MergeByKey("ip", &PLAIN)),
    ("resourceClaimStatuses", MergeByKey("name", &PLAIN)),
]);

static CONTAINER: Struct = Struct(&[
    ("env", MergeByKey("name", &PLAIN)),
    ("ports", MergeByKey("containerPort", &PLAIN)),
    ("volumeDevices", MergeByKey("devicePath", &PLAIN)),
    ("volumeMounts", MergeByKey("mountPath", &PLAIN)),
]);

static VOLUME: Struct = Struct(&[("ephemeral", Of(&EPHEMERAL_VOLUME))]);

static EPHEMERAL_VOLUME: Struct = Struct(&[("volumeClaimTemplate", Of(&OBJECT))]);

static JOB: Struct = Struct(&[METADATA, ("spec", Of(&JOB_SPEC)), ("status", Of(&STATUS_WITH_CONDITIONS))]);

static JOB_SPEC: Struct = Struct(&[("template", Of(&POD_TEMPLATE))]);

static CRON_JOB: Struct = Struct(&[METADATA, ("spec", Of(&CRON_JOB_SPEC))]);

static CRON_JOB_SPEC: Struct = Struct(&[("jobTemplate", Of(&JOB_TEMPLATE))]);

static JOB_TEMPLATE: Struct = Struct(&[METADATA, ("spec", Of(&JOB_SPEC))]);

static NAMESPACE: Struct = Struct(&[METADATA, ("status", Of(&STATUS_WITH_CONDITIONS))]);

static NODE: Struct = Struct(&[METADATA, ("spec", Of(&NODE_SPEC)), ("status", Of(&NODE_STATUS))]);

static NODE_SPEC: Struct = Struct(&[("podCIDRs", MergeScalars)]);

static NODE_STATUS: Struct = Struct(&[("addresses", MergeByKey("type", &PLAIN)), CONDITIONS]);

static PERSISTENT_VOLUME_CLAIM: Struct = Struct(&[METADATA, ("status", Of(&STATUS_WITH_CONDITIONS))]);

static SERVICE: Struct =
    Struct(&[METADATA, ("spec", Of(&SERVICE_SPEC)), ("status", Of(&STATUS_WITH_CONDITIONS))]);

static SERVICE_SPEC: Struct = Struct(&[("ports", MergeByKey("port", &PLAIN))]);

static SERVICE_ACCOUNT: Struct = Struct(&[METADATA, ("secrets", MergeByKey("name", &PLAIN))]);
