//! The messages of a real API server for common mistakes, word by word.

use serde_json::{Value, json};

use super::*;

const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
    or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LABEL_KEY_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
    for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const DNS_LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
    '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const CONTAINER: &str = "spec.template.spec.containers[0]";

/// Compares what a refused write is told after `… is invalid: `, with UIDs left out.
fn assert_refused<T: std::fmt::Debug>(label: &str, answer: Result<T, ApiError>, uid: &str, expected: &str) {
    let error = answer.expect_err(label);
    let (_, message) = error.message().split_once(" is invalid: ").unwrap_or(("", error.message()));
    let message = if uid.is_empty() { message.to_owned() } else { message.replace(uid, "<uid>") };
    assert_eq!(message, expected, "{label}");
    assert_eq!(error.code(), 422, "{label}");
}

/// The UID that the first object made from the tests' seed gets.
fn first_uid() -> String {
    Ids::seeded(7).uid()
}

pub(super) fn refuse_creation(manifest: Value, expected: &str) {
    let label = manifest.to_string();
    assert_refused(&label, try_create(manifest), &first_uid(), expected);
}

fn job_spec(patch: Value) -> Value {
    job(json!({"spec": patch}))
}

/// A Job whose one container, complete otherwise, is changed.
fn job_container(patch: Value) -> Value {
    let mut container = json!({"name": "c", "image": "busybox:1"});
    json_patch::merge(&mut container, &patch);
    job_pod(json!({"containers": [container]}))
}

fn job_pod(patch: Value) -> Value {
    job_spec(json!({"template": {"spec": patch}}))
}

fn cronjob(patch: Value) -> Value {
    let mut cronjob = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cb"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job(json!({}))["spec"]}},
    });
    json_patch::merge(&mut cronjob, &patch);
    cronjob
}

fn cronjob_spec(patch: Value) -> Value {
    cronjob(json!({"spec": patch}))
}

#[test]
fn of_a_jobs_own_fields() {
    let negative = |field: &str, value: i64| {
        let expected = format!("spec.{field}: Invalid value: {value}: must be greater than or equal to 0");
        refuse_creation(job_spec(json!({field: value})), &expected);
    };
    negative("parallelism", -1);
    negative("backoffLimit", -1);
    negative("activeDeadlineSeconds", -5);
    negative("ttlSecondsAfterFinished", -1);
    negative("completions", -2);
    refuse_creation(
        job_spec(json!({"completionMode": "Foo"})),
        "spec.completionMode: Unsupported value: \"Foo\": supported values: \"NonIndexed\", \"Indexed\"",
    );
    refuse_creation(
        job_spec(json!({"backoffLimitPerIndex": 1})),
        "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
    );
    refuse_creation(
        job_spec(json!({"maxFailedIndexes": 1, "completionMode": "Indexed", "completions": 2})),
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
    );
    refuse_creation(
        job_spec(json!({"podReplacementPolicy": "X"})),
        "spec.podReplacementPolicy: Unsupported value: \"X\": supported values: \"Failed\", \
         \"TerminatingOrFailed\"",
    );
    refuse_creation(
        job_spec(json!({"successPolicy": {"rules": [{"succeededCount": 1}]}})),
        "spec.successPolicy: Invalid value: \
         {\"Rules\":[{\"SucceededIndexes\":null,\"SucceededCount\":1}]}: requires indexed completion mode",
    );
    refuse_creation(
        job_spec(json!({"managedBy": "foo"})),
        "spec.managedBy: Invalid value: \"foo\": must be a domain-prefixed path (such as \"acme.io/foo\")",
    );
    refuse_creation(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}),
        "[spec.template.spec.containers: Required value, spec.template.spec.restartPolicy: Required value: \
         valid values: \"OnFailure\", \"Never\"]",
    );
}

#[test]
fn of_a_jobs_selector() {
    let labels = "{\"batch.kubernetes.io/controller-uid\":\"<uid>\",\"batch.kubernetes.io/job-name\":\"jb\",\
        \"controller-uid\":\"<uid>\",\"job-name\":\"jb\"}";
    refuse_creation(
        job_spec(json!({"selector": {"matchLabels": {"a": "b"}}})),
        &format!(
            "[spec.selector: Invalid value: \
             {{\"matchLabels\":{{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"<uid>\"}}}}: \
             `selector` not auto-generated, spec.template.metadata.labels: Invalid value: {labels}: \
             `selector` does not match template `labels`]"
        ),
    );
    refuse_creation(
        job_spec(json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}})),
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
    );
    refuse_creation(
        job_spec(json!({"manualSelector": true})),
        "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: null: `selector` \
         does not match template `labels`]",
    );
}

#[test]
fn of_a_jobs_failure_policy() {
    let rules = |restart: &str, rule: Value| {
        job_spec(json!({
            "podFailurePolicy": {"rules": [rule]}, "template": {"spec": {"restartPolicy": restart}},
        }))
    };
    refuse_creation(
        rules("OnFailure", json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]})),
        "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when \
         podFailurePolicy is specified",
    );
    refuse_creation(
        rules("Never", json!({"action": "Nope"})),
        "[spec.podFailurePolicy.rules[0].action: Unsupported value: \"Nope\": supported values: \"Count\", \
         \"FailIndex\", \"FailJob\", \"Ignore\", spec.podFailurePolicy.rules[0]: Invalid value: specifying \
         one of OnExitCodes and OnPodConditions is required]",
    );
    refuse_creation(
        rules("Never", json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0, 3, 2]}})),
        "[spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In \
         operator, spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,3,2]: must be \
         ordered]",
    );
}

#[test]
fn of_names() {
    refuse_creation(
        job(json!({"metadata": {"name": "Bad_Name"}})),
        &format!("metadata.name: Invalid value: \"Bad_Name\": {SUBDOMAIN_RULE}"),
    );
    refuse_creation(
        job(json!({"metadata": {"name": null}})),
        "metadata.name: Required value: name or generateName is required",
    );
    let long = "x".repeat(64);
    refuse_creation(
        job(json!({"metadata": {"name": long}})),
        &format!("spec.template.labels: Invalid value: \"{long}\": must be no more than 63 bytes"),
    );
    let long = "x".repeat(53);
    refuse_creation(
        cronjob(json!({"metadata": {"name": long}})),
        &format!("metadata.name: Invalid value: \"{long}\": must be no more than 52 characters"),
    );
    refuse_creation(
        json!({"kind": "Namespace", "metadata": {"name": "Bad.Ns"}}),
        &format!("metadata.name: Invalid value: \"Bad.Ns\": {DNS_LABEL_RULE}"),
    );
    let error = try_create(job(json!({"metadata": {"name": "Bad_Name"}}))).unwrap_err();
    assert!(error.message().starts_with("Job.batch \"Bad_Name\" is invalid: metadata.name: "), "{error}");
    let error = try_create(job(json!({"metadata": {"name": null}}))).unwrap_err();
    assert!(error.message().starts_with("Job.batch \"\" is invalid: "), "{error}");
}

#[test]
fn of_labels_and_annotations() {
    let with = |kind: &str, key: &str, value: &str| job(json!({"metadata": {kind: {key: value}}}));
    refuse_creation(
        with("labels", "a", "b c"),
        &format!("metadata.labels: Invalid value: \"b c\": {LABEL_VALUE_RULE}"),
    );
    refuse_creation(
        with("labels", "a b", "c"),
        &format!("metadata.labels: Invalid value: \"a b\": {LABEL_KEY_RULE}"),
    );
    refuse_creation(
        with("annotations", "a b", "c"),
        &format!("metadata.annotations: Invalid value: \"a b\": {LABEL_KEY_RULE}"),
    );
    refuse_creation(
        job_spec(json!({"template": {"metadata": {"labels": {"a": "-"}}}})),
        &format!(
            "[metadata.labels: Invalid value: \"-\": {LABEL_VALUE_RULE}, spec.template.labels: Invalid \
             value: \"-\": {LABEL_VALUE_RULE}]"
        ),
    );
}

#[test]
fn of_restart_policies() {
    refuse_creation(
        job_pod(json!({"restartPolicy": null})),
        "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
    );
    refuse_creation(
        job_pod(json!({"restartPolicy": "Sometimes"})),
        "[spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \
         \"Always\", \"OnFailure\", \"Never\", spec.template.spec.restartPolicy: Unsupported value: \
         \"Sometimes\": supported values: \"OnFailure\", \"Never\"]",
    );
}

#[test]
fn of_containers() {
    refuse_creation(job_pod(json!({"containers": []})), "spec.template.spec.containers: Required value");
    refuse_creation(job_container(json!({"image": null})), &format!("{CONTAINER}.image: Required value"));
    refuse_creation(job_container(json!({"name": null})), &format!("{CONTAINER}.name: Required value"));
    refuse_creation(
        job_container(json!({"name": "My_C"})),
        &format!("{CONTAINER}.name: Invalid value: \"My_C\": {DNS_LABEL_RULE}"),
    );
    let container = json!({"name": "c", "image": "x"});
    refuse_creation(
        job_pod(json!({"containers": [container, container]})),
        "spec.template.spec.containers[1].name: Duplicate value: \"c\"",
    );
    refuse_creation(
        job_pod(json!({"initContainers": [container]})),
        "spec.template.spec.initContainers[0].name: Duplicate value: \"c\"",
    );
    refuse_creation(
        job_container(json!({"imagePullPolicy": "X"})),
        &format!(
            "{CONTAINER}.imagePullPolicy: Unsupported value: \"X\": supported values: \"Always\", \
             \"IfNotPresent\", \"Never\""
        ),
    );
    refuse_creation(
        job_container(json!({"ports": [{"containerPort": 70000}]})),
        &format!(
            "{CONTAINER}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
        ),
    );
    refuse_creation(
        job_container(json!({"livenessProbe": {}})),
        &format!("{CONTAINER}.livenessProbe: Required value: must specify a handler type"),
    );
    refuse_creation(
        job_pod(json!({"activeDeadlineSeconds": 0})),
        "spec.template.spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, \
         inclusive",
    );
}

#[test]
fn of_environment_variables() {
    let env = |variable: Value| job_container(json!({"env": [variable]}));
    refuse_creation(env(json!({"value": "x"})), &format!("{CONTAINER}.env[0].name: Required value"));
    refuse_creation(
        env(json!({"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
        &format!(
            "{CONTAINER}.env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not \
             empty"
        ),
    );
    refuse_creation(
        env(json!({"name": "A=B"})),
        &format!(
            "{CONTAINER}.env[0].name: Invalid value: \"A=B\": a valid environment variable name must \
             consist only of printable ASCII characters other than '='"
        ),
    );
    refuse_creation(
        env(json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.bogus"}}})),
        &format!(
            "{CONTAINER}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.bogus\": error \
             converting fieldPath: field label not supported: spec.bogus"
        ),
    );
}

#[test]
fn of_volumes() {
    refuse_creation(
        job_container(json!({"volumeMounts": [{"name": "v", "mountPath": "/x"}]})),
        &format!("{CONTAINER}.volumeMounts[0].name: Not found: \"v\""),
    );
    let mounts = [json!({"name": "v", "mountPath": "/x"}), json!({"name": "w", "mountPath": "/x"})];
    refuse_creation(
        job_pod(json!({
            "containers": [{"name": "c", "image": "x", "volumeMounts": mounts}],
            "volumes": [{"name": "v"}, {"name": "w"}],
        })),
        &format!("{CONTAINER}.volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique"),
    );
    refuse_creation(
        job_pod(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]})),
        "spec.template.spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
    );
    refuse_creation(
        job_pod(json!({"volumes": [{"name": "v"}, {"name": "v"}]})),
        "spec.template.spec.volumes[1].name: Duplicate value: \"v\"",
    );
}

#[test]
fn of_resources() {
    let resources = |resources: Value| job_container(json!({"resources": resources}));
    refuse_creation(
        resources(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})),
        &format!(
            "{CONTAINER}.resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit \
             of 1"
        ),
    );
    refuse_creation(
        resources(json!({"limits": {"memory": "-1"}})),
        &format!(
            "{CONTAINER}.resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"
        ),
    );
    refuse_creation(
        resources(json!({"limits": {"foo": "1"}})),
        &format!(
            "[{CONTAINER}.resources.limits[foo]: Invalid value: \"foo\": must be a standard resource type \
             or fully qualified, {CONTAINER}.resources.limits[foo]: Invalid value: \"foo\": must be a \
             standard resource for containers]"
        ),
    );
}

#[test]
fn of_cronjobs() {
    let schedule = |schedule: &str, rule: &str| {
        let expected = format!("spec.schedule: Invalid value: \"{schedule}\": {rule}");
        refuse_creation(cronjob_spec(json!({"schedule": schedule})), &expected);
    };
    schedule("bad", "expected exactly 5 fields, found 1: [bad]");
    schedule("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]");
    schedule("61 * * * *", "end of range (61) above maximum (59): 61");
    schedule("@hourlyy", "unrecognized descriptor: @hourlyy");
    schedule("TZ=UTC * * * * *", "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    refuse_creation(cronjob_spec(json!({"schedule": ""})), "spec.schedule: Required value");
    let zone = |zone: &str, rule: &str| {
        let expected = format!("spec.timeZone: Invalid value: \"{zone}\": {rule}");
        refuse_creation(cronjob_spec(json!({"timeZone": zone})), &expected);
    };
    zone("Mars/Phobos", "unknown time zone Mars/Phobos");
    zone("", "timeZone must be nil or non-empty string");
    zone("Local", "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    refuse_creation(
        cronjob_spec(json!({"concurrencyPolicy": "Foo"})),
        "spec.concurrencyPolicy: Unsupported value: \"Foo\": supported values: \"Allow\", \"Forbid\", \
         \"Replace\"",
    );
    refuse_creation(
        cronjob_spec(json!({"startingDeadlineSeconds": -1})),
        "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
    );
    refuse_creation(
        cronjob_spec(json!({"successfulJobsHistoryLimit": -1, "failedJobsHistoryLimit": -1})),
        "[spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0, \
         spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0]",
    );
    refuse_creation(
        cronjob_spec(json!({"jobTemplate": {"spec": {"selector": {"matchLabels": {"a": "b"}}}}})),
        "spec.jobTemplate.spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` will be \
         auto-generated",
    );
    refuse_creation(
        cronjob_spec(json!({"jobTemplate": null})),
        "[spec.jobTemplate.spec.template.spec.containers: Required value, \
         spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \
         \"Never\"]",
    );
}

#[test]
fn of_config_maps_secrets_and_claims() {
    let config_map = |fields: Value| {
        let mut config_map = json!({"kind": "ConfigMap", "metadata": {"name": "c"}});
        json_patch::merge(&mut config_map, &fields);
        config_map
    };
    refuse_creation(
        config_map(json!({"data": {"a b": "x"}})),
        "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, \
         '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
         '[-._a-zA-Z0-9]+')",
    );
    refuse_creation(
        config_map(json!({"data": {"a": "x"}, "binaryData": {"a": "eA=="}})),
        "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
    );
    refuse_creation(
        config_map(json!({"data": {"a": "x".repeat(1_048_577)}})),
        "[]: Too long: may not be more than 1048576 bytes",
    );
    refuse_creation(
        json!({"kind": "Secret", "metadata": {"name": "c"}, "type": "kubernetes.io/tls"}),
        "[data[tls.crt]: Required value, data[tls.key]: Required value]",
    );
    refuse_creation(
        json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}}),
        "[spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: \
         Required value]",
    );
}

#[test]
fn of_persistent_volumes() {
    let volume = |spec: Value| {
        let mut all = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}});
        json_patch::merge(&mut all, &spec);
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": all})
    };
    refuse_creation(
        volume(json!({"accessModes": null, "capacity": null})),
        "[spec.accessModes: Required value, spec.capacity: Required value, spec: Required value: must specify a \
         volume type]",
    );
    refuse_creation(
        volume(json!({"local": {"path": "/x"}})),
        "spec.nodeAffinity: Required value: Local volume requires node affinity",
    );
    refuse_creation(
        volume(json!({"hostPath": {"path": "/x"}, "nfs": {"server": "s", "path": "/p"}})),
        "spec.nfs: Forbidden: may not specify more than 1 volume type",
    );
    refuse_creation(
        volume(json!({"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"})),
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
    );
    refuse_creation(
        volume(json!({"hostPath": {"path": "/x"}, "persistentVolumeReclaimPolicy": "Keep"})),
        "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Keep\": supported values: \"Delete\", \
         \"Recycle\", \"Retain\"",
    );
    let old = stored(volume(json!({"hostPath": {"path": "/x"}})));
    refuse_change(
        &old,
        json!({"spec": {"hostPath": {"path": "/y"}}}),
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
    );
    assert_eq!(old.value()["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(old.value()["status"]["phase"], "Pending");
}

#[test]
fn of_storage_classes() {
    let class = |fields: Value| {
        let mut all = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
            "provisioner": "cronlet.dev/directory",
        });
        json_patch::merge(&mut all, &fields);
        all
    };
    refuse_creation(
        class(json!({"provisioner": "", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later"})),
        "[provisioner: Required value, reclaimPolicy: Unsupported value: \"Recycle\": supported values: \
         \"Delete\", \"Retain\", volumeBindingMode: Unsupported value: \"Later\": supported values: \
         \"Immediate\", \"WaitForFirstConsumer\"]",
    );
    let old = stored(class(json!({})));
    assert_eq!(
        (&old.value()["reclaimPolicy"], &old.value()["volumeBindingMode"]),
        (&json!("Delete"), &json!("Immediate"))
    );
    refuse_change(
        &old,
        json!({"provisioner": "example.com/x", "parameters": {"a": "b"}}),
        "[parameters: Forbidden: updates to parameters are forbidden., provisioner: Forbidden: updates to \
         provisioner are forbidden.]",
    );
}

#[test]
fn of_runtime_classes() {
    let class = |fields: Value| {
        let mut all = json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "c"}, "handler": "runc",
        });
        json_patch::merge(&mut all, &fields);
        all
    };
    refuse_creation(
        class(json!({"handler": "a.b", "overhead": {"podFixed": {"cpu": "-1"}}})),
        "[handler: Invalid value: \"a.b\": must not contain dots, overhead.limits[cpu]: Invalid value: \"-1\": \
         must be greater than or equal to 0]",
    );
    refuse_creation(
        class(json!({"scheduling": {"tolerations": [{"operator": "Equals"}]}})),
        "[scheduling.tolerations[0].operator: Invalid value: \"Equals\": operator must be Exists when `key` is \
         empty, which means \"match all values and all keys\", scheduling.tolerations[0].operator: Unsupported \
         value: \"Equals\": supported values: \"Equal\", \"Exists\"]",
    );
    let old = stored(class(json!({"overhead": {"podFixed": {"memory": "64Mi"}}})));
    refuse_change(&old, json!({"handler": "crun"}), "handler: Invalid value: \"crun\": field is immutable");
}

/// What a refused change is told.
pub(super) fn refuse_change(old: &Object, patch: Value, expected: &str) {
    let uid = old.meta().uid.to_string();
    let label = patch.to_string();
    assert_refused(&label, try_patch(old, patch, Subresource::Main), &uid, expected);
}

#[test]
fn of_changes_to_a_job() {
    let old = stored(job(json!({"metadata": {"name": "u1"}})));
    refuse_change(
        &old,
        json!({"spec": {"completions": 5}}),
        "spec.completions: Invalid value: 5: field is immutable",
    );
    refuse_change(
        &old,
        json!({"spec": {"selector": {"matchLabels": {"z": "z", "batch.kubernetes.io/controller-uid": null}}}}),
        "[spec.selector: Invalid value: {\"matchLabels\":{\"z\":\"z\"}}: `selector` not auto-generated, \
         spec.template.metadata.labels: Invalid value: \
         {\"batch.kubernetes.io/controller-uid\":\"<uid>\",\"batch.kubernetes.io/job-name\":\"u1\",\"controller-uid\":\"<uid>\",\"job-name\":\"u1\"}: \
         `selector` does not match template `labels`, spec.selector: Invalid value: \
         {\"matchLabels\":{\"z\":\"z\"}}: field is immutable]",
    );
    refuse_change(
        &old,
        json!({"spec": {"completionMode": "Indexed"}}),
        "spec.completionMode: Invalid value: \"Indexed\": field is immutable",
    );
    let indexed = stored(job_spec(json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2})));
    refuse_change(
        &indexed,
        json!({"spec": {"completions": 3}}),
        "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism",
    );
}

#[test]
fn of_replacements_for_another_object() {
    let old = stored(job(json!({"metadata": {"name": "u1"}})));
    let answer = |patch: Value| {
        let mut value = old.value();
        json_patch::merge(&mut value, &patch);
        let new = document::decode::<Job>(&value).unwrap().object;
        let mut ids = Ids::seeded(1);
        let answer = update(&old, new.into(), Subresource::Main, &mut Context { now: now(), ids: &mut ids });
        let error = answer.expect_err("the replacement is of another object");
        (error.code(), error.message().replace(&*old.meta().uid, "<uid>"))
    };
    let expect =
        |patch: Value, code: u16, message: &str| assert_eq!(answer(patch), (code, message.to_owned()));
    expect(
        json!({"metadata": {"resourceVersion": "3"}}),
        409,
        "Operation cannot be fulfilled on jobs.batch \"u1\": the object has been modified; please apply \
         your changes to the latest version and try again",
    );
    expect(
        json!({"metadata": {"uid": "other"}}),
        409,
        "Operation cannot be fulfilled on jobs.batch \"u1\": StorageError: invalid object, Code: 4, Key: \
         /jobs/bt/u1, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: \
         other, UID in object meta: <uid>",
    );
    expect(
        json!({"metadata": {"name": "zz"}}),
        400,
        "the name of the object (zz) does not match the name on the URL (u1)",
    );
    expect(
        json!({"metadata": {"namespace": "zz"}}),
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    );
    expect(
        json!({"metadata": {"name": null}}),
        400,
        "the name of the object (u1 based on URL) was undeterminable: name must be provided",
    );
    assert_eq!(answer(json!({"metadata": {"resourceVersion": "abc"}})).0, 400);
}

#[test]
fn of_changes_to_a_pod() {
    let old = stored(pod(json!({})));
    let containers = |containers: Value| json!({"spec": {"containers": containers}});
    refuse_change(
        &old,
        containers(
            json!([{"name": "c", "image": "busybox:1", "command": ["x"], "imagePullPolicy": "IfNotPresent"}]),
        ),
        "spec: Forbidden: pod updates may not change fields other than \
         `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \
         (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set \
         to 1 if it was previously negative)",
    );
    refuse_change(
        &old,
        containers(json!([{"name": "c", "image": "busybox:1"}, {"name": "d", "image": "busybox:1"}])),
        "spec.containers: Forbidden: pod updates may not add or remove containers",
    );
    refuse_change(
        &old,
        json!({"spec": {"activeDeadlineSeconds": 0}}),
        "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
    );
    let image = containers(json!([{"name": "c", "image": "busybox:2", "imagePullPolicy": "IfNotPresent"}]));
    assert!(matches!(try_patch(&old, image, Subresource::Main), Ok(Updated::Replace(_))));
}

#[test]
fn of_changes_to_what_was_made_immutable() {
    let config_map = stored(
        json!({"kind": "ConfigMap", "metadata": {"name": "im"}, "immutable": true, "data": {"a": "b"}}),
    );
    refuse_change(
        &config_map,
        json!({"data": {"a": "c"}}),
        "data: Forbidden: field is immutable when `immutable` is set",
    );
    refuse_change(
        &config_map,
        json!({"immutable": null}),
        "immutable: Forbidden: field is immutable when `immutable` is set",
    );
    let secret = stored(json!({"kind": "Secret", "metadata": {"name": "st"}}));
    refuse_change(&secret, json!({"type": "foo"}), "type: Invalid value: \"foo\": field is immutable");
}

#[test]
fn of_warnings() {
    let variable = json!({"name": "A", "value": "x"});
    let warnings = |manifest: Value| try_create(manifest).unwrap().warnings;
    assert_eq!(
        warnings(job_container(json!({"env": [variable, variable]}))),
        [format!(
            "{CONTAINER}.env[1]: hides previous definition of \"A\", which may be dropped when using apply"
        )]
    );
    let dots = "metadata.name: this is used in Pod names and hostnames, which can result in surprising \
        behavior; a DNS label is recommended: [must not contain dots]";
    assert_eq!(warnings(job(json!({"metadata": {"name": "a.b"}}))), [dots]);
    assert_eq!(warnings(cronjob(json!({"metadata": {"name": "a.b"}}))), [dots]);
    let old = stored(job(json!({"metadata": {"name": "a.b"}})));
    match try_patch(&old, json!({"spec": {"suspend": true}}), Subresource::Main) {
        Ok(Updated::Replace(admitted)) => assert_eq!(admitted.warnings, Vec::<String>::new()),
        other => panic!("{other:?}"),
    }
}
