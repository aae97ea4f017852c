//! Images between our store, a real registry with a password, and skopeo. What is not installed is not run, and said.

#[path = "registry/liar.rs"]
mod liar;
#[path = "registry/world.rs"]
mod world;

use std::{path::Path, process::Command, sync::Arc};

use cronlet_image::{
    Credentials, Digest, Error, OnProgress, Reference, Registry, Store, archive, archive::Format,
    docker_credentials, forget_credentials, keep_credentials,
};

use self::world::{PASSWORD, USER, World, busybox_archive, found, nobody, store};

fn quiet() -> OnProgress {
    Arc::new(|_| {})
}

#[tokio::test]
async fn what_is_pushed_can_be_pulled_and_runs() {
    let Some(world) = World::start("what_is_pushed_can_be_pulled_and_runs") else { return };
    let reference = world.reference("team/busybox:1");
    world.push(&reference).await.unwrap();
    // Nothing is transferred twice.
    let again: OnProgress = Arc::new(|progress| panic!("{progress:?} was transferred again"));
    Registry::default().push(&world.store, &reference, Some(&world.credentials), again).await.unwrap();

    let (dir, other) = store();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let progress: OnProgress = Arc::new({
        let seen = Arc::clone(&seen);
        move |progress| seen.lock().unwrap().push(progress)
    });
    let image =
        Registry::default().pull(&other, &reference, Some(&world.credentials), progress).await.unwrap();
    let ours = world.store.image(&reference).unwrap().unwrap();
    assert_eq!((&image.id, &image.repo_digest), (&ours.id, &ours.repo_digest));
    assert!(seen.lock().unwrap().iter().any(|p| p.bytes_done == p.bytes_total && p.bytes_total > 100_000));
    let output = Command::new(image.layers[0].join("bin/busybox")).args(["echo", "hello"]).output().unwrap();
    assert_eq!(output.stdout, b"hello\n");

    let again: OnProgress = Arc::new(|progress| panic!("{progress:?} was transferred again"));
    assert_eq!(
        Registry::default().pull(&other, &reference, Some(&world.credentials), again).await.unwrap(),
        image
    );
    let digest: Reference = image.repo_digest.parse().unwrap();
    let (_dir, third) = store();
    Registry::default().pull(&third, &digest, Some(&world.credentials), quiet()).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("images/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_shown() {
    let Some(world) = World::start("a_wrong_password_is_named_and_not_shown") else { return };
    let reference = world.reference("team/busybox:1");
    world.push(&reference).await.unwrap();
    let wrong = Credentials { user: USER.to_owned(), password: "hunter2".to_owned() };
    let (_dir, other) = store();
    let registry = Registry::default();
    for credentials in [Some(&wrong), None] {
        let pulled = registry.pull(&other, &reference, credentials, quiet()).await.unwrap_err();
        let pushed = registry.push(&world.store, &reference, credentials, quiet()).await.unwrap_err();
        for error in [pulled, pushed] {
            let text = format!("{error} {error:?}");
            assert!(matches!(error, Error::AccessDenied { .. }), "{text}");
            assert_eq!(error.reason(), "ErrImagePull");
            assert!(text.contains(&reference.to_string()), "{text}");
            assert!(!text.contains("hunter2") && !text.contains(PASSWORD), "{text}");
        }
    }
    assert!(other.list().unwrap().is_empty());
}

#[tokio::test]
async fn what_the_registry_lacks_is_named() {
    let Some(world) = World::start("what_the_registry_lacks_is_named") else { return };
    world.push(&world.reference("team/busybox:1")).await.unwrap();
    for name in ["team/busybox:2", "team/nothing", &format!("team/busybox@{}", Digest::of(b"nothing"))] {
        let reference = world.reference(name);
        let (_dir, other) = store();
        let error = Registry::default()
            .pull(&other, &reference, Some(&world.credentials), quiet())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotInRegistry { .. }), "{error}");
        assert!(error.to_string().contains(&reference.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    world::install_tls();
    let (_dir, store) = store();
    let reference: Reference = format!("{}/app", nobody()).parse().unwrap();
    let error = Registry::default().pull(&store, &reference, None, quiet()).await.unwrap_err();
    assert_eq!(error.reason(), "RegistryUnavailable", "{error}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
}

#[test]
fn a_machine_without_certificates_is_told_what_to_install() {
    const CHILD: &str = "CRONLET_TEST_WITHOUT_CERTIFICATES";
    const TEST: &str = "a_machine_without_certificates_is_told_what_to_install";
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os(CHILD).is_none() {
        let (one, none) = (Path::new("1"), Path::new("/dev/null"));
        execute_alone(TEST, &[(CHILD, one), ("SSL_CERT_FILE", none), ("SSL_CERT_DIR", dir.path())]);
        return;
    }
    world::install_tls();
    let (_dir, store) = store();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reference: Reference = format!("{}/app", nobody()).parse().unwrap();
    let pulled = runtime.block_on(Registry::default().pull(&store, &reference, None, quiet()));
    let error = pulled.unwrap_err().to_string();
    assert!(error.contains("package ca-certificates"), "{error}");
}

#[test]
fn registries_elsewhere_are_spoken_to_over_tls_and_must_be_trusted() {
    const CHILD: &str = "CRONLET_TEST_SPEAKS_TLS";
    const TEST: &str = "registries_elsewhere_are_spoken_to_over_tls_and_must_be_trusted";
    // An address of this machine that is not loopback; nothing is sent.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    if socket.connect("192.0.2.1:9").is_err() {
        world::not_run(TEST, "this machine has no network");
        return;
    }
    let host = socket.local_addr().unwrap().ip().to_string();
    let Some(tls) = std::env::var_os(CHILD) else {
        for (trusted, is_trusted) in [("cert.pem", true), ("other.pem", false)] {
            let dir = tempfile::tempdir().unwrap();
            let made = rcgen::generate_simple_self_signed([host.clone()]).unwrap();
            let other = rcgen::generate_simple_self_signed([host.clone()]).unwrap();
            std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
            std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
            std::fs::write(dir.path().join("other.pem"), other.cert.pem()).unwrap();
            std::fs::write(dir.path().join("trusted"), is_trusted.to_string()).unwrap();
            let empty = dir.path().join("empty");
            std::fs::create_dir(&empty).unwrap();
            let roots = dir.path().join(trusted);
            let environment = [(CHILD, dir.path()), ("SSL_CERT_FILE", &roots), ("SSL_CERT_DIR", &empty)];
            execute_alone(TEST, &environment);
        }
        return;
    };
    let tls = Path::new(&tls);
    let Some(world) = World::start_at(TEST, &host, Some(tls)) else { return };
    let reference = world.reference("team/busybox:1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pushed = runtime.block_on(world.push(&reference));
    if std::fs::read_to_string(tls.join("trusted")).unwrap() == "true" {
        pushed.unwrap();
        let (_dir, other) = store();
        let registry = Registry::default();
        let pull = registry.pull(&other, &reference, Some(&world.credentials), quiet());
        runtime.block_on(pull).unwrap();
    } else {
        let error = pushed.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn an_index_leads_to_the_image_for_this_machine() {
    let Some(world) = World::start("an_index_leads_to_the_image_for_this_machine") else { return };
    let reference = world.reference("team/busybox:1");
    world.push(&reference).await.unwrap();
    let single = world.store.image(&reference).unwrap().unwrap();
    let index = world.push_index("team/busybox:many", &single.manifest_digest).await;
    for name in ["team/busybox:many".to_owned(), format!("team/busybox@{index}")] {
        let (_dir, other) = store();
        let reference = world.reference(&name);
        let image =
            Registry::default().pull(&other, &reference, Some(&world.credentials), quiet()).await.unwrap();
        assert_eq!(image.manifest_digest, single.manifest_digest);
        assert_eq!(image.repo_digest, format!("{}@{index}", reference.name()));
        assert_eq!(other.gc(Vec::new).unwrap().blobs, 0);
    }
}

#[tokio::test]
async fn skopeo_reads_what_we_push_and_we_read_what_skopeo_pushes() {
    const TEST: &str = "skopeo_reads_what_we_push_and_we_read_what_skopeo_pushes";
    let Some(world) = World::start(TEST) else { return };
    if !found(TEST, "/usr/bin/skopeo") {
        return;
    }
    let ours = world.reference("team/ours:1");
    world.push(&ours).await.unwrap();
    let image = world.store.image(&ours).unwrap().unwrap();
    for (transport, target) in
        [("docker-archive", "ours.tar"), ("oci-archive", "ours.oci"), ("oci", "layout")]
    {
        let path = world.dir.path().join(target);
        world.skopeo(&format!("docker://{ours}"), &format!("{transport}:{}:app:1", path.display()));
        let (_dir, other) = store();
        let names = archive::import(&other, &path, None).unwrap();
        assert_eq!(names, ["app:1".parse().unwrap()], "{transport}");
        assert_eq!(other.image(&names[0]).unwrap().unwrap().id, image.id, "{transport}");
    }
    for (format, transport) in [(Format::Docker, "docker-archive"), (Format::Oci, "oci-archive")] {
        let path = world.dir.path().join(transport);
        let mut file = std::fs::File::create(&path).unwrap();
        archive::export(&world.store, &ours, format, &mut file).unwrap();
        let theirs = world.reference(&format!("team/theirs:{transport}"));
        world.skopeo(&format!("{transport}:{}", path.display()), &format!("docker://{theirs}"));
        let (_dir, other) = store();
        let pulled = Registry::default().pull(&other, &theirs, Some(&world.credentials), quiet()).await;
        let pulled = pulled.unwrap();
        assert_eq!(pulled.id, image.id, "{transport}");
        assert_eq!(pulled.layers.len(), 1);
        assert!(pulled.layers[0].join("bin/busybox").is_file());
    }
}

#[tokio::test]
async fn podman_reads_what_we_push_and_we_read_what_podman_pushes() {
    const TEST: &str = "podman_reads_what_we_push_and_we_read_what_podman_pushes";
    let Some(world) = World::start(TEST) else { return };
    if !found(TEST, "/usr/bin/podman") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("{TEST} is not run: podman wants ranges of users, or root");
        return;
    }
    let ours = world.reference("team/ours:1");
    world.push(&ours).await.unwrap();
    let image = world.store.image(&ours).unwrap().unwrap();
    world.podman(&["pull", "--quiet", "--tls-verify=false", "--creds", &world::creds(), &ours.to_string()]);
    let id = world.podman(&["image", "inspect", "--format", "{{.Id}}", &ours.to_string()]);
    assert_eq!(format!("sha256:{}", id.trim()), image.id.to_string());
    for options in [["--format", "oci"], ["--format", "v2s2"], ["--compression-format", "zstd"]] {
        let theirs = world.reference(&format!("team/theirs:{}", options[1]));
        let names = [ours.to_string(), theirs.to_string()];
        let quiet_push = ["push", "--quiet", "--tls-verify=false", "--creds", &world::creds()];
        world.podman(&[&quiet_push[..], &options, &names.each_ref().map(String::as_str)].concat());
        let (_dir, other) = store();
        let pulled = Registry::default().pull(&other, &theirs, Some(&world.credentials), quiet()).await;
        assert!(pulled.unwrap().layers[0].join("bin/busybox").is_file(), "{options:?}");
    }
}

#[tokio::test]
async fn a_registry_that_lies_is_found_out() {
    world::install_tls();
    let (dir, source) = store();
    let name: Reference = "app:1".parse().unwrap();
    let archive = dir.path().join("app.tar");
    std::fs::write(&archive, busybox_archive(b"not a program, but a layer all the same")).unwrap();
    archive::import(&source, &archive, Some(&name)).unwrap();
    let image = source.image(&name).unwrap().unwrap();
    for lie in [
        liar::Lie::None,
        liar::Lie::OtherLayer,
        liar::Lie::LongerLayer,
        liar::Lie::ShorterLayer,
        liar::Lie::OtherManifest,
    ] {
        let address = liar::serve(blobs(dir.path()), image.manifest_digest.clone(), lie).await;
        let (_dir, other) = store();
        let reference: Reference = format!("{address}/app@{}", image.manifest_digest).parse().unwrap();
        let pulled = Registry::default().pull(&other, &reference, None, quiet()).await;
        assert_eq!(pulled.is_ok(), lie == liar::Lie::None, "{lie:?}: {pulled:?}");
        if let Err(error) = pulled {
            assert!(error.to_string().contains(&reference.to_string()), "{lie:?}: {error}");
        }
        assert_eq!(other.list().unwrap().len(), usize::from(lie == liar::Lie::None));
    }
}

/// An image with a layer of a few hundred kilobytes: its blobs, and the digest of its manifest.
fn large_image() -> (Vec<(String, Vec<u8>)>, String) {
    world::install_tls();
    let (dir, source) = store();
    let name: Reference = "app:1".parse().unwrap();
    let archive = dir.path().join("app.tar");
    let content: Vec<u8> =
        (0..300_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()).collect();
    std::fs::write(&archive, busybox_archive(&content[..300_000])).unwrap();
    archive::import(&source, &archive, Some(&name)).unwrap();
    let digest = source.image(&name).unwrap().unwrap().manifest_digest;
    (blobs(dir.path()), digest)
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let (blobs, digest) = large_image();
    let broken = liar::Break { bytes: 100_000, connections_max: None, has_ranges: true };
    let (address, starts) = liar::serve_broken(blobs, broken).await;
    let (dir, other) = store();
    let reference: Reference = format!("{address}/app@{digest}").parse().unwrap();
    let image = Registry::default().pull(&other, &reference, None, quiet()).await.unwrap();
    assert!(image.layers[0].join("bin/busybox").is_file());
    assert_eq!(*starts.lock().unwrap(), [0, 100_000, 200_000, 300_000]);
    assert_eq!(std::fs::read_dir(dir.path().join("images/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_later_pull_goes_on_with_what_an_earlier_one_left() {
    let (blobs, digest) = large_image();
    let broken = liar::Break { bytes: 100_000, connections_max: Some(2), has_ranges: true };
    let (address, _) = liar::serve_broken(blobs.clone(), broken).await;
    let (dir, other) = store();
    let reference: Reference = format!("{address}/app@{digest}").parse().unwrap();
    let error = Registry::default().pull(&other, &reference, None, quiet()).await.unwrap_err();
    assert_eq!(error.reason(), "RegistryUnavailable", "{error}");
    // As after a restart: nothing is left but the files.
    let other = Store::open(dir.path().join("images")).unwrap();
    let whole = liar::Break { bytes: usize::MAX, connections_max: None, has_ranges: true };
    let (address, starts) = liar::serve_broken(blobs.clone(), whole).await;
    let reference: Reference = format!("{address}/app@{digest}").parse().unwrap();
    Registry::default().pull(&other, &reference, None, quiet()).await.unwrap();
    assert_eq!(*starts.lock().unwrap(), [200_000]);

    // What was there is not what was written: all of it comes anew.
    let (dir, other) = store();
    let layer = blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let part = dir.path().join("images/tmp").join(format!("part-{}", &layer.0["sha256:".len()..]));
    std::fs::write(&part, vec![0; 250_000]).unwrap();
    starts.lock().unwrap().clear();
    Registry::default().pull(&other, &reference, None, quiet()).await.unwrap();
    assert_eq!(*starts.lock().unwrap(), [250_000, 0]);
}

#[tokio::test]
async fn a_registry_without_ranges_is_asked_for_all_of_it() {
    let (blobs, digest) = large_image();
    let (dir, other) = store();
    let layer = blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let part = dir.path().join("images/tmp").join(format!("part-{}", &layer.0["sha256:".len()..]));
    std::fs::write(&part, &layer.1[..100_000]).unwrap();
    let broken = liar::Break { bytes: 50_000, connections_max: None, has_ranges: false };
    let (address, starts) = liar::serve_broken(blobs.clone(), broken).await;
    let reference: Reference = format!("{address}/app@{digest}").parse().unwrap();
    // It never brings more than before, so it is not asked for ever.
    Registry::default().pull(&other, &reference, None, quiet()).await.unwrap_err();
    assert_eq!(*starts.lock().unwrap(), [0]);
    let whole = liar::Break { bytes: usize::MAX, ..broken };
    let (address, starts) = liar::serve_broken(blobs.clone(), whole).await;
    let reference: Reference = format!("{address}/app@{digest}").parse().unwrap();
    Registry::default().pull(&other, &reference, None, quiet()).await.unwrap();
    assert_eq!(*starts.lock().unwrap(), [0]);
}

#[test]
fn what_docker_login_stored_is_found_by_registry() {
    const CHILD: &str = "CRONLET_TEST_READS_DOCKER_CONFIG";
    const TEST: &str = "what_docker_login_stored_is_found_by_registry";
    if std::env::var_os(CHILD).is_some() {
        let stored = docker_credentials("localhost:5000").unwrap();
        assert_eq!((stored.user.as_str(), stored.password.as_str()), ("me", "pass:word"));
        assert_eq!(docker_credentials("docker.io").unwrap().user, "hub");
        assert_eq!(docker_credentials("example.com"), None);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // me:pass:word and hub:x in base64.
    let config = r#"{"auths":{"localhost:5000":{"auth":"bWU6cGFzczp3b3Jk"},
                     "https://index.docker.io/v1/":{"auth":"aHViOng="}}}"#;
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    execute_alone(TEST, &[(CHILD, Path::new("1")), ("DOCKER_CONFIG", dir.path())]);
}

#[test]
fn what_is_kept_is_found_again_and_can_be_forgotten() {
    const CHILD: &str = "CRONLET_TEST_WRITES_DOCKER_CONFIG";
    const TEST: &str = "what_is_kept_is_found_again_and_can_be_forgotten";
    let kept = |user: &str| Credentials { user: user.to_owned(), password: "pass:word".to_owned() };
    if let Some(config) = std::env::var_os(CHILD) {
        for registry in ["localhost:5000", "docker.io"] {
            assert_eq!(keep_credentials(registry, &kept("me")).unwrap(), Path::new(&config));
            assert_eq!(docker_credentials(registry), Some(kept("me")));
        }
        assert!(forget_credentials("docker.io").unwrap() && !forget_credentials("docker.io").unwrap());
        assert_eq!(docker_credentials("docker.io"), None);
        assert_eq!(docker_credentials("localhost:5000"), Some(kept("me")));
        // What helpers keep is theirs to change.
        std::fs::write(&config, r#"{"credsStore":"pass"}"#).unwrap();
        let refused = keep_credentials("docker.io", &kept("x")).unwrap_err().to_string();
        assert!(refused.contains("the helper `pass`; use `docker login`"), "{refused}");
        std::fs::write(&config, r#"{"HttpHeaders":{"a":"b"},"auths":{"other":{}}}"#).unwrap();
        keep_credentials("x.example", &kept("x")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        assert_eq!((&config["HttpHeaders"]["a"], config["auths"]["other"].is_object()), (&"b".into(), true));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (docker, config) = (dir.path().join("docker"), dir.path().join("docker/config.json"));
    execute_alone(TEST, &[(CHILD, &config), ("DOCKER_CONFIG", &docker)]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(config).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_registry_says_whether_it_takes_credentials() {
    let Some(world) = World::start("a_registry_says_whether_it_takes_credentials") else { return };
    let registry = Registry::default();
    registry.check(&world.address, &world.credentials).await.unwrap();
    let wrong = Credentials { password: "wrong".to_owned(), ..world.credentials.clone() };
    let refused = registry.check(&world.address, &wrong).await.unwrap_err();
    assert!(matches!(refused, Error::AccessDenied { .. }), "{refused}");
}

/// Executes one test in a process of its own: the environment of one with threads cannot be changed.
fn execute_alone(test: &str, environment: &[(&str, &Path)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// All blobs of a store, by digest.
fn blobs(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let directory = std::fs::read_dir(dir.join("images/blobs/sha256")).unwrap();
    let paths = directory.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (format!("sha256:{name}"), std::fs::read(&path).unwrap())
        })
        .collect()
}
