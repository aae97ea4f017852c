//! Debian's docker-registry on a loopback port of its own, with one user; and an image to send about.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use cronlet_image::{Credentials, Digest, Reference, Registry, Store, archive};

pub const USER: &str = "tester";
pub const PASSWORD: &str = "right password";
/// The password as htpasswd keeps it (bcrypt, lowest cost).
const PASSWORD_HASH: &str = "$2b$04$XSz1iKROJ8v///jnVbBQu.argPdUTVG3cJ6Ct3.gyz5Hdvjfbsw.y";
const REGISTRY: &str = "/usr/bin/docker-registry";
const BUSYBOX: &str = "/bin/busybox";

/// A registry that ends with the test, and a store with an image.
pub struct World {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub credentials: Credentials,
    registry: Child,
    /// Host and port of the registry.
    pub address: String,
}

impl Drop for World {
    fn drop(&mut self) {
        self.registry.kill().unwrap();
        self.registry.wait().unwrap();
    }
}

impl World {
    /// A registry on loopback, without TLS. None where a program is missing, which is said in the name of the test.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_at(test, "127.0.0.1", None)
    }

    /// A registry at an address of this machine, with `cert.pem` and `key.pem` of a directory.
    pub fn start_at(test: &str, host: &str, tls: Option<&Path>) -> Option<Self> {
        if !found(test, REGISTRY) || !found(test, BUSYBOX) {
            return None;
        }
        install_tls();
        let (dir, store) = store();
        let (mut registry, stderr) = spawn_registry(dir.path(), host, tls);
        // With port 0 the system chooses, and the log says what.
        let mut lines = BufReader::new(stderr).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split(['"', ' ', ',']).next()?.to_owned())
        });
        let Some(address) = address else {
            let status = registry.wait();
            panic!("docker-registry ended: {status:?}");
        };
        // The log must go on being read, or the registry would stop.
        std::thread::spawn(move || lines.for_each(drop));
        let credentials = Credentials { user: USER.to_owned(), password: PASSWORD.to_owned() };
        let archive = dir.path().join("busybox.tar");
        fs::write(&archive, busybox_archive(&fs::read(BUSYBOX).unwrap())).unwrap();
        archive::import(&store, &archive, Some(&"busybox".parse().unwrap())).unwrap();
        Some(Self { dir, store, credentials, registry, address })
    }

    pub fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    /// Names the image and pushes it.
    pub async fn push(&self, reference: &Reference) -> Result<(), cronlet_image::Error> {
        self.store.tag(&"busybox".parse().unwrap(), reference)?;
        Registry::default()
            .push(&self.store, reference, Some(&self.credentials), std::sync::Arc::new(|_| {}))
            .await
    }

    /// Puts an index into the registry that leads to a manifest for this machine, and elsewhere for others.
    pub async fn push_index(&self, name: &str, manifest: &str) -> Digest {
        let size =
            fs::metadata(self.dir.path().join("images/blobs/sha256").join(&manifest[7..])).unwrap().len();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let entry = |architecture: &str| {
            format!(
                r#"{{"mediaType":"{kind}","digest":"{manifest}","size":{size},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
            )
        };
        let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{},{}]}}"#,
            entry("vax"),
            entry(here)
        );
        let config = oci_client::client::ClientConfig {
            protocol: oci_client::client::ClientProtocol::Http,
            ..Default::default()
        };
        let client = oci_client::Client::new(config);
        let auth = oci_client::secrets::RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        let image: oci_client::Reference = self.reference(name).to_string().parse().unwrap();
        client.auth(&image, &auth, oci_client::RegistryOperation::Push).await.unwrap();
        client
            .push_manifest_raw(&image, index.clone().into_bytes(), media_type.parse().unwrap())
            .await
            .unwrap();
        Digest::of(index.as_bytes())
    }

    /// Runs podman on a store of its own; what it wrote.
    pub fn podman(&self, arguments: &[&str]) -> String {
        let of_its_own = |name: &str| self.dir.path().join(name).into_os_string();
        let output = Command::new("/usr/bin/podman")
            .args(["--storage-driver", "vfs", "--root"])
            .args([of_its_own("podman"), "--runroot".into(), of_its_own("podman-run")])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Copies an image with skopeo.
    pub fn skopeo(&self, from: &str, to: &str) {
        let credentials = format!("{USER}:{PASSWORD}");
        let output = Command::new("/usr/bin/skopeo")
            .args(["copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(["--src-creds", &credentials, "--dest-creds", &credentials, from, to])
            .output()
            .unwrap();
        assert!(output.status.success(), "{from} {to}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// User and password as podman takes them.
pub fn creds() -> String {
    format!("{USER}:{PASSWORD}")
}

fn spawn_registry(dir: &Path, host: &str, tls: Option<&Path>) -> (Child, std::process::ChildStderr) {
    let (data, passwords, config) = (dir.join("registry"), dir.join("htpasswd"), dir.join("registry.yml"));
    fs::write(&passwords, format!("{USER}:{PASSWORD_HASH}\n")).unwrap();
    let tls = tls.map(|tls| format!(", tls: {{certificate: {0}/cert.pem, key: {0}/key.pem}}", tls.display()));
    let text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         http: {{addr: '{host}:0'{}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
        data.display(),
        tls.unwrap_or_default(),
        passwords.display()
    );
    fs::write(&config, text).unwrap();
    let mut registry = Command::new(REGISTRY)
        .arg("serve")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = registry.stderr.take().unwrap();
    (registry, stderr)
}

/// Whether a program is there; if not, says so.
pub fn found(test: &str, program: &str) -> bool {
    let found = Path::new(program).exists();
    if !found {
        not_run(test, &format!("{program} is not installed"));
    }
    found
}

/// Says that a test was not run, past the harness, which shows nothing of tests that pass.
pub fn not_run(test: &str, why: &str) {
    io::stderr().write_all(format!("not run: {test}: {why}\n").as_bytes()).unwrap();
}

pub fn install_tls() {
    // A second test of the same process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("images")).unwrap();
    (dir, store)
}

/// An address at which nobody listens.
pub fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// What `docker save` would write of an image with one program.
pub fn busybox_archive(program: &[u8]) -> Vec<u8> {
    let layer = tar_of(&[("bin/busybox", program)]);
    let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = format!(
        r#"{{"os":"linux","architecture":"{here}","config":{{"Cmd":["/bin/busybox"]}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::of(&layer)
    );
    let manifest = r#"[{"Config":"config.json","RepoTags":null,"Layers":["layer.tar"]}]"#;
    tar_of(&[
        ("config.json", config.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ])
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}
