#![expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Preconditions;
use serde_json::{Value, json};

use super::*;
use crate::{
    Ids,
    admit::{self, Context},
    api::{ConfigMap, Job, PodStatus},
};

fn now() -> Timestamp {
    "2026-11-23T03:00:00.9Z".parse().unwrap()
}

fn stored(object: impl Into<Typed>) -> Object {
    let mut object = object.into();
    object.metadata_mut().name.get_or_insert_with(|| "x".into());
    admit::enter_namespace(&mut object, "ns").unwrap();
    let admitted = admit::create(object, &mut Context { now: now(), ids: &mut Ids::seeded(1) }).unwrap();
    admitted.draft.seal(333)
}

fn config_map(finalizers: &[&str]) -> Object {
    let mut object = ConfigMap::default();
    object.metadata.finalizers = Some(finalizers.iter().map(|name| (*name).to_owned()).collect());
    stored(object)
}

fn job() -> Object {
    let job: Job = serde_json::from_value(json!({
        "metadata": {}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}],
        }}},
    }))
    .unwrap();
    stored(job)
}

/// A pod with a grace period of 40 s, in a phase, bound to a node or not.
fn pod(phase: &str, node: Option<&str>, finalizers: &[&str]) -> Object {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"finalizers": finalizers},
        "spec": {
            "containers": [{"name": "c", "image": "i"}], "nodeName": node, "terminationGracePeriodSeconds": 40,
        },
    }))
    .unwrap();
    let mut pod: Pod = stored(pod).decode();
    pod.status = Some(PodStatus { phase: Some(phase.into()), ..Default::default() });
    Draft::of(&pod).seal(333)
}

fn options(value: Value) -> DeleteOptions {
    serde_json::from_value(value).unwrap()
}

fn request(object: &Object, value: Value) -> Deletion {
    delete(object, &options(value), now()).unwrap()
}

fn marked(object: &Object, value: Value) -> Object {
    match request(object, value.clone()) {
        Deletion::Mark(draft) => draft.seal(object.revision() + 1),
        other => panic!("{value}: {other:?}"),
    }
}

fn finalizers(object: &Object) -> Vec<&str> {
    object.meta().finalizers.iter().map(AsRef::as_ref).collect()
}

fn grace(object: &Object) -> (Option<String>, Option<i64>) {
    let typed = object.typed();
    let meta = typed.metadata();
    (meta.deletion_timestamp.as_ref().map(|time| time.0.to_string()), meta.deletion_grace_period_seconds)
}

fn at(time: &str) -> Option<String> {
    Some(format!("2026-11-23T{time}Z"))
}

#[test]
fn what_nothing_holds_goes_at_once() {
    assert!(matches!(request(&config_map(&[]), json!({})), Deletion::Remove));
    assert!(matches!(
        request(&config_map(&[]), json!({"propagationPolicy": "Background"})),
        Deletion::Remove
    ));
}

#[test]
fn finalizers_hold_an_object_until_they_are_gone() {
    let object = marked(&config_map(&["x.io/f"]), json!({}));
    assert_eq!(grace(&object), (at("03:00:00"), Some(0)));
    assert_eq!(finalizers(&object), ["x.io/f"]);
    assert!(matches!(request(&object, json!({})), Deletion::Unchanged));
    assert!(!is_due(&object.typed()));
}

#[test]
fn marking_an_object_counts_as_a_change_of_it() {
    let object = marked(&job(), json!({}));
    assert_eq!((job().meta().generation, object.meta().generation), (1, 2));
    let again = marked(&object, json!({"propagationPolicy": "Foreground"}));
    assert_eq!((again.meta().generation, finalizers(&again)), (2, vec!["foregroundDeletion"]));
}

#[test]
fn the_policy_decides_what_the_garbage_collector_must_do_first() {
    let finalizers_for = |object: &Object, value: Value| match request(object, value) {
        Deletion::Remove => vec![],
        Deletion::Mark(draft) => draft.meta().finalizers.iter().map(ToString::to_string).collect(),
        Deletion::Unchanged => panic!("it was not deleted before"),
    };
    let none: Vec<String> = vec![];
    assert_eq!(finalizers_for(&config_map(&[]), json!({"propagationPolicy": "Orphan"})), ["orphan"]);
    assert_eq!(
        finalizers_for(&config_map(&[]), json!({"propagationPolicy": "Foreground"})),
        ["foregroundDeletion"]
    );
    assert_eq!(finalizers_for(&config_map(&[]), json!({"orphanDependents": true})), ["orphan"]);
    assert_eq!(finalizers_for(&config_map(&["orphan"]), json!({})), ["orphan"]);
    assert_eq!(finalizers_for(&config_map(&["orphan"]), json!({"orphanDependents": false})), none);
    let both = config_map(&["foregroundDeletion", "x.io/f"]);
    assert_eq!(finalizers_for(&both, json!({"propagationPolicy": "Orphan"})), ["x.io/f", "orphan"]);
    assert_eq!(finalizers_for(&job(), json!({})), ["orphan"]);
    assert_eq!(finalizers_for(&job(), json!({"propagationPolicy": "Background"})), none);
}

#[test]
fn only_jobs_warn_that_pods_stay() {
    let silent = [json!({"propagationPolicy": "Orphan"}), json!({"orphanDependents": true})];
    assert!(silent.into_iter().all(|value| warning(Kind::Job, &options(value)).is_none()));
    assert!(warning(Kind::CronJob, &DeleteOptions::default()).is_none());
    assert_eq!(
        warning(Kind::Job, &DeleteOptions::default()),
        Some(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background \
             to remove them or set propagationPolicy=Orphan to suppress this warning"
        )
    );
}

#[test]
fn a_running_pod_gets_its_grace_period_and_later_requests_only_shorten_it() {
    let pod = pod("Running", Some("n"), &[]);
    let object = marked(&pod, json!({}));
    assert_eq!(grace(&object), (at("03:00:40"), Some(40)));
    assert_eq!((pod.meta().generation, object.meta().generation), (1, 2));
    assert!(!is_due(&object.typed()));
    assert!(matches!(request(&object, json!({})), Deletion::Unchanged));
    assert!(matches!(request(&object, json!({"gracePeriodSeconds": 60})), Deletion::Unchanged));
    let shorter = marked(&object, json!({"gracePeriodSeconds": 10}));
    assert_eq!(grace(&shorter), (at("03:00:10"), Some(10)));
    assert_eq!(shorter.meta().generation, 2);
    assert!(matches!(request(&shorter, json!({"gracePeriodSeconds": 0})), Deletion::Remove));
    assert_eq!(grace(&marked(&pod, json!({"gracePeriodSeconds": -5}))).1, Some(1));
    assert_eq!(grace(&marked(&pod, json!({"gracePeriodSeconds": i64::MAX}))).1, Some(i64::MAX));
}

#[test]
fn a_pod_that_no_node_runs_goes_at_once() {
    let by_force = json!({"gracePeriodSeconds": 0});
    for (pod, value) in [
        (pod("Pending", None, &[]), json!({"gracePeriodSeconds": 20})),
        (pod("Succeeded", Some("n"), &[]), json!({})),
        (pod("Failed", Some("n"), &[]), json!({})),
        (pod("Running", Some("n"), &[]), by_force.clone()),
    ] {
        assert!(matches!(request(&pod, value), Deletion::Remove));
    }
    let held = marked(&pod("Succeeded", Some("n"), &["x.io/f"]), json!({}));
    assert_eq!(grace(&held), (at("03:00:00"), Some(0)));
    let held = marked(&pod("Running", Some("n"), &["x.io/f"]), by_force);
    assert_eq!((grace(&held).1, held.meta().generation), (Some(0), 2));
}

#[test]
fn a_namespace_stays_until_it_is_empty() {
    let mut namespace: Namespace = stored(Namespace::default()).decode();
    let object = marked(&Draft::of(&namespace).seal(5), json!({}));
    let terminating: Namespace = object.decode();
    assert_eq!(terminating.status.unwrap().phase.as_deref(), Some("Terminating"));
    assert_eq!(grace(&object), (at("03:00:00"), None));
    assert!(matches!(request(&object, json!({})), Deletion::Unchanged));

    namespace = object.decode();
    namespace.spec.as_mut().unwrap().finalizers = None;
    assert!(is_due(&namespace.clone().into()));
    assert!(matches!(request(&Draft::of(&namespace).seal(6), json!({})), Deletion::Remove));

    let mut protected = Namespace::default();
    protected.metadata.name = Some("default".into());
    let error = delete(&stored(protected), &DeleteOptions::default(), now()).unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (403, "namespaces \"default\" is forbidden: this namespace may not be deleted")
    );
}

#[test]
fn preconditions_are_held_against_the_record() {
    let object = job();
    let record = object.meta().uid.to_string();
    let refusal = |uid: Option<&str>, version: Option<&str>| {
        let preconditions =
            Preconditions { uid: uid.map(str::to_owned), resource_version: version.map(str::to_owned) };
        let options = DeleteOptions { preconditions: Some(preconditions), ..Default::default() };
        delete(&object, &options, now())
            .err()
            .map(|error| (error.code(), error.message().replace(&record, "<uid>")))
    };
    assert_eq!(refusal(Some(&record), Some("333")), None);
    let conflict =
        |why: &str| Some((409, format!("Operation cannot be fulfilled on Job.batch \"x\": {why}")));
    assert_eq!(
        refusal(Some("y"), None),
        conflict(
            "the UID in the precondition (y) does not match the UID in record (<uid>). The object might \
             have been deleted and then recreated"
        )
    );
    assert_eq!(
        refusal(None, Some("1")),
        conflict(
            "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record \
             (333). The object might have been modified"
        )
    );
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refusal = |value: Value| {
        let error = delete(&config_map(&[]), &options(value), now()).unwrap_err();
        assert_eq!(error.code(), 422);
        error.message().strip_prefix("DeleteOptions.meta.k8s.io \"\" is invalid: ").unwrap().to_owned()
    };
    assert_eq!(
        refusal(json!({"propagationPolicy": "Foo"})),
        "propagationPolicy: Unsupported value: \"Foo\": supported values: \"Foreground\", \"Background\", \
         \"Orphan\", \"nil\""
    );
    assert_eq!(
        refusal(json!({"propagationPolicy": "Background", "orphanDependents": true})),
        "propagationPolicy: Invalid value: \"Background\": orphanDependents and deletionPropagation cannot \
         be both set"
    );
    assert_eq!(
        refusal(json!({"dryRun": ["foo"]})),
        "dryRun: Unsupported value: [\"foo\"]: supported values: \"All\""
    );
}

#[test]
fn a_replacement_is_written_only_if_it_differs_and_removed_if_it_is_due() {
    let old = marked(&pod("Running", Some("n"), &["x.io/f"]), json!({}));
    assert!(replace(&old, &old.typed()).is_none());
    let mut pod: Pod = old.decode();
    pod.status.as_mut().unwrap().phase = Some("Failed".into());
    pod.metadata.finalizers = None;
    assert!(matches!(replace(&old, &pod.clone().into()), Some(Write::Update { expect: 334, .. })));
    pod.metadata.deletion_grace_period_seconds = Some(0);
    match replace(&old, &pod.into()) {
        Some(Write::Delete { key, expect: 334 }) => assert_eq!(&key, old.key()),
        other => panic!("{other:?}"),
    }
}
