use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use proptest::prelude::*;

use super::*;

fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    let selector = Selector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
    selector.matches(|key| labels.get(key).copied())
}

#[test]
fn matching() {
    let labels = [("app", "web"), ("tier", ""), ("n", "7"), ("in", "notin"), ("a.io/b", "c")];
    let selecting = [
        "",
        "app=web",
        "app==web",
        " app = web , tier= ",
        "tier",
        "tier=",
        "tier==,app",
        "app!=db",
        "absent!=x",
        "app in (db,web)",
        "app in (web)",
        "app notin (db)",
        "absent notin (db)",
        "tier in ()",
        "tier in (,)",
        "tier in (,x)",
        "tier in (x,)",
        "tier in (x,,y)",
        "!absent",
        "! absent",
        "n>6",
        "n<8,n>1",
        "in in (in,notin)",
        "in=notin",
        "in",
        "a.io/b=c",
    ];
    for selector in selecting {
        assert!(selects(selector, &labels), "{selector}");
    }
    let refusing = [
        "app=db",
        "app=",
        "app!=web",
        "app in (db)",
        "app notin (web,db)",
        "absent",
        "absent=",
        "absent in ()",
        "!app",
        "n>7",
        "n<7",
        "app>1",
        "absent<1",
        "app=web,tier=x",
    ];
    for selector in refusing {
        assert!(!selects(selector, &labels), "{selector}");
    }
}

#[test]
fn texts_are_printed_in_the_order_of_their_keys() {
    let cases = [
        ("", ""),
        ("z=1, a", "a,z=1"),
        ("k in (b, a,b)", "k in (a,b)"),
        ("k notin (b,)", "k notin (,b)"),
        ("!k", "!k"),
        ("k==v", "k==v"),
        ("k!=v", "k!=v"),
        ("k>1,k<5", "k>1,k<5"),
        ("k=", "k="),
    ];
    for (text, expected) in cases {
        assert_eq!(Selector::parse(text).unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn refusals_have_upstreams_words() {
    let cases = [
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a=b,,c", "found ',', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in", "unable to parse requirement: found '' expected: '('"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value \
             must be an integer",
        ),
        (
            "-a",
            "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName', \
             \u{20}or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            "a=-",
            "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be an empty \
             string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

fn spec(labels: &[(&str, &str)], expressions: &[(&str, &str, &[&str])]) -> LabelSelector {
    let labels: BTreeMap<String, String> = labels.iter().map(|&(k, v)| (k.into(), v.into())).collect();
    let expressions = expressions.iter().map(|&(key, operator, values)| LabelSelectorRequirement {
        key: key.into(),
        operator: operator.into(),
        values: Some(values.iter().map(|&v| v.into()).collect()),
    });
    LabelSelector { match_labels: Some(labels), match_expressions: Some(expressions.collect()) }
}

#[test]
fn selectors_of_specs() {
    let mixed = spec(&[("b", "1"), ("a", "2")], &[("c", "In", &["y", "x"]), ("aa", "DoesNotExist", &[])]);
    assert_eq!(format_label_selector(Some(&mixed)), "a=2,!aa,b=1,c in (x,y)");
    assert_eq!(format_label_selector(Some(&spec(&[], &[]))), "<none>");
    assert_eq!(format_label_selector(None), "<none>");
    assert_eq!(format_label_selector(Some(&spec(&[], &[("a", "Near", &[])]))), "<error>");

    let none = Selector::from_label_selector(None).unwrap();
    assert!(!none.matches(|_| None) && !none.is_everything());
    let empty = Selector::from_label_selector(Some(&LabelSelector::default())).unwrap();
    assert!(empty.matches(|_| None) && empty.is_everything());

    let faults = [
        (spec(&[], &[("a", "Near", &[])]), "\"Near\" is not a valid label selector operator"),
        (
            spec(&[], &[("a", "In", &[])]),
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            spec(&[], &[("a", "Exists", &["x"])]),
            "values: Invalid value: [\"x\"]: values set must be empty for exists and does not exist",
        ),
        (
            spec(&[], &[("/", "In", &[])]),
            "[key: Invalid value: \"/\": prefix part must be non-empty; name part must be non-empty; name part must \
             consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), values: Invalid value: []: for 'in', 'notin' operators, \
             values set can't be empty]",
        ),
    ];
    for (selector, expected) in faults {
        let error = Selector::from_label_selector(Some(&selector)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn keys_and_values_of_labels() {
    let long = "x".repeat(63);
    for key in ["a", "a.b-c_d", "A1", "example.com/name", "9/9", &long] {
        assert!(qualified_name_errors(key).is_empty(), "{key}");
    }
    let too_long = "x".repeat(64);
    for key in ["", "-a", "a-", "a b", "ä", "/a", "a/", "a/b/c", "A.com/x", "a..b/x", &too_long] {
        assert!(!qualified_name_errors(key).is_empty(), "{key}");
    }
    assert_eq!(qualified_name_errors(&too_long), ["name part must be no more than 63 bytes"]);
    for value in ["", "a", "a_b.c-d", &long] {
        assert!(label_value_errors(value).is_empty(), "{value}");
    }
    for value in ["-", "a ", "/", &too_long] {
        assert_eq!(label_value_errors(value).len(), 1, "{value}");
    }
    assert_eq!(dns_subdomain_errors(&"a".repeat(254)), ["must be no more than 253 bytes"]);
}

fn field_term(field: &str, negated: bool, value: &str) -> FieldTerm {
    FieldTerm { field: field.into(), negated, value: value.into() }
}

#[test]
fn field_selectors() {
    let cases: [(&str, Vec<FieldTerm>); 8] = [
        ("", vec![]),
        (",,", vec![]),
        ("metadata.name=x", vec![field_term("metadata.name", false, "x")]),
        ("metadata.name==x", vec![field_term("metadata.name", false, "x")]),
        ("status.phase!=Failed", vec![field_term("status.phase", true, "Failed")]),
        ("b=2,a=1", vec![field_term("a", false, "1"), field_term("b", false, "2")]),
        ("a=", vec![field_term("a", false, "")]),
        (r"a=x\,y\=z\\", vec![field_term("a", false, r"x,y=z\")]),
    ];
    for (text, expected) in cases {
        let selector = FieldSelector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selector.terms(), expected, "{text}");
    }
}

#[test]
fn field_selector_refusals_have_upstreams_words() {
    let cases = [
        ("x", "invalid selector: 'x'; can't understand 'x'"),
        ("a=1,x", "invalid selector: 'a=1,x'; can't understand 'x'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        (r"a=\", r"invalid field selector: invalid escape sequence: \"),
    ];
    for (text, expected) in cases {
        assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn field_selectors_match_absent_fields_as_empty() {
    let value = |field: &str| if field == "metadata.name" { "x" } else { "" };
    for (text, expected) in [
        ("metadata.name=x", true),
        ("metadata.name!=x", false),
        ("metadata.name=x,spec.nodeName=", true),
        ("spec.nodeName!=", false),
        ("metadata.name=x,metadata.name!=x", false),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(value), expected, "{text}");
    }
    let selector = FieldSelector::parse("metadata.name=x,metadata.namespace!=y").unwrap();
    assert_eq!(selector.exact_value("metadata.name"), Some("x"));
    assert_eq!(selector.exact_value("metadata.namespace"), None);
    assert!(FieldSelector::default().is_everything());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}|[abin ot(),!=<>\\\\]{0,40}") {
        let _ = FieldSelector::parse(&text);
        if let Ok(selector) = Selector::parse(&text) {
            let printed = selector.to_string();
            prop_assert_eq!(Selector::parse(&printed).unwrap().to_string(), printed);
        }
    }
}
