use std::path::PathBuf;

use super::*;
use crate::{Digest, manifest::architecture};

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("images")).unwrap();
        Self { dir, store }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn tar_of(files: &[(&str, &[u8])]) -> tar::Builder<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar
}

fn layer() -> Vec<u8> {
    tar_of(&[("etc/passwd", b"root")]).into_inner().unwrap()
}

fn config() -> String {
    let diff_id = Digest::of(&layer());
    format!(
        r#"{{"os":"linux","architecture":"{}","config":{{"Cmd":["/x"]}},"rootfs":{{"diff_ids":["{diff_id}","{diff_id}"]}}}}"#,
        architecture()
    )
}

/// What `docker save` of old wrote: the second layer is a link to the first, which it equals.
fn saved(manifest: &str) -> Vec<u8> {
    let (layer, config) = (layer(), config());
    let mut tar = tar_of(&[
        ("c.json", config.as_bytes()),
        ("1/layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ]);
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "2/layer.tar", "../1/layer.tar").unwrap();
    tar.into_inner().unwrap()
}

const MANIFEST: &str =
    r#"[{"Config":"c.json","RepoTags":["app:1","other/app:2"],"Layers":["1/layer.tar","2/layer.tar"]}]"#;

#[test]
fn what_docker_saves_can_be_imported_with_its_names() {
    let world = World::new();
    let archive = world.write("saved.tar.zst", &zstd::encode_all(saved(MANIFEST).as_slice(), 1).unwrap());
    let names = import(&world.store, &archive, None).unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["docker.io/library/app:1", "docker.io/other/app:2"]);
    let image = world.store.image(&"app:1".parse().unwrap()).unwrap().unwrap();
    assert_eq!(image.id, Digest::of(config().as_bytes()).to_string());
    assert_eq!((image.cmd, image.passwd.as_str(), image.layers.len()), (vec!["/x".to_owned()], "root", 2));
}

#[test]
fn both_formats_come_back_as_the_same_image_and_are_the_same_bytes_each_time() {
    let world = World::new();
    let reference: Reference = "app:1".parse().unwrap();
    import(&world.store, &world.write("saved.tar", &saved(MANIFEST)), None).unwrap();
    let before = world.store.image(&reference).unwrap().unwrap();
    for format in [Format::Docker, Format::Oci] {
        let write = || {
            let mut bytes = Vec::new();
            export(&world.store, &reference, format, &mut bytes).unwrap();
            bytes
        };
        assert_eq!(write(), write());
        let other = World::new();
        let names = import(&other.store, &other.write("exported.tar", &write()), None).unwrap();
        assert_eq!(names, std::slice::from_ref(&reference));
        let after = other.store.image(&reference).unwrap().unwrap();
        assert_eq!((after.id, after.manifest_digest), (before.id.clone(), before.manifest_digest.clone()));
    }
}

#[test]
fn a_layout_in_a_directory_is_imported_under_the_name_given() {
    let world = World::new();
    let reference: Reference = "app:1".parse().unwrap();
    import(&world.store, &world.write("saved.tar", &saved(MANIFEST)), None).unwrap();
    let mut bytes = Vec::new();
    export(&world.store, &reference, Format::Oci, &mut bytes).unwrap();
    let layout = world.dir.path().join("layout");
    tar::Archive::new(bytes.as_slice()).unpack(&layout).unwrap();

    let other = World::new();
    let name: Reference = "localhost:5000/mine".parse().unwrap();
    assert_eq!(import(&other.store, &layout, Some(&name)).unwrap(), std::slice::from_ref(&name));
    assert!(other.store.image(&name).unwrap().is_some());

    // A tag alone does not say of what.
    let index = fs::read_to_string(layout.join("index.json")).unwrap().replace(IMAGE_NAME, "other");
    fs::write(layout.join("index.json"), index).unwrap();
    let error = import(&World::new().store, &layout, None).unwrap_err();
    assert!(error.to_string().contains("without a name"), "{error}");

    // A blob that was tampered with.
    let layer = layout.join("blobs/sha256").join(Digest::of(&layer()).hex());
    fs::write(&layer, "tampered").unwrap();
    assert!(import(&World::new().store, &layout, Some(&name)).is_err());
}

#[test]
fn archives_that_are_none_or_lack_something_are_refused_by_name() {
    let lacking = MANIFEST.replace("2/layer.tar", "../../etc/passwd");
    for (bytes, words) in [
        (saved(&lacking), "lacks `etc/passwd`"),
        (saved("[]"), "no image"),
        (saved("{}"), "manifest.json"),
        (layer(), "neither"),
        (saved(MANIFEST)[..1500].to_vec(), "saved.tar"),
    ] {
        let world = World::new();
        let error = import(&world.store, &world.write("saved.tar", &bytes), None).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("saved.tar"), "{error}");
        assert!(world.store.list().unwrap().is_empty());
    }
}
