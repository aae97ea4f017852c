//! Which pods get the node, and what the others are told.

use cronlet_object::{
    Key, Kind,
    api::{Event, PersistentVolume, PersistentVolumeClaim},
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

    world.default_class();
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

fn volume(world: &mut World, spec: &Value) -> Key {
    let mut object = json!({
        "metadata": {"name": "disk"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/srv"},
            "storageClassName": "by-hand",
        },
        "status": {"phase": "Available"},
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    world.put_json::<PersistentVolume>(object)
}

fn claim(world: &mut World, modes: &Value) -> Key {
    world.put_json::<PersistentVolumeClaim>(json!({
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": modes, "storageClassName": "by-hand", "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Pending"},
    }))
}

fn user(world: &mut World, name: &str) -> Key {
    world.put_json::<Pod>(json!({
        "metadata": {"name": name, "generation": 1},
        "spec": {
            "containers": [{"name": "c"}], "schedulerName": "default-scheduler",
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
        },
        "status": {"phase": "Pending"},
    }))
}

#[test]
fn a_pod_waits_for_a_volume_that_is_made_by_hand() {
    let mut world = world(&json!({}));
    world.class("by-hand", &json!({"provisioner": "kubernetes.io/no-provisioner"}));
    let claim = claim(&mut world, &json!(["ReadWriteOnce"]));
    let key = user(&mut world, "p");
    world.settle_all();
    let lacking = unavailable("1 node(s) didn't find available persistent volumes to bind");
    assert_eq!(condition(&world, &key).unwrap().message, Some(lacking));
    let disk = volume(&mut world, &json!({}));
    world.settle_all();
    assert_eq!(node_of(&world, &key).as_deref(), Some("here"));
    let bound = world.decode::<PersistentVolumeClaim>(&claim);
    assert_eq!(bound.spec.unwrap().volume_name.as_deref(), Some("disk"));
    assert_eq!(world.decode::<PersistentVolume>(&disk).status.unwrap().phase.as_deref(), Some("Bound"));
}

#[test]
fn a_volume_of_another_node_cannot_be_used() {
    let mut world = world(&json!({}));
    let elsewhere = json!({"key": "disk", "operator": "In", "values": ["hdd"]});
    let affinity = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [elsewhere]}]}});
    volume(&mut world, &json!({"nodeAffinity": affinity}));
    claim(&mut world, &json!(["ReadWriteOnce"]));
    let key = user(&mut world, "p");
    world.settle_all();
    let elsewhere = unavailable("1 node(s) didn't match PersistentVolume's node affinity");
    assert_eq!(condition(&world, &key).unwrap().message, Some(elsewhere));
}

#[test]
fn one_pod_at_a_time_uses_a_claim_that_says_so() {
    let mut world = world(&json!({}));
    volume(&mut world, &json!({"accessModes": ["ReadWriteOncePod"]}));
    claim(&mut world, &json!(["ReadWriteOncePod"]));
    let first = user(&mut world, "first");
    world.settle_all();
    assert_eq!(node_of(&world, &first).as_deref(), Some("here"));
    let second = user(&mut world, "second");
    let third = user(&mut world, "third");
    world.settle_all();
    let taken = "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and \
                 ReadWriteOncePod access mode. preemption: 0/1 nodes are available: 1 No preemption victims found for \
                 incoming pod.";
    assert_eq!(condition(&world, &second).unwrap().message.as_deref(), Some(taken));
    world.remove(&first);
    let nodes = [node_of(&world, &second), node_of(&world, &third)];
    assert_eq!(nodes.iter().flatten().count(), 1, "{nodes:?}");
}

#[test]
fn two_pods_that_are_let_in_at_once_contend_for_the_claim() {
    let mut world = world(&json!({}));
    volume(&mut world, &json!({"accessModes": ["ReadWriteOncePod"]}));
    let claim = claim(&mut world, &json!(["ReadWriteOncePod"]));
    world.settle_all();
    let pods = [user(&mut world, "first"), user(&mut world, "second")];
    for pod in pods {
        let plan = world.plan(Controller::Scheduler, &pod);
        let revision = world.get(&claim).unwrap().revision();
        let marks = plan.transaction.writes.iter().any(
            |write| matches!(write, Write::Update { draft, expect } if *draft.key() == claim && *expect == revision),
        );
        assert!(marks, "the second of them is refused: the claim has changed");
    }
}
