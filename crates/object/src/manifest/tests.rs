use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::read_json;
use crate::limits::{MANIFEST_DEPTH_MAX, MANIFEST_NODES_MAX, MANIFEST_REPEATED_NODES_MAX};

fn value(text: &str) -> Value {
    let read = read_manifests(text);
    assert_eq!(read.errors, [], "{text}");
    read.manifests.into_iter().map(|manifest| manifest.value).next().unwrap_or_default()
}

fn errors(text: &str) -> Vec<String> {
    read_manifests(text).errors.iter().map(ToString::to_string).collect()
}

#[test]
fn scalars_are_read_as_kubernetes_reads_them() {
    let cases = [
        ("yes", json!(true)),
        ("On", json!(true)),
        ("y", json!(true)),
        ("no", json!(false)),
        ("OFF", json!(false)),
        ("true", json!(true)),
        ("'yes'", json!("yes")),
        ("!!str yes", json!("yes")),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("010", json!(8)),
        ("089", json!(89)),
        ("0x1F", json!(31)),
        ("0b11", json!(3)),
        ("1_000", json!(1000)),
        ("+5", json!(5)),
        ("-0", json!(0)),
        ("1.0", json!(1)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("1e30", json!(1e30)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("2024-01-01", json!("2024-01-01")),
        ("12:30:45", json!("12:30:45")),
        ("~", Value::Null),
        ("null", Value::Null),
        ("", Value::Null),
        ("|\n  a\n  b\n", json!("a\nb\n")),
        (">-\n  a\n  b\n", json!("a b")),
        ("\"\\u00e9\"", json!("é")),
        ("!!binary aGk=", json!("hi")),
    ];
    for (text, expected) in cases {
        assert_eq!(value(&format!("v: {text}"))["v"], expected, "{text}");
    }
}

#[test]
fn keys_become_strings() {
    assert_eq!(
        value("8080: a\nyes: b\n1.5: c\n\"q\": d\n"),
        json!({"8080": "a", "true": "b", "1.5": "c", "q": "d"})
    );
    assert_eq!(
        errors("a: 1\n~: 2\n? [x]\n: 3\n"),
        [
            "line 2, column 1: a key must be a string, a number or a boolean",
            "line 3, column 3: a key must be a string, a number or a boolean",
        ]
    );
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    assert_eq!(
        value("base: &b {x: 1, z: 2}\nall: *b\nmore: {<<: *b, z: 3}\n"),
        json!({"base": {"x": 1, "z": 2}, "all": {"x": 1, "z": 2}, "more": {"x": 1, "z": 3}})
    );
}

#[test]
fn documents_are_separated_and_empty_ones_passed_over() {
    let text =
        "# heading\n---\na: 1\n--- # the second\nb: '---'\nc: |\n  ---\n---\n\n---\n# nothing\n---\nd: 4";
    let read = read_manifests(text);
    assert_eq!(read.errors, []);
    let values: Vec<&Value> = read.manifests.iter().map(|manifest| &manifest.value).collect();
    assert_eq!(values, [&json!({"a": 1}), &json!({"b": "---", "c": "---\n"}), &json!({"d": 4})]);
    let places: Vec<(usize, &str)> =
        read.manifests.iter().map(|m| (m.document().line, &text[m.document().bytes.clone()])).collect();
    assert_eq!(places, [(2, "---\na: 1"), (4, "--- # the second\nb: '---'\nc: |\n  ---"), (12, "---\nd: 4")]);
}

#[test]
fn directives_line_ends_and_marks_do_no_harm() {
    assert_eq!(value("%YAML 1.1\n# x\n---\na: yes\n"), json!({"a": true}));
    assert_eq!(value("---\r\na: 1\r\nb: x\r\n---\r\n"), json!({"a": 1, "b": "x"}));
    assert_eq!(value("\u{feff}a: 1\n"), json!({"a": 1}));
    assert_eq!(value("---\na: 1\n...\n"), json!({"a": 1}));
    for text in ["", "\n\n", "# only\n", "---\n---\n", "---", "{}"] {
        assert_eq!(errors(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn json_is_read_too() {
    let text = "{\n\t\"a\": [1, 2.0, \"\\/\\ud83d\\ude00\", true, null],\n\t\"y\": {\"x\": 1e2}\n}\n";
    assert_eq!(value(text), json!({"a": [1, 2, "/😀", true, null], "y": {"x": 100}}));
}

#[test]
fn lists_count_as_their_items() {
    let text = "kind: List\napiVersion: v1\nitems:\n- kind: Job\n  spec: {a: 1}\n- kind: PodList\n  items:\n  - kind: Pod\n- 7\n\
                ---\nkind: ListLike\nitems: []\n---\nkind: List\n";
    let read = read_manifests(text);
    let kinds: Vec<&str> =
        read.manifests.iter().filter_map(|manifest| manifest.value["kind"].as_str()).collect();
    assert_eq!(kinds, ["Job", "Pod", "ListLike", "List"]);
    assert_eq!(
        read.errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["line 9, column 3: expected an object with apiVersion, kind and metadata"]
    );
    assert_eq!(&text[read.manifests[0].span_of("spec.a").bytes.clone()], "1");
}

#[test]
fn every_fault_is_told_with_its_place() {
    let text =
        "a: 1\na: 2\nb: {c: 1, c: 2}\n---\nbroken: [\n---\nalso: b: c\n---\n- x\n---\nfine: 1\n---\nx: \"ü\n";
    let read = read_manifests(text);
    let messages: Vec<String> = read.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "line 2, column 1: the key \"a\" is already set on line 1",
            "line 3, column 11: the key \"c\" is already set on line 3",
            "line 5, column 9: unclosed bracket '['",
            "line 7, column 8: mapping values are not allowed in this context",
            "line 9, column 1: expected an object with apiVersion, kind and metadata",
            "line 13, column 4: unclosed quote",
        ]
    );
    assert_eq!(&text[read.errors[1].span.bytes.clone()], "c");
    assert_eq!(read.manifests.len(), 2);
    assert_eq!(read.manifests[0].value, json!({"a": 2, "b": {"c": 2}}));
}

#[test]
fn other_faults() {
    let cases = [
        ("a: *x", "line 1, column 4: alias references unknown anchor"),
        ("a: .inf", "line 1, column 4: non-finite float `.inf` rejected by the configured policy"),
        ("a: 1\n...\nb: 2\n", "line 3, column 1: a second document begins here, where one was expected"),
        ("a:\n\t- x", "line 2, column 2: tabs disallowed within this context (block indentation)"),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: é
  labels: {example.com/a.b: v, example: w}
spec:
  template:
    spec:
      containers:
      - name: one
        image: \"busybox\"   # quoted
      - name: two
        command: [sh, -c, echo]
";

#[test]
fn paths_lead_to_places() {
    let text = JOB;
    let read = read_manifests(text);
    assert_eq!(read.errors, []);
    let job = &read.manifests[0];
    let cases = [
        ("kind", "Job", "kind", (2, 7)),
        ("metadata.name", "é", "name", (4, 9)),
        ("metadata.labels.example.com/a.b", "v", "example.com/a.b", (5, 29)),
        ("metadata.labels[example.com/a.b]", "v", "example.com/a.b", (5, 29)),
        ("metadata.labels.example", "w", "example", (5, 41)),
        ("spec.template.spec.containers[0].image", "\"busybox\"", "image", (11, 16)),
        ("spec.template.spec.containers[1].command[2]", "echo", "echo", (13, 27)),
        // What the text does not have is shown at the nearest place above.
        ("spec.template.spec.containers", "containers", "containers", (9, 7)),
        ("spec.template.spec.containers[0].imag", "n", "n", (10, 9)),
        ("spec.template.spec.containers[7]", "containers", "containers", (9, 7)),
        ("spec.template.spec.restartPolicy", "spec", "spec", (8, 5)),
        ("metadata.name.deeper", "name", "name", (4, 3)),
        ("nothing", "a", "a", (1, 1)),
        ("", "a", "a", (1, 1)),
    ];
    for (path, value, key, place) in cases {
        let span = job.span_of(path);
        assert_eq!((&text[span.bytes.clone()], (span.line, span.column)), (value, place), "{path}");
        assert_eq!(&text[job.span_of_key(path).bytes.clone()], key, "{path}");
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let level =
        |name: char, of: char| format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 10].join(", "));
    let levels: String = ('b'..'j').zip('a'..).map(|(name, of)| level(name, of)).collect();
    let bomb = format!("a: &a [{}]\n{levels}", ["x"; 10].join(", "));
    assert_eq!(errors(&bomb).len(), 1);
    assert!(
        errors(&bomb)[0].ends_with(&format!("aliases repeat more than {MANIFEST_REPEATED_NODES_MAX} values"))
    );

    let wide = format!("a: [{}]", "1,".repeat(MANIFEST_NODES_MAX));
    assert!(errors(&wide)[0].ends_with(&format!("the document has more than {MANIFEST_NODES_MAX} values")));

    let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_eq!(errors(&nested(MANIFEST_DEPTH_MAX)), Vec::<String>::new());
    assert!(errors(&nested(MANIFEST_DEPTH_MAX + 1))[0].ends_with("nested more than 40 levels deep"));
    assert_eq!(errors(&nested(100_000)).len(), 1);
    let indented: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(errors(&indented)[0].ends_with("nested more than 40 levels deep"));

    let long = " ".repeat(MANIFEST_BYTES_MAX + 1);
    assert_eq!(errors(&long), ["line 1, column 1: the text is longer than 33554432 bytes"]);
}

#[test]
fn bodies_of_requests() {
    let read = read_yaml(b"kind: List\nitems: [1]\nkind: List\nspec: {a: 1, a: 2}\n").unwrap();
    assert_eq!(read.value, json!({"kind": "List", "items": [1], "spec": {"a": 2}}));
    assert_eq!(read.duplicates, ["kind", "spec.a"]);
    assert_eq!(read_yaml(b"").unwrap().value, Value::Null);
    for (body, expected) in [
        (&b"a: ["[..], "line 1, column 4: unclosed bracket '['"),
        (b"a: 1\n---\nb: 2\n", "line 3, column 1: a second document begins here, where one was expected"),
        (b"~: 1", "line 1, column 1: a key must be a string, a number or a boolean"),
        (b"\xff", "line 1, column 1: invalid utf-8 sequence of 1 bytes from index 0"),
    ] {
        assert_eq!(read_yaml(body).unwrap_err().to_string(), expected);
    }
}

/// JSON values without whole floats and within what YAML keys may be.
fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[\\PC]{0,9}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_reads_the_same_as_by_the_json_reader(value in json_values()) {
        let text = serde_json::to_string_pretty(&json!({"v": value})).unwrap();
        let read = read_yaml(text.as_bytes());
        prop_assert_eq!(read.map_err(|e| e.to_string()), Ok(read_json(text.as_bytes()).unwrap()), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|[\\n\\t ]|[-:\\[\\]{},&*#|>'\"%ab]){0,60}") {
        let read = read_manifests(&text);
        for error in &read.errors {
            prop_assert!(text.get(error.span.bytes.clone()).is_some(), "{:?}", error);
        }
        for manifest in &read.manifests {
            prop_assert!(text.get(manifest.span_of("a.b[0]").bytes.clone()).is_some());
            prop_assert!(text.get(manifest.document().bytes.clone()).is_some());
        }
    }
}
