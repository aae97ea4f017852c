use jiff::ToSpan as _;

use super::*;

fn now() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().unwrap()
}

fn names() -> Vec<String> {
    server_names("Laptop", "192.0.2.7".parse().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_server_is_known_under_every_name_of_this_machine() {
    assert_eq!(
        names(),
        [
            "127.0.0.1",
            "192.0.2.7",
            "::1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "laptop",
            "localhost"
        ]
    );
    assert_eq!(server_names("", "0.0.0.0".parse().unwrap()).len(), 6);
}

#[test]
fn certificates_are_made_once_and_private_keys_kept_private() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data/pki");
    let first = Pki::open(&dir, &names(), now()).unwrap();
    let again = Pki::open(&dir, &names(), now()).unwrap();
    assert_eq!(first.authority, again.authority);
    assert_eq!(first.server.certificate, again.server.certificate);
    assert_eq!(first.admin.key, again.admin.key);
    assert_eq!(mode(&dir), 0o700);
    for key in ["ca.key", "server.key", "admin.key"] {
        assert_eq!(mode(&dir.join(key)), 0o600, "{key}");
    }
    assert_eq!(Inspected::new(&first.server.certificate).unwrap().names, names());
}

#[test]
fn other_names_need_another_server_certificate_of_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pki::open(dir.path(), &names(), now()).unwrap();
    let other = Pki::open(dir.path(), &server_names("desktop", "127.0.0.1".parse().unwrap()), now()).unwrap();
    assert_eq!(first.authority, other.authority);
    assert_eq!(first.admin.certificate, other.admin.certificate);
    assert_ne!(first.server.certificate, other.server.certificate);
}

#[test]
fn certificates_close_to_their_end_or_from_the_future_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pki::open(dir.path(), &names(), now()).unwrap();
    let in_days = |days: i64| now() + (24 * days).hours();
    assert_eq!(Pki::open(dir.path(), &names(), in_days(3000)).unwrap().authority, first.authority);
    let renewed = Pki::open(dir.path(), &names(), in_days(3400)).unwrap();
    assert_ne!(renewed.authority, first.authority);
    assert_ne!(renewed.admin.certificate, first.admin.certificate);
    // The clock was set back to before the certificates begin to be valid.
    assert_ne!(Pki::open(dir.path(), &names(), now()).unwrap().authority, renewed.authority);
}

#[test]
fn damaged_certificates_are_replaced_but_a_damaged_authority_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pki::open(dir.path(), &names(), now()).unwrap();
    fs::write(dir.path().join("server.crt"), b"\xff\xfe").unwrap();
    fs::remove_file(dir.path().join("admin.key")).unwrap();
    let repaired = Pki::open(dir.path(), &names(), now()).unwrap();
    assert_eq!(repaired.authority, first.authority);
    assert_ne!(repaired.server.certificate, first.server.certificate);
    assert_ne!(repaired.admin.certificate, first.admin.certificate);

    fs::write(dir.path().join("ca.key"), "").unwrap();
    let error = Pki::open(dir.path(), &names(), now()).err().unwrap().to_string();
    assert!(error.contains("ca.crt cannot be used: its private key ca.key is damaged"), "{error}");
    fs::remove_file(dir.path().join("ca.key")).unwrap();
    let error = Pki::open(dir.path(), &names(), now()).err().unwrap().to_string();
    assert!(error.contains("ca.key is missing"), "{error}");
}

#[test]
fn a_place_that_is_no_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Pki::open(&file.join("pki"), &names(), now()).err().unwrap().to_string();
    assert!(error.starts_with("cannot create the directory"), "{error}");
}

#[test]
fn a_kubeconfig_is_private_and_replaces_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("admin.kubeconfig");
    let pki = Pki::ephemeral(&names(), now()).unwrap();
    pki.write_kubeconfig(&file, "https://127.0.0.1:1").unwrap();
    pki.write_kubeconfig(&file, "https://127.0.0.1:2").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), pki.kubeconfig("https://127.0.0.1:2"));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let error = pki.write_kubeconfig(&dir.path().join("none/admin.kubeconfig"), "").unwrap_err().to_string();
    assert!(error.starts_with("cannot write "), "{error}");
}
