use super::*;

#[test]
fn tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert_eq!(check(root).unwrap(), Vec::<String>::new());
}

#[test]
fn long_functions_are_found_and_declarations_are_not() {
    let body = "    x();\n".repeat(FUNCTION_LINES_MAX);
    let text = format!("//! A module.\nfn short() {{\n    x();\n}}\n\npub fn long(a: u8) {{\n{body}}}\n");
    assert_eq!(check_source("a.rs", &text), ["a.rs:6: 72 lines in a function; at most 70"]);
    let declared = format!("//! A module.\ntrait T {{\n    fn f();\n}}\nconst X: &str = \"\n{body}\";\n");
    assert_eq!(check_source("a.rs", &declared), Vec::<String>::new());
}

#[test]
fn names_marks_and_missing_introductions_are_found() {
    let text = format!("fn f() {{ {}!() }}\n", "todo");
    let problems = check_source("crates/x/src/utils.rs", &text);
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn pure_crates_may_not_touch_the_world() {
    let text = "//! A module.\nuse std::fs;\n";
    assert_eq!(
        check_source("crates/controller/src/job.rs", text),
        ["crates/controller/src/job.rs:2: `std::fs` in a crate of pure functions"]
    );
    assert_eq!(check_source("crates/store/src/lib.rs", text), Vec::<String>::new());
}

#[test]
fn edges_go_only_as_listed() {
    let manifest = "[dependencies]\ncronlet-store.workspace = true\n[dev-dependencies]\ncronlet-server.workspace = true\n";
    assert_eq!(
        check_edges("controller", &["object"], manifest),
        ["crates/controller/Cargo.toml: `controller` may not depend on `store`"]
    );
}
