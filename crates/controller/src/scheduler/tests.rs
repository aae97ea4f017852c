//! Which pods get the node, and what the others are told.

use cronlet_object::{
    Key, Kind,
    api::{Event, PersistentVolumeClaim},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    Controller,
    testing::{World, at},
};

/// A world with the node `here`, which has `node` on top of a label.
fn world(node: &Value) -> World {
    let mut world = World::new("2026-03-01T10:00:00Z");
    world.put_json::<Node>(json!({
        "metadata": {"name": "here", "labels": {"disk": "ssd", "cores": "8"}}, "spec": node,
    }));
    world
}

fn pod(world: &mut World, spec: &Value) -> Key {
    let mut object = json!({
        "metadata": {"name": "p", "generation": 1},
        "spec": {"containers": [{"name": "c"}], "schedulerName": "default-scheduler"},
        "status": {"phase": "Pending"},
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    world.put_json::<Pod>(object)
}

fn condition(world: &World, key: &Key) -> Option<PodCondition> {
    world.decode::<Pod>(key).status.unwrap().conditions.map(|mut conditions| conditions.remove(0))
}

fn node_of(world: &World, key: &Key) -> Option<String> {
    world.decode::<Pod>(key).spec.unwrap().node_name
}

fn messages(world: &World) -> Vec<(String, i32)> {
    let events = world.snapshot.list(Kind::Event).map(|event| event.decode::<Event>());
    events.map(|event| (event.message.unwrap(), event.count.unwrap())).collect()
}

fn unavailable(problem: &str) -> String {
    format!(
        "0/1 nodes are available: {problem}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for \
         scheduling."
    )
}

#[test]
fn a_pod_is_bound_to_the_node() {
    let mut world = world(&json!({}));
    let key = pod(&mut world, &json!({}));
    world.reconcile(Controller::Scheduler, &key);
    assert_eq!(node_of(&world, &key).as_deref(), Some("here"));
    let condition = condition(&world, &key).unwrap();
    assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("PodScheduled", "True"));
    assert_eq!(condition.last_transition_time, Some(Time(world.now)));
    assert_eq!(messages(&world), [("Successfully assigned default/p to here".to_owned(), 1)]);
    assert!(world.plan(Controller::Scheduler, &key).transaction.is_empty());
}

#[test]
fn pods_of_others_are_left_alone() {
    for spec in [
        json!({"nodeName": "there"}),
        json!({"schedulerName": "volcano"}),
        json!({"schedulingGates": [{"name": "example.com/wait"}]}),
    ] {
        let mut world = world(&json!({}));
        let key = pod(&mut world, &spec);
        assert!(world.plan(Controller::Scheduler, &key).transaction.is_empty(), "{spec}");
    }
    let mut world = world(&json!({}));
    world.settings.node_name = None;
    let key = pod(&mut world, &json!({}));
    assert!(world.plan(Controller::Scheduler, &key).transaction.is_empty(), "no node runs pods here");
}

#[test]
fn a_pod_waits_for_its_claim_and_is_told_so_once() {
    let mut world = world(&json!({}));
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "pvc-backup-data"}}]);
    let key = pod(&mut world, &json!({"volumes": volumes}));
    for _ in 0..3 {
        world.reconcile(Controller::Scheduler, &key);
    }
    let missing = unavailable("persistentvolumeclaim \"pvc-backup-data\" not found");
    let told = condition(&world, &key).unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_deref()), ("False", Some("Unschedulable")));
    assert_eq!(told.message.as_ref(), Some(&missing));
    assert_eq!(messages(&world), [(missing, 1)]);

    world.now = at("2026-03-01T11:00:00Z");
    let claim = world.put_json::<PersistentVolumeClaim>(json!({
        "metadata": {"name": "pvc-backup-data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }));
    world.reconcile(Controller::Scheduler, &key);
    let told = condition(&world, &key).unwrap();
    assert_eq!(told.message, Some(unavailable("pod has unbound immediate PersistentVolumeClaims")));
    assert_eq!(told.last_transition_time, Some(Time(at("2026-03-01T10:00:00Z"))), "it is False since then");

    world.settle_all();
    assert_eq!(node_of(&world, &key).as_deref(), Some("here"));
    assert_eq!(condition(&world, &key).unwrap().last_transition_time, Some(Time(world.now)));
    assert!(world.get(&claim).is_some());
}

#[test]
fn the_decision_rests_on_the_claims_that_were_read() {
    let mut world = world(&json!({}));
    let claim = world.put_json::<PersistentVolumeClaim>(json!({
        "metadata": {"name": "data"}, "spec": {}, "status": {"phase": "Bound"},
    }));
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
    let key = pod(&mut world, &json!({"volumes": volumes}));
    let plan = world.plan(Controller::Scheduler, &key);
    let revision = world.get(&claim).unwrap().revision();
    assert_eq!(plan.transaction.require, [Unchanged { key: claim, revision }]);
}

#[test]
fn what_the_node_lacks_is_named_in_upstreams_words() {
    const AFFINITY: &str = "1 node(s) didn't match Pod's node affinity/selector";
    const TAINT: &str = "1 node(s) had untolerated taint(s)";
    let taint = json!({"taints": [{"key": "only", "value": "batch", "effect": "NoSchedule"}]});
    let term = |expression: Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [expression]}],
        }}}})
    };
    let tolerate = |toleration: Value| json!({"tolerations": [toleration]});
    for (node, spec, problem) in [
        (json!({}), json!({"nodeSelector": {"disk": "ssd"}}), None),
        (json!({}), json!({"nodeSelector": {"disk": "hdd"}}), Some(AFFINITY)),
        (json!({}), term(json!({"key": "cores", "operator": "Gt", "values": ["4"]})), None),
        (json!({}), term(json!({"key": "cores", "operator": "Lt", "values": ["4"]})), Some(AFFINITY)),
        (json!({}), term(json!({"key": "disk", "operator": "NotIn", "values": ["ssd"]})), Some(AFFINITY)),
        (json!({}), term(json!({"key": "gpu", "operator": "DoesNotExist"})), None),
        (json!({}), term(json!({"key": "gpu", "operator": "Exists"})), Some(AFFINITY)),
        (taint.clone(), json!({}), Some(TAINT)),
        (taint.clone(), tolerate(json!({"key": "only", "operator": "Exists"})), None),
        (taint.clone(), tolerate(json!({"key": "only", "value": "batch", "effect": "NoSchedule"})), None),
        (taint.clone(), tolerate(json!({"key": "only", "value": "web"})), Some(TAINT)),
        (taint, tolerate(json!({"operator": "Exists", "effect": "NoExecute"})), Some(TAINT)),
        (json!({"unschedulable": true}), json!({}), Some("1 node(s) were unschedulable")),
        (json!({"unschedulable": true}), tolerate(json!({"operator": "Exists"})), None),
    ] {
        let mut world = world(&node);
        let key = pod(&mut world, &spec);
        world.reconcile(Controller::Scheduler, &key);
        let told = condition(&world, &key).unwrap();
        assert_eq!(told.message, problem.map(unavailable), "{node} {spec}");
        assert_eq!(node_of(&world, &key).is_some(), problem.is_none());
    }
}

#[test]
fn claims_that_end_or_are_still_to_be_made_keep_a_pod_waiting() {
    let mut world = world(&json!({}));
    world.put_json::<PersistentVolumeClaim>(json!({
        "metadata": {
            "name": "ending", "deletionTimestamp": "2026-03-01T10:00:00Z",
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": {}, "status": {"phase": "Bound"},
    }));
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "ending"}}]);
    let key = pod(&mut world, &json!({"volumes": volumes}));
    world.reconcile(Controller::Scheduler, &key);
    let ending = unavailable("persistentvolumeclaim \"ending\" is being deleted");
    assert_eq!(condition(&world, &key).unwrap().message, Some(ending));
    let volumes = json!([{"name": "scratch", "ephemeral": {}}]);
    let key = pod(&mut world, &json!({"volumes": volumes}));
    world.reconcile(Controller::Scheduler, &key);
    let message = condition(&world, &key).unwrap().message.unwrap();
    assert!(
        message.contains("ephemeral volume controller to create the persistentvolumeclaim \"p-scratch\"")
    );
}

#[test]
fn without_a_node_nothing_can_be_scheduled() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    let key = pod(&mut world, &json!({}));
    world.reconcile(Controller::Scheduler, &key);
    assert_eq!(
        condition(&world, &key).unwrap().message.as_deref(),
        Some("no nodes available to schedule pods")
    );
    world.put_json::<Node>(json!({"metadata": {"name": "here"}}));
    world.settle_all();
    assert_eq!(node_of(&world, &key).as_deref(), Some("here"));
}
