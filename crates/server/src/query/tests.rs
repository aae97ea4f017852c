use super::*;

fn list(text: &str) -> Result<ListOptions, String> {
    ListOptions::parse(&Query::parse(text)).map_err(|error| format!("{} {error}", error.code()))
}

fn write(text: &str) -> Result<WriteOptions, String> {
    WriteOptions::parse(&Query::parse(text), "CreateOptions")
        .map_err(|error| format!("{} {error}", error.code()))
}

#[test]
fn flags_are_read_as_upstream_reads_them() {
    let query = Query::parse("a&b=&c=true&d=1&e=yes&f=false&g=0&h=False");
    let set: Vec<bool> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|name| query.flag(name)).to_vec();
    assert_eq!(set, [true, true, true, true, true, false, false, false, false]);
}

#[test]
fn list_options_are_decoded() {
    let options = list("labelSelector=a%3Db%2Cc&limit=500&resourceVersion=0&continue=&unknown=1").unwrap();
    assert_eq!(options.label_selector, "a=b,c");
    assert_eq!((options.limit, options.revision, options.continue_token), (Some(500), Some(0), None));
    assert_eq!(list("limit=-1").unwrap().limit, None);
    assert_eq!(list("limit=0").unwrap().limit, None);
}

#[test]
fn numbers_that_are_none_are_refused() {
    assert_eq!(list("limit=x").unwrap_err(), "400 limit: strconv.ParseInt: parsing \"x\": invalid syntax");
    assert_eq!(
        list("resourceVersion=abc").unwrap_err(),
        "400 invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": \
         invalid syntax"
    );
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let prefix = "422 ListOptions.meta.k8s.io \"\" is invalid: ";
    for (query, why) in [
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersionMatch=NotOlderThan&resourceVersion=5&continue=x",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        (
            "watch=1&sendInitialEvents=true",
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "watch=true&resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
             provided",
        ),
        (
            "resourceVersionMatch=Foo&resourceVersion=1",
            "resourceVersionMatch: Unsupported value: \"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
    ] {
        assert_eq!(list(query).unwrap_err(), format!("{prefix}{why}"), "{query}");
    }
}

#[test]
fn write_options_default_to_warnings() {
    let options = write("fieldManager=kubectl-create").unwrap();
    let expected = WriteOptions {
        dry_run: false,
        field_validation: FieldValidation::Warn,
        field_manager: "kubectl-create".to_owned(),
        force: false,
    };
    assert_eq!(options, expected);
    assert!(write("dryRun=All&fieldValidation=Strict").unwrap().dry_run);
}

#[test]
fn every_wrong_write_option_is_named() {
    let error = write("dryRun=foo&fieldValidation=Some").unwrap_err();
    assert_eq!(
        error,
        "422 CreateOptions.meta.k8s.io \"\" is invalid: [dryRun: Unsupported value: [\"foo\"]: supported values: \
         \"All\", fieldValidation: Unsupported value: \"Some\": supported values: \"\", \"Ignore\", \"Strict\", \
         \"Warn\"]"
    );
    assert!(write(&format!("fieldManager={}", "x".repeat(129))).unwrap_err().contains("Too long"));
}
