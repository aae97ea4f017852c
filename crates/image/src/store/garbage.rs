//! Removes what no name stands for.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{Names, Store, blobs::PART, remove_directory};
use crate::{Error, Result};

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blobs removed.
    pub blobs: u64,
    /// Their size, in bytes.
    pub blob_bytes: u64,
    /// Unpacked layers removed.
    pub layers: u64,
}

impl Store {
    /// Removes blobs and layers that no name leads to, and what interrupted work left. `in_use` tells the layers
    /// ([`super::Image::layers`]) of containers that exist; they stay whether named or not. It is asked while no container
    /// is between looking up its image and being among those ([`Store::hold_start`]).
    ///
    /// # Errors
    /// [`Error::Busy`] while an image is being pulled or imported. If a named image cannot be read, nothing is removed.
    pub fn gc(&self, in_use: impl FnOnce() -> Vec<PathBuf>) -> Result<Freed> {
        let lock = self.garbage_lock()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock the image store")(e)),
        }
        let (names, in_use) = self.held(in_use)?;
        let mut blobs: HashSet<OsString> = HashSet::new();
        let mut layers: HashSet<PathBuf> =
            in_use.iter().filter_map(|p| p.parent()).map(Path::to_owned).collect();
        for named in names.names.values() {
            let (manifest, config) = self.documents(&named.manifest)?;
            blobs.insert(named.manifest.hex().into());
            blobs.insert(named.digest.hex().into());
            blobs.insert(manifest.config.digest.hex().into());
            blobs.extend(manifest.layers.iter().map(|l| OsString::from(l.digest.hex())));
            let named_layers = config.chain_ids();
            layers.extend(named_layers.iter().map(|id| self.layers.join(id.hex())));
        }
        let mut freed = Freed::default();
        for path in children(&self.layers)? {
            if !layers.contains(&path) {
                self.remove_layer(&path)?;
                freed.layers += 1;
            }
        }
        for path in children(&self.root.join("blobs/sha256"))? {
            if !path.file_name().is_some_and(|name| blobs.contains(name)) {
                freed.blob_bytes += path.metadata().map_or(0, |m| m.len());
                remove(&path)?;
                freed.blobs += 1;
            }
        }
        for path in children(&self.root.join("tmp"))? {
            // Names may be written at any time, through a file here.
            let is_ours = path
                .file_name()
                .and_then(|n| n.to_str())
                .is_some_and(|n| ["layer-", "blob-", PART].iter().any(|ours| n.starts_with(ours)));
            if is_ours {
                remove(&path)?;
            }
        }
        Ok(freed)
    }

    /// The names, and the layers of containers, when none is just being started. Later ones are made of what has a name
    /// now: none is given while garbage is collected.
    fn held(&self, in_use: impl FnOnce() -> Vec<PathBuf>) -> Result<(Names, Vec<PathBuf>)> {
        let lock = self.start_lock()?;
        lock.lock().map_err(Error::io("wait for containers that are being started"))?;
        Ok((Names::load(&self.root)?, in_use()))
    }

    /// A layer that is half removed must not look whole, so it loses its name first.
    fn remove_layer(&self, path: &Path) -> Result<()> {
        let tmp = self.root.join("tmp");
        let doomed = tempfile::Builder::new().prefix("layer-").tempdir_in(&tmp);
        let doomed = doomed.map_err(Error::io(format!("make a directory in {}", tmp.display())))?.keep();
        fs::rename(path, doomed.join("layer")).map_err(Error::io(format!("remove {}", path.display())))?;
        remove(&doomed)
    }
}

fn children(directory: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> io::Result<Vec<PathBuf>> { fs::read_dir(directory)?.map(|e| Ok(e?.path())).collect() };
    read().map_err(Error::io(format!("read {}", directory.display())))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { remove_directory(path) } else { fs::remove_file(path) };
    removed.map_err(Error::io(format!("remove {}", path.display())))
}
