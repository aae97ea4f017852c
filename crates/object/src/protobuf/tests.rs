use k8s_openapi::api::batch::v1::Job;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema::{Fields, Kind, Shape, fields_of};
use super::wire::{Reader, Wire};
use super::*;

macro_rules! recorded {
    ($($name:literal),*) => {
        [$((
            $name,
            include_bytes!(concat!("../../tests/data/protobuf/", $name, ".pb")) as &[u8],
            include_str!(concat!("../../tests/data/protobuf/", $name, ".json")),
        )),*]
    };
}

/// Bodies that kubectl 1.33 sent, each with the JSON that the same command prints or that kubectl 1.31 sends.
/// `job-every-struct` has one of every struct and no scalar; `job-rich` has zeros that were set on purpose.
const RECORDED: [(&str, &[u8], &str); 13] = recorded!(
    "configmap",
    "cronjob",
    "job",
    "job-every-struct",
    "job-rich",
    "namespace",
    "secret",
    "secret-registry",
    "selfsubjectaccessreview",
    "selfsubjectreview",
    "selfsubjectrulesreview",
    "serviceaccount",
    "tokenrequest"
);

#[test]
fn bodies_of_kubectl_read_as_their_json() {
    for (name, body, expected) in RECORDED {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let decoded = decode(body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded, expected, "{name}");
    }
}

#[test]
fn a_decoded_body_fits_the_typed_object() {
    for (name, body, _) in RECORDED.iter().filter(|(name, ..)| name.starts_with("job")) {
        let decoded = crate::document::decode::<Job>(&decode(body).unwrap()).unwrap().unknown;
        assert_eq!(decoded, Vec::<String>::new(), "{name}");
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn text(number: u64, content: &str) -> Vec<u8> {
    bytes(number, content.as_bytes())
}

fn message(number: u64, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(number, &fields.concat())
}

fn body(api_version: &str, kind: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    let meta = message(1, &[text(1, api_version), text(2, kind)]);
    [b"k8s\0".to_vec(), meta, message(2, fields), text(3, ""), text(4, "")].concat()
}

fn decoded(api_version: &str, kind: &str, fields: &[Vec<u8>]) -> Value {
    let mut value = decode(&body(api_version, kind, fields)).unwrap();
    let object = value.as_object_mut().unwrap();
    assert_eq!(object.remove("apiVersion").unwrap(), api_version);
    assert_eq!(object.remove("kind").unwrap(), kind);
    value
}

#[test]
fn leases_have_pointers_and_micro_times() {
    let spec = [
        text(1, ""),
        int(2, 0),
        message(3, &[int(1, 1_767_225_600), int(2, 123_456_789)]),
        message(4, &[]),
        int(5, -1),
    ];
    assert_eq!(
        decoded(
            "coordination.k8s.io/v1",
            "Lease",
            &[message(1, &[text(1, "l"), text(2, "")]), message(2, &spec)]
        ),
        json!({
            "metadata": {"name": "l"},
            "spec": {
                "holderIdentity": "", "leaseDurationSeconds": 0, "leaseTransitions": -1,
                "acquireTime": "2026-01-01T00:00:00.123456Z",
            },
        })
    );
}

#[test]
fn delete_options_come_in_any_version() {
    let options = [int(1, 0), message(2, &[text(1, "uid")]), text(4, "Background"), text(5, "All")];
    for api_version in ["v1", "batch/v1", "meta.k8s.io/v1"] {
        assert_eq!(
            decoded(api_version, "DeleteOptions", &options),
            json!({
                "gracePeriodSeconds": 0, "preconditions": {"uid": "uid"}, "propagationPolicy": "Background",
                "dryRun": ["All"],
            })
        );
    }
}

#[test]
fn events_leave_out_what_is_zero() {
    let time = [int(1, 0), int(2, 0)];
    let event = [
        message(1, &[text(1, "e"), message(8, &[])]),
        message(2, &[text(1, "Job"), text(2, "n"), text(3, "j"), text(4, "")]),
        text(3, "Created"),
        message(6, &time),
        message(7, &[]),
        int(8, 0),
        message(10, &[]),
        text(14, "controller"),
    ];
    assert_eq!(
        decoded("v1", "Event", &event),
        json!({
            "metadata": {"name": "e"}, "involvedObject": {"kind": "Job", "namespace": "n", "name": "j"},
            "reason": "Created", "firstTimestamp": "1970-01-01T00:00:00Z", "reportingComponent": "controller",
        })
    );
    let event =
        [message(2, &[int(1, 1), int(2, 0)]), text(4, "c"), message(8, &[text(1, "Job")]), int(15, 2)];
    assert_eq!(
        decoded("events.k8s.io/v1", "Event", &event),
        json!({
            "eventTime": "1970-01-01T00:00:01.000000Z", "reportingController": "c", "regarding": {"kind": "Job"},
            "deprecatedCount": 2,
        })
    );
}

#[test]
fn inlined_structs_quantities_and_either_types() {
    let volume = [
        message(1, &[text(1, "storage"), message(2, &[text(1, "1Gi")])]),
        message(2, &[message(3, &[text(1, "/data"), text(2, "")])]),
        text(3, "ReadWriteOnce"),
    ];
    assert_eq!(
        decoded("v1", "PersistentVolume", &[message(2, &volume)]),
        json!({"spec": {
            "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data", "type": ""},
            "accessModes": ["ReadWriteOnce"],
        }})
    );
    let port = |target: &[Vec<u8>]| message(1, &[int(3, 80), message(4, target), int(5, 0)]);
    let service = [port(&[int(1, 0), int(2, 8080), text(3, "")]), port(&[int(1, 1), text(3, "http")])];
    assert_eq!(
        decoded("v1", "Service", &[message(2, &service)])["spec"]["ports"],
        json!([{"port": 80, "targetPort": 8080}, {"port": 80, "targetPort": "http"}])
    );
}

#[test]
fn embedded_json_and_lists_of_texts() {
    let fields = |json: &str| message(17, &[text(1, "m"), message(7, &[text(1, json)])]);
    let metadata = [fields("{\"f:data\":{\".\":{}}}"), fields("")];
    assert_eq!(
        decoded("v1", "ConfigMap", &[message(1, &metadata)])["metadata"]["managedFields"],
        json!([{"manager": "m", "fieldsV1": {"f:data": {".": {}}}}, {"manager": "m"}])
    );
    let user =
        message(1, &[text(1, "u"), message(4, &[text(1, "k"), message(2, &[text(1, "a"), text(1, "b")])])]);
    assert_eq!(
        decoded("authentication.k8s.io/v1", "SelfSubjectReview", &[message(2, &[user])])["status"]["userInfo"],
        json!({"username": "u", "extra": {"k": ["a", "b"]}})
    );
}

#[test]
fn what_the_encoding_allows_is_accepted() {
    // A struct in two parts, the last of two scalars, a packed list, an entry without a value, an unknown
    // field.
    let metadata = [
        text(1, "old"),
        text(1, "new"),
        message(11, &[text(1, "k")]),
        bytes(900, b"?"),
        vec![0x7d, 0, 0, 0, 0],
    ];
    let values = bytes(3, &[varint(1), varint(300)].concat());
    let rule = message(1, &[text(1, "Count"), message(2, &[text(2, "In"), values])]);
    let job =
        [message(1, &metadata), message(2, &[int(1, 1)]), message(2, &[int(2, 2), message(11, &[rule])])];
    assert_eq!(
        decoded("batch/v1", "Job", &job),
        json!({
            "metadata": {"name": "new", "labels": {"k": ""}},
            "spec": {"parallelism": 1, "completions": 2, "podFailurePolicy": {"rules": [
                {"action": "Count", "onExitCodes": {"operator": "In", "values": [1, 300]}},
            ]}},
        })
    );
}

#[test]
fn refusals_say_what_and_where() {
    let job = |fields: &[Vec<u8>]| body("batch/v1", "Job", fields);
    let container = |field: Vec<u8>| {
        let containers = [message(2, &[text(1, "a")]), message(2, &[field])];
        job(&[message(2, &[message(6, &[message(2, &containers)])])])
    };
    let cases = [
        (
            b"{}".to_vec(),
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        ),
        (b"k8s\0".to_vec(), "no kind \"\" is known for version \"\" in protobuf bodies: send JSON instead"),
        (
            body("apps/v1", "Deployment", &[]),
            "no kind \"Deployment\" is known for version \"apps/v1\" in protobuf bodies: send JSON instead",
        ),
        (
            [job(&[]), text(3, "gzip")].concat(),
            "the protobuf body has the encoding \"gzip\", which is not supported",
        ),
        (
            b"k8s\0\x0a\x7f".to_vec(),
            "the protobuf body is malformed at the envelope: the data ends in the middle of a field",
        ),
        (
            job(&[text(2, "\u{8}")]),
            "the protobuf body is malformed at spec: the data ends in the middle of a field",
        ),
        (
            job(&[message(2, &[text(1, "1")])]),
            "the protobuf body is malformed at spec.parallelism: a field has another wire type than it should",
        ),
        (
            job(&[message(2, &[vec![0x0b]])]),
            "the protobuf body is malformed at spec: a field has an unknown wire type",
        ),
        (
            job(&[message(2, &[[&[0x08][..], &[0xff; 11]].concat()])]),
            "the protobuf body is malformed at spec: a number has more than 64 bits",
        ),
        (
            container(bytes(2, b"\xff")),
            "the protobuf body is malformed at spec.template.spec.containers[1].image: a text is not UTF-8",
        ),
        (
            job(&[message(1, &[message(8, &[int(1, i64::MAX)])])]),
            "the protobuf body is malformed at metadata.creationTimestamp: the time is out of range",
        ),
        (
            job(&[message(1, &[message(17, &[message(7, &[text(1, "{")])])])]),
            "the protobuf body is malformed at metadata.managedFields[0].fieldsV1: the text in it is not JSON",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(decode(&body).map_err(|error| error.to_string()), Err(expected.to_owned()));
    }
    let long = vec![0; PROTOBUF_BYTES_MAX + 1];
    assert_eq!(decode(&long), Err(ProtobufError::TooLong));
}

#[test]
fn the_wire_format_at_its_edges() {
    let read = |bytes: &[u8]| Reader::new(bytes).next().map(|next| format!("{next:?}"));
    assert_eq!(read(&[]), Ok("None".to_owned()));
    assert_eq!(Reader::new(&int(1, -1)).next(), Ok(Some((1, Wire::Varint(u64::MAX)))));
    assert_eq!(Reader::new(&bytes(1 << 28, b"x")).next(), Ok(Some((1 << 28, Wire::Bytes(b"x")))));
    assert_eq!(Reader::new(&[0x09, 0, 0, 0, 0, 0, 0, 0, 0]).next(), Ok(Some((1, Wire::Fixed))));
    assert_eq!(Reader::new(&[0x0d, 0, 0, 0, 0]).next(), Ok(Some((1, Wire::Fixed))));
    for (bytes, fault) in [
        (&[0x00, 0x00][..], "a field has the number zero"),
        (&[0x0b], "a field has an unknown wire type"),
        (&[0x08], "the data ends in the middle of a field"),
        (&[0x08, 0x80], "the data ends in the middle of a field"),
        (&[0x09, 0, 0], "the data ends in the middle of a field"),
        (&[0x0a, 0x05, 0], "the data ends in the middle of a field"),
        (
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            "the data ends in the middle of a field",
        ),
        (
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            "a number has more than 64 bits",
        ),
    ] {
        assert_eq!(read(bytes), Err(fault), "{bytes:?}");
    }
}

/// Checks a message of the table and all below it; returns how deep they nest.
fn check(fields: &'static Fields, above: &mut Vec<*const Fields>) -> usize {
    assert!(
        !above.contains(&(fields as *const Fields)),
        "a message contains itself: nesting would be unbounded"
    );
    assert!(fields.0.is_sorted_by(|a, b| a.number < b.number), "the search needs the order: {fields:?}");
    above.push(fields);
    let mut deepest = 0;
    for field in fields.0 {
        assert_eq!(field.name.is_empty(), field.shape == Shape::Inline, "{field:?}");
        if let Kind::Message(inner) = field.kind {
            deepest = deepest.max(check(inner, above));
        }
    }
    above.pop();
    deepest + 1
}

#[test]
fn the_table_is_sound() {
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("v1", "DeleteOptions"),
        ("v1", "Event"),
        ("v1", "LimitRange"),
        ("v1", "Namespace"),
        ("v1", "Node"),
        ("v1", "PersistentVolume"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Pod"),
        ("v1", "Secret"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("batch/v1", "CronJob"),
        ("batch/v1", "Job"),
        ("events.k8s.io/v1", "Event"),
        ("coordination.k8s.io/v1", "Lease"),
        ("node.k8s.io/v1", "RuntimeClass"),
        ("policy/v1", "Eviction"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("authentication.k8s.io/v1", "SelfSubjectReview"),
        ("authentication.k8s.io/v1", "TokenRequest"),
        ("authentication.k8s.io/v1", "TokenReview"),
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
        ("authorization.k8s.io/v1", "LocalSubjectAccessReview"),
        ("authorization.k8s.io/v1", "SubjectAccessReview"),
    ] {
        let depth = check(fields_of(api_version, kind).unwrap(), &mut Vec::new());
        assert!((2..20).contains(&depth), "{kind}: {depth}");
    }
}

#[test]
fn no_cut_makes_it_panic() {
    for (_, body, _) in RECORDED {
        for end in 0..body.len() {
            let _ = decode(&body[..end]);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&raw);
        let _ = decode(&body("v1", "Pod", &[raw]));
    }

    #[test]
    fn no_damage_makes_it_panic(which in 0..RECORDED.len(), at in any::<prop::sample::Index>(), byte: u8, cut in 0..4usize) {
        let mut damaged = RECORDED[which].1.to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        damaged.drain(at..(at + cut).min(damaged.len()));
        let _ = decode(&damaged);
    }
}
