use super::super::tests::World;
use super::*;

fn entry(path: &str, data: &str, mode: u32) -> FileEntry {
    FileEntry { path: path.into(), data: data.into(), mode }
}

#[test]
fn keys_become_files() {
    let mut world = World::new();
    world.config_map("m", &[("a", "1"), ("b", "2")]);
    let pod = world.pod("");
    let all = Source { name: "m", items: None, optional: false, mode: 0o644 };
    let files = config_map(&world.inputs(&pod), &all).unwrap();
    assert_eq!(files, [entry("a", "1", 0o644), entry("b", "2", 0o644)]);
    let items = [
        KeyToPath { key: "b".into(), path: "x/y".into(), mode: Some(0o400) },
        KeyToPath { key: "b".into(), path: "z".into(), mode: None },
    ];
    let some = Source { items: Some(&items), ..all };
    let files = config_map(&world.inputs(&pod), &some).unwrap();
    assert_eq!(files, [entry("x/y", "2", 0o400), entry("z", "2", 0o644)]);
}

#[test]
fn what_is_missing_is_an_error_unless_it_is_optional() {
    let mut world = World::new();
    world.config_map("m", &[("a", "1")]);
    world.secret("m", &[("a", b"1")]);
    let pod = world.pod("");
    let inputs = world.inputs(&pod);
    let items = [KeyToPath { key: "none".into(), path: "x".into(), mode: None }];
    let source = |name, optional| Source { name, items: Some(&items), optional, mode: 0 };
    assert_eq!(config_map(&inputs, &source("m", true)), Ok(vec![]));
    assert_eq!(config_map(&inputs, &source("no", true)), Ok(vec![]));
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(config_map(&inputs, &source("m", false)), error("references non-existent config key: none"));
    assert_eq!(config_map(&inputs, &source("no", false)), error("configmap \"no\" not found"));
    assert_eq!(secret(&inputs, &source("m", false)), error("references non-existent secret key: none"));
    assert_eq!(secret(&inputs, &source("no", false)), error("secret \"no\" not found"));
}

#[test]
fn later_sources_win_and_no_path_leads_out() {
    let files = combine([entry("b", "1", 1), entry("a/b", "2", 2), entry("b", "3", 3)]).unwrap();
    assert_eq!(files, [entry("a/b", "2", 2), entry("b", "3", 3)]);
    for path in ["", "/a", "a//b", "a/", "..", "../a", "a/../b", "..data", "./a", &"x".repeat(256)] {
        assert!(combine([entry(path, "", 0)]).is_err(), "{path}");
    }
    for path in ["a..b", "a/..b", ".hidden", &"x".repeat(255)] {
        assert!(combine([entry(path, "", 0)]).is_ok(), "{path}");
    }
    let large = "x".repeat(limits::PROJECTED_BYTES_MAX / 2 + 1);
    assert!(combine([entry("a", &large, 0), entry("b", &large, 0)]).is_err());
}

#[test]
fn modes_are_permission_bits() {
    assert_eq!([mode(FILE_MODE), mode(0o7777), mode(-1)], [0o644, 0o777, 0]);
}
