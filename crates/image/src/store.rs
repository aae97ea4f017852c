//! Images below one directory: blobs by digest, layers unpacked once, and names.
//!
//! ```text
//! blobs/sha256/<hex>      manifests, configurations and layers, exactly as their digests say
//! layers/<chainID>/fs     a layer unpacked, for the stack of layers below it
//! layers-<user>-<group>/  the same, by an ordinary user with ranges, for those that begin with these
//! names.json              names and what they stand for
//! tmp/                    what is not whole yet
//! ```
//!
//! Whatever has its final name is complete and on disk: files and directories are made under another name, synced and
//! renamed. Several processes can use a store at once.

mod blobs;
mod garbage;
mod names;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

pub(crate) use self::blobs::BlobWriter;
pub use self::garbage::Freed;
pub(crate) use self::names::Named;
use self::names::Names;
use crate::{
    Digest, Error, Reference, Result,
    layer::{self, Bounds, Owners},
    limits::{ACCOUNTS_BYTES_MAX, CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX},
    manifest::{Config, Document, Manifest},
    merged::Merged,
};

/// An image, ready to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Digest of the manifest for this machine.
    pub manifest_digest: String,
    /// Digest of the configuration, which is the identity of the image (`docker images --no-trunc`).
    pub id: String,
    /// Repository and digest as its registry knows the image, such as `docker.io/library/busybox@sha256:…`. For an
    /// image of several platforms it is the digest of them all.
    pub repo_digest: String,
    /// First words of the command line.
    pub entrypoint: Vec<String>,
    /// Further words of the command line, unless the pod gives some.
    pub cmd: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty means root.
    pub user: String,
    /// Directory to start in; empty means `/`.
    pub working_dir: String,
    /// Name or number of the signal that asks the process to end, if the image wants another than SIGTERM.
    pub stop_signal: Option<String>,
    /// Size of configuration and layers as transferred, in bytes.
    pub size_bytes: u64,
    /// Directories of the unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// `/etc/passwd` of the image, at most 1 MiB of it; empty if there is none.
    pub passwd: String,
    /// `/etc/group` of the image, at most 1 MiB of it; empty if there is none.
    pub group: String,
}

/// A stored name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The full name.
    pub name: String,
    /// Digest of the manifest for this machine.
    pub manifest_digest: String,
    /// Digest of the configuration.
    pub id: String,
    /// Size of configuration and layers as transferred, in bytes.
    pub size_bytes: u64,
}

/// A directory of images.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    owners: Owners,
    /// Where layers are unpacked. What has other owners is for others.
    layers: PathBuf,
}

/// While this lives, no garbage is collected: what is not named yet stays.
pub(crate) struct Hold(#[expect(dead_code, reason = "the lock ends with the open file")] File);

/// While this lives, garbage collection waits: the layers of an image stay until a container is known to have them.
pub struct StartHold(#[expect(dead_code, reason = "the lock ends with the open file")] File);

impl Store {
    /// Opens a store, and makes it where there is none. Only its owner can look inside.
    ///
    /// # Errors
    /// If the directories cannot be made.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        let root = directory.into();
        let owners = Owners::of_this_process();
        let layers = match owners {
            Owners::Kept | Owners::Squashed => root.join("layers"),
            Owners::Mapped { first: (user, group), .. } => root.join(format!("layers-{user}-{group}")),
        };
        for path in [root.join("blobs/sha256"), layers.clone(), root.join("tmp")] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(Error::io(format!("make {}", path.display())))?;
        }
        // Layers have files that act for their owner whoever executes them.
        let closed = fs::set_permissions(&root, fs::Permissions::from_mode(0o700));
        closed.map_err(Error::io(format!("close {} to others", root.display())))?;
        Ok(Self { root, owners, layers })
    }

    /// The image of this name, or none if it is not here. A name with a digest is also found by other names of the
    /// same repository.
    ///
    /// # Errors
    /// If pieces of the image are missing or cannot be read.
    pub fn image(&self, reference: &Reference) -> Result<Option<Image>> {
        let Some(named) = self.find(reference)? else { return Ok(None) };
        let (manifest, config) = self.documents(&named.manifest)?;
        let mut layers = Vec::new();
        for chain_id in config.chain_ids() {
            let path = self.layer_path(&chain_id);
            if !path.is_dir() {
                return Err(Error::Incomplete { what: format!("layer {chain_id} of {reference}") });
            }
            layers.push(path);
        }
        let view = Merged::open(&layers).map_err(Error::io(format!("open the layers of {reference}")))?;
        let read = |path: &str| {
            let bytes = view.read(path, ACCOUNTS_BYTES_MAX);
            let bytes = bytes.map_err(Error::io(format!("read {path} of {reference}")))?;
            Ok::<_, Error>(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default())
        };
        let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
        let process = config.config.unwrap_or_default();
        Ok(Some(Image {
            manifest_digest: named.manifest.to_string(),
            id: manifest.config.digest.to_string(),
            repo_digest: format!("{}@{}", reference.name(), named.digest),
            entrypoint: process.entrypoint.unwrap_or_default(),
            cmd: process.cmd.unwrap_or_default(),
            env: process.env.unwrap_or_default(),
            user: process.user.unwrap_or_default(),
            working_dir: process.working_dir.unwrap_or_default(),
            stop_signal: process.stop_signal.filter(|s| !s.is_empty()),
            size_bytes: manifest.size_bytes(),
            layers,
            passwd,
            group,
        }))
    }

    /// All names, sorted.
    ///
    /// # Errors
    /// If the names or a manifest cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let names = Names::load(&self.root)?;
        let listed = names.names.iter().map(|(name, named)| {
            let manifest = self.manifest(&named.manifest)?;
            Ok(Listed {
                name: name.clone(),
                manifest_digest: named.manifest.to_string(),
                id: manifest.config.digest.to_string(),
                size_bytes: manifest.size_bytes(),
            })
        });
        listed.collect()
    }

    /// Gives an image another name, which may have stood for another image before.
    ///
    /// # Errors
    /// If there is no such image, or the new name has a digest: that is not for us to choose.
    pub fn tag(&self, existing: &Reference, new: &Reference) -> Result<()> {
        if new.digest().is_some() {
            let problem = "a digest cannot be given; use a tag".to_owned();
            return Err(Error::InvalidImageName { name: new.to_string(), problem });
        }
        let _hold = self.hold()?;
        let named = self.find(existing)?.ok_or_else(|| Error::NotStored { name: existing.to_string() })?;
        self.name(new, named)
    }

    /// Forgets a name; says whether there was one. What no name stands for goes with the next [`Store::gc`].
    ///
    /// # Errors
    /// If the names cannot be read or written.
    pub fn remove(&self, reference: &Reference) -> Result<bool> {
        Names::change(&self.root, |names| names.names.remove(&reference.key()).is_some())
    }

    /// Keeps everything until it is dropped.
    pub(crate) fn hold(&self) -> Result<Hold> {
        let file = self.garbage_lock()?;
        file.lock_shared().map_err(Error::io(format!("lock {}", self.root.display())))?;
        Ok(Hold(file))
    }

    /// Keeps the layers of whatever image is looked up from now on, until it is dropped: by then a container that is
    /// made of them must be among those that [`Store::gc`] is told of. Waits while a collection looks what is in use.
    ///
    /// # Errors
    /// If the lock cannot be had.
    pub fn hold_start(&self) -> Result<StartHold> {
        let file = self.start_lock()?;
        file.lock_shared().map_err(Error::io(format!("lock {}", self.root.display())))?;
        Ok(StartHold(file))
    }

    /// Records what a name stands for.
    pub(crate) fn name(&self, reference: &Reference, named: Named) -> Result<()> {
        Names::change(&self.root, |names| {
            names.names.insert(reference.key(), named);
        })
    }

    /// What a name stands for.
    pub(crate) fn find(&self, reference: &Reference) -> Result<Option<Named>> {
        let names = Names::load(&self.root)?;
        if let Some(named) = names.names.get(&reference.key()) {
            return Ok(Some(named.clone()));
        }
        let Some(digest) = reference.digest() else { return Ok(None) };
        let same_repository = |key: &str| {
            let rest = key.strip_prefix(&reference.name());
            rest.is_some_and(|rest| rest.starts_with([':', '@']))
        };
        let found = names.names.iter().find(|(key, named)| {
            same_repository(key) && (named.digest == *digest || named.manifest == *digest)
        });
        Ok(found.map(|(_, named)| Named { digest: digest.clone(), ..named.clone() }))
    }

    pub(crate) fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        let what = format!("manifest {digest}");
        match Document::read(&what, &self.read_blob(digest, MANIFEST_BYTES_MAX)?)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(Error::malformed(what, "it is an index")),
        }
    }

    pub(crate) fn documents(&self, digest: &Digest) -> Result<(Manifest, Config)> {
        let manifest = self.manifest(digest)?;
        let bytes = self.read_blob(&manifest.config.digest, CONFIG_BYTES_MAX)?;
        let what = format!("image configuration {}", manifest.config.digest);
        let config = Config::read(&what, &bytes, manifest.layers.len())?;
        Ok((manifest, config))
    }

    /// Unpacks the layers of a stored manifest that are not unpacked yet.
    pub(crate) fn unpack(&self, manifest_digest: &Digest) -> Result<()> {
        let (manifest, config) = self.documents(manifest_digest)?;
        let mut lowers: Vec<PathBuf> = Vec::new();
        let diff_ids = &config.rootfs.diff_ids;
        for ((descriptor, diff_id), chain_id) in manifest.layers.iter().zip(diff_ids).zip(config.chain_ids())
        {
            let path = self.layer_path(&chain_id);
            if !path.is_dir() {
                self.unpack_layer(&descriptor.digest, diff_id, &chain_id, &lowers)?;
            }
            lowers.push(path);
        }
        Ok(())
    }

    fn unpack_layer(
        &self,
        blob: &Digest,
        diff_id: &Digest,
        chain: &Digest,
        lowers: &[PathBuf],
    ) -> Result<()> {
        let archive = self.open_blob(blob)?;
        let staging = Staging::new(&self.root)?;
        let target = staging.path.join("fs");
        let prepared = fs::create_dir(&target)
            .and_then(|()| fs::set_permissions(&target, fs::Permissions::from_mode(0o755)));
        prepared.map_err(Error::io(format!("make {}", target.display())))?;
        let found = layer::unpack(archive, &target, lowers, self.owners, Bounds::default())
            .map_err(|problem| Error::Layer { layer: blob.to_string(), problem })?;
        if found != *diff_id {
            let problem = format!("its content is {found}, the image names {diff_id}; the image is damaged");
            return Err(Error::Layer { layer: blob.to_string(), problem });
        }
        staging.become_whole(&self.layers.join(chain.hex()))
    }

    fn layer_path(&self, chain_id: &Digest) -> PathBuf {
        self.layers.join(chain_id.hex()).join("fs")
    }

    fn garbage_lock(&self) -> Result<File> {
        open_lock(&self.root.join("lock"))
    }

    fn start_lock(&self) -> Result<File> {
        open_lock(&self.root.join("start.lock"))
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    opened.map_err(Error::io(format!("open {}", path.display())))
}

/// Makes a change of names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A directory in the making, which goes with all its content unless it becomes whole.
struct Staging {
    path: PathBuf,
}

impl Staging {
    fn new(root: &Path) -> Result<Self> {
        let made = tempfile::Builder::new().prefix("layer-").tempdir_in(root.join("tmp"));
        let made = made.map_err(Error::io(format!("make a directory in {}", root.join("tmp").display())))?;
        Ok(Self { path: made.keep() })
    }

    fn become_whole(&self, target: &Path) -> Result<()> {
        let action = || format!("move a layer to {}", target.display());
        let directory = File::open(&self.path).map_err(Error::io(action()))?;
        // One call instead of one for each file of the layer.
        rustix::fs::syncfs(&directory).map_err(Error::io(action()))?;
        match fs::rename(&self.path, target) {
            // Another process was faster, with the same content.
            Err(_) if target.join("fs").is_dir() => return Ok(()),
            other => other.map_err(Error::io(action()))?,
        }
        let parent = target.parent().unwrap_or(target);
        sync_directory(parent).map_err(Error::io(action()))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A file that cannot be removed now is garbage, and collected as such.
        let _ = remove_directory(&self.path);
    }
}

/// Removes a directory with all its content; that it is not there is fine.
fn remove_directory(path: &Path) -> io::Result<()> {
    use std::os::fd::AsFd as _;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    match layer::remove_tree(File::open(parent)?.as_fd(), name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
