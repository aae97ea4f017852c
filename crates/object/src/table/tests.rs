#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use serde_json::{Value, json};

use super::*;
use crate::{Draft, Typed, document};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// The row of a manifest, created half an hour ago.
fn row_of(mut manifest: Value) -> Row {
    let kind = manifest["kind"].as_str().unwrap().to_owned();
    let version = match kind.as_str() {
        "Job" | "CronJob" => "batch/v1",
        "StorageClass" => "storage.k8s.io/v1",
        "RuntimeClass" => "node.k8s.io/v1",
        "PriorityClass" => "scheduling.k8s.io/v1",
        "Lease" => "coordination.k8s.io/v1",
        "ClusterRole" | "RoleBinding" => "rbac.authorization.k8s.io/v1",
        _ => "v1",
    };
    let created = json!({"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:30:00Z"}});
    let patch = manifest.clone();
    json_patch::merge(&mut manifest, &created);
    json_patch::merge(&mut manifest, &patch);
    let kind = Kind::from_manifest(version, &kind).unwrap();
    let typed: Typed = with_kind!(kind, T => document::decode::<T>(&manifest).unwrap().object.into());
    row(&Draft::new(&typed).seal(1), now())
}

fn cells(manifest: Value) -> Vec<Value> {
    row_of(manifest).cells
}

/// One cell, by the name of its column.
fn cell(column: &str, manifest: Value) -> Value {
    let kind = manifest["kind"].as_str().unwrap().to_owned();
    let kind = Kind::ALL.iter().find(|k| k.descriptor().kind == kind).unwrap();
    let index = columns(*kind).iter().position(|c| c.name == column).unwrap();
    cells(manifest).swap_remove(index)
}

#[test]
fn columns_are_upstreams() {
    let names = |kind: Kind| {
        let shown = columns(kind)
            .iter()
            .map(|c| if c.priority == 1 { format!("({})", c.name) } else { c.name.into() });
        shown.collect::<Vec<_>>().join(", ")
    };
    let expected = [
        (Kind::Pod, "Name, Ready, Status, Restarts, Age, (IP), (Node), (Nominated Node), (Readiness Gates)"),
        (Kind::Job, "Name, Status, Completions, Duration, Age, (Containers), (Images), (Selector)"),
        (
            Kind::CronJob,
            "Name, Schedule, Timezone, Suspend, Active, Last Schedule, Age, (Containers), (Images), \
             (Selector)",
        ),
        (Kind::ConfigMap, "Name, Data, Age"),
        (Kind::Secret, "Name, Type, Data, Age"),
        (Kind::ServiceAccount, "Name, Age"),
        (Kind::Namespace, "Name, Status, Age"),
        (
            Kind::Node,
            "Name, Status, Roles, Age, Version, (Internal-IP), (External-IP), (OS-Image), (Kernel-Version), \
             (Container-Runtime)",
        ),
        (
            Kind::Event,
            "Last Seen, Type, Reason, Object, (Subobject), (Source), Message, (First Seen), (Count), (Name)",
        ),
        (
            Kind::PersistentVolumeClaim,
            "Name, Status, Volume, Capacity, Access Modes, StorageClass, VolumeAttributesClass, Age, \
             (VolumeMode)",
        ),
        (
            Kind::PersistentVolume,
            "Name, Capacity, Access Modes, Reclaim Policy, Status, Claim, StorageClass, VolumeAttributesClass, \
             Reason, Age, (VolumeMode)",
        ),
        (
            Kind::StorageClass,
            "Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age",
        ),
        (Kind::RuntimeClass, "Name, Handler, Age"),
        (Kind::PriorityClass, "Name, Value, Global-Default, Age, PreemptionPolicy"),
        (Kind::Lease, "Name, Holder, Age"),
        (Kind::LimitRange, "Name, Created At"),
        (Kind::Service, "Name, Type, Cluster-IP, External-IP, Port(s), Age, (Selector)"),
        (Kind::Role, "Name, Created At"),
        (Kind::ClusterRole, "Name, Created At"),
        (Kind::RoleBinding, "Name, Role, Age, (Users), (Groups), (ServiceAccounts)"),
        (Kind::ClusterRoleBinding, "Name, Role, Age, (Users), (Groups), (ServiceAccounts)"),
    ];
    assert_eq!(expected.len(), Kind::ALL.len());
    for (kind, columns) in expected {
        assert_eq!(names(kind), columns, "{kind}");
    }
    let json = serde_json::to_value(columns(Kind::CronJob)).unwrap();
    assert_eq!(
        json[0],
        json!({"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0})
    );
    assert_eq!((&json[3]["type"], &json[4]["type"]), (&json!("boolean"), &json!("integer")));
}

#[test]
fn jobs() {
    let job = |patch: Value| {
        let template =
            json!({"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}});
        let mut job = json!({"kind": "Job", "spec": {"template": template, "completions": 3}});
        json_patch::merge(&mut job, &patch);
        job
    };
    let selector = json!({"matchLabels": {"k": "v"}, "matchExpressions": [
        {"key": "e", "operator": "In", "values": ["b", "a"]}, {"key": "n", "operator": "DoesNotExist"},
    ]});
    assert_eq!(
        cells(job(
            json!({"spec": {"selector": selector}, "status": {"succeeded": 1, "startTime": "2026-01-01T00:59:00Z"}})
        )),
        [
            json!("x"),
            json!("Running"),
            json!("1/3"),
            json!("60s"),
            json!("30m"),
            json!("a,b"),
            json!("i:1,j"),
            json!("e in (a,b),k=v,!n"),
        ]
    );
    assert_eq!(cell("Selector", job(json!({}))), "<none>");
    let completions = |spec: Value| cell("Completions", job(json!({"spec": spec})));
    assert_eq!(completions(json!({"completions": null, "parallelism": 2})), "0/1 of 2");
    assert_eq!(completions(json!({"completions": null, "parallelism": 1})), "0/1");
    let ended = json!({"startTime": "2026-01-01T00:40:00Z", "completionTime": "2026-01-01T00:43:20Z"});
    assert_eq!(cell("Duration", job(json!({"status": ended}))), "3m20s");
    assert_eq!(cell("Duration", job(json!({}))), "");
}

#[test]
fn the_status_of_a_job_is_its_first_condition_that_holds() {
    let status = |conditions: &[(&str, &str)], deleted: bool| {
        let list: Vec<Value> =
            conditions.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect();
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        cell(
            "Status",
            json!({"kind": "Job", "metadata": {"deletionTimestamp": deleted}, "status": {"conditions": list}}),
        )
    };
    let (success, target) = (("SuccessCriteriaMet", "True"), ("FailureTarget", "True"));
    assert_eq!(status(&[success, ("Complete", "True")], true), "Complete");
    assert_eq!(status(&[target, ("Failed", "True")], false), "Failed");
    assert_eq!(status(&[target], true), "Terminating");
    assert_eq!(status(&[("Suspended", "True"), target], false), "Suspended");
    assert_eq!(status(&[success, target], false), "FailureTarget");
    assert_eq!(status(&[success], false), "SuccessCriteriaMet");
    assert_eq!(status(&[("Suspended", "False")], false), "Running");
}

#[test]
fn cronjobs() {
    let spec = json!({"schedule": "*/5 * * * *", "suspend": false, "jobTemplate": {"spec": {"template": {"spec": {
        "containers": [{"name": "a", "image": "i"}],
    }}}}});
    assert_eq!(
        cells(json!({"kind": "CronJob", "spec": spec})),
        [
            json!("x"),
            json!("*/5 * * * *"),
            json!("<none>"),
            json!("False"),
            json!(0),
            json!("<none>"),
            json!("30m"),
            json!("a"),
            json!("i"),
            json!("<none>"),
        ]
    );
    let status = json!({"active": [{"name": "j"}], "lastScheduleTime": "2026-01-01T00:55:00Z"});
    let cronjob =
        json!({"kind": "CronJob", "spec": {"suspend": true, "timeZone": "Etc/UTC"}, "status": status});
    assert_eq!(cells(cronjob)[2..6], [json!("Etc/UTC"), json!("True"), json!(1), json!("5m")]);
    assert_eq!(cell("Suspend", json!({"kind": "CronJob"})), "<unset>");
}

#[test]
fn config_maps_secrets_accounts_and_namespaces() {
    let config_map = json!({"kind": "ConfigMap", "data": {"a": "1", "b": "2"}, "binaryData": {"c": "eA=="}});
    assert_eq!(cells(config_map), [json!("x"), json!(3), json!("30m")]);
    let secret = json!({"kind": "Secret", "type": "Opaque", "data": {"a": "eA=="}});
    assert_eq!(cells(secret), [json!("x"), json!("Opaque"), json!(1), json!("30m")]);
    assert_eq!(cells(json!({"kind": "ServiceAccount"})), ["x", "30m"]);
    assert_eq!(cells(json!({"kind": "Namespace", "status": {"phase": "Active"}})), ["x", "Active", "30m"]);
    let fresh = json!({"kind": "ConfigMap", "metadata": {"creationTimestamp": null}});
    assert_eq!(cell("Age", fresh), "<unknown>");
}

#[test]
fn nodes() {
    let info = json!({
        "kubeletVersion": "v1.36.0", "osImage": "Linux", "kernelVersion": "6.1", "architecture": "amd64",
        "containerRuntimeVersion": "cronlet://0.1",
    });
    let node = json!({
        "kind": "Node",
        "metadata": {"labels": {
            "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "z",
        }},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": info,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        },
    });
    assert_eq!(
        cells(node),
        [
            "x",
            "Ready,SchedulingDisabled",
            "control-plane,worker,z",
            "30m",
            "v1.36.0",
            "127.0.0.1",
            "<none>",
            "Linux",
            "6.1 (amd64)",
            "cronlet://0.1",
        ]
    );
    let silent = json!({"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    assert_eq!(cell("Status", silent), "NotReady");
    assert_eq!(
        cells(json!({"kind": "Node"})),
        ["x", "Unknown", "<none>", "30m", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]
    );
}

#[test]
fn events() {
    let event = json!({
        "kind": "Event", "type": "Normal", "reason": "SuccessfulCreate", "message": " Created pod: y\n", "count": 4,
        "involvedObject": {"kind": "Job", "name": "y", "fieldPath": "spec"}, "source": {"component": "job-controller", "host": "h"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:59:50Z",
    });
    assert_eq!(
        cells(event),
        [
            json!("10s"),
            json!("Normal"),
            json!("SuccessfulCreate"),
            json!("job/y"),
            json!("spec"),
            json!("job-controller, h"),
            json!("Created pod: y"),
            json!("60m"),
            json!(4),
            json!("x"),
        ]
    );
    let new = json!({
        "kind": "Event", "eventTime": "2026-01-01T00:50:00.5Z", "reportingComponent": "c",
        "series": {"count": 7, "lastObservedTime": "2026-01-01T00:59:00.000000Z"},
    });
    assert_eq!([cell("Last Seen", new.clone()), cell("First Seen", new.clone())], ["60s", "9m59s"]);
    assert_eq!((cell("Count", new.clone()), cell("Source", new)), (json!(7), json!("c")));
    assert_eq!(cell("Last Seen", json!({"kind": "Event"})), "<unknown>");
    assert_eq!(cell("Count", json!({"kind": "Event"})), 1);
}

#[test]
fn claims() {
    let claim = json!({
        "kind": "PersistentVolumeClaim",
        "spec": {"volumeName": "v", "storageClassName": "local", "volumeMode": "Filesystem"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]},
    });
    assert_eq!(
        cells(claim.clone()),
        ["x", "Bound", "v", "1Gi", "RWO,RWX", "local", "<unset>", "30m", "Filesystem"]
    );
    let mut unbound = claim;
    let patch = json!({
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
        "spec": {"volumeName": null, "volumeMode": null},
    });
    json_patch::merge(&mut unbound, &patch);
    assert_eq!(cells(unbound), ["x", "Terminating", "", "", "", "old", "<unset>", "30m", "<unset>"]);
}

#[test]
fn volumes() {
    let volume = json!({
        "kind": "PersistentVolume",
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"], "storageClassName": "standard",
            "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem",
            "claimRef": {"namespace": "ns", "name": "data"},
        },
        "status": {"phase": "Bound", "reason": "why"},
    });
    assert_eq!(
        cells(volume),
        ["x", "1Gi", "RWOP", "Retain", "Bound", "ns/data", "standard", "<unset>", "why", "30m", "Filesystem"]
    );
    let ending =
        json!({"kind": "PersistentVolume", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(cells(ending), ["x", "", "", "", "Terminating", "", "", "<unset>", "", "30m", "<unset>"]);
}

#[test]
fn storage_classes() {
    let class = |patch: Value| {
        let mut class = json!({"kind": "StorageClass", "provisioner": "cronlet.dev/directory"});
        json_patch::merge(&mut class, &patch);
        cells(class)
    };
    let unset = [
        json!("x"),
        json!("cronlet.dev/directory"),
        json!("Delete"),
        json!("Immediate"),
        json!(false),
        json!("30m"),
    ];
    assert_eq!(class(json!({})), unset);
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    let chosen = class(json!({
        "metadata": {"annotations": annotations}, "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
    }));
    assert_eq!(chosen[0], "x (default)");
    assert_eq!(chosen[2..5], [json!("Retain"), json!("WaitForFirstConsumer"), json!(true)]);
}

/// Ready, Status and Restarts of a pod with one init container, a sidecar and two containers.
fn pod_cells(patch: Value) -> [String; 3] {
    let container = |name: &str| json!({"name": name, "image": "i"});
    let mut sidecar = container("s");
    sidecar["restartPolicy"] = "Always".into();
    let mut pod = json!({"kind": "Pod", "spec": {
        "containers": [container("a"), container("b")], "initContainers": [container("i"), sidecar],
    }});
    json_patch::merge(&mut pod, &patch);
    let cells = cells(pod);
    [1, 2, 3].map(|i| cells[i].as_str().unwrap().to_owned())
}

fn container(name: &str, state: Value, patch: Value) -> Value {
    let mut status = json!({"name": name, "state": state, "ready": state["running"].is_object(), "restartCount": 0, "image": "", "imageID": ""});
    json_patch::merge(&mut status, &patch);
    status
}

fn running() -> Value {
    json!({"running": {}})
}

fn ended(code: i32, reason: Value) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason}})
}

fn waiting(reason: &str) -> Value {
    json!({"waiting": {"reason": reason}})
}

#[test]
fn pods_that_wait_for_init_containers() {
    let with =
        |init: Value| pod_cells(json!({"status": {"phase": "Pending", "initContainerStatuses": init}}));
    let init = |state: Value| with(json!([container("i", state, json!({"restartCount": 2}))]));
    assert_eq!(init(running()), ["0/3", "Init:0/2", "2"]);
    assert_eq!(init(waiting("PodInitializing")), ["0/3", "Init:0/2", "2"]);
    assert_eq!(init(waiting("ImagePullBackOff")), ["0/3", "Init:ImagePullBackOff", "2"]);
    assert_eq!(init(ended(1, json!("Error"))), ["0/3", "Init:Error", "2"]);
    assert_eq!(init(ended(3, Value::Null)), ["0/3", "Init:ExitCode:3", "2"]);
    assert_eq!(init(json!({"terminated": {"exitCode": 137, "signal": 9}})), ["0/3", "Init:Signal:9", "2"]);
    let done = container("i", ended(0, json!("Completed")), json!({}));
    assert_eq!(with(json!([done, container("s", running(), json!({}))])), ["0/3", "Init:1/2", "0"]);
    assert_eq!(
        with(json!([done, container("s", running(), json!({"started": true}))])),
        ["1/3", "Pending", "0"]
    );
}

#[test]
fn pods_that_run_or_have_run() {
    let with = |phase: &str, statuses: Value| {
        pod_cells(json!({"status": {"phase": phase, "containerStatuses": statuses}}))
    };
    let both = |a: Value, b: Value| json!([container("a", a, json!({})), container("b", b, json!({}))]);
    assert_eq!(with("Running", both(running(), running())), ["2/3", "Running", "0"]);
    assert_eq!(
        with("Pending", both(waiting("ContainerCreating"), waiting("ErrImagePull")))[1],
        "ContainerCreating"
    );
    let completed = || ended(0, json!("Completed"));
    assert_eq!(with("Succeeded", both(completed(), completed())), ["0/3", "Completed", "0"]);
    assert_eq!(with("Running", both(completed(), running()))[1], "NotReady");
    assert_eq!(with("Failed", both(completed(), ended(2, json!("Error"))))[1], "Error");
    assert_eq!(with("Failed", both(ended(2, Value::Null), completed()))[1], "ExitCode:2");
    let ready = json!({"status": {
        "phase": "Running", "containerStatuses": both(completed(), running()),
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    assert_eq!(pod_cells(ready)[1], "Running");
    let last = json!({"restartCount": 3, "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:57:00Z"}}});
    assert_eq!(with("Running", json!([container("a", running(), last)]))[2], "3 (3m ago)");
}

#[test]
fn pods_that_are_going_or_held_back() {
    let deleted = |status: Value| {
        pod_cells(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": status}))[1]
            .clone()
    };
    assert_eq!(deleted(json!({"phase": "Running"})), "Terminating");
    assert_eq!(deleted(json!({"phase": "Running", "reason": "NodeLost"})), "Unknown");
    assert_eq!(deleted(json!({"phase": "Failed"})), "Failed");
    let gated = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
    assert_eq!(pod_cells(json!({"status": {"phase": "Pending", "conditions": gated}}))[1], "SchedulingGated");
    assert_eq!(
        pod_cells(json!({"status": {"phase": "Failed", "reason": "DeadlineExceeded"}}))[1],
        "DeadlineExceeded"
    );
}

#[test]
fn the_wide_columns_and_conditions_of_pods() {
    let pod = json!({
        "kind": "Pod",
        "spec": {"containers": [], "nodeName": "n", "readinessGates": [{"conditionType": "g"}, {"conditionType": "h"}]},
        "status": {
            "phase": "Succeeded", "podIPs": [{"ip": "10.0.0.1"}], "nominatedNodeName": "m",
            "conditions": [{"type": "h", "status": "True"}],
        },
    });
    let row = row_of(pod);
    assert_eq!(row.cells[5..], ["10.0.0.1", "n", "m", "1/2"]);
    assert_eq!(
        serde_json::to_value(&row.conditions).unwrap(),
        json!([{
            "type": "Completed", "status": "True", "reason": "Succeeded",
            "message": "The pod has completed successfully.",
        }])
    );
    let bare = row_of(json!({"kind": "Pod", "status": {"phase": "Running"}}));
    assert_eq!(
        (&bare.cells[5..], bare.conditions.len()),
        (&[json!("<none>"), json!("<none>"), json!("<none>"), json!("<none>")][..], 0)
    );
}
