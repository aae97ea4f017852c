//! The messages of a real API server for mistakes in the kinds that are about access, order and names.

use serde_json::{Value, json};

use super::{
    messages::{refuse_change, refuse_creation},
    stored,
};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

#[test]
fn of_roles() {
    let role = |kind: &str, rules: Value| json!({"apiVersion": RBAC, "kind": kind, "metadata": {"name": "r"}, "rules": rules});
    refuse_creation(
        role("Role", json!([{}, {"verbs": ["get"], "nonResourceURLs": ["/healthz"], "apiGroups": [""]}])),
        "[rules[0].verbs: Required value: verbs must contain at least one value, rules[0].apiGroups: Required value: \
         resource rules must supply at least one api group, rules[0].resources: Required value: resource rules must \
         supply at least one resource, rules[1].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules \
         cannot apply to non-resource URLs, rules[1].nonResourceURLs: Invalid value: [\"/healthz\"]: rules cannot \
         apply to both regular resources and non-resource URLs]",
    );
    stored(role("ClusterRole", json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}])));
    let mut named = role("Role", json!([]));
    named["metadata"]["name"] = json!("system:Reader of things");
    stored(named);
}

#[test]
fn of_bindings() {
    let binding = |kind: &str, role: [&str; 2], subject: Value| {
        json!({
            "apiVersion": RBAC, "kind": kind, "metadata": {"name": "b"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role[0], "name": role[1]},
            "subjects": [subject],
        })
    };
    let user = || json!({"kind": "User", "name": "ann"});
    refuse_creation(
        binding("RoleBinding", ["Rule", ""], json!({"kind": "Person", "name": ""})),
        "[roleRef.kind: Unsupported value: \"Rule\": supported values: \"ClusterRole\", \"Role\", roleRef.name: \
         Required value, subjects[0].name: Required value, subjects[0].kind: Unsupported value: \"Person\": supported \
         values: \"Group\", \"ServiceAccount\", \"User\"]",
    );
    refuse_creation(
        binding("ClusterRoleBinding", ["Role", "r"], json!({"kind": "ServiceAccount", "name": "robot"})),
        "[roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\", subjects[0].namespace: Required \
         value]",
    );
    let old = stored(binding("RoleBinding", ["Role", "r"], user()));
    assert_eq!(old.value()["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    refuse_change(
        &old,
        json!({"roleRef": {"name": "other"}}),
        "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"other\"}: \
         cannot change roleRef",
    );
}

#[test]
fn of_priority_classes() {
    let class = |name: &str, fields: Value| {
        let mut all = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}});
        json_patch::merge(&mut all, &fields);
        all
    };
    refuse_creation(
        class("high", json!({"value": 1_000_000_001, "preemptionPolicy": "Always"})),
        "[value: Forbidden: maximum allowed value of a user defined priority is 1000000000, preemptionPolicy: \
         Unsupported value: \"Always\": supported values: \"Never\", \"PreemptLowerPriority\"]",
    );
    refuse_creation(
        class("system-mine", json!({"value": 1})),
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: \
         system-mine is not a known system priority class",
    );
    let old = stored(class("high", json!({"value": 10})));
    refuse_change(
        &old,
        json!({"value": 11, "preemptionPolicy": "Never"}),
        "[value: Forbidden: may not be changed in an update., preemptionPolicy: Invalid value: \"Never\": field is \
         immutable]",
    );
}

#[test]
fn of_leases() {
    let lease = |spec: Value| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": spec});
    refuse_creation(
        lease(json!({"leaseDurationSeconds": 0, "leaseTransitions": -1, "preferredHolder": "x"})),
        "[spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0, spec.leaseTransitions: Invalid value: -1: \
         must be greater than or equal to 0, spec.preferredHolder: Forbidden: may only be specified if `strategy` is \
         defined]",
    );
    stored(lease(json!({"holderIdentity": "x", "leaseDurationSeconds": 15})));
}

#[test]
fn of_services() {
    let service =
        |name: &str, spec: Value| json!({"kind": "Service", "metadata": {"name": name}, "spec": spec});
    refuse_creation(
        service("9lives", json!({"ports": [{"port": 80}]})),
        "metadata.name: Invalid value: \"9lives\": a DNS-1035 label must consist of lower case alphanumeric characters \
         or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
         'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    );
    refuse_creation(
        service("s", json!({"type": "Other", "ports": [{"port": 0}, {"port": 80, "protocol": "TLS"}]})),
        "[spec.ports[0].name: Required value, spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, \
         inclusive, spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive, \
         spec.ports[1].name: Required value, spec.ports[1].protocol: Unsupported value: \"TLS\": supported values: \
         \"SCTP\", \"TCP\", \"UDP\", spec.type: Unsupported value: \"Other\": supported values: \"ClusterIP\", \
         \"ExternalName\", \"LoadBalancer\", \"NodePort\"]",
    );
    refuse_creation(service("s", json!({"type": "ExternalName"})), "spec.externalName: Required value");
    refuse_creation(service("s", json!({"clusterIP": "10.0.0.1"})), "spec.ports: Required value");
    let old = stored(service("s", json!({"ports": [{"port": 80}]})));
    refuse_change(
        &old,
        json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}}),
        "spec.clusterIPs[0]: Invalid value: [\"10.0.0.1\"]: may not change once set",
    );
}

#[test]
fn of_limit_ranges() {
    let range =
        |limits: Value| json!({"kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": limits}});
    refuse_creation(
        range(json!([
            {"type": "Pod", "default": {"cpu": "1"}},
            {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"memory": "500m"}},
            {"type": "Container"},
            {"type": "PersistentVolumeClaim"},
        ])),
        "[spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod', spec.limits[1].min[cpu]: Invalid \
         value: \"2\": min value 2 is greater than max value 1, spec.limits[1].defaultRequest[cpu]: Invalid value: \"1\": \
         min value 2 is greater than default request value 1, spec.limits[1].default[cpu]: Invalid value: \"1\": min value \
         2 is greater than default value 1, spec.limits[1].maxLimitRequestRatio[memory]: Invalid value: \"500m\": ratio \
         500m is less than 1, spec.limits[2].type: Duplicate value: \"Container\", spec.limits[3].limits: Required \
         value: either minimum or maximum storage value is required, but neither was provided]",
    );
    let stored = stored(range(json!([{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}}])));
    let item = &stored.value()["spec"]["limits"][0];
    assert_eq!((&item["default"], &item["defaultRequest"]), (&json!({"cpu": "1"}), &json!({"cpu": "1"})));
}
