#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    Kind,
    api::{ConfigMap, CronJob, Job, Namespace, Pod, Secret, ServiceAccount},
    document,
};

mod access;
mod messages;

pub(super) const NAMESPACE: &str = "bt";

pub(super) fn now() -> Timestamp {
    "2026-11-23T03:00:00.7Z".parse().unwrap()
}

/// An object of a manifest, as a request would carry it.
pub(super) fn typed(manifest: Value) -> Typed {
    let api_version = manifest["apiVersion"].as_str().unwrap_or("v1").to_owned();
    let kind = Kind::from_manifest(&api_version, manifest["kind"].as_str().unwrap()).unwrap();
    let mut object: Typed = with_kind!(kind, T => document::decode::<T>(&manifest).unwrap().object.into());
    enter_namespace(&mut object, NAMESPACE).unwrap();
    object
}

pub(super) fn try_create(manifest: Value) -> Result<Admitted, ApiError> {
    create(typed(manifest), &mut Context { now: now(), ids: &mut Ids::seeded(7) })
}

pub(super) fn stored(manifest: Value) -> Object {
    try_create(manifest).unwrap().draft.seal(10)
}

pub(super) fn try_update(old: &Object, new: Value, part: Subresource) -> Result<Updated, ApiError> {
    update(old, typed(new), part, &mut Context { now: now(), ids: &mut Ids::seeded(8) })
}

/// Merges `patch` into what is stored, and writes that.
pub(super) fn try_patch(old: &Object, patch: Value, part: Subresource) -> Result<Updated, ApiError> {
    let mut value = old.value();
    json_patch::merge(&mut value, &patch);
    try_update(old, value, part)
}

fn patched(old: &Object, patch: Value, part: Subresource) -> Object {
    match try_patch(old, patch, part).unwrap() {
        Updated::Replace(admitted) => admitted.draft.seal(old.revision() + 1),
        other => panic!("{other:?}"),
    }
}

pub(super) fn job(patch: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "jb"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}],
        }}},
    });
    json_patch::merge(&mut job, &patch);
    job
}

pub(super) fn pod(patch: Value) -> Value {
    let mut pod = json!({
        "kind": "Pod", "metadata": {"name": "pu"}, "spec": {"containers": [{"name": "c", "image": "busybox:1"}]},
    });
    json_patch::merge(&mut pod, &patch);
    pod
}

#[test]
fn a_new_job_is_completed_as_upstream_completes_it() {
    let object =
        stored(job(json!({"status": {"succeeded": 3}, "metadata": {"uid": "mine", "selfLink": "x"}})));
    let value = object.value();
    let uid = value["metadata"]["uid"].as_str().unwrap();
    assert_ne!(uid, "mine");
    let labels = json!({
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "jb",
        "controller-uid": uid, "job-name": "jb",
    });
    assert_eq!(
        value,
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "resourceVersion": "10", "creationTimestamp": "2026-11-23T03:00:00Z", "generation": 1,
                "labels": labels, "name": "jb", "namespace": "bt", "uid": uid,
            },
            "spec": {
                "backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1, "manualSelector": false,
                "parallelism": 1, "podReplacementPolicy": "TerminatingOrFailed", "suspend": false,
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [{
                            "image": "busybox:1", "imagePullPolicy": "IfNotPresent", "name": "c", "resources": {},
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                        }],
                        "dnsPolicy": "ClusterFirst", "restartPolicy": "Never", "schedulerName": "default-scheduler",
                        "securityContext": {}, "terminationGracePeriodSeconds": 30,
                    },
                },
            },
            "status": {},
        })
    );
}

#[test]
fn defaults_of_a_job_depend_on_each_other() {
    let spec = |patch| stored(job(json!({"spec": patch}))).value()["spec"].clone();
    assert_eq!(spec(json!({"parallelism": 2}))["completions"], Value::Null);
    let indexed = json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1});
    assert_eq!(spec(indexed)["backoffLimit"], i32::MAX);
    let rules = json!([{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]);
    let with_policy = spec(json!({"podFailurePolicy": {"rules": rules}}));
    assert_eq!(with_policy["podReplacementPolicy"], "Failed");
    assert_eq!(with_policy["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"], "True");
}

#[test]
fn a_job_shares_its_templates_labels_unless_it_has_its_own() {
    let template = json!({"template": {"metadata": {"labels": {"app": "x"}}}});
    let object = stored(job(json!({"spec": template})));
    assert_eq!(object.meta().labels.iter().count(), 5);
    assert_eq!(object.meta().labels.get("app"), Some("x"));
    let own = stored(job(json!({"spec": template, "metadata": {"labels": {"a": "b"}}})));
    assert_eq!(Vec::from_iter(own.meta().labels.iter()), [("a", "b")]);
    let equal = stored(job(json!({"spec": template, "metadata": {"labels": {"app": "x"}}})));
    assert_eq!(Vec::from_iter(equal.meta().labels.iter()), [("app", "x")]);
}

#[test]
fn a_cronjobs_template_gets_the_defaults_of_pods_only() {
    let object = stored(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cb"},
        "spec": {"schedule": "* * * * *", "jobTemplate": job(json!({}))},
    }));
    let value = object.value();
    let spec = &value["spec"];
    let defaults = json!({
        "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
    });
    for (name, default) in defaults.as_object().unwrap() {
        assert_eq!(&spec[name], default, "{name}");
    }
    let job = spec["jobTemplate"]["spec"].as_object().unwrap();
    assert_eq!(Vec::from_iter(job.keys()), ["template"]);
    assert_eq!(job["template"]["spec"]["containers"][0]["terminationMessagePolicy"], "File");
    assert_eq!(value["status"], json!({}));
}

#[test]
fn a_new_pod_is_completed_as_upstream_completes_it() {
    let object = stored(pod(json!({
        "spec": {
            "volumes": [{"name": "v"}, {"name": "h", "hostPath": {"path": "/x"}}, {"name": "s", "secret": {"secretName": "s"}}],
            "containers": [{
                "name": "c", "image": "busybox",
                "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
                "ports": [{"containerPort": 80}],
                "env": [
                    {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                ],
                "livenessProbe": {"httpGet": {"port": 80}},
            }],
        },
    })));
    let value = object.value();
    let spec = &value["spec"];
    let container = &spec["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["resources"]["requests"], json!({"cpu": "1", "memory": "64Mi"}));
    assert_eq!(container["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]));
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(container["env"][1]["valueFrom"]["resourceFieldRef"]["divisor"], "0");
    assert_eq!(
        container["livenessProbe"],
        json!({
            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "failureThreshold": 3, "periodSeconds": 10,
            "successThreshold": 1, "timeoutSeconds": 1,
        })
    );
    assert_eq!(spec["volumes"][0], json!({"name": "v", "emptyDir": {}}));
    assert_eq!(spec["volumes"][1]["hostPath"]["type"], "");
    assert_eq!(spec["volumes"][2]["secret"]["defaultMode"], 420);
    assert_eq!(
        [
            &spec["serviceAccountName"],
            &spec["serviceAccount"],
            &spec["restartPolicy"],
            &spec["preemptionPolicy"]
        ],
        ["default", "default", "Always", "PreemptLowerPriority"]
    );
    assert_eq!((&spec["enableServiceLinks"], &spec["priority"]), (&json!(true), &json!(0)));
    assert_eq!(value["status"], json!({"phase": "Pending", "qosClass": "Guaranteed"}));
    assert_eq!(value["metadata"]["generation"], 1);
}

#[test]
fn names_are_generated_from_their_base() {
    let manifest = json!({"kind": "ConfigMap", "metadata": {"generateName": "cm-"}});
    let mut ids = Ids::seeded(1);
    let mut name = || {
        let admitted = create(typed(manifest.clone()), &mut Context { now: now(), ids: &mut ids }).unwrap();
        admitted.draft.key().name.clone()
    };
    let (first, second) = (name(), name());
    assert!(first.starts_with("cm-") && first.len() == 8 && first != second, "{first} {second}");
}

#[test]
fn an_object_that_claims_to_be_stored_is_not_created() {
    let error = try_create(json!({"kind": "ConfigMap", "metadata": {"name": "c", "resourceVersion": "3"}}))
        .unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (400, "resourceVersion should not be set on objects to be created")
    );
}

#[test]
fn string_data_of_a_secret_goes_into_data() {
    let manifest = json!({
        "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"a": "b", "c": "d"},
    });
    let secret: Secret = stored(manifest).decode();
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(secret.string_data, None);
    let data: Vec<_> = secret.data.unwrap().into_iter().map(|(key, value)| (key, value.0)).collect();
    assert_eq!(data, [("a".into(), b"b".to_vec()), ("c".into(), b"d".to_vec())]);
}

#[test]
fn a_namespace_carries_its_name_and_its_finalizer() {
    let object = stored(
        json!({"kind": "Namespace", "metadata": {"name": "team", "labels": {"kubernetes.io/metadata.name": "x"}}}),
    );
    let namespace: Namespace = object.decode();
    assert_eq!(object.meta().labels.get("kubernetes.io/metadata.name"), Some("team"));
    assert_eq!(namespace.spec.unwrap().finalizers.unwrap(), ["kubernetes"]);
    assert_eq!(namespace.status.unwrap().phase.as_deref(), Some("Active"));
    assert_eq!(object.namespace(), "");
}

#[test]
fn a_write_that_changes_nothing_is_recognised() {
    let old = stored(job(json!({})));
    assert!(matches!(try_patch(&old, json!({}), Subresource::Main), Ok(Updated::Unchanged)));
    // What the server alone decides is not taken from the client.
    let patch = json!({"metadata": {
        "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 9, "deletionTimestamp": "2020-01-01T00:00:00Z",
        "managedFields": [], "labels": null,
    }, "status": {"active": 1}});
    assert!(matches!(try_patch(&old, patch, Subresource::Main), Ok(Updated::Unchanged)));
    let patch = json!({"spec": {"parallelism": 5}});
    assert!(matches!(try_patch(&old, patch, Subresource::Status), Ok(Updated::Unchanged)));
}

#[test]
fn the_generation_counts_changes_of_the_specification() {
    let old = stored(job(json!({})));
    let generation = |patch, part| patched(&old, patch, part).meta().generation;
    assert_eq!(generation(json!({"spec": {"parallelism": 2}}), Subresource::Main), 2);
    assert_eq!(generation(json!({"metadata": {"annotations": {"a": "b"}}}), Subresource::Main), 1);
    assert_eq!(generation(json!({"status": {"active": 1}}), Subresource::Status), 1);
    // To Kubernetes an empty list is no list.
    let patch = json!({"spec": {"template": {"spec": {"volumes": []}}}});
    assert_eq!(generation(patch, Subresource::Main), 1);
}

#[test]
fn a_status_write_changes_the_status_and_metadata_only() {
    let old = stored(pod(json!({})));
    let patch = json!({
        "metadata": {"labels": {"a": "b"}, "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}]},
        "spec": {"nodeName": "other"}, "status": {"phase": "Running", "qosClass": null},
    });
    let new: Pod = patched(&old, patch, Subresource::Status).decode();
    let status = new.status.unwrap();
    assert_eq!((status.phase.as_deref(), status.qos_class.as_deref()), (Some("Running"), Some("BestEffort")));
    assert_eq!((new.spec.unwrap().node_name, new.metadata.owner_references), (None, None));
    assert_eq!(new.metadata.labels.unwrap()["a"], "b");
    let config_map = stored(json!({"kind": "ConfigMap", "metadata": {"name": "c"}}));
    assert_eq!(try_patch(&config_map, json!({}), Subresource::Status).unwrap_err().code(), 404);
}

#[test]
fn the_last_finalizer_of_a_deleted_object_takes_it_along() {
    let mut config_map: ConfigMap =
        stored(json!({"kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["x.io/f", "x.io/g"]}}))
            .decode();
    config_map.metadata.deletion_timestamp = Some(whole_seconds(now()));
    config_map.metadata.deletion_grace_period_seconds = Some(0);
    let old = Draft::of(&config_map).seal(11);
    let with = |finalizers: Value| {
        try_patch(&old, json!({"metadata": {"finalizers": finalizers}}), Subresource::Main)
    };
    assert!(matches!(with(json!(["x.io/g"])), Ok(Updated::Replace(_))));
    assert!(matches!(with(Value::Null), Ok(Updated::Remove)));
    let error = with(json!(["x.io/f", "x.io/h", "x.io/a"])).unwrap_err();
    assert_eq!(
        error.message(),
        "ConfigMap \"c\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the \
         object is being deleted, found new finalizers []string{\"x.io/a\", \"x.io/h\"}"
    );
}

#[test]
fn a_service_account_is_not_overwritten_blindly() {
    let old = stored(
        json!({"kind": "ServiceAccount", "metadata": {"name": "a"}, "secrets": [{"name": "s", "kind": "K"}]}),
    );
    let account: ServiceAccount = old.decode();
    assert_eq!(account.secrets.unwrap()[0].kind, None);
    let error =
        try_patch(&old, json!({"metadata": {"resourceVersion": null}}), Subresource::Main).unwrap_err();
    assert_eq!(
        error.message(),
        "ServiceAccount \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified \
         for an update"
    );
    assert!(matches!(try_patch(&old, json!({}), Subresource::Main), Ok(Updated::Unchanged)));
}

#[test]
fn old_cronjobs_may_keep_what_new_ones_may_not_have() {
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"},
        "spec": {"schedule": "* * * * *", "jobTemplate": job(json!({}))},
    });
    let mut cronjob: CronJob = stored(manifest).decode();
    cronjob.spec.schedule = "TZ=UTC 0 0 * * *".into();
    cronjob.metadata.name = Some("x".repeat(60));
    let old = Draft::of(&cronjob).seal(11);
    let patch = |spec: Value| try_patch(&old, json!({"spec": spec}), Subresource::Main);
    assert!(matches!(patch(json!({"schedule": "TZ=UTC 1 0 * * *"})), Ok(Updated::Replace(_))));
    let error = patch(json!({"timeZone": "Etc/UTC"})).unwrap_err();
    assert!(
        error.message().ends_with("cannot use both timeZone field and TZ or CRON_TZ in schedule"),
        "{error}"
    );
}

#[test]
fn a_suspended_job_may_get_other_resources_but_no_other_image() {
    let suspended = stored(job(json!({"spec": {"suspend": true}})));
    let with = |old: &Object, container: Value| {
        let containers = json!([container]);
        try_patch(old, json!({"spec": {"template": {"spec": {"containers": containers}}}}), Subresource::Main)
    };
    let bigger = json!({"name": "c", "image": "busybox:1", "resources": {"requests": {"cpu": "2"}}});
    assert!(matches!(with(&suspended, bigger.clone()), Ok(Updated::Replace(_))));
    let refused = |result: Result<Updated, ApiError>| {
        let error = result.unwrap_err();
        error.status().details.clone().unwrap().causes.unwrap()[0].field.clone().unwrap()
    };
    assert_eq!(refused(with(&suspended, json!({"name": "c", "image": "other"}))), "spec.template");
    let metadata = |metadata: Value| {
        try_patch(&suspended, json!({"spec": {"template": {"metadata": metadata}}}), Subresource::Main)
    };
    assert!(matches!(metadata(json!({"annotations": {"a": "b"}})), Ok(Updated::Replace(_))));
    assert_eq!(refused(metadata(json!({"finalizers": ["example.com/f"]}))), "spec.template");
    let running = stored(job(json!({})));
    assert_eq!(refused(with(&running, bigger.clone())), "spec.template");

    let mut job: Job = suspended.decode();
    let status = job.status.get_or_insert_default();
    status.start_time = Some(whole_seconds(now()));
    let started = Draft::of(&job).seal(12);
    assert_eq!(refused(with(&started, bigger.clone())), "spec.template");
    let suspension =
        crate::api::JobCondition { type_: "Suspended".into(), status: "True".into(), ..Default::default() };
    job.status.get_or_insert_default().conditions = Some(vec![suspension]);
    assert!(matches!(with(&Draft::of(&job).seal(13), bigger), Ok(Updated::Replace(_))));
}
