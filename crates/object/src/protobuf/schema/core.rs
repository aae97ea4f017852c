// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! The other kinds of the core group.

use super::Kind::{Bool, Bytes, Int, IntOrString, Message, MicroTime, Quantity, Text, Time};
use super::{Fields, field, inline, list, map, meta, optional, pod, volume};

pub(super) static ATTACHED_VOLUME: Fields = Fields(&[field(1, "name", Text), field(2, "devicePath", Text)]);

pub(super) static CLIENT_IP_CONFIG: Fields = Fields(&[field(1, "timeoutSeconds", Int)]);

pub(super) static CONFIG_MAP: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    map(2, "data", Text),
    map(3, "binaryData", Bytes),
    field(4, "immutable", Bool),
]);

pub(super) static CONFIG_MAP_NODE_CONFIG_SOURCE: Fields = Fields(&[
    field(1, "namespace", Text),
    field(2, "name", Text),
    optional(3, "uid", Text),
    optional(4, "resourceVersion", Text),
    field(5, "kubeletConfigKey", Text),
]);

pub(super) static CONTAINER_IMAGE: Fields = Fields(&[list(1, "names", Text), optional(2, "sizeBytes", Int)]);

pub(super) static DAEMON_ENDPOINT: Fields = Fields(&[field(1, "Port", Int)]);

pub(super) static EVENT: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "involvedObject", Message(&OBJECT_REFERENCE)),
    optional(3, "reason", Text),
    optional(4, "message", Text),
    field(5, "source", Message(&EVENT_SOURCE)),
    field(6, "firstTimestamp", Time),
    field(7, "lastTimestamp", Time),
    optional(8, "count", Int),
    optional(9, "type", Text),
    field(10, "eventTime", MicroTime),
    field(11, "series", Message(&EVENT_SERIES)),
    optional(12, "action", Text),
    field(13, "related", Message(&OBJECT_REFERENCE)),
    optional(14, "reportingComponent", Text),
    optional(15, "reportingInstance", Text),
]);

pub(super) static EVENT_SERIES: Fields =
    Fields(&[optional(1, "count", Int), field(2, "lastObservedTime", MicroTime)]);

pub(super) static EVENT_SOURCE: Fields = Fields(&[optional(1, "component", Text), optional(2, "host", Text)]);

pub(super) static LIMIT_RANGE: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&LIMIT_RANGE_SPEC)),
]);

pub(super) static LIMIT_RANGE_ITEM: Fields = Fields(&[
    field(1, "type", Text),
    map(2, "max", Quantity),
    map(3, "min", Quantity),
    map(4, "default", Quantity),
    map(5, "defaultRequest", Quantity),
    map(6, "maxLimitRequestRatio", Quantity),
]);

pub(super) static LIMIT_RANGE_SPEC: Fields = Fields(&[list(1, "limits", Message(&LIMIT_RANGE_ITEM))]);

pub(super) static LOAD_BALANCER_INGRESS: Fields = Fields(&[
    optional(1, "ip", Text),
    optional(2, "hostname", Text),
    field(3, "ipMode", Text),
    list(4, "ports", Message(&PORT_STATUS)),
]);

pub(super) static LOAD_BALANCER_STATUS: Fields =
    Fields(&[list(1, "ingress", Message(&LOAD_BALANCER_INGRESS))]);

pub(super) static MODIFY_VOLUME_STATUS: Fields =
    Fields(&[optional(1, "targetVolumeAttributesClassName", Text), field(2, "status", Text)]);

pub(super) static NAMESPACE: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&NAMESPACE_SPEC)),
    field(3, "status", Message(&NAMESPACE_STATUS)),
]);

pub(super) static NAMESPACE_CONDITION: Fields = Fields(&[
    field(1, "type", Text),
    field(2, "status", Text),
    field(4, "lastTransitionTime", Time),
    optional(5, "reason", Text),
    optional(6, "message", Text),
]);

pub(super) static NAMESPACE_SPEC: Fields = Fields(&[list(1, "finalizers", Text)]);

pub(super) static NAMESPACE_STATUS: Fields =
    Fields(&[optional(1, "phase", Text), list(2, "conditions", Message(&NAMESPACE_CONDITION))]);

pub(super) static NODE: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&NODE_SPEC)),
    field(3, "status", Message(&NODE_STATUS)),
]);

pub(super) static NODE_ADDRESS: Fields = Fields(&[field(1, "type", Text), field(2, "address", Text)]);

pub(super) static NODE_CONDITION: Fields = Fields(&[
    field(1, "type", Text),
    field(2, "status", Text),
    field(3, "lastHeartbeatTime", Time),
    field(4, "lastTransitionTime", Time),
    optional(5, "reason", Text),
    optional(6, "message", Text),
]);

pub(super) static NODE_CONFIG_SOURCE: Fields =
    Fields(&[field(2, "configMap", Message(&CONFIG_MAP_NODE_CONFIG_SOURCE))]);

pub(super) static NODE_CONFIG_STATUS: Fields = Fields(&[
    field(1, "assigned", Message(&NODE_CONFIG_SOURCE)),
    field(2, "active", Message(&NODE_CONFIG_SOURCE)),
    field(3, "lastKnownGood", Message(&NODE_CONFIG_SOURCE)),
    optional(4, "error", Text),
]);

pub(super) static NODE_DAEMON_ENDPOINTS: Fields =
    Fields(&[field(1, "kubeletEndpoint", Message(&DAEMON_ENDPOINT))]);

pub(super) static NODE_FEATURES: Fields = Fields(&[field(1, "supplementalGroupsPolicy", Bool)]);

pub(super) static NODE_RUNTIME_HANDLER: Fields =
    Fields(&[optional(1, "name", Text), field(2, "features", Message(&NODE_RUNTIME_HANDLER_FEATURES))]);

pub(super) static NODE_RUNTIME_HANDLER_FEATURES: Fields =
    Fields(&[field(1, "recursiveReadOnlyMounts", Bool), field(2, "userNamespaces", Bool)]);

pub(super) static NODE_SPEC: Fields = Fields(&[
    optional(1, "podCIDR", Text),
    optional(2, "externalID", Text),
    optional(3, "providerID", Text),
    optional(4, "unschedulable", Bool),
    list(5, "taints", Message(&TAINT)),
    field(6, "configSource", Message(&NODE_CONFIG_SOURCE)),
    list(7, "podCIDRs", Text),
]);

pub(super) static NODE_STATUS: Fields = Fields(&[
    map(1, "capacity", Quantity),
    map(2, "allocatable", Quantity),
    optional(3, "phase", Text),
    list(4, "conditions", Message(&NODE_CONDITION)),
    list(5, "addresses", Message(&NODE_ADDRESS)),
    field(6, "daemonEndpoints", Message(&NODE_DAEMON_ENDPOINTS)),
    field(7, "nodeInfo", Message(&NODE_SYSTEM_INFO)),
    list(8, "images", Message(&CONTAINER_IMAGE)),
    list(9, "volumesInUse", Text),
    list(10, "volumesAttached", Message(&ATTACHED_VOLUME)),
    field(11, "config", Message(&NODE_CONFIG_STATUS)),
    list(12, "runtimeHandlers", Message(&NODE_RUNTIME_HANDLER)),
    field(13, "features", Message(&NODE_FEATURES)),
    list(14, "declaredFeatures", Text),
]);

pub(super) static NODE_SWAP_STATUS: Fields = Fields(&[field(1, "capacity", Int)]);

pub(super) static NODE_SYSTEM_INFO: Fields = Fields(&[
    field(1, "machineID", Text),
    field(2, "systemUUID", Text),
    field(3, "bootID", Text),
    field(4, "kernelVersion", Text),
    field(5, "osImage", Text),
    field(6, "containerRuntimeVersion", Text),
    field(7, "kubeletVersion", Text),
    field(8, "kubeProxyVersion", Text),
    field(9, "operatingSystem", Text),
    field(10, "architecture", Text),
    field(11, "swap", Message(&NODE_SWAP_STATUS)),
]);

pub(super) static OBJECT_REFERENCE: Fields = Fields(&[
    optional(1, "kind", Text),
    optional(2, "namespace", Text),
    optional(3, "name", Text),
    optional(4, "uid", Text),
    optional(5, "apiVersion", Text),
    optional(6, "resourceVersion", Text),
    optional(7, "fieldPath", Text),
]);

pub(super) static PERSISTENT_VOLUME: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&PERSISTENT_VOLUME_SPEC)),
    field(3, "status", Message(&PERSISTENT_VOLUME_STATUS)),
]);

pub(super) static PERSISTENT_VOLUME_CLAIM: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&pod::PERSISTENT_VOLUME_CLAIM_SPEC)),
    field(3, "status", Message(&PERSISTENT_VOLUME_CLAIM_STATUS)),
]);

pub(super) static PERSISTENT_VOLUME_CLAIM_CONDITION: Fields = Fields(&[
    field(1, "type", Text),
    field(2, "status", Text),
    field(3, "lastProbeTime", Time),
    field(4, "lastTransitionTime", Time),
    optional(5, "reason", Text),
    optional(6, "message", Text),
]);

pub(super) static PERSISTENT_VOLUME_CLAIM_STATUS: Fields = Fields(&[
    optional(1, "phase", Text),
    list(2, "accessModes", Text),
    map(3, "capacity", Quantity),
    list(4, "conditions", Message(&PERSISTENT_VOLUME_CLAIM_CONDITION)),
    map(5, "allocatedResources", Quantity),
    map(7, "allocatedResourceStatuses", Text),
    field(8, "currentVolumeAttributesClassName", Text),
    field(9, "modifyVolumeStatus", Message(&MODIFY_VOLUME_STATUS)),
]);

pub(super) static PERSISTENT_VOLUME_SPEC: Fields = Fields(&[
    map(1, "capacity", Quantity),
    inline(2, &volume::PERSISTENT_VOLUME_SOURCE),
    list(3, "accessModes", Text),
    field(4, "claimRef", Message(&OBJECT_REFERENCE)),
    optional(5, "persistentVolumeReclaimPolicy", Text),
    optional(6, "storageClassName", Text),
    list(7, "mountOptions", Text),
    field(8, "volumeMode", Text),
    field(9, "nodeAffinity", Message(&VOLUME_NODE_AFFINITY)),
    field(10, "volumeAttributesClassName", Text),
]);

pub(super) static PERSISTENT_VOLUME_STATUS: Fields = Fields(&[
    optional(1, "phase", Text),
    optional(2, "message", Text),
    optional(3, "reason", Text),
    field(4, "lastPhaseTransitionTime", Time),
]);

pub(super) static PORT_STATUS: Fields =
    Fields(&[field(1, "port", Int), field(2, "protocol", Text), field(3, "error", Text)]);

pub(super) static SECRET: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    map(2, "data", Bytes),
    optional(3, "type", Text),
    map(4, "stringData", Text),
    field(5, "immutable", Bool),
]);

pub(super) static SECRET_REFERENCE: Fields =
    Fields(&[optional(1, "name", Text), optional(2, "namespace", Text)]);

pub(super) static SERVICE: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&SERVICE_SPEC)),
    field(3, "status", Message(&SERVICE_STATUS)),
]);

pub(super) static SERVICE_ACCOUNT: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    list(2, "secrets", Message(&OBJECT_REFERENCE)),
    list(3, "imagePullSecrets", Message(&pod::LOCAL_OBJECT_REFERENCE)),
    field(4, "automountServiceAccountToken", Bool),
]);

pub(super) static SERVICE_PORT: Fields = Fields(&[
    optional(1, "name", Text),
    optional(2, "protocol", Text),
    field(3, "port", Int),
    field(4, "targetPort", IntOrString),
    optional(5, "nodePort", Int),
    field(6, "appProtocol", Text),
]);

pub(super) static SERVICE_SPEC: Fields = Fields(&[
    list(1, "ports", Message(&SERVICE_PORT)),
    map(2, "selector", Text),
    optional(3, "clusterIP", Text),
    optional(4, "type", Text),
    list(5, "externalIPs", Text),
    optional(7, "sessionAffinity", Text),
    optional(8, "loadBalancerIP", Text),
    list(9, "loadBalancerSourceRanges", Text),
    optional(10, "externalName", Text),
    optional(11, "externalTrafficPolicy", Text),
    optional(12, "healthCheckNodePort", Int),
    optional(13, "publishNotReadyAddresses", Bool),
    field(14, "sessionAffinityConfig", Message(&SESSION_AFFINITY_CONFIG)),
    field(17, "ipFamilyPolicy", Text),
    list(18, "clusterIPs", Text),
    list(19, "ipFamilies", Text),
    field(20, "allocateLoadBalancerNodePorts", Bool),
    field(21, "loadBalancerClass", Text),
    field(22, "internalTrafficPolicy", Text),
    field(23, "trafficDistribution", Text),
]);

pub(super) static SERVICE_STATUS: Fields = Fields(&[
    field(1, "loadBalancer", Message(&LOAD_BALANCER_STATUS)),
    list(2, "conditions", Message(&meta::CONDITION)),
]);

pub(super) static SESSION_AFFINITY_CONFIG: Fields =
    Fields(&[field(1, "clientIP", Message(&CLIENT_IP_CONFIG))]);

pub(super) static TAINT: Fields = Fields(&[
    field(1, "key", Text),
    optional(2, "value", Text),
    field(3, "effect", Text),
    field(4, "timeAdded", Time),
]);

pub(super) static TOPOLOGY_SELECTOR_LABEL_REQUIREMENT: Fields =
    Fields(&[field(1, "key", Text), list(2, "values", Text)]);

pub(super) static TOPOLOGY_SELECTOR_TERM: Fields =
    Fields(&[list(1, "matchLabelExpressions", Message(&TOPOLOGY_SELECTOR_LABEL_REQUIREMENT))]);

pub(super) static VOLUME_NODE_AFFINITY: Fields =
    Fields(&[field(1, "required", Message(&pod::NODE_SELECTOR))]);
