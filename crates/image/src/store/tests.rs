use std::io::Write as _;

use super::*;
use crate::manifest::{Descriptor, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, architecture};

/// A layer with these files, as a plain archive.
fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn descriptor(store: &Store, media_type: &str, bytes: &[u8]) -> Descriptor {
    let digest = store.write_blob(bytes).unwrap();
    let media_type = media_type.to_owned();
    Descriptor { media_type, digest, size: bytes.len() as u64, platform: None, annotations: None }
}

/// Stores an image with these layers, whose configuration claims these diffIDs.
fn put(store: &Store, name: &str, layers: &[Vec<u8>], diff_ids: &[Digest], process: &str) -> Result<()> {
    let layers: Vec<Descriptor> = layers.iter().map(|l| descriptor(store, OCI_LAYER, l)).collect();
    let diff_ids = serde_json::to_string(diff_ids).unwrap();
    let config = format!(
        r#"{{"os":"linux","architecture":"{}","config":{process},"rootfs":{{"type":"layers","diff_ids":{diff_ids}}}}}"#,
        architecture()
    );
    let config = descriptor(store, OCI_CONFIG, config.as_bytes());
    let manifest = Manifest { schema_version: 2, media_type: Some(OCI_MANIFEST.to_owned()), config, layers };
    let digest = store.write_blob(&serde_json::to_vec(&manifest).unwrap())?;
    store.unpack(&digest)?;
    store.name(&name.parse()?, Named { manifest: digest.clone(), digest })
}

fn put_whole(store: &Store, name: &str, layers: &[Vec<u8>]) {
    let diff_ids: Vec<Digest> = layers.iter().map(|l| Digest::of(l)).collect();
    put(store, name, layers, &diff_ids, "{}").unwrap();
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("images")).unwrap();
    (dir, store)
}

fn get(store: &Store, name: &str) -> Option<Image> {
    store.image(&name.parse().unwrap()).unwrap()
}

#[test]
fn an_image_tells_what_to_run_and_where_its_layers_are() {
    let (_dir, store) = store();
    let layers = [layer(&[("etc/passwd", "root:x:0:0")]), layer(&[("etc/group", "root:x:0:")])];
    let diff_ids: Vec<Digest> = layers.iter().map(|l| Digest::of(l)).collect();
    let process = r#"{"Entrypoint":["/bin/sh"],"Cmd":["-c","true"],"Env":["A=b"],"User":"1:2","WorkingDir":"/w",
                      "StopSignal":"SIGINT","Volumes":null}"#;
    put(&store, "app", &layers, &diff_ids, process).unwrap();
    let image = get(&store, "docker.io/library/app:latest").unwrap();
    assert_eq!(image.entrypoint, ["/bin/sh"]);
    assert_eq!(image.cmd, ["-c", "true"]);
    assert_eq!(image.env, ["A=b"]);
    assert_eq!((image.user.as_str(), image.working_dir.as_str()), ("1:2", "/w"));
    assert_eq!(image.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!((image.passwd.as_str(), image.group.as_str()), ("root:x:0:0", "root:x:0:"));
    assert_eq!(image.repo_digest, format!("docker.io/library/app@{}", image.manifest_digest));
    assert!(image.layers[0].join("etc/passwd").is_file() && image.layers[1].join("etc/group").is_file());
    let listed = store.list().unwrap();
    assert_eq!((listed.len(), listed[0].id.as_str()), (1, image.id.as_str()));
}

#[test]
fn chain_ids_are_those_of_the_specification() {
    let config = Config::read(
        "test",
        format!(
            r#"{{"os":"linux","architecture":"{}","rootfs":{{"diff_ids":["{}","{}"]}}}}"#,
            architecture(),
            Digest::of(b"a"),
            Digest::of(b"b"),
        )
        .as_bytes(),
        2,
    );
    let expected = Digest::of(format!("{} {}", Digest::of(b"a"), Digest::of(b"b")).as_bytes());
    assert_eq!(config.unwrap().chain_ids(), [Digest::of(b"a"), expected]);
}

#[test]
fn a_name_with_a_digest_is_found_by_another_name_of_its_repository_only() {
    let (_dir, store) = store();
    put_whole(&store, "app:1", &[layer(&[("a", "a")])]);
    let image = get(&store, "app:1").unwrap();
    assert_eq!(get(&store, &format!("app@{}", image.manifest_digest)), Some(image.clone()));
    assert_eq!(get(&store, &format!("app:other@{}", image.manifest_digest)), Some(image.clone()));
    assert_eq!(get(&store, &format!("ap@{}", image.manifest_digest)), None);
    assert_eq!(get(&store, "app:2"), None);
}

#[test]
fn a_layer_that_is_not_what_the_image_says_is_refused_and_leaves_nothing() {
    let (_dir, store) = store();
    let error = put(&store, "app", &[layer(&[("a", "a")])], &[Digest::of(b"other")], "{}").unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(get(&store, "app"), None);
    assert_eq!(fs::read_dir(store.root.join("layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(store.root.join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_blob_that_is_not_its_digest_is_not_stored() {
    let (_dir, store) = store();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"content").unwrap();
    assert!(writer.finish(&Digest::of(b"other")).is_err());
    assert_eq!(fs::read_dir(store.root.join("blobs/sha256")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(store.root.join("tmp")).unwrap().count(), 0);

    let digest = store.write_blob(b"content").unwrap();
    fs::write(store.blob_path(&digest), b"CONTENT").unwrap();
    assert!(store.read_blob(&digest, 100).unwrap_err().to_string().contains("changed"));
}

#[test]
fn tags_move_and_removed_names_free_what_only_they_held() {
    let (_dir, store) = store();
    let shared = layer(&[("shared", "s")]);
    put_whole(&store, "one", &[shared.clone(), layer(&[("one", "1")])]);
    put_whole(&store, "two", &[shared, layer(&[("two", "2")])]);
    store.tag(&"one".parse().unwrap(), &"three:v1".parse().unwrap()).unwrap();
    assert!(store.remove(&"one".parse().unwrap()).unwrap());
    assert!(!store.remove(&"one".parse().unwrap()).unwrap());
    assert_eq!(store.gc(Vec::new).unwrap(), Freed::default());

    let held = get(&store, "three:v1").unwrap();
    assert!(store.remove(&"three:v1".parse().unwrap()).unwrap());
    let freed = store.gc(|| held.layers.clone()).unwrap();
    // Manifest, configuration and one layer; what containers use stays unpacked.
    assert_eq!((freed.blobs, freed.layers), (3, 0));
    assert!(held.layers[1].join("one").is_file());
    assert_eq!(store.gc(Vec::new).unwrap().layers, 1);
    assert!(!held.layers[1].exists() && held.layers[0].exists());
    assert!(get(&store, "two").is_some());
}

#[test]
fn nothing_is_collected_while_images_arrive() {
    let (_dir, store) = store();
    let hold = store.hold().unwrap();
    store.write_blob(b"not named yet").unwrap();
    assert!(matches!(store.gc(Vec::new), Err(Error::Busy)));
    drop(hold);
    assert_eq!(store.gc(Vec::new).unwrap().blobs, 1);
}

#[test]
fn what_is_in_use_is_asked_when_no_container_is_just_being_started() {
    use std::sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    };
    let (_dir, store) = store();
    put_whole(&store, "app", &[layer(&[("a", "a")])]);
    let start = store.hold_start().unwrap();
    // The name goes when the container that is to have it is not known yet.
    let image = get(&store, "app").unwrap();
    assert!(store.remove(&"app".parse().unwrap()).unwrap());
    let is_known = AtomicBool::new(false);
    let (begun, begin) = mpsc::channel();
    std::thread::scope(|scope| {
        let (store, is_known, layers) = (&store, &is_known, &image.layers);
        let collected = scope.spawn(move || {
            begun.send(()).unwrap();
            store.gc(|| if is_known.load(Ordering::SeqCst) { layers.clone() } else { Vec::new() })
        });
        begin.recv().unwrap();
        // Whether the collection has come to its wait does not matter: it may not have passed it.
        std::thread::yield_now();
        is_known.store(true, Ordering::SeqCst);
        drop(start);
        assert_eq!(collected.join().unwrap().unwrap().layers, 0);
    });
    assert!(image.layers[0].join("a").is_file());
}

#[test]
fn a_part_of_a_blob_is_gone_on_with_and_counts_for_nothing_by_itself() {
    let (_dir, store) = store();
    let digest = Digest::of(b"the whole");
    let mut writer = store.resume_writer(&digest).unwrap();
    writer.write_all(b"the ").unwrap();
    // Somebody else does not get at it.
    let mut other = store.resume_writer(&digest).unwrap();
    assert_eq!(other.bytes(), 0);
    other.write_all(b"something else").unwrap();
    drop(other);
    drop(writer);
    let mut writer = store.resume_writer(&digest).unwrap();
    assert_eq!(writer.bytes(), 4);
    writer.write_all(b"whole").unwrap();
    writer.finish(&digest).unwrap();
    assert_eq!(fs::read_dir(store.root.join("tmp")).unwrap().count(), 0);
    assert_eq!(store.read_blob(&digest, 100).unwrap(), b"the whole");

    let other = Digest::of(b"other");
    let mut writer = store.resume_writer(&other).unwrap();
    writer.write_all(b"damaged").unwrap();
    drop(writer);
    let mut writer = store.resume_writer(&other).unwrap();
    assert_eq!(writer.bytes(), 7);
    writer.start_over().unwrap();
    writer.write_all(b"othe").unwrap();
    assert!(writer.finish(&other).is_err());
    assert_eq!(fs::read_dir(store.root.join("tmp")).unwrap().count(), 0, "what is wrong does not stay");

    drop(store.resume_writer(&other).unwrap());
    store.gc(Vec::new).unwrap();
    assert_eq!(fs::read_dir(store.root.join("tmp")).unwrap().count(), 0);
}

#[test]
fn an_image_for_another_machine_is_refused_before_it_is_unpacked() {
    let (_dir, store) = store();
    let config =
        descriptor(&store, OCI_CONFIG, br#"{"os":"plan9","architecture":"vax","rootfs":{"diff_ids":[]}}"#);
    let manifest = Manifest { schema_version: 2, media_type: None, config, layers: Vec::new() };
    let digest = store.write_blob(&serde_json::to_vec(&manifest).unwrap()).unwrap();
    assert!(store.unpack(&digest).unwrap_err().to_string().contains("plan9/vax"));
}

#[test]
fn a_missing_layer_is_told_and_unpacked_again() {
    let (_dir, store) = store();
    put_whole(&store, "app", &[layer(&[("a", "a")])]);
    let image = get(&store, "app").unwrap();
    fs::remove_dir_all(&image.layers[0]).unwrap();
    assert_eq!(store.image(&"app".parse().unwrap()).unwrap_err().reason(), "ImageInspectError");
    store.unpack(&image.manifest_digest.parse().unwrap()).unwrap();
    assert_eq!(get(&store, "app"), Some(image));
}

#[test]
fn names_given_at_the_same_time_are_all_kept() {
    let (_dir, store) = store();
    put_whole(&store, "app", &[layer(&[("a", "a")])]);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let store = &store;
            scope.spawn(move || {
                store.tag(&"app".parse().unwrap(), &format!("app:{i}").parse().unwrap()).unwrap();
            });
        }
    });
    assert_eq!(store.list().unwrap().len(), 9);
}
