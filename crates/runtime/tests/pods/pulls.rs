//! Images that are pulled for pods, from a registry of the test's own on loopback.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cronlet_image::Store;
use cronlet_object::api::{Pod, PodStatus, Secret};
use serde_json::{Value, json};

use crate::containers::{node, of_image};
use crate::node::{Node, container, exit_code, state};

crate::tests![
    an_image_that_is_not_here_is_pulled_and_the_pods_that_wait_for_it_start,
    every_password_for_a_registry_is_tried,
    a_pod_that_is_being_started_keeps_its_image,
];

/// A registry that serves what is in the store of a node, once it is opened.
pub struct Registry {
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    blobs: HashMap<String, Vec<u8>>,
    /// What the tag `1` is.
    manifest: Mutex<String>,
    is_open: Mutex<bool>,
    opened: Condvar,
    /// `user:password`, without which it gives nothing.
    password: Option<String>,
    /// Who has asked for the manifest, as `user:password`.
    asked: Mutex<Vec<String>>,
}

impl Registry {
    /// Serves the image `app:1` of the store of a node as `app:1`. It ends with the program.
    pub fn serve(dir: &Path, password: Option<&str>) -> Self {
        let images = dir.join("data/images");
        let store = Store::open(&images).unwrap();
        let manifest = store.image(&"app:1".parse().unwrap()).unwrap().unwrap().manifest_digest;
        let blobs = fs::read_dir(images.join("blobs/sha256")).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (format!("sha256:{}", path.file_name().unwrap().display()), fs::read(&path).unwrap())
        });
        let shared = Arc::new(Shared {
            blobs: blobs.collect(),
            manifest: Mutex::new(manifest),
            is_open: Mutex::new(false),
            opened: Condvar::new(),
            password: password.map(str::to_owned),
            asked: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = serving.clone();
                thread::spawn(move || shared.answer(&stream.unwrap()));
            }
        });
        Registry { address, shared }
    }

    /// Lets it answer.
    pub fn open(&self) {
        *self.shared.is_open.lock().unwrap() = true;
        self.shared.opened.notify_all();
    }

    pub fn image(&self) -> String {
        format!("{}/app:1", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut request, mut header, mut user) = (String::new(), String::new(), String::new());
        reader.read_line(&mut request).unwrap();
        while reader.read_line(&mut header).unwrap() > 2 {
            if let Some(("authorization", basic)) =
                header.to_lowercase().split_once(": ").map(|(name, _)| (name, &header))
            {
                let basic = basic.trim().rsplit(' ').next().unwrap();
                user = String::from_utf8(BASE64_STANDARD.decode(basic).unwrap()).unwrap();
            }
            header.clear();
        }
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
        drop(is_open);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.contains("/manifests/") {
            self.asked.lock().unwrap().push(user.clone());
        }
        let digest = if last == "1" { self.manifest.lock().unwrap().clone() } else { last.to_owned() };
        let (status, body) = match self.blobs.get(&digest) {
            _ if self.password.as_ref().is_some_and(|password| *password != user) => {
                ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"", &[][..])
            }
            Some(body) => ("200 OK", body.as_slice()),
            None if path == "/v2/" => ("200 OK", &[][..]),
            None => ("404 Not Found", &[][..]),
        };
        let mut stream = stream;
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    }
}

fn reason(status: &PodStatus) -> String {
    let waiting = status.container_statuses.as_ref().and_then(|_| state(status).waiting);
    waiting.and_then(|waiting| waiting.reason).unwrap_or_default()
}

/// A pod with an image that is not here.
fn of_registry(name: &str, image: &str) -> Pod {
    of_image(name, "cat /etc/motd", json!({ "image": image, "imagePullPolicy": "IfNotPresent" }))
}

/// Another node, whose store has nothing yet.
fn empty_node(dir: &Path) -> Node {
    let node = node(dir);
    let store = Store::open(dir.join("data/images")).unwrap();
    store.remove(&"app:1".parse().unwrap()).unwrap();
    store.gc(Vec::new).unwrap();
    node
}

fn an_image_that_is_not_here_is_pulled_and_the_pods_that_wait_for_it_start() {
    let (source, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(node(source.path()));
    let registry = Registry::serve(source.path(), None);
    let mut node = empty_node(dir.path());
    for name in ["first", "second"] {
        node.create(&of_registry(name, &registry.image()));
        let status = node.wait(name, |status| reason(status) == "ContainerCreating");
        assert_eq!(status.phase.as_deref(), Some("Pending"));
    }
    registry.open();
    for name in ["first", "second"] {
        // Nobody asks again: the end of the pull is what starts them.
        let status = node.end(name);
        assert_eq!((exit_code(&status), node.log(name).as_str()), (Some(0), "from the image\n"));
        assert!(container(&status).image_id.contains("/app@sha256:"), "{status:?}");
        let events: Vec<&str> = node.events(name).iter().map(|event| event.0).collect();
        assert_eq!(events[..2], ["Pulling", "Pulled"], "{name}");
    }
    assert_eq!(registry.asked().len(), 1, "one pull is enough for both");
}

fn every_password_for_a_registry_is_tried() {
    let (source, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(node(source.path()));
    let registry = Registry::serve(source.path(), Some("right:p"));
    registry.open();
    let mut node = empty_node(dir.path());
    let (host, port) = registry.address.split_once(':').unwrap();
    let auth = |user: &str| json!({ "auth": BASE64_STANDARD.encode(format!("{user}:p")) });
    let pattern = format!("{}.*:{port}", host.rsplit_once('.').unwrap().0);
    let secrets: [(&str, &str, Value); 2] = [
        (
            "new",
            ".dockerconfigjson",
            json!({ "auths": { registry.address.clone() + "/app": auth("wrong") } }),
        ),
        ("old", ".dockercfg", json!({ pattern: auth("right") })),
    ];
    for (name, key, content) in secrets {
        let data: HashMap<_, _> =
            [(key, k8s_openapi::ByteString(content.to_string().into_bytes()))].into_iter().collect();
        let secret = json!({ "metadata": { "name": name, "namespace": "default" }, "data": data });
        node.store(&serde_json::from_value::<Secret>(secret).unwrap());
    }
    let mut with_secrets = |name: &str, secrets: Value| {
        let mut pod = of_registry(name, &registry.image());
        pod.spec.as_mut().unwrap().image_pull_secrets = Some(serde_json::from_value(secrets).unwrap());
        node.create(&pod);
        let status = node.wait(name, |status| {
            matches!(reason(status).as_str(), "ErrImagePull") || exit_code_of(status).is_some()
        });
        (exit_code_of(&status), reason(&status))
    };
    assert_eq!(with_secrets("w", json!([{ "name": "new" }])), (None, "ErrImagePull".to_owned()));
    assert_eq!(with_secrets("p", json!([{ "name": "old" }, { "name": "new" }])).0, Some(0));
    let asked = registry.asked();
    // Who says most comes first; whoever has no right password is told after an attempt without.
    assert_eq!(asked.first().map(String::as_str), Some("wrong:p"), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("right:p"), "{asked:?}");
    assert!(asked.contains(&String::new()), "{asked:?}");
}

fn exit_code_of(status: &PodStatus) -> Option<i32> {
    status.container_statuses.as_ref().and_then(|_| exit_code(status))
}

fn a_pod_that_is_being_started_keeps_its_image() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    // As while garbage is collected and what is in use is looked at.
    let lock = File::create(dir.path().join("data/images/start.lock")).unwrap();
    lock.lock().unwrap();
    node.create(&of_image("p", "cat /etc/motd", json!({})));
    // The pod waits for it, as the kernel tells.
    let inode = format!(":{} ", lock.metadata().unwrap().ino());
    let waits = || {
        fs::read_to_string("/proc/locks")
            .unwrap()
            .lines()
            .any(|line| line.contains("->") && line.contains(&inode))
    };
    while !waits() {
        thread::yield_now();
    }
    assert!(!dir.path().join("data/pods/uid-p").exists());
    drop(lock);
    let status = node.end("p");
    assert_eq!((exit_code(&status), node.log("p").as_str()), (Some(0), "from the image\n"));
    // From its journal on its layers are in use.
    assert_eq!(cronlet_runtime::layers_in_use(&dir.path().join("data")).len(), 2);
}
