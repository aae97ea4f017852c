//! Unpacked layers under a real overlay mount, which is the judge of whiteouts and opaque directories.

use std::{fs, io, io::Write as _, process::Command};

use cronlet_image::{Digest, Store, archive};

/// A layer of files, and of directories where the name ends in a slash.
fn layer(names: &[&str]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_gnu();
        let is_directory = name.ends_with('/');
        header.set_entry_type(if is_directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_size(0);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, &[][..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn saved(layers: &[Vec<u8>]) -> Vec<u8> {
    let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let ids: Vec<String> = layers.iter().map(|l| format!("\"{}\"", Digest::of(l))).collect();
    let config =
        format!(r#"{{"os":"linux","architecture":"{here}","rootfs":{{"diff_ids":[{}]}}}}"#, ids.join(","));
    let names: Vec<String> = (0..layers.len()).map(|i| format!("\"{i}.tar\"")).collect();
    let manifest = format!(r#"[{{"Config":"c","RepoTags":["app:1"],"Layers":[{}]}}]"#, names.join(","));
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    add("c", config.as_bytes());
    add("manifest.json", manifest.as_bytes());
    for (i, bytes) in layers.iter().enumerate() {
        add(&format!("{i}.tar"), bytes);
    }
    tar.into_inner().unwrap()
}

#[test]
fn an_overlay_mount_shows_what_the_layers_say() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("images")).unwrap();
    let layers = [
        layer(&["kept", "gone", "d/", "d/gone", "d/kept", "opaque/", "opaque/old", "anew/", "anew/old"]),
        layer(&[
            ".wh.gone",
            "d/.wh.gone",
            "opaque/.wh..wh..opq",
            "opaque/new",
            ".wh.anew",
            "anew/",
            "anew/new",
        ]),
        layer(&["d/late", ".wh.kept", "kept/", "kept/inner", "opaque/.wh.new", "opaque/last"]),
    ];
    let path = dir.path().join("app.tar");
    fs::write(&path, saved(&layers)).unwrap();
    archive::import(&store, &path, None).unwrap();
    let image = store.image(&"app:1".parse().unwrap()).unwrap().unwrap();

    let is_root = rustix::process::geteuid().is_root();
    let lower: Vec<String> = image.layers.iter().rev().map(|l| l.display().to_string()).collect();
    let options = format!("{}lowerdir={}", if is_root { "" } else { "userxattr," }, lower.join(":"));
    let target = dir.path().join("merged");
    fs::create_dir(&target).unwrap();
    // The mount is in a namespace of its own and ends with the command.
    let script = "mount -t overlay overlay -o \"$0\" \"$1\" || exit 77; cd \"$1\" && find . | LC_ALL=C sort";
    let unshare = if is_root { "--mount" } else { "--mount --user --map-root-user" };
    let output = Command::new("unshare")
        .args(unshare.split(' '))
        .args(["sh", "-c", script, &options])
        .arg(&target)
        .output()
        .unwrap();
    if matches!(output.status.code(), Some(1 | 77)) {
        let why = String::from_utf8_lossy(&output.stderr);
        let said =
            format!("not run: an_overlay_mount_shows_what_the_layers_say: no overlay mounts here: {why}\n");
        io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    let shown = String::from_utf8(output.stdout).unwrap();
    let expected = [
        ".",
        "./anew",
        "./anew/new",
        "./d",
        "./d/kept",
        "./d/late",
        "./kept",
        "./kept/inner",
        "./opaque",
        "./opaque/last",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{}", String::from_utf8_lossy(&output.stderr));
}
