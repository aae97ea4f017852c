use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::limits::DOCUMENT_DEPTH_MAX;

fn patched(patch_type: PatchType, target: &Value, patch: &Value) -> Result<Value, PatchError> {
    Patch::read(patch_type, patch.to_string().as_bytes())?.apply(target, "Pod")
}

/// Results of upstream's own implementation, and for the first ones patches that `kubectl apply` computed.
#[derive(Deserialize)]
struct StrategicVectors {
    targets: BTreeMap<String, Value>,
    cases: Vec<StrategicCase>,
}

#[derive(Deserialize)]
struct StrategicCase {
    name: String,
    target: String,
    patch: Value,
    result: Option<Value>,
    error: Option<String>,
}

#[test]
fn strategic_merge_patches_give_what_upstream_gives() {
    let vectors: StrategicVectors =
        serde_json::from_str(include_str!("../../tests/data/patch/strategic.json")).unwrap();
    for case in vectors.cases {
        let target = &vectors.targets[&case.target];
        let kind = target["kind"].as_str().unwrap();
        let patch = Patch::read(PatchType::Strategic, case.patch.to_string().as_bytes()).unwrap();
        let result = patch.apply(target, kind).map_err(|error| error.to_string().trim_end().to_owned());
        assert_eq!(result.as_ref().ok(), case.result.as_ref(), "{}: {:?}", case.name, result.as_ref().err());
        assert_eq!(result.err(), case.error, "{}", case.name);
    }
}

#[test]
fn kinds_without_a_table_merge_their_metadata_by_key() {
    let target = json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "a"}]}});
    let patch = json!({"metadata": {"finalizers": ["b"]}, "spec": {"containers": [{"name": "b"}]}});
    let patch = Patch::read(PatchType::Strategic, patch.to_string().as_bytes()).unwrap();
    assert_eq!(
        patch.apply(&target, "Lease").unwrap(),
        json!({"metadata": {"finalizers": ["b", "a"]}, "spec": {"containers": [{"name": "b"}]}})
    );
}

#[test]
fn merge_patches() {
    let target = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
    let cases = [
        (json!({}), json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"})),
        (json!({"a": {"b": null}}), json!({"a": {"c": [1, 2]}, "d": "x"})),
        (json!({"a": {"c": [3]}, "absent": null}), json!({"a": {"b": 1, "c": [3]}, "d": "x"})),
        (json!({"d": {"e": null, "f": {"g": 1}}}), json!({"a": {"b": 1, "c": [1, 2]}, "d": {"f": {"g": 1}}})),
        (json!({"a": "y"}), json!({"a": "y", "d": "x"})),
    ];
    for (patch, expected) in cases {
        assert_eq!(patched(PatchType::Merge, &target, &patch).unwrap(), expected, "{patch}");
    }
}

#[test]
fn json_patches() {
    let target = json!({"a": {"b": 1}, "l": [1, 2, 3], "x/y": 0});
    let cases = [
        (json!([]), target.clone()),
        (
            json!([{"op": "add", "path": "/a/c", "value": 2}, {"op": "remove", "path": "/l/0"}]),
            json!({"a": {"b": 1, "c": 2}, "l": [2, 3], "x/y": 0}),
        ),
        (
            json!([{"op": "add", "path": "/l/-", "value": 4}, {"op": "add", "path": "/l/1", "value": 9}]),
            json!({"a": {"b": 1}, "l": [1, 9, 2, 3, 4], "x/y": 0}),
        ),
        (
            json!([{"op": "test", "path": "/a/b", "value": 1}, {"op": "replace", "path": "/x~1y", "value": 7}]),
            json!({"a": {"b": 1}, "l": [1, 2, 3], "x/y": 7}),
        ),
        (
            json!([{"op": "move", "from": "/a/b", "path": "/b"}, {"op": "copy", "from": "/b", "path": "/c"}]),
            json!({"a": {}, "b": 1, "c": 1, "l": [1, 2, 3], "x/y": 0}),
        ),
    ];
    for (patch, expected) in cases {
        assert_eq!(patched(PatchType::Json, &target, &patch).unwrap(), expected, "{patch}");
    }
}

#[test]
fn an_operation_that_does_not_fit_fails_the_patch() {
    let target = json!({"a": {"b": 1}, "l": [1]});
    for operation in [
        json!({"op": "test", "path": "/a/b", "value": 2}),
        json!({"op": "test", "path": "/a/c", "value": 2}),
        json!({"op": "remove", "path": "/z"}),
        json!({"op": "replace", "path": "/z", "value": 1}),
        json!({"op": "add", "path": "/z/y", "value": 1}),
        json!({"op": "add", "path": "/l/7", "value": 1}),
        json!({"op": "move", "from": "/z", "path": "/y"}),
        json!({"op": "copy", "from": "/z", "path": "/y"}),
        json!({"op": "frobnicate", "path": "/a"}),
        json!({"op": "add", "path": "a", "value": 1}),
        json!({"op": "add", "path": "/a"}),
        json!("add"),
    ] {
        let patch = json!([{"op": "add", "path": "/ok", "value": 1}, operation]);
        let error = patched(PatchType::Json, &target, &patch).unwrap_err();
        assert!(matches!(error, PatchError::Operation { index: 1, .. }), "{patch}: {error}");
        let answer = ApiError::from(error);
        assert_eq!(answer.code(), 422);
        assert_eq!(answer.message(), "the server rejected our request due to an error in our request");
    }
}

#[test]
fn json_patches_are_bounded() {
    let operation = json!({"op": "test", "path": "", "value": {}});
    let at_most = Value::from(vec![operation.clone(); JSON_PATCH_OPERATIONS_MAX]);
    assert!(patched(PatchType::Json, &json!({}), &at_most).is_ok());
    let too_many = Value::from(vec![operation; JSON_PATCH_OPERATIONS_MAX + 1]);
    let answer = ApiError::from(patched(PatchType::Json, &json!({}), &too_many).unwrap_err());
    assert_eq!(answer.code(), 413);
    assert_eq!(
        answer.message(),
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );

    let doubling = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let error =
        patched(PatchType::Json, &json!({"a": ["xxxx"]}), &Value::from(vec![doubling; 100])).unwrap_err();
    assert_eq!(error, PatchError::CopiesTooMuch);

    let deepening: Vec<Value> =
        (1..=200).map(|depth| json!({"op": "add", "path": "/a".repeat(depth), "value": {}})).collect();
    let error = patched(PatchType::Json, &json!({}), &Value::from(deepening)).unwrap_err();
    assert_eq!(error, PatchError::TooDeep(DOCUMENT_DEPTH_MAX - 1));
}

#[test]
fn bodies_of_the_wrong_shape_are_refused_with_upstreams_words() {
    let cases = [
        (
            PatchType::Json,
            "{}",
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (PatchType::Merge, "", "error decoding patch: unexpected end of JSON input"),
        (
            PatchType::Merge,
            "[]",
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            PatchType::Strategic,
            "{bad",
            "error decoding patch: invalid character 'b' looking for beginning of object key string",
        ),
    ];
    for (patch_type, body, expected) in cases {
        let error = Patch::read(patch_type, body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(ApiError::from(error).code(), 400);
    }
}

#[test]
fn a_patch_tells_what_it_is() {
    let body = br#"{"spec":{"a":1,"a":[1,null,"x"]},"metadata":{"resourceVersion":"7"}}"#;
    let patch = Patch::read(PatchType::Merge, body).unwrap();
    assert_eq!(patch.duplicates(), ["spec.a"]);
    assert_eq!(patch.document()["metadata"]["resourceVersion"], "7");
    assert_eq!(go_text(patch.document()), "map[metadata:map[resourceVersion:7] spec:map[a:[1 <nil> x]]]");
    for (media_type, expected) in [
        ("application/json-patch+json", Some(PatchType::Json)),
        ("application/merge-patch+json", Some(PatchType::Merge)),
        ("application/strategic-merge-patch+json", Some(PatchType::Strategic)),
        ("application/apply-patch+yaml", None),
        ("application/json", None),
    ] {
        assert_eq!(PatchType::from_media_type(media_type), expected);
    }
}

/// Pods and patches of a few words, so that they meet often.
fn documents() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "name",
        "a",
        "spec",
        "metadata",
        "containers",
        "finalizers",
        "$patch",
        "$retainKeys",
        "delete",
        "replace",
        "$setElementOrder/containers",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
    ]);
    let leaf =
        prop_oneof![Just(Value::Null), any::<u8>().prop_map(Value::from), word.clone().prop_map(Value::from)];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..4).prop_map(|entries| Value::Object(
                entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_patch_makes_it_panic(target in documents(), patch in documents()) {
        let targets = [target.clone(), json!({"spec": {"containers": target.clone()}, "metadata": target})];
        let patches = [patch.clone(), json!({"spec": {"containers": patch.clone()}, "metadata": patch})];
        for target in &targets {
            for patch in &patches {
                for patch_type in [PatchType::Json, PatchType::Merge, PatchType::Strategic] {
                    let _ = patched(patch_type, target, patch);
                }
            }
        }
    }
}
