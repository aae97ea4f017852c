// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Pods and their parts.

use super::Kind::{Bool, Int, IntOrString, Message, Quantity, Text, Time};
use super::{Fields, field, inline, list, map, meta, optional, volume};

pub(super) static AFFINITY: Fields = Fields(&[
    field(1, "nodeAffinity", Message(&NODE_AFFINITY)),
    field(2, "podAffinity", Message(&POD_AFFINITY)),
    field(3, "podAntiAffinity", Message(&POD_ANTI_AFFINITY)),
]);

pub(super) static APP_ARMOR_PROFILE: Fields =
    Fields(&[field(1, "type", Text), field(2, "localhostProfile", Text)]);

pub(super) static CAPABILITIES: Fields = Fields(&[list(1, "add", Text), list(2, "drop", Text)]);

pub(super) static CONFIG_MAP_ENV_SOURCE: Fields =
    Fields(&[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "optional", Bool)]);

pub(super) static CONFIG_MAP_KEY_SELECTOR: Fields =
    Fields(&[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "key", Text), field(3, "optional", Bool)]);

pub(super) static CONTAINER: Fields = Fields(&[
    field(1, "name", Text),
    optional(2, "image", Text),
    list(3, "command", Text),
    list(4, "args", Text),
    optional(5, "workingDir", Text),
    list(6, "ports", Message(&CONTAINER_PORT)),
    list(7, "env", Message(&ENV_VAR)),
    field(8, "resources", Message(&RESOURCE_REQUIREMENTS)),
    list(9, "volumeMounts", Message(&VOLUME_MOUNT)),
    field(10, "livenessProbe", Message(&PROBE)),
    field(11, "readinessProbe", Message(&PROBE)),
    field(12, "lifecycle", Message(&LIFECYCLE)),
    optional(13, "terminationMessagePath", Text),
    optional(14, "imagePullPolicy", Text),
    field(15, "securityContext", Message(&SECURITY_CONTEXT)),
    optional(16, "stdin", Bool),
    optional(17, "stdinOnce", Bool),
    optional(18, "tty", Bool),
    list(19, "envFrom", Message(&ENV_FROM_SOURCE)),
    optional(20, "terminationMessagePolicy", Text),
    list(21, "volumeDevices", Message(&VOLUME_DEVICE)),
    field(22, "startupProbe", Message(&PROBE)),
    list(23, "resizePolicy", Message(&CONTAINER_RESIZE_POLICY)),
    field(24, "restartPolicy", Text),
    list(25, "restartPolicyRules", Message(&CONTAINER_RESTART_RULE)),
]);

pub(super) static CONTAINER_EXTENDED_RESOURCE_REQUEST: Fields =
    Fields(&[field(1, "containerName", Text), field(2, "resourceName", Text), field(3, "requestName", Text)]);

pub(super) static CONTAINER_PORT: Fields = Fields(&[
    optional(1, "name", Text),
    optional(2, "hostPort", Int),
    field(3, "containerPort", Int),
    optional(4, "protocol", Text),
    optional(5, "hostIP", Text),
]);

pub(super) static CONTAINER_RESIZE_POLICY: Fields =
    Fields(&[field(1, "resourceName", Text), field(2, "restartPolicy", Text)]);

pub(super) static CONTAINER_RESTART_RULE: Fields = Fields(&[
    field(1, "action", Text),
    field(2, "exitCodes", Message(&CONTAINER_RESTART_RULE_ON_EXIT_CODES)),
]);

pub(super) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: Fields =
    Fields(&[field(1, "operator", Text), list(2, "values", Int)]);

pub(super) static CONTAINER_STATE: Fields = Fields(&[
    field(1, "waiting", Message(&CONTAINER_STATE_WAITING)),
    field(2, "running", Message(&CONTAINER_STATE_RUNNING)),
    field(3, "terminated", Message(&CONTAINER_STATE_TERMINATED)),
]);

pub(super) static CONTAINER_STATE_RUNNING: Fields = Fields(&[field(1, "startedAt", Time)]);

pub(super) static CONTAINER_STATE_TERMINATED: Fields = Fields(&[
    field(1, "exitCode", Int),
    optional(2, "signal", Int),
    optional(3, "reason", Text),
    optional(4, "message", Text),
    field(5, "startedAt", Time),
    field(6, "finishedAt", Time),
    optional(7, "containerID", Text),
]);

pub(super) static CONTAINER_STATE_WAITING: Fields =
    Fields(&[optional(1, "reason", Text), optional(2, "message", Text)]);

pub(super) static CONTAINER_STATUS: Fields = Fields(&[
    field(1, "name", Text),
    field(2, "state", Message(&CONTAINER_STATE)),
    field(3, "lastState", Message(&CONTAINER_STATE)),
    field(4, "ready", Bool),
    field(5, "restartCount", Int),
    field(6, "image", Text),
    field(7, "imageID", Text),
    optional(8, "containerID", Text),
    field(9, "started", Bool),
    map(10, "allocatedResources", Quantity),
    field(11, "resources", Message(&RESOURCE_REQUIREMENTS)),
    list(12, "volumeMounts", Message(&VOLUME_MOUNT_STATUS)),
    field(13, "user", Message(&CONTAINER_USER)),
    list(14, "allocatedResourcesStatus", Message(&RESOURCE_STATUS)),
    field(15, "stopSignal", Text),
]);

pub(super) static CONTAINER_USER: Fields = Fields(&[field(1, "linux", Message(&LINUX_CONTAINER_USER))]);

pub(super) static ENV_FROM_SOURCE: Fields = Fields(&[
    optional(1, "prefix", Text),
    field(2, "configMapRef", Message(&CONFIG_MAP_ENV_SOURCE)),
    field(3, "secretRef", Message(&SECRET_ENV_SOURCE)),
]);

pub(super) static ENV_VAR: Fields = Fields(&[
    field(1, "name", Text),
    optional(2, "value", Text),
    field(3, "valueFrom", Message(&ENV_VAR_SOURCE)),
]);

pub(super) static ENV_VAR_SOURCE: Fields = Fields(&[
    field(1, "fieldRef", Message(&volume::OBJECT_FIELD_SELECTOR)),
    field(2, "resourceFieldRef", Message(&volume::RESOURCE_FIELD_SELECTOR)),
    field(3, "configMapKeyRef", Message(&CONFIG_MAP_KEY_SELECTOR)),
    field(4, "secretKeyRef", Message(&SECRET_KEY_SELECTOR)),
    field(5, "fileKeyRef", Message(&FILE_KEY_SELECTOR)),
]);

pub(super) static EPHEMERAL_CONTAINER: Fields =
    Fields(&[inline(1, &EPHEMERAL_CONTAINER_COMMON), optional(2, "targetContainerName", Text)]);

pub(super) static EPHEMERAL_CONTAINER_COMMON: Fields = Fields(&[
    field(1, "name", Text),
    optional(2, "image", Text),
    list(3, "command", Text),
    list(4, "args", Text),
    optional(5, "workingDir", Text),
    list(6, "ports", Message(&CONTAINER_PORT)),
    list(7, "env", Message(&ENV_VAR)),
    field(8, "resources", Message(&RESOURCE_REQUIREMENTS)),
    list(9, "volumeMounts", Message(&VOLUME_MOUNT)),
    field(10, "livenessProbe", Message(&PROBE)),
    field(11, "readinessProbe", Message(&PROBE)),
    field(12, "lifecycle", Message(&LIFECYCLE)),
    optional(13, "terminationMessagePath", Text),
    optional(14, "imagePullPolicy", Text),
    field(15, "securityContext", Message(&SECURITY_CONTEXT)),
    optional(16, "stdin", Bool),
    optional(17, "stdinOnce", Bool),
    optional(18, "tty", Bool),
    list(19, "envFrom", Message(&ENV_FROM_SOURCE)),
    optional(20, "terminationMessagePolicy", Text),
    list(21, "volumeDevices", Message(&VOLUME_DEVICE)),
    field(22, "startupProbe", Message(&PROBE)),
    list(23, "resizePolicy", Message(&CONTAINER_RESIZE_POLICY)),
    field(24, "restartPolicy", Text),
    list(25, "restartPolicyRules", Message(&CONTAINER_RESTART_RULE)),
]);

pub(super) static EXEC_ACTION: Fields = Fields(&[list(1, "command", Text)]);

pub(super) static FILE_KEY_SELECTOR: Fields = Fields(&[
    field(1, "volumeName", Text),
    field(2, "path", Text),
    field(3, "key", Text),
    field(4, "optional", Bool),
]);

pub(super) static GRPC_ACTION: Fields = Fields(&[field(1, "port", Int), field(2, "service", Text)]);

pub(super) static HOST_ALIAS: Fields = Fields(&[field(1, "ip", Text), list(2, "hostnames", Text)]);

pub(super) static HOST_IP: Fields = Fields(&[field(1, "ip", Text)]);

pub(super) static HTTP_GET_ACTION: Fields = Fields(&[
    optional(1, "path", Text),
    field(2, "port", IntOrString),
    optional(3, "host", Text),
    optional(4, "scheme", Text),
    list(5, "httpHeaders", Message(&HTTP_HEADER)),
]);

pub(super) static HTTP_HEADER: Fields = Fields(&[field(1, "name", Text), field(2, "value", Text)]);

pub(super) static LIFECYCLE: Fields = Fields(&[
    field(1, "postStart", Message(&LIFECYCLE_HANDLER)),
    field(2, "preStop", Message(&LIFECYCLE_HANDLER)),
    field(3, "stopSignal", Text),
]);

pub(super) static LIFECYCLE_HANDLER: Fields = Fields(&[
    field(1, "exec", Message(&EXEC_ACTION)),
    field(2, "httpGet", Message(&HTTP_GET_ACTION)),
    field(3, "tcpSocket", Message(&TCP_SOCKET_ACTION)),
    field(4, "sleep", Message(&SLEEP_ACTION)),
]);

pub(super) static LINUX_CONTAINER_USER: Fields =
    Fields(&[field(1, "uid", Int), field(2, "gid", Int), list(3, "supplementalGroups", Int)]);

pub(super) static LOCAL_OBJECT_REFERENCE: Fields = Fields(&[optional(1, "name", Text)]);

pub(super) static NODE_AFFINITY: Fields = Fields(&[
    field(1, "requiredDuringSchedulingIgnoredDuringExecution", Message(&NODE_SELECTOR)),
    list(2, "preferredDuringSchedulingIgnoredDuringExecution", Message(&PREFERRED_SCHEDULING_TERM)),
]);

pub(super) static NODE_SELECTOR: Fields =
    Fields(&[list(1, "nodeSelectorTerms", Message(&NODE_SELECTOR_TERM))]);

pub(super) static NODE_SELECTOR_REQUIREMENT: Fields =
    Fields(&[field(1, "key", Text), field(2, "operator", Text), list(3, "values", Text)]);

pub(super) static NODE_SELECTOR_TERM: Fields = Fields(&[
    list(1, "matchExpressions", Message(&NODE_SELECTOR_REQUIREMENT)),
    list(2, "matchFields", Message(&NODE_SELECTOR_REQUIREMENT)),
]);

pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: Fields = Fields(&[
    list(1, "accessModes", Text),
    field(2, "resources", Message(&VOLUME_RESOURCE_REQUIREMENTS)),
    optional(3, "volumeName", Text),
    field(4, "selector", Message(&meta::LABEL_SELECTOR)),
    field(5, "storageClassName", Text),
    field(6, "volumeMode", Text),
    field(7, "dataSource", Message(&TYPED_LOCAL_OBJECT_REFERENCE)),
    field(8, "dataSourceRef", Message(&TYPED_OBJECT_REFERENCE)),
    field(9, "volumeAttributesClassName", Text),
]);

pub(super) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&PERSISTENT_VOLUME_CLAIM_SPEC)),
]);

pub(super) static POD: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&POD_SPEC)),
    field(3, "status", Message(&POD_STATUS)),
]);

pub(super) static POD_AFFINITY: Fields = Fields(&[
    list(1, "requiredDuringSchedulingIgnoredDuringExecution", Message(&POD_AFFINITY_TERM)),
    list(2, "preferredDuringSchedulingIgnoredDuringExecution", Message(&WEIGHTED_POD_AFFINITY_TERM)),
]);

pub(super) static POD_AFFINITY_TERM: Fields = Fields(&[
    field(1, "labelSelector", Message(&meta::LABEL_SELECTOR)),
    list(2, "namespaces", Text),
    field(3, "topologyKey", Text),
    field(4, "namespaceSelector", Message(&meta::LABEL_SELECTOR)),
    list(5, "matchLabelKeys", Text),
    list(6, "mismatchLabelKeys", Text),
]);

pub(super) static POD_ANTI_AFFINITY: Fields = Fields(&[
    list(1, "requiredDuringSchedulingIgnoredDuringExecution", Message(&POD_AFFINITY_TERM)),
    list(2, "preferredDuringSchedulingIgnoredDuringExecution", Message(&WEIGHTED_POD_AFFINITY_TERM)),
]);

pub(super) static POD_CONDITION: Fields = Fields(&[
    field(1, "type", Text),
    field(2, "status", Text),
    field(3, "lastProbeTime", Time),
    field(4, "lastTransitionTime", Time),
    optional(5, "reason", Text),
    optional(6, "message", Text),
    optional(7, "observedGeneration", Int),
]);

pub(super) static POD_DNS_CONFIG: Fields = Fields(&[
    list(1, "nameservers", Text),
    list(2, "searches", Text),
    list(3, "options", Message(&POD_DNS_CONFIG_OPTION)),
]);

pub(super) static POD_DNS_CONFIG_OPTION: Fields =
    Fields(&[optional(1, "name", Text), field(2, "value", Text)]);

pub(super) static POD_EXTENDED_RESOURCE_CLAIM_STATUS: Fields = Fields(&[
    list(1, "requestMappings", Message(&CONTAINER_EXTENDED_RESOURCE_REQUEST)),
    field(2, "resourceClaimName", Text),
]);

pub(super) static POD_IP: Fields = Fields(&[field(1, "ip", Text)]);

pub(super) static POD_OS: Fields = Fields(&[field(1, "name", Text)]);

pub(super) static POD_READINESS_GATE: Fields = Fields(&[field(1, "conditionType", Text)]);

pub(super) static POD_RESOURCE_CLAIM: Fields = Fields(&[
    field(1, "name", Text),
    field(3, "resourceClaimName", Text),
    field(4, "resourceClaimTemplateName", Text),
]);

pub(super) static POD_RESOURCE_CLAIM_STATUS: Fields =
    Fields(&[field(1, "name", Text), field(2, "resourceClaimName", Text)]);

pub(super) static POD_SCHEDULING_GATE: Fields = Fields(&[field(1, "name", Text)]);

pub(super) static POD_SECURITY_CONTEXT: Fields = Fields(&[
    field(1, "seLinuxOptions", Message(&SE_LINUX_OPTIONS)),
    field(2, "runAsUser", Int),
    field(3, "runAsNonRoot", Bool),
    list(4, "supplementalGroups", Int),
    field(5, "fsGroup", Int),
    field(6, "runAsGroup", Int),
    list(7, "sysctls", Message(&SYSCTL)),
    field(8, "windowsOptions", Message(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    field(9, "fsGroupChangePolicy", Text),
    field(10, "seccompProfile", Message(&SECCOMP_PROFILE)),
    field(11, "appArmorProfile", Message(&APP_ARMOR_PROFILE)),
    field(12, "supplementalGroupsPolicy", Text),
    field(13, "seLinuxChangePolicy", Text),
]);

pub(super) static POD_SPEC: Fields = Fields(&[
    list(1, "volumes", Message(&VOLUME)),
    list(2, "containers", Message(&CONTAINER)),
    optional(3, "restartPolicy", Text),
    field(4, "terminationGracePeriodSeconds", Int),
    field(5, "activeDeadlineSeconds", Int),
    optional(6, "dnsPolicy", Text),
    map(7, "nodeSelector", Text),
    optional(8, "serviceAccountName", Text),
    optional(9, "serviceAccount", Text),
    optional(10, "nodeName", Text),
    optional(11, "hostNetwork", Bool),
    optional(12, "hostPID", Bool),
    optional(13, "hostIPC", Bool),
    field(14, "securityContext", Message(&POD_SECURITY_CONTEXT)),
    list(15, "imagePullSecrets", Message(&LOCAL_OBJECT_REFERENCE)),
    optional(16, "hostname", Text),
    optional(17, "subdomain", Text),
    field(18, "affinity", Message(&AFFINITY)),
    optional(19, "schedulerName", Text),
    list(20, "initContainers", Message(&CONTAINER)),
    field(21, "automountServiceAccountToken", Bool),
    list(22, "tolerations", Message(&TOLERATION)),
    list(23, "hostAliases", Message(&HOST_ALIAS)),
    optional(24, "priorityClassName", Text),
    field(25, "priority", Int),
    field(26, "dnsConfig", Message(&POD_DNS_CONFIG)),
    field(27, "shareProcessNamespace", Bool),
    list(28, "readinessGates", Message(&POD_READINESS_GATE)),
    field(29, "runtimeClassName", Text),
    field(30, "enableServiceLinks", Bool),
    field(31, "preemptionPolicy", Text),
    map(32, "overhead", Quantity),
    list(33, "topologySpreadConstraints", Message(&TOPOLOGY_SPREAD_CONSTRAINT)),
    list(34, "ephemeralContainers", Message(&EPHEMERAL_CONTAINER)),
    field(35, "setHostnameAsFQDN", Bool),
    field(36, "os", Message(&POD_OS)),
    field(37, "hostUsers", Bool),
    list(38, "schedulingGates", Message(&POD_SCHEDULING_GATE)),
    list(39, "resourceClaims", Message(&POD_RESOURCE_CLAIM)),
    field(40, "resources", Message(&RESOURCE_REQUIREMENTS)),
    field(41, "hostnameOverride", Text),
]);

pub(super) static POD_STATUS: Fields = Fields(&[
    optional(1, "phase", Text),
    list(2, "conditions", Message(&POD_CONDITION)),
    optional(3, "message", Text),
    optional(4, "reason", Text),
    optional(5, "hostIP", Text),
    optional(6, "podIP", Text),
    field(7, "startTime", Time),
    list(8, "containerStatuses", Message(&CONTAINER_STATUS)),
    optional(9, "qosClass", Text),
    list(10, "initContainerStatuses", Message(&CONTAINER_STATUS)),
    optional(11, "nominatedNodeName", Text),
    list(12, "podIPs", Message(&POD_IP)),
    list(13, "ephemeralContainerStatuses", Message(&CONTAINER_STATUS)),
    optional(14, "resize", Text),
    list(15, "resourceClaimStatuses", Message(&POD_RESOURCE_CLAIM_STATUS)),
    list(16, "hostIPs", Message(&HOST_IP)),
    optional(17, "observedGeneration", Int),
    field(18, "extendedResourceClaimStatus", Message(&POD_EXTENDED_RESOURCE_CLAIM_STATUS)),
    map(19, "allocatedResources", Quantity),
    field(20, "resources", Message(&RESOURCE_REQUIREMENTS)),
]);

pub(super) static POD_TEMPLATE_SPEC: Fields =
    Fields(&[field(1, "metadata", Message(&meta::OBJECT_META)), field(2, "spec", Message(&POD_SPEC))]);

pub(super) static PREFERRED_SCHEDULING_TERM: Fields =
    Fields(&[field(1, "weight", Int), field(2, "preference", Message(&NODE_SELECTOR_TERM))]);

pub(super) static PROBE: Fields = Fields(&[
    inline(1, &PROBE_HANDLER),
    optional(2, "initialDelaySeconds", Int),
    optional(3, "timeoutSeconds", Int),
    optional(4, "periodSeconds", Int),
    optional(5, "successThreshold", Int),
    optional(6, "failureThreshold", Int),
    field(7, "terminationGracePeriodSeconds", Int),
]);

pub(super) static PROBE_HANDLER: Fields = Fields(&[
    field(1, "exec", Message(&EXEC_ACTION)),
    field(2, "httpGet", Message(&HTTP_GET_ACTION)),
    field(3, "tcpSocket", Message(&TCP_SOCKET_ACTION)),
    field(4, "grpc", Message(&GRPC_ACTION)),
]);

pub(super) static RESOURCE_CLAIM: Fields = Fields(&[field(1, "name", Text), optional(2, "request", Text)]);

pub(super) static RESOURCE_HEALTH: Fields =
    Fields(&[field(1, "resourceID", Text), optional(2, "health", Text)]);

pub(super) static RESOURCE_REQUIREMENTS: Fields = Fields(&[
    map(1, "limits", Quantity),
    map(2, "requests", Quantity),
    list(3, "claims", Message(&RESOURCE_CLAIM)),
]);

pub(super) static RESOURCE_STATUS: Fields =
    Fields(&[field(1, "name", Text), list(2, "resources", Message(&RESOURCE_HEALTH))]);

pub(super) static SECCOMP_PROFILE: Fields =
    Fields(&[field(1, "type", Text), field(2, "localhostProfile", Text)]);

pub(super) static SECRET_ENV_SOURCE: Fields =
    Fields(&[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "optional", Bool)]);

pub(super) static SECRET_KEY_SELECTOR: Fields =
    Fields(&[inline(1, &LOCAL_OBJECT_REFERENCE), field(2, "key", Text), field(3, "optional", Bool)]);

pub(super) static SECURITY_CONTEXT: Fields = Fields(&[
    field(1, "capabilities", Message(&CAPABILITIES)),
    field(2, "privileged", Bool),
    field(3, "seLinuxOptions", Message(&SE_LINUX_OPTIONS)),
    field(4, "runAsUser", Int),
    field(5, "runAsNonRoot", Bool),
    field(6, "readOnlyRootFilesystem", Bool),
    field(7, "allowPrivilegeEscalation", Bool),
    field(8, "runAsGroup", Int),
    field(9, "procMount", Text),
    field(10, "windowsOptions", Message(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    field(11, "seccompProfile", Message(&SECCOMP_PROFILE)),
    field(12, "appArmorProfile", Message(&APP_ARMOR_PROFILE)),
]);

pub(super) static SE_LINUX_OPTIONS: Fields = Fields(&[
    optional(1, "user", Text),
    optional(2, "role", Text),
    optional(3, "type", Text),
    optional(4, "level", Text),
]);

pub(super) static SLEEP_ACTION: Fields = Fields(&[field(1, "seconds", Int)]);

pub(super) static SYSCTL: Fields = Fields(&[field(1, "name", Text), field(2, "value", Text)]);

pub(super) static TCP_SOCKET_ACTION: Fields =
    Fields(&[field(1, "port", IntOrString), optional(2, "host", Text)]);

pub(super) static TOLERATION: Fields = Fields(&[
    optional(1, "key", Text),
    optional(2, "operator", Text),
    optional(3, "value", Text),
    optional(4, "effect", Text),
    field(5, "tolerationSeconds", Int),
]);

pub(super) static TOPOLOGY_SPREAD_CONSTRAINT: Fields = Fields(&[
    field(1, "maxSkew", Int),
    field(2, "topologyKey", Text),
    field(3, "whenUnsatisfiable", Text),
    field(4, "labelSelector", Message(&meta::LABEL_SELECTOR)),
    field(5, "minDomains", Int),
    field(6, "nodeAffinityPolicy", Text),
    field(7, "nodeTaintsPolicy", Text),
    list(8, "matchLabelKeys", Text),
]);

pub(super) static TYPED_LOCAL_OBJECT_REFERENCE: Fields =
    Fields(&[field(1, "apiGroup", Text), field(2, "kind", Text), field(3, "name", Text)]);

pub(super) static TYPED_OBJECT_REFERENCE: Fields = Fields(&[
    field(1, "apiGroup", Text),
    field(2, "kind", Text),
    field(3, "name", Text),
    field(4, "namespace", Text),
]);

pub(super) static VOLUME: Fields = Fields(&[field(1, "name", Text), inline(2, &volume::VOLUME_SOURCE)]);

pub(super) static VOLUME_DEVICE: Fields = Fields(&[field(1, "name", Text), field(2, "devicePath", Text)]);

pub(super) static VOLUME_MOUNT: Fields = Fields(&[
    field(1, "name", Text),
    optional(2, "readOnly", Bool),
    field(3, "mountPath", Text),
    optional(4, "subPath", Text),
    field(5, "mountPropagation", Text),
    optional(6, "subPathExpr", Text),
    field(7, "recursiveReadOnly", Text),
]);

pub(super) static VOLUME_MOUNT_STATUS: Fields = Fields(&[
    field(1, "name", Text),
    field(2, "mountPath", Text),
    optional(3, "readOnly", Bool),
    field(4, "recursiveReadOnly", Text),
]);

pub(super) static VOLUME_RESOURCE_REQUIREMENTS: Fields =
    Fields(&[map(1, "limits", Quantity), map(2, "requests", Quantity)]);

pub(super) static WEIGHTED_POD_AFFINITY_TERM: Fields =
    Fields(&[field(1, "weight", Int), field(2, "podAffinityTerm", Message(&POD_AFFINITY_TERM))]);

pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Fields = Fields(&[
    field(1, "gmsaCredentialSpecName", Text),
    field(2, "gmsaCredentialSpec", Text),
    field(3, "runAsUserName", Text),
    field(4, "hostProcess", Bool),
]);
