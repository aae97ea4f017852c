#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{Draft, Ids, document};

fn now() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().unwrap()
}

fn typed(manifest: &Value) -> Typed {
    let kind = Kind::ALL.iter().copied().find(|kind| kind.descriptor().kind == manifest["kind"]).unwrap();
    with_kind!(kind, T => document::decode::<T>(manifest).unwrap().object.into())
}

fn try_create(snapshot: &Snapshot, manifest: &Value) -> Result<Object, ApiError> {
    let mut ids = Ids::seeded(1);
    let admitted = create(snapshot, typed(manifest), &mut Context { now: now(), ids: &mut ids })?;
    Ok(admitted.draft.seal(1))
}

fn with(manifests: &[Value]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for manifest in manifests {
        let object = Draft::new(&typed(manifest)).seal(snapshot.revision() + 1);
        snapshot.insert(Arc::new(object));
    }
    snapshot
}

fn pod(spec: &Value) -> Value {
    let mut pod = json!({
        "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    json_patch::merge(&mut pod["spec"], spec);
    pod
}

fn class(name: &str, value: i32, rest: &Value) -> Value {
    let mut class = json!({"kind": "PriorityClass", "metadata": {"name": name}, "value": value});
    json_patch::merge(&mut class, rest);
    class
}

#[test]
fn a_pod_has_the_priority_of_its_class() {
    let snapshot =
        with(&[class("high", 1000, &json!({"preemptionPolicy": "Never"})), class("low", -5, &json!({}))]);
    let fields = |spec: Value| {
        let pod = try_create(&snapshot, &pod(&spec)).unwrap().value();
        let spec = &pod["spec"];
        (spec["priority"].clone(), spec["preemptionPolicy"].clone(), spec["priorityClassName"].clone())
    };
    assert_eq!(fields(json!({"priorityClassName": "high"})), (json!(1000), json!("Never"), json!("high")));
    assert_eq!(fields(json!({"priorityClassName": "low"})), (json!(-5), json!(PREEMPT), json!("low")));
    assert_eq!(fields(json!({})), (json!(0), json!(PREEMPT), Value::Null));
    let refusal = |spec: Value| try_create(&snapshot, &pod(&spec)).unwrap_err().message().to_owned();
    assert_eq!(
        refusal(json!({"priorityClassName": "none"})),
        "pods \"p\" is forbidden: no PriorityClass with name none was found"
    );
    assert_eq!(
        refusal(json!({"priorityClassName": "high", "priority": 7})),
        "pods \"p\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority \
         admission controller computed 1000 from the given PriorityClass name"
    );
}

#[test]
fn one_class_can_be_that_of_pods_that_name_none() {
    let default = json!({"globalDefault": true});
    let snapshot = with(&[class("usual", 10, &default)]);
    let pod = try_create(&snapshot, &pod(&json!({}))).unwrap().value();
    assert_eq!((&pod["spec"]["priority"], &pod["spec"]["priorityClassName"]), (&json!(10), &json!("usual")));
    let second = try_create(&snapshot, &class("other", 20, &default)).unwrap_err();
    assert_eq!(
        second.message(),
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as \
         default. Only one default can exist"
    );
    let old = snapshot.list(Kind::PriorityClass).next().unwrap();
    assert!(check_update(&snapshot, old, &typed(&class("usual", 10, &default))).is_ok());
    assert_eq!(check_update(&snapshot, old, &typed(&class("other", 20, &default))).unwrap_err().code(), 403);
}

#[test]
fn the_systems_classes_stay() {
    for class in system_priority_classes() {
        let name = class.metadata.name.clone().unwrap();
        let mut ids = Ids::seeded(1);
        let context = &mut Context { now: now(), ids: &mut ids };
        let object = create(&Snapshot::default(), class.into(), context).unwrap().draft.seal(1);
        let why = check_deletion(&object).unwrap_err();
        assert!(why.message().ends_with("this is a system priority class and cannot be deleted"), "{name}");
    }
    let own = try_create(&Snapshot::default(), &class("own", 1, &json!({}))).unwrap();
    assert!(check_deletion(&own).is_ok());
}

fn account(name: &str, rest: &Value) -> Value {
    let mut account = json!({"kind": "ServiceAccount", "metadata": {"name": name, "namespace": "a"}});
    json_patch::merge(&mut account, rest);
    account
}

fn node(runtime: &str) -> Value {
    let info = json!({
        "containerRuntimeVersion": runtime, "architecture": "", "bootID": "", "kernelVersion": "", "kubeProxyVersion": "",
        "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": "",
    });
    json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"nodeInfo": info}})
}

#[test]
fn containers_get_the_token_of_their_account() {
    let snapshot = with(&[node("cronlet-oci://0.1.0"), account("default", &json!({}))]);
    let own = json!([{"name": "own", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    let spec = json!({
        "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i", "volumeMounts": own}],
        "initContainers": [{"name": "e", "image": "i"}], "volumes": [{"name": "own", "emptyDir": {}}],
    });
    let created = try_create(&snapshot, &pod(&spec)).unwrap().value();
    let volume = &created["spec"]["volumes"][1];
    let name = volume["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    assert_eq!(
        volume["projected"],
        json!({"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]})
    );
    let mounts = |pointer: &str| created["spec"].pointer(pointer).unwrap().clone();
    let mount = json!([{"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    assert_eq!(mounts("/containers/0/volumeMounts"), mount);
    assert_eq!(mounts("/initContainers/0/volumeMounts"), mount);
    assert_eq!(mounts("/containers/1/volumeMounts"), own, "it has mounted something else there");
}

#[test]
fn who_does_not_want_the_token_gets_none() {
    let not = json!({"automountServiceAccountToken": false});
    let snapshot =
        with(&[node("cronlet-oci://0.1.0"), account("default", &json!({})), account("quiet", &not)]);
    let volumes = |snapshot: &Snapshot, spec: Value| {
        let pod = try_create(snapshot, &pod(&spec)).unwrap().value();
        pod["spec"]["volumes"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(volumes(&snapshot, not), 0);
    let quiet = |wants: Value| json!({"serviceAccountName": "quiet", "automountServiceAccountToken": wants});
    assert_eq!(volumes(&snapshot, quiet(Value::Null)), 0);
    assert_eq!(volumes(&snapshot, quiet(json!(true))), 1, "the pod has the last word");
    let processes = with(&[node("cronlet-process://0.1.0"), account("default", &json!({}))]);
    assert_eq!(volumes(&processes, json!({})), 0);
    let refused = try_create(&processes, &pod(&json!({"serviceAccountName": "nobody"}))).unwrap_err();
    assert_eq!(
        refused.message(),
        "pods \"p\" is forbidden: error looking up service account a/nobody: serviceaccount \"nobody\" not found"
    );
}

fn limit_range(limits: Value) -> Value {
    let mut range = json!({"kind": "LimitRange", "metadata": {"name": "l", "namespace": "a"}, "spec": {"limits": limits}});
    let Typed::LimitRange(mut typed) = typed(&range) else { panic!("{range}") };
    typed.set_defaults();
    range["spec"] = serde_json::to_value(&typed.spec).unwrap();
    range
}

fn resources(requests: Value, limits: Value) -> Value {
    json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": requests, "limits": limits}}]})
}

#[test]
fn containers_are_given_what_their_namespace_says() {
    let snapshot = with(&[limit_range(json!([
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m", "memory": "64Mi"}},
    ]))]);
    let created = try_create(&snapshot, &pod(&json!({}))).unwrap().value();
    assert_eq!(
        created["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m", "memory": "64Mi"}})
    );
    assert_eq!(
        created["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container c; cpu limit for container c"
    );
    let own = resources(json!({}), json!({"cpu": "2", "memory": "1Gi"}));
    let created = try_create(&snapshot, &pod(&own)).unwrap().value();
    let all = json!({"cpu": "2", "memory": "1Gi"});
    assert_eq!(created["spec"]["containers"][0]["resources"], json!({"limits": all, "requests": all}));
    assert_eq!(created["metadata"]["annotations"], Value::Null, "a limit is a request, too");
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let bounds = |kind: &str| json!([{"type": kind, "min": {"cpu": "100m"}, "max": {"cpu": "1"}}]);
    let refusal = |kind: &str, spec: Value| {
        let error = try_create(&with(&[limit_range(bounds(kind))]), &pod(&spec)).unwrap_err();
        error.message().strip_prefix("pods \"p\" is forbidden: ").unwrap().to_owned()
    };
    assert_eq!(
        refusal("Container", resources(json!({"cpu": "50m"}), json!({"cpu": "2"}))),
        "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 1, but limit \
         is 2]"
    );
    assert_eq!(
        refusal("Pod", json!({})),
        "[minimum cpu usage per Pod is 100m.  No request is specified, maximum cpu usage per Pod is 1.  No limit is \
         specified]"
    );
    let two = json!({"containers": [
        {"name": "c", "image": "i", "resources": {"limits": {"cpu": "600m"}}},
        {"name": "d", "image": "i", "resources": {"limits": {"cpu": "600m"}}},
    ]});
    assert_eq!(refusal("Pod", two), "maximum cpu usage per Pod is 1, but limit is 1200m");
    let ratio = limit_range(json!([{"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]));
    let wide = pod(&resources(json!({"cpu": "100m"}), json!({"cpu": "250m"})));
    assert_eq!(
        try_create(&with(&[ratio]), &wide).unwrap_err().message(),
        "pods \"p\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000"
    );
}

#[test]
fn claims_have_bounds_too() {
    let snapshot = with(&[limit_range(
        json!([{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}]),
    )]);
    let claim = |amount: &str| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": amount}}});
        let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "a"}, "spec": spec});
        try_create(&snapshot, &claim).map_err(|error| error.message().to_owned())
    };
    assert!(claim("1Gi").is_ok() && claim("2Gi").is_ok());
    assert_eq!(
        claim("3Gi").unwrap_err(),
        "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request \
         is 3Gi"
    );
    assert!(claim("1Mi").unwrap_err().ends_with("is 1Gi, but request is 1Mi"));
}
