use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits::{DOCUMENT_DEPTH_MAX, FIELD_PROBLEMS_MAX};

#[test]
fn duplicates_are_named_and_the_later_value_wins() {
    let text = br#"{"a":1,"metadata":{"name":"x","name":"y"},"a":2,"l":[{},{"i":1,"i":1,"i":2}],"a":3}"#;
    let document = read_json(text).unwrap();
    assert_eq!(document.duplicates, ["metadata.name", "a", "l[1].i"]);
    assert_eq!(document.value, json!({"a": 3, "metadata": {"name": "y"}, "l": [{}, {"i": 2}]}));
}

#[test]
fn whole_numbers_stay_exact() {
    let text = "[9223372036854775807,-9223372036854775808,18446744073709551615,1.5,-0,1e3]";
    let numbers = read_json(text.as_bytes()).unwrap().value;
    assert_eq!(numbers[0].as_i64(), Some(i64::MAX));
    assert_eq!(numbers[1].as_i64(), Some(i64::MIN));
    assert_eq!(numbers[2].as_u64(), Some(u64::MAX));
    assert_eq!((numbers[3].as_f64(), numbers[5].as_f64()), (Some(1.5), Some(1000.0)));
}

#[test]
fn syntax_errors_have_gos_words() {
    let cases = [
        ("", "unexpected end of JSON input"),
        ("  ", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ("{\"a\":", "unexpected end of JSON input"),
        ("[1,", "unexpected end of JSON input"),
        ("\"a", "unexpected end of JSON input"),
        ("-", "unexpected end of JSON input"),
        ("tru", "unexpected end of JSON input"),
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 \"b\":2}", "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{} {}", "invalid character '{' after top-level value"),
        ("nul!", "invalid character '!' in literal null (expecting 'l')"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1e+x", "invalid character 'x' in exponent of numeric literal"),
        ("01", "invalid character '1' after top-level value"),
        ("\"\n\"", "invalid character '\\n' in string literal"),
        ("\"\u{1}\"", "invalid character '\\x01' in string literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ("ä", "invalid character 'Ã' looking for beginning of value"),
    ];
    for (text, expected) in cases {
        assert_eq!(read_json(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read_json(nested(DOCUMENT_DEPTH_MAX).as_bytes()).is_ok());
    let error = read_json(nested(DOCUMENT_DEPTH_MAX + 1).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "exceeded max depth");
    assert!(read_json("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(read_json("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert!(read_json(b"\"\xff\"").is_err());
    assert!(read_json(b"\"\\ud800\"").is_err());
}

fn job(spec: Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}});
    job["spec"] = spec;
    job
}

#[test]
fn unknown_fields_are_named_as_upstream_names_them() {
    let mut value = job(json!({
        "backofLimit": 3,
        "template": {
            "metadata": {"labels": {"any-key": "is fine"}, "label": {}},
            "spec": {
                "containers": [{"name": "a", "image": "x"}, {"name": "b", "imag": "y", "env": [{"naem": null}]}],
                "volumes": [{"name": "v", "emptyDir": {"size": "1Gi"}}],
            },
        },
    }));
    value["bogus"] = json!([1, 2]);
    let decoded = decode::<Job>(&value).unwrap();
    assert_eq!(
        decoded.unknown,
        [
            "bogus",
            "spec.backofLimit",
            "spec.template.metadata.label",
            "spec.template.spec.containers[1].env[0].naem",
            "spec.template.spec.containers[1].imag",
            "spec.template.spec.volumes[0].emptyDir.size",
        ]
    );
    assert_eq!(decoded.object.metadata.name.as_deref(), Some("j"));
}

#[test]
fn free_form_values_have_no_unknown_fields() {
    let value = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"annotations": {"x": "y"}, "managedFields": [{"fieldsV1": {"f:data": {".": {}, "f:k": {}}}}]},
        "data": {"kind": "anything", "spec": "{}"},
    });
    let decoded = decode::<ConfigMap>(&value).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    assert_eq!(decoded.object.data.unwrap()["kind"], "anything");
}

#[test]
fn named_problems_are_bounded() {
    let mut value = job(json!({}));
    for i in 0..2 * FIELD_PROBLEMS_MAX {
        value["spec"][format!("x{i}")] = json!(i);
    }
    assert_eq!(decode::<Job>(&value).unwrap().unknown.len(), FIELD_PROBLEMS_MAX);
}

#[test]
fn type_errors_have_gos_words() {
    let template = |spec: Value| job(json!({"template": {"spec": spec}}));
    let cases = [
        (
            job(json!({"parallelism": "x"})),
            "spec.parallelism",
            "json: cannot unmarshal string into Go struct field JobSpec.spec.parallelism of type int32",
        ),
        (
            job(json!({"suspend": "yes"})),
            "spec.suspend",
            "json: cannot unmarshal string into Go struct field JobSpec.spec.suspend of type bool",
        ),
        (
            job(json!({"parallelism": 3_000_000_000u64})),
            "spec.parallelism",
            "json: cannot unmarshal number 3000000000 into Go struct field JobSpec.spec.parallelism of type int32",
        ),
        (
            job(json!({"activeDeadlineSeconds": 1.5})),
            "spec.activeDeadlineSeconds",
            "json: cannot unmarshal number 1.5 into Go struct field JobSpec.spec.activeDeadlineSeconds of type int64",
        ),
        (
            template(json!({"containers": [{"env": [{"name": "A"}, {"name": "B", "value": 1}]}]})),
            "spec.template.spec.containers[0].env[1].value",
            "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of \
             type string",
        ),
        (
            template(json!({"containers": {"name": "a"}})),
            "spec.template.spec.containers",
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type \
             []v1.Container",
        ),
        (
            template(json!({"containers": ["a"]})),
            "spec.template.spec.containers[0]",
            "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.containers of type \
             v1.Container",
        ),
        (
            template(json!({"nodeSelector": ["a"]})),
            "spec.template.spec.nodeSelector",
            "json: cannot unmarshal array into Go struct field PodSpec.spec.template.spec.nodeSelector of type \
             map[string]string",
        ),
        (
            template(json!({"nodeSelector": {"a": true}})),
            "spec.template.spec.nodeSelector.a",
            "json: cannot unmarshal bool into Go struct field PodSpec.spec.template.spec.nodeSelector of type string",
        ),
        (
            json!({"spec": []}),
            "spec",
            "json: cannot unmarshal array into Go struct field Job.spec of type v1.JobSpec",
        ),
        (json!([]), "", "json: cannot unmarshal array into Go value of type v1.Job"),
        (
            template(json!({"containers": [{"resources": {"limits": {"cpu": "1 cpu"}}}]})),
            "spec.template.spec.containers[0].resources.limits.cpu",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ];
    for (value, path, message) in cases {
        let error = decode::<Job>(&value).unwrap_err();
        assert_eq!((error.path(), error.to_string().as_str()), (path, message), "{value}");
    }
}

#[test]
fn errors_of_the_types_themselves_know_their_place() {
    let error = decode::<Job>(&json!({"status": {"startTime": "yesterday"}})).unwrap_err();
    assert_eq!(error.path(), "status.startTime");
    let error = decode::<Pod>(&json!({"spec": {"containers": [{"resources": {"limits": {"cpu": []}}}]}}))
        .unwrap_err();
    assert_eq!(error.path(), "spec.containers[0].resources.limits.cpu");
}

#[test]
fn null_is_the_zero_value() {
    let value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": null, "labels": {"a": null}, "creationTimestamp": null, "ownerReferences": null},
        "spec": {"containers": [null, {"name": null, "args": [null], "ports": [{"containerPort": null}]}]},
        "status": null,
    });
    let pod = decode::<Pod>(&value).unwrap().object;
    assert_eq!(pod.metadata.labels.unwrap()["a"], "");
    let containers = pod.spec.unwrap().containers;
    assert_eq!((containers.len(), containers[1].ports.as_ref().unwrap()[0].container_port), (2, 0));
}

#[test]
fn quantities_come_out_canonical() {
    let limits = json!({"cpu": 0.5, "memory": "1024Mi", "pods": 3, "nothing": null, "spaced": " 1 "});
    let value = json!({"spec": {"containers": [{"resources": {"limits": limits}}]}});
    let pod = decode::<Pod>(&value).unwrap().object;
    let limits = pod.spec.unwrap().containers[0].resources.clone().unwrap().limits.unwrap();
    let texts: Vec<(&str, &str)> = limits.iter().map(|(k, v)| (k.as_str(), v.0.as_str())).collect();
    assert_eq!(texts, [("cpu", "500m"), ("memory", "1Gi"), ("nothing", "0"), ("pods", "3"), ("spaced", "1")]);
}

#[test]
fn base64_is_read_as_go_reads_it() {
    let data = |text: &str| decode::<Secret>(&json!({"data": {"k": text}}));
    for (text, bytes) in
        [("", "".as_bytes()), ("aGk=", b"hi"), ("aG\nk=\n", b"hi"), ("aGl=", b"hi"), ("aGVsbG8h", b"hello!")]
    {
        assert_eq!(data(text).unwrap().object.data.unwrap()["k"].0, bytes, "{text}");
    }
    for (text, at) in [
        ("!", 0),
        ("aGk", 0),
        ("aGVsbG", 4),
        ("aG!k", 2),
        ("a===", 1),
        ("aG=k", 3),
        ("aG=", 3),
        ("aGk=x", 4),
        ("aA==x", 4),
        ("aGkä", 3),
        ("a\nG!k", 3),
    ] {
        let error = data(text).unwrap_err();
        assert_eq!(error.to_string(), format!("illegal base64 data at input byte {at}"), "{text}");
        assert_eq!(error.path(), "data.k");
    }
}

#[test]
fn what_decodes_encodes_to_the_same_document() {
    let value = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "n"},
        "spec": {"schedule": "@daily", "suspend": false, "successfulJobsHistoryLimit": 0, "jobTemplate": {"spec": {
            "completions": 3, "template": {"spec": {"containers": [{
                "name": "c", "image": "i", "command": ["a", ""], "ports": [{"containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": "http", "path": "/"}},
                "startupProbe": {"tcpSocket": {"port": 80}},
            }]}},
        }}},
    });
    let decoded = decode::<CronJob>(&value).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    let mut encoded = serde_json::to_value(&decoded.object).unwrap();
    // The type has no absent form of this one.
    encoded["spec"]["jobTemplate"].as_object_mut().unwrap().remove("metadata");
    assert_eq!(encoded, value);
}

proptest! {
    #[test]
    fn a_fault_is_found_exactly_where_serde_finds_one(text in "[\\[\\]{}:,\"\\\\truefalsn0-9.eE+ -]{0,12}") {
        let parsed = serde_json::from_str::<Value>(&text);
        // Only numbers beyond any range are fine in grammar and still refused.
        let out_of_range = parsed.is_err() && text.contains(['e', 'E']);
        let fault = syntax::fault(text.as_bytes());
        prop_assert!(fault.is_some() == parsed.is_err() || out_of_range, "{}: {:?}", text, fault);
        if let Ok(value) = parsed {
            prop_assert_eq!(read_json(text.as_bytes()).unwrap().value, value);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(document) = read_json(&bytes) {
            let _ = decode::<Job>(&document.value);
        }
    }
}
