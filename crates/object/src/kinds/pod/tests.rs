#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use serde_json::{Value, json};

use super::*;

fn pod(spec: Value, status: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec, "status": status})).unwrap()
}

fn faults(validate: impl FnOnce(&mut FieldErrors)) -> Vec<String> {
    let mut errors = FieldErrors::new();
    validate(&mut errors);
    errors.0.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
}

#[test]
fn the_class_of_a_pod_follows_from_its_resources() {
    let class = |containers: &[Value]| {
        let containers: Vec<Value> =
            containers.iter().map(|resources| json!({"name": "c", "resources": resources})).collect();
        qos_class(pod(json!({"containers": containers}), json!({})).spec.as_ref().unwrap())
    };
    let both = json!({"cpu": "1", "memory": "1Gi"});
    let equal = json!({"limits": both, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
    assert_eq!(class(&[json!({}), json!({"limits": {"cpu": "0"}})]), "BestEffort");
    assert_eq!(class(std::slice::from_ref(&equal)), "Guaranteed");
    assert_eq!(class(&[equal, json!({})]), "Burstable");
    assert_eq!(class(&[json!({"requests": {"cpu": "1"}})]), "Burstable");
    assert_eq!(class(&[json!({"limits": both, "requests": {"cpu": "500m", "memory": "1Gi"}})]), "Burstable");
}

#[test]
fn a_container_that_has_ended_for_good_does_not_come_back() {
    let status = |state: Value| json!({"containerStatuses": [{"name": "c", "state": state}]});
    let ended = |code: i32| status(json!({"terminated": {"exitCode": code}}));
    let returns = |policy: &str, code: i32, own: Value| {
        let spec = json!({"restartPolicy": policy, "containers": [{"name": "c", "restartPolicy": own}]});
        let (old, new) = (pod(spec.clone(), ended(code)), pod(spec, status(json!({"running": {}}))));
        faults(|errors| new.validate_status_update(&old, errors)).is_empty()
    };
    assert!(returns("Always", 0, Value::Null));
    assert!(returns("OnFailure", 1, Value::Null));
    assert!(returns("Never", 1, json!("Always")));
    assert!(!returns("OnFailure", 0, Value::Null));
    assert!(!returns("Never", 1, Value::Null));
}

#[test]
fn addresses_in_a_status_are_addresses() {
    let new = pod(
        json!({"containers": []}),
        json!({
            "podIPs": [{"ip": "10.0.0.1"}, {"ip": "x"}], "hostIP": "10.0.0.2", "hostIPs": [{"ip": "10.0.0.3"}],
        }),
    );
    assert_eq!(
        faults(|errors| new.validate_status_update(&pod(json!({"containers": []}), json!({})), errors)),
        [
            "status.podIPs[1]: must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "status.hostIPs[0].ip: must be equal to `hostIP`",
        ]
    );
}

#[test]
fn a_pod_may_be_given_a_deadline_tolerations_and_fewer_gates() {
    let spec = |patch: Value| {
        let mut spec = json!({
            "containers": [{"name": "c", "image": "i"}], "activeDeadlineSeconds": 60,
            "tolerations": [{"key": "a", "operator": "Exists"}], "schedulingGates": [{"name": "g"}],
            "terminationGracePeriodSeconds": -1,
        });
        json_patch::merge(&mut spec, &patch);
        serde_json::from_value::<PodSpec>(spec).unwrap()
    };
    let old = spec(json!({}));
    let change = |patch: Value| faults(|errors| update::validate(&spec(patch), &old, errors));
    let added = json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 5, "effect": null}, {"operator": "Exists"}]);
    let allowed =
        json!({"activeDeadlineSeconds": 30, "schedulingGates": null, "terminationGracePeriodSeconds": 1});
    assert_eq!(change(allowed), Vec::<String>::new());
    assert_eq!(
        change(json!({"tolerations": [{"operator": "Exists"}, added[0]]})).len(),
        1,
        "seconds need an effect"
    );
    assert_eq!(
        change(json!({"tolerations": [{"operator": "Exists"}]})),
        ["spec.tolerations: existing toleration can not be modified except its tolerationSeconds"]
    );
    assert_eq!(
        change(json!({"activeDeadlineSeconds": 61})),
        ["spec.activeDeadlineSeconds: must be less than or equal to previous value"]
    );
    assert_eq!(
        change(json!({"activeDeadlineSeconds": null})),
        ["spec.activeDeadlineSeconds: must not update from a positive integer to nil value"]
    );
    assert_eq!(
        change(json!({"schedulingGates": [{"name": "h"}]})),
        ["spec.schedulingGates[0].name: only deletion is allowed, but found new scheduling gate 'h'"]
    );
}

#[test]
fn a_new_pod_is_neither_debugged_nor_bound_while_gated() {
    let mut object = pod(
        json!({
            "containers": [{"name": "c", "image": " i"}], "nodeName": "n", "schedulingGates": [{"name": "g"}],
            "ephemeralContainers": [{"name": "e"}],
        }),
        json!({}),
    );
    object.set_defaults();
    assert_eq!(
        faults(|errors| object.validate(errors)),
        [
            "spec.containers[0].image: must not have leading or trailing whitespace",
            "spec.ephemeralContainers: cannot be set on create",
            "spec.nodeName: cannot be set until all schedulingGates have been cleared",
        ]
    );
}
