#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use super::*;
use crate::{
    api::{Container, ObjectMeta, PodSpec},
    kinds::pod_template::set_spec_defaults,
};
use serde_json::json;

/// The faults of a pod with one container, changed by a merge patch, after defaults.
fn pod_faults(patch: Value) -> Vec<String> {
    let mut spec = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    json_patch::merge(&mut spec, &patch);
    let mut spec: PodSpec = serde_json::from_value(spec).unwrap();
    set_spec_defaults(&mut spec);
    let meta = ObjectMeta { name: Some("p".into()), ..Default::default() };
    let mut errors = FieldErrors::new();
    pod_spec::validate(&spec, Some(&meta), &Path::root("spec"), &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

/// As [`pod_faults`], of the container and with its path left out.
fn container_faults(patch: Value) -> Vec<String> {
    let mut container = json!({"name": "c", "image": "i"});
    json_patch::merge(&mut container, &patch);
    let volumes = json!([
        {"name": "v"}, {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}}, {"name": "img", "image": {"reference": "r"}},
    ]);
    let faults = pod_faults(json!({"containers": [container], "volumes": volumes}));
    faults.iter().map(|fault| fault.strip_prefix("spec.containers[0].").unwrap_or(fault).to_owned()).collect()
}

fn volume_faults(source: Value) -> Vec<String> {
    let mut volume = json!({"name": "v"});
    json_patch::merge(&mut volume, &source);
    let faults = pod_faults(json!({"volumes": [volume]}));
    faults.iter().map(|fault| fault.strip_prefix("spec.volumes[0].").unwrap_or(fault).to_owned()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn empty_collections_count_as_absent_ones() {
    let bare = Container { name: "c".into(), ..Default::default() };
    let mut same = Container { args: Some(vec![]), env: Some(vec![]), ..bare.clone() };
    assert!(equal(&bare, &same));
    same.args = Some(vec![String::new()]);
    assert!(!equal(&bare, &same));
}

#[test]
fn probes_have_one_handler_and_sensible_numbers() {
    let http = json!({"port": "http", "httpHeaders": [{"name": "X-A", "value": "b"}]});
    assert_eq!(
        container_faults(
            json!({"livenessProbe": {"httpGet": http}, "readinessProbe": {"exec": {"command": ["x"]}}})
        ),
        NONE
    );
    assert_eq!(
        container_faults(json!({"livenessProbe": {
            "httpGet": {"port": 0, "scheme": "FTP", "httpHeaders": [{"name": "a b", "value": ""}]}, "grpc": {"port": 1},
        }})),
        [
            "livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "livenessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \"HTTPS\"",
            "livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist \
             of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is \
             '[-A-Za-z0-9]+')",
            "livenessProbe.grpc: Forbidden: may not specify more than 1 handler type",
        ]
    );
    assert_eq!(
        container_faults(json!({"startupProbe": {
            "exec": {}, "successThreshold": 2, "periodSeconds": -1, "terminationGracePeriodSeconds": 0,
        }})),
        [
            "startupProbe.exec.command: Required value",
            "startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            "startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
            "startupProbe.successThreshold: Invalid value: 2: must be 1",
        ]
    );
    assert_eq!(
        container_faults(
            json!({"readinessProbe": {"tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 5}})
        ),
        ["readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for \
             readinessProbes"]
    );
    assert_eq!(
        container_faults(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}, "postStart": {}}})),
        [
            "lifecycle.postStart: Required value: must specify a handler type",
            "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
             terminationGracePeriodSeconds (30)",
        ]
    );
}

#[test]
fn init_containers_that_end_have_no_probes() {
    let probe = json!({"exec": {"command": ["x"]}});
    let init = |patch: Value| {
        let mut container =
            json!({"name": "i", "image": "i", "livenessProbe": probe, "lifecycle": {"preStop": probe}});
        json_patch::merge(&mut container, &patch);
        pod_faults(json!({"initContainers": [container]}))
    };
    assert_eq!(init(json!({"restartPolicy": "Always"})), NONE);
    let ends = ["lifecycle", "livenessProbe"].map(|field| {
        format!(
            "spec.initContainers[0].{field}: Forbidden: may not be set for init containers without \
                 restartPolicy=Always"
        )
    });
    assert_eq!(init(json!({})), ends);
    assert_eq!(container_faults(json!({"restartPolicy": "Never"})), NONE);
    assert_eq!(
        container_faults(json!({"restartPolicy": "Sometimes"})),
        ["restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \
             \"Never\""]
    );
    assert_eq!(
        container_faults(json!({"restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]})),
        ["restartPolicy: Required value: must specify restartPolicy when restart rules are used"]
    );
    let rule = |operator: &str, count: usize| json!({"action": "Restart", "exitCodes": {"operator": operator, "values": vec![1; count]}});
    let rules =
        |rules: Vec<Value>| container_faults(json!({"restartPolicy": "Never", "restartPolicyRules": rules}));
    assert_eq!(rules(vec![rule("NotIn", 255); 20]), NONE);
    assert_eq!(
        rules(vec![json!({"action": "RestartAllContainers"}), rule("Out", 256)]),
        [
            "restartPolicyRules[0].action: Unsupported value: \"RestartAllContainers\": supported values: \
             \"Restart\"",
            "restartPolicyRules[0].exitCodes: Required value: must be specified",
            "restartPolicyRules[1].exitCodes.operator: Unsupported value: \"Out\": supported values: \"In\", \
             \"NotIn\"",
            "restartPolicyRules[1].exitCodes.values: Too many: 256: must have at most 255 items",
        ]
    );
    assert_eq!(
        rules(vec![rule("In", 1); 21]),
        ["restartPolicyRules: Too many: 21: must have at most 20 items"]
    );
}

#[test]
fn ports_are_unique_and_in_range() {
    let port = json!({"name": "a", "containerPort": 80, "hostPort": 80});
    assert_eq!(
        container_faults(json!({"ports": [port, port, {"name": "A", "hostPort": 70000, "protocol": "X"}]})),
        [
            "ports[1].name: Duplicate value: \"a\"",
            "ports[2].name: Invalid value: \"A\": must contain only alpha-numeric characters (a-z, 0-9), \
             and hyphens (-)",
            "ports[2].name: Invalid value: \"A\": must contain at least one letter (a-z)",
            "ports[2].containerPort: Required value",
            "ports[2].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "ports[2].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "ports[1].hostPort: Duplicate value: \"TCP//80\"",
        ]
    );
    let in_host_network = json!({"hostNetwork": true, "containers": [
        {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 81}]},
    ]});
    assert_eq!(
        pod_faults(in_host_network),
        ["spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when \
             `hostNetwork` is true"]
    );
}

#[test]
fn variables_take_their_value_from_one_place() {
    let from = |source: Value| container_faults(json!({"env": [{"name": "A", "valueFrom": source}]}));
    let field = |path: &str| from(json!({"fieldRef": {"fieldPath": path}}));
    for path in
        ["status.hostIPs", "metadata.labels['app']", "metadata.annotations['x.io/Y']", "spec.nodeName"]
    {
        assert_eq!(field(path), NONE, "{path}");
    }
    assert_eq!(
        field("spec.nodeName['x']"),
        ["env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nodeName['x']\": error converting \
             fieldPath: field label does not support subscript: spec.nodeName['x']"]
    );
    assert!(field("metadata.labels")[0].starts_with(
        "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \
         \"metadata.name\""
    ));
    assert_eq!(
        from(json!({})),
        ["env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, \
             `configMapKeyRef` or `secretKeyRef`"]
    );
    let key = json!({"name": "n", "key": "k"});
    assert_eq!(
        from(json!({"configMapKeyRef": key, "secretKeyRef": {"name": "n", "key": "a/b"}})).len(),
        2,
        "a key that is none, and a second source"
    );
    assert_eq!(
        from(json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1Mi"}})),
        ["env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's \
             values 1m and 1 are supported with the cpu resource"]
    );
    assert_eq!(from(json!({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}})), NONE);
    assert_eq!(
        container_faults(json!({"envFrom": [{"prefix": "A=", "configMapRef": {"name": ""}}, {}]})),
        [
            "envFrom[0].prefix: Invalid value: \"A=\": a valid environment variable name must consist only \
             of printable ASCII characters other than '='",
            "envFrom[0].configMapRef.name: Required value",
            "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ]
    );
}

#[test]
fn mounts_and_devices_do_not_collide() {
    let mount = |patch: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/v"});
        json_patch::merge(&mut mount, &patch);
        container_faults(json!({"volumeMounts": [mount]}))
    };
    assert_eq!(mount(json!({"subPath": "a/b"})), NONE);
    assert_eq!(mount(json!({"subPath": "/a/../b"})).len(), 2, "absolute, and with a backstep");
    assert_eq!(
        mount(json!({"subPath": "a", "subPathExpr": "b"})),
        ["volumeMounts[0].subPathExpr: Invalid value: \"b\": subPathExpr and subPath are mutually exclusive"]
    );
    assert_eq!(
        mount(json!({"name": "img", "subPath": "a"})),
        ["volumeMounts[0].subPath: Invalid value: \"a\": not allowed in image volume sources"]
    );
    assert_eq!(
        mount(json!({"mountPropagation": "Bidirectional", "recursiveReadOnly": "Enabled"})),
        [
            "volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only \
             to privileged containers",
            "volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
            "volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is \
             None or not specified",
        ]
    );
    assert_eq!(
        container_faults(json!({
            "volumeMounts": [{"name": "claim", "mountPath": "/x"}],
            "volumeDevices": [{"name": "claim", "devicePath": "/x"}, {"name": "v", "devicePath": "/../y"}],
        })),
        [
            "volumeMounts[0].name: Invalid value: \"claim\": must not already exist in volumeDevices",
            "volumeMounts[0].mountPath: Invalid value: \"/x\": must not already exist as a path in \
             volumeDevices",
            "volumeDevices[0].name: Invalid value: \"claim\": must not already exist in volumeMounts",
            "volumeDevices[0].devicePath: Invalid value: \"/x\": must not already exist as a path in \
             volumeMounts",
            "volumeDevices[1].devicePath: Invalid value: \"/../y\": can not contain backsteps ('..')",
            "volumeDevices[1].name: Invalid value: \"v\": can only use volume source type of \
             PersistentVolumeClaim or Ephemeral for block mode",
        ]
    );
}

#[test]
fn sources_of_volumes_are_complete() {
    assert_eq!(volume_faults(json!({"hostPath": {"path": ""}})), ["hostPath.path: Required value"]);
    assert_eq!(
        volume_faults(json!({"hostPath": {"path": "/a/.."}})),
        ["hostPath.path: Invalid value: \"/a/..\": must not contain '..'"]
    );
    assert!(
        volume_faults(json!({"hostPath": {"path": "/a", "type": "Dir"}}))[0]
            .starts_with("hostPath.type: Unsupported value: \"Dir\"")
    );
    assert_eq!(volume_faults(json!({"secret": {}})), ["secret.secretName: Required value"]);
}

#[test]
fn files_of_volumes_stay_in_their_directory() {
    assert_eq!(
        volume_faults(
            json!({"configMap": {"name": "c", "defaultMode": 512, "items": [{"key": "", "path": "..a"}]}})
        ),
        [
            "configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both \
             inclusive",
            "configMap.items[0].key: Required value",
            "configMap.items[0].path: Invalid value: \"..a\": must not start with '..'",
        ]
    );
    assert_eq!(
        volume_faults(json!({"persistentVolumeClaim": {"claimName": ""}})),
        ["persistentVolumeClaim.claimName: Required value"]
    );
    assert_eq!(
        volume_faults(json!({"emptyDir": {"sizeLimit": "-1"}})),
        ["emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"]
    );
    assert_eq!(
        volume_faults(json!({"downwardAPI": {"items": [{"path": "a"}]}})),
        ["downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"]
    );
    assert_eq!(
        volume_faults(
            json!({"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.labels"}}]}})
        ),
        NONE
    );
    let item = json!({"key": "k", "path": "p"});
    assert_eq!(
        volume_faults(json!({"projected": {"sources": [
            {"secret": {"name": "s", "items": [item]}}, {"configMap": {"name": "c", "items": [item]}},
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 1}, "downwardAPI": {}},
        ]}})),
        [
            "projected: Invalid value: \"c\": conflicting duplicate paths",
            "projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify \
             a duration less than 10 minutes",
            "projected.sources[2]: Forbidden: may not specify more than 1 volume type per source",
        ]
    );
    assert_eq!(volume_faults(json!({"csi": {"driver": ""}})), ["csi.driver: Required value"]);
    assert_eq!(volume_faults(json!({"rbd": {"image": "i", "monitors": ["m"]}})), NONE);
    let ephemeral =
        json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}});
    assert_eq!(
        volume_faults(ephemeral.clone()),
        ["ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value"]
    );
    let claim = json!({"name": "w", "persistentVolumeClaim": {"claimName": "p-v"}});
    let mut volume = ephemeral;
    volume["name"] = "v".into();
    assert!(
        pod_faults(json!({"volumes": [volume, claim]})).contains(
            &"spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: \"p-v\": must not reference a \
          PVC that gets created for an ephemeral volume"
                .to_owned()
        )
    );
}

#[test]
fn resources_are_amounts_of_something() {
    let resources = |resources: Value| container_faults(json!({"resources": resources}));
    let both = |amount: &str| json!({"requests": {"x.io/gpu": amount}, "limits": {"x.io/gpu": "2"}});
    assert_eq!(resources(both("2")), NONE);
    assert_eq!(
        resources(both("1")),
        ["resources.requests: Invalid value: \"1\": must be equal to x.io/gpu limit of 2"]
    );
    assert_eq!(
        resources(json!({"requests": {"x.io/gpu": "500m"}})),
        [
            "resources.requests[x.io/gpu]: Invalid value: \"500m\": must be an integer",
            "resources.limits: Required value: Limit must be set for non overcommitable resources",
        ]
    );
    assert_eq!(
        resources(json!({"limits": {"hugepages-2Mi": "3Mi"}})),
        [
            "resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple \
             of hugepages-2Mi",
            "resources: Forbidden: HugePages require cpu or memory",
        ]
    );
    assert_eq!(
        resources(json!({"claims": [{"name": "a"}, {"name": "a", "request": "r"}]})),
        [
            "resources.claims[0]: Not found: \"a\": must be one of the names in pod.spec.resourceClaims \
             which is empty",
            "resources.claims[1]: Duplicate value: \"a\"",
            "resources.claims[1]: Not found: \"a\": must be one of the names in pod.spec.resourceClaims \
             which is empty",
        ]
    );
    assert_eq!(
        container_faults(
            json!({"resizePolicy": [{"resourceName": "disk", "restartPolicy": "RestartContainer"}]})
        ),
        [
            "resizePolicy: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\"",
            "resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` \
             is 'Never'",
        ]
    );
}

#[test]
fn security_contexts_do_not_contradict_themselves() {
    let context = |context: Value| container_faults(json!({"securityContext": context}));
    assert_eq!(
        context(json!({"runAsUser": -1, "procMount": "Unmasked"})),
        [
            "securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use \
             `Unmasked`",
        ]
    );
    assert_eq!(
        context(json!({"allowPrivilegeEscalation": false, "privileged": true}))[0],
        "securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot \
         set `allowPrivilegeEscalation` to false and `privileged` to true"
    );
    assert_eq!(
        context(
            json!({"seccompProfile": {"type": "Localhost"}, "appArmorProfile": {"type": "Unconfined", "localhostProfile": "x"}})
        ),
        [
            "securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp \
             type is Localhost",
            "securityContext.appArmorProfile.localhostProfile: Invalid value: \"x\": can only be set when \
             AppArmor type is Localhost",
        ]
    );
    assert_eq!(
        pod_faults(json!({
            "hostNetwork": true, "hostPID": true, "shareProcessNamespace": true, "hostUsers": false,
            "securityContext": {
                "supplementalGroups": [-1], "sysctls": [{"name": "net.a", "value": ""}, {"name": "A", "value": ""}],
                "fsGroupChangePolicy": "Never",
            },
        })),
        [
            "spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and \
             2147483647, inclusive",
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and \
             HostPID cannot both be enabled",
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.a\": may not be specified when \
             'hostNetwork' is true",
            "spec.securityContext.sysctls[1].name: Invalid value: \"A\": must have at most 253 characters \
             and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"Never\": supported values: \
             \"Always\", \"OnRootMismatch\"",
            "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
            "spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false",
        ]
    );
}

#[test]
fn affinity_and_tolerations_are_well_formed() {
    let required = |terms: Value| {
        let selector =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        let faults = pod_faults(json!({"affinity": {"nodeAffinity": selector}}));
        let prefix =
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        faults.iter().map(|fault| fault.strip_prefix(prefix).unwrap_or(fault).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(required(json!([])), [": Required value: must have at least one node selector term"]);
    let expressions = json!([{"matchExpressions": [
        {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]},
        {"key": "a", "operator": "Gt", "values": []}, {"key": "a", "operator": "Is"},
    ], "matchFields": [{"key": "metadata.uid", "operator": "In", "values": ["x"]}]}]);
    assert_eq!(
        required(expressions),
        [
            "[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or \
             'NotIn'",
            "[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or \
             'DoesNotExist'",
            "[0].matchExpressions[2].values: Required value: must be specified single value when \
             `operator` is 'Lt' or 'Gt'",
            "[0].matchExpressions[3].operator: Invalid value: \"Is\": not a valid selector operator",
            "[0].matchFields[0].key: Invalid value: \"metadata.uid\": not a valid field selector key",
        ]
    );
    let term =
        json!({"topologyKey": "", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}});
    let weighted = json!([{"weight": 0, "podAffinityTerm": term}]);
    let faults = pod_faults(
        json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}}),
    );
    assert_eq!(
        faults[0],
        "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid \
         value: 0: must be in the range 1-100"
    );
    assert!(faults[1].ends_with(
        "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
    ));
    assert!(faults[2].ends_with("topologyKey: Required value: can not be empty"));

    assert_eq!(
        pod_faults(json!({"tolerations": [
            {"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "b"},
            {"key": "a", "tolerationSeconds": 1, "effect": "NoSchedule"}, {"key": "a", "operator": "Is", "effect": "X"},
        ]})),
        [
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is \
             empty, which means \"match all values and all keys\"",
            "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is \
             'Exists'",
            "spec.tolerations[2].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when \
             `tolerationSeconds` is set",
            "spec.tolerations[3].operator: Unsupported value: \"Is\": supported values: \"Equal\", \
             \"Exists\"",
            "spec.tolerations[3].effect: Unsupported value: \"X\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\"",
        ]
    );
}

#[test]
fn pods_spread_over_topologies_by_one_rule_each() {
    let constraint = json!({"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"});
    let mut second = constraint.clone();
    json_patch::merge(&mut second, &json!({"maxSkew": 0, "minDomains": 2, "nodeTaintsPolicy": "X"}));
    assert_eq!(
        pod_faults(json!({"topologySpreadConstraints": [constraint, second]})),
        [
            "maxSkew: Invalid value: 0: must be greater than zero",
            "{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, ScheduleAnyway}\"",
            "minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \
             ScheduleAnyway",
            "nodeTaintsPolicy: Unsupported value: \"X\": supported values: \"Honor\", \"Ignore\"",
        ]
        .map(|fault| format!("spec.topologySpreadConstraints[1].{fault}"))
    );
}

#[test]
fn names_and_addresses_in_a_pod_are_well_formed() {
    let faults = pod_faults(json!({
        "serviceAccountName": "A", "nodeName": "b_", "hostname": "a.b", "subdomain": "-", "priorityClassName": "C",
        "runtimeClassName": "", "os": {"name": "beos"}, "preemptionPolicy": "Maybe", "dnsPolicy": "None",
        "hostAliases": [{"ip": "x", "hostnames": ["ok", "No"]}], "readinessGates": [{"conditionType": "a b"}],
        "schedulingGates": [{"name": "g"}, {"name": "g"}],
        "resourceClaims": [{"name": "r"}, {"name": "r", "resourceClaimName": "X"}],
    }));
    let fields: Vec<&str> = faults.iter().map(|fault| fault.split_once(": ").unwrap().0).collect();
    assert_eq!(
        fields,
        [
            "resourceClaims[0]",
            "resourceClaims[1].name",
            "resourceClaims[1].resourceClaimName",
            "dnsConfig",
            "readinessGates[0].conditionType",
            "schedulingGates[1]",
            "serviceAccountName",
            "nodeName",
            "hostname",
            "subdomain",
            "priorityClassName",
            "runtimeClassName",
            "hostAliases[0].ip",
            "hostAliases[0].hostnames[1]",
            "preemptionPolicy",
            "os.name",
        ]
        .map(|field| format!("spec.{field}"))
    );
    let servers = json!(["10.0.0.1", "10.0.0.2", "10.0.0.3", "x"]);
    let faults = pod_faults(json!({"dnsConfig": {
        "nameservers": servers, "searches": ["a_b.c.", ".", "A"], "options": [{"value": "x"}],
    }}));
    let fields: Vec<&str> = faults.iter().map(|fault| fault.split_once(": ").unwrap().0).collect();
    let expected = ["nameservers", "nameservers[3]", "searches[2]", "options[0]"];
    assert_eq!(fields, expected.map(|field| format!("spec.dnsConfig.{field}")));
}

#[test]
fn owners_and_finalizers_are_well_formed() {
    let faults = |meta: Value| {
        let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
        let mut errors = FieldErrors::new();
        metadata::validate(&meta, true, names::NameRule::Subdomain, &mut errors);
        errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let owner = |name: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "u", "controller": true});
    let meta = |patch: Value| {
        let mut meta = json!({"name": "n", "namespace": "ns"});
        json_patch::merge(&mut meta, &patch);
        faults(meta)
    };
    assert_eq!(meta(json!({"ownerReferences": [owner("a")], "finalizers": ["orphan", "x.io/f"]})), NONE);
    let two = meta(json!({"ownerReferences": [owner("a"), owner("b")]}));
    assert!(two[0].ends_with(
        "Only one reference can have Controller set to true. Found \"true\" in references for a and b"
    ));
    assert_eq!(
        meta(json!({"ownerReferences": [{"apiVersion": "", "kind": "", "name": "x", "uid": ""}]})),
        [
            "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
            "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ]
    );
    assert_eq!(
        meta(json!({"finalizers": ["orphan", "foregroundDeletion", "mine"]})),
        [
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\",\"mine\"]: finalizer \
             orphan and foregroundDeletion cannot be both set",
            "metadata.finalizers[2]: Invalid value: \"mine\": name is neither a standard finalizer name \
             nor is it fully qualified",
        ]
    );
    assert_eq!(meta(json!({"namespace": null})), ["metadata.namespace: Required value"]);
    assert_eq!(meta(json!({"generateName": "AB-"})).len(), 1);
}
