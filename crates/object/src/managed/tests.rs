use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    Ids,
    admit::{self, Context},
    document::decode_typed,
};

fn now() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().unwrap()
}

fn options(manager: &str) -> Apply<'_> {
    Apply { manager, part: Subresource::Main, force: false, now: now() }
}

/// What a server does with an apply: the object after it.
fn applied(
    live: Option<&Object>,
    config: &Value,
    kind: Kind,
    options: Apply<'_>,
) -> Result<Object, ApiError> {
    let Applied { value, owners } = apply(live, config.clone(), kind, options)?;
    let typed = decode_typed(kind, &value).unwrap().object;
    let mut ids = Ids::seeded(1);
    let mut context = Context { now: options.now, ids: &mut ids };
    let Some(live) = live else {
        let admitted = admit::create(typed, &mut context).unwrap();
        return Ok(record_created(admitted, owners).draft.seal(1));
    };
    Ok(match record_applied(live, admit::update(live, typed, options.part, &mut context).unwrap(), owners) {
        Updated::Unchanged => live.clone(),
        Updated::Replace(admitted) => admitted.draft.seal(live.revision() + 1),
        Updated::Remove => unreachable!("nothing was being deleted"),
    })
}

/// The object after a client has replaced it.
fn updated(live: &Object, value: &Value, manager: &str) -> Object {
    let typed = decode_typed(live.kind(), value).unwrap().object;
    let mut ids = Ids::seeded(1);
    let update = admit::update(live, typed, Subresource::Main, &mut Context { now: now(), ids: &mut ids });
    match record_update(live, update.unwrap(), manager, Subresource::Main, now()) {
        Updated::Unchanged => live.clone(),
        Updated::Replace(admitted) => admitted.draft.seal(live.revision() + 1),
        Updated::Remove => unreachable!("nothing was being deleted"),
    }
}

fn settings(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": data})
}

fn apply_settings(live: Option<&Object>, data: &Value, manager: &str) -> Result<Object, ApiError> {
    applied(live, &settings(data), Kind::ConfigMap, options(manager))
}

/// Manager, operation and fields of each entry.
fn owners(object: &Object) -> Vec<(String, String, Value)> {
    let text = |text: Option<String>| text.unwrap_or_default();
    entries(object)
        .into_iter()
        .map(|e| (text(e.manager), text(e.operation), e.fields_v1.unwrap().0))
        .collect()
}

fn cron_job(containers: &Value) -> Value {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": containers}});
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}},
    })
}

#[test]
fn what_is_applied_is_owned_and_what_is_not_applied_any_more_goes() {
    let first = apply_settings(None, &json!({"a": "1", "b": "2"}), "A").unwrap();
    assert_eq!(owners(&first), [("A".into(), "Apply".into(), json!({"f:data": {"f:a": {}, "f:b": {}}}))]);
    let second = apply_settings(Some(&first), &json!({"b": "3"}), "A").unwrap();
    assert_eq!(second.value()["data"], json!({"b": "3"}));
    assert_eq!(owners(&second), [("A".into(), "Apply".into(), json!({"f:data": {"f:b": {}}}))]);
}

#[test]
fn what_others_own_is_kept_and_not_changed_unless_it_is_forced() {
    let first = apply_settings(None, &json!({"a": "1", "b": "2"}), "A").unwrap();
    let shared = apply_settings(Some(&first), &json!({"a": "1", "c": "3"}), "B").unwrap();
    assert_eq!(
        shared.value()["data"],
        json!({"a": "1", "b": "2", "c": "3"}),
        "the same value is no conflict"
    );
    let without = apply_settings(Some(&shared), &json!({"b": "2"}), "A").unwrap();
    assert_eq!(without.value()["data"], json!({"a": "1", "b": "2", "c": "3"}), "B owns it, too");

    let refused = apply_settings(Some(&shared), &json!({"a": "9"}), "B").unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (409, "Conflict"));
    assert_eq!(refused.to_string(), "Apply failed with 1 conflict: conflict with \"A\": .data.a");
    let causes = refused.status().details.clone().unwrap().causes.unwrap();
    assert_eq!(causes[0].reason.as_deref(), Some("FieldManagerConflict"));
    assert_eq!(
        (causes[0].field.as_deref(), causes[0].message.as_deref()),
        (Some(".data.a"), Some("conflict with \"A\""))
    );

    let force = Apply { force: true, ..options("B") };
    let forced = applied(Some(&shared), &settings(&json!({"a": "9"})), Kind::ConfigMap, force).unwrap();
    assert_eq!(forced.value()["data"], json!({"a": "9", "b": "2"}));
    let expected = [
        ("A".into(), "Apply".into(), json!({"f:data": {"f:b": {}}})),
        ("B".into(), "Apply".into(), json!({"f:data": {"f:a": {}}})),
    ];
    assert_eq!(owners(&forced), expected);
}

#[test]
fn several_conflicts_are_told_by_manager() {
    let containers = json!([{"name": "c", "image": "one"}]);
    let first = applied(None, &cron_job(&containers), Kind::CronJob, options("A")).unwrap();
    let mut changed = cron_job(&json!([{"name": "c", "image": "two"}]));
    changed["spec"]["schedule"] = json!("0 0 * * *");
    let refused = applied(Some(&first), &changed, Kind::CronJob, options("B")).unwrap_err();
    let expected = "Apply failed with 2 conflicts: conflicts with \"A\":\n\
        - .spec.jobTemplate.spec.template.spec.containers[name=\"c\"].image\n- .spec.schedule";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn a_client_that_updates_owns_what_it_has_changed() {
    let first = apply_settings(None, &json!({"a": "1", "b": "2"}), "A").unwrap();
    let second = updated(&first, &settings(&json!({"a": "9", "c": "3"})), "editor");
    let expected = [("editor".to_owned(), "Update".to_owned(), json!({"f:data": {"f:a": {}, "f:c": {}}}))];
    assert_eq!(owners(&second), expected, "A has lost what was changed and what was removed");
    let refused = apply_settings(Some(&second), &json!({"a": "1"}), "A").unwrap_err();
    let expected = "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.a";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn an_object_that_was_never_applied_has_one_owner_at_its_first() {
    let typed = decode_typed(Kind::ConfigMap, &settings(&json!({"a": "1"}))).unwrap().object;
    let mut ids = Ids::seeded(1);
    let created = admit::create(typed, &mut Context { now: now(), ids: &mut ids }).unwrap().draft.seal(1);
    assert!(owners(&created).is_empty());
    let refused = apply_settings(Some(&created), &json!({"a": "2"}), "A").unwrap_err();
    let expected = "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a";
    assert_eq!(refused.to_string(), expected);
    let applied = apply_settings(Some(&created), &json!({"a": "1"}), "A").unwrap();
    let names: Vec<String> = owners(&applied).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["A", BEFORE_FIRST_APPLY]);
}

#[test]
fn elements_of_lists_are_told_apart_by_their_keys() {
    let env = json!([{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]);
    let containers = json!([{"name": "c", "image": "i", "env": env, "ports": [{"containerPort": 80}]}]);
    let first = applied(None, &cron_job(&containers), Kind::CronJob, options("A")).unwrap();
    let containers =
        json!([{"name": "c", "env": [{"name": "Z", "value": "3"}]}, {"name": "side", "image": "s"}]);
    let second = applied(Some(&first), &cron_job(&containers), Kind::CronJob, options("B")).unwrap();
    let found = &second.value()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"];
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(found), ["c", "side"]);
    assert_eq!(names(&found[0]["env"]), ["X", "Y", "Z"]);
    let (_, _, fields) = &owners(&second)[1];
    let own = &fields["f:spec"]["f:jobTemplate"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
    let expected = json!({".": {}, "f:env": {"k:{\"name\":\"Z\"}": {".": {}, "f:name": {}, "f:value": {}}}, "f:name": {}});
    assert_eq!(own["k:{\"name\":\"c\"}"], expected);
    let (_, _, fields) = &owners(&first)[0];
    let own = &fields["f:spec"]["f:jobTemplate"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
    let ports = &own["k:{\"name\":\"c\"}"]["f:ports"];
    assert_eq!(
        *ports,
        json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}),
        "a port that does not say is one of TCP"
    );

    // B's container goes with its defaults; A's stays with what A owns of it.
    let third =
        applied(Some(&second), &cron_job(&json!([{"name": "c"}])), Kind::CronJob, options("B")).unwrap();
    let found = &third.value()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        (names(found), names(&found[0]["env"])),
        (vec!["c".to_owned()], vec!["X".to_owned(), "Y".to_owned()])
    );
}

#[test]
fn finalizers_are_a_set_and_selectors_a_whole() {
    let config = |finalizers: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default",
            "finalizers": finalizers}})
    };
    let first = applied(None, &config(json!(["x.io/a"])), Kind::ConfigMap, options("A")).unwrap();
    let second = applied(Some(&first), &config(json!(["x.io/b"])), Kind::ConfigMap, options("B")).unwrap();
    assert_eq!(second.value()["metadata"]["finalizers"], json!(["x.io/a", "x.io/b"]));
    assert_eq!(owners(&second)[1].2, json!({"f:metadata": {"f:finalizers": {"v:\"x.io/b\"": {}}}}));
    let third = applied(Some(&second), &config(json!([])), Kind::ConfigMap, options("A")).unwrap();
    assert_eq!(third.value()["metadata"]["finalizers"], json!(["x.io/b"]));
}

#[test]
fn the_status_has_owners_of_its_own() {
    let containers = json!([{"name": "c", "image": "i"}]);
    let first = applied(None, &cron_job(&containers), Kind::CronJob, options("A")).unwrap();
    let mut config = cron_job(&containers);
    config["spec"]["schedule"] = json!("1 1 1 1 *");
    config["status"] = json!({"lastScheduleTime": "2026-11-23T02:00:00Z"});
    let status = Apply { part: Subresource::Status, ..options("B") };
    let second = applied(Some(&first), &config, Kind::CronJob, status).unwrap();
    assert_eq!(second.value()["spec"]["schedule"], "* * * * *", "that is not what the request is about");
    assert_eq!(owners(&second)[1].2, json!({"f:status": {"f:lastScheduleTime": {}}}));
    assert_eq!(entries(&second)[1].subresource.as_deref(), Some("status"));
    let third =
        applied(Some(&second), &config, Kind::CronJob, Apply { force: true, ..options("A") }).unwrap();
    assert_eq!(third.value()["spec"]["schedule"], "1 1 1 1 *");
    assert_eq!(entries(&third).iter().filter(|e| e.subresource.is_some()).count(), 1);
}

#[test]
fn owners_may_be_sent_reset_or_left_alone() {
    let first = apply_settings(None, &json!({"a": "1"}), "A").unwrap();
    let with = |entries: Value| {
        let mut value = settings(&json!({"a": "1"}));
        value["metadata"]["managedFields"] = entries;
        value
    };
    assert_eq!(owners(&updated(&first, &with(json!([])), "e")), owners(&first));
    assert!(owners(&updated(&first, &with(json!([{}])), "e")).is_empty());
    let entry = json!({"manager": "Z", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:a": {}}}});
    let taken = updated(&first, &with(json!([entry])), "e");
    assert_eq!(owners(&taken), [("Z".into(), "Apply".into(), json!({"f:data": {"f:a": {}}}))]);
    let refused = apply(Some(&first), with(json!([entry])), Kind::ConfigMap, options("A")).unwrap_err();
    assert_eq!(refused.to_string(), "metadata.managedFields must be nil");
    let mut errors = FieldErrors::new();
    let odd = json!([{"operation": "Guess", "fieldsType": "FieldsV2"}]);
    validate(&serde_json::from_value::<Vec<ManagedFieldsEntry>>(odd).unwrap(), &mut errors);
    assert!(!errors.is_empty());
}

#[test]
fn the_time_moves_only_when_something_does() {
    let first = apply_settings(None, &json!({"a": "1"}), "A").unwrap();
    let later = Apply { now: "2026-11-24T00:00:00Z".parse().unwrap(), ..options("A") };
    let again = applied(Some(&first), &settings(&json!({"a": "1"})), Kind::ConfigMap, later).unwrap();
    assert_eq!(again.revision(), first.revision());
    let other = applied(Some(&first), &settings(&json!({"a": "2"})), Kind::ConfigMap, later).unwrap();
    assert_eq!(entries(&other)[0].time, entries(&first)[0].time, "A owns what it owned");
    let more = applied(Some(&first), &settings(&json!({"b": "2"})), Kind::ConfigMap, later).unwrap();
    assert_ne!(entries(&more)[0].time, entries(&first)[0].time);
}

/// Some keys and values, few enough that they meet.
fn data() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", "[0-2]", 0..4).prop_map(|map| json!(map))
}

proptest! {
    #[test]
    fn to_apply_again_changes_nothing(one in data(), two in data()) {
        let force = |manager| Apply { force: true, ..options(manager) };
        let apply = |live: Option<&Object>, data: &Value, manager| {
            applied(live, &settings(data), Kind::ConfigMap, force(manager)).unwrap()
        };
        let first = apply(None, &one, "A");
        let second = apply(Some(&first), &two, "B");
        let again = apply(Some(&second), &two, "B");
        prop_assert_eq!(again.json(), second.json());
    }

    #[test]
    fn what_was_applied_last_is_there_and_what_is_there_is_somebodys(steps in proptest::collection::vec((0..3_usize, data()), 1..8)) {
        let mut live: Option<Object> = None;
        for (who, data) in steps {
            let manager = ["A", "B", "C"][who];
            let force = Apply { force: true, ..options(manager) };
            let next = applied(live.as_ref(), &settings(&data), Kind::ConfigMap, force).unwrap();
            let value = next.value();
            for (key, wanted) in data.as_object().unwrap() {
                prop_assert_eq!(&value["data"][key], wanted);
            }
            let owned = Managers::read(&entries(&next)).owned();
            for key in value["data"].as_object().into_iter().flatten().map(|(key, _)| key) {
                let is_owned = owned.below.get("f:data").is_some_and(|data| data.below.contains_key(&format!("f:{key}")));
                prop_assert!(is_owned, "{key} is nobody's in {value}");
            }
            live = Some(next);
        }
    }

    #[test]
    fn sets_are_read_from_anything(value in proptest::collection::vec("[.fkv:a-c\"{}]{0,6}", 0..6)) {
        let nested = value.iter().rev().fold(json!({}), |below, step| json!({step.as_str(): below}));
        let set = Fields::read_root(&nested);
        let _ = set.paths();
        prop_assert_eq!(Fields::read_root(&set.write()), set);
    }
}
