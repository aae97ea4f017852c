//! The names of a store: one JSON file, rewritten whole under a lock.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{open_lock, sync_directory};
use crate::{Digest, Error, Result, limits::NAMES_BYTES_MAX};

const FILE: &str = "names.json";
const LOCK: &str = "names.lock";
const VERSION: u32 = 1;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    /// The manifest for this machine.
    pub manifest: Digest,
    /// What the registry calls the image: the same, or an index that leads to it.
    pub digest: Digest,
}

/// All names, by [`crate::Reference::key`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Names {
    version: u32,
    pub names: BTreeMap<String, Named>,
}

impl Names {
    /// The names as of now; the file is replaced whole, so no lock is needed.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, names: BTreeMap::new() });
            }
            other => other.map_err(Error::io(format!("read {}", path.display())))?,
        };
        let what = path.display().to_string();
        let names: Self =
            serde_json::from_slice(&bytes).map_err(|e| Error::malformed(&what, e.to_string()))?;
        if names.version != VERSION {
            let problem = format!("it is of version {}, this program writes {VERSION}", names.version);
            return Err(Error::malformed(what, problem));
        }
        Ok(names)
    }

    /// Changes the names; two changes at once come one after the other.
    pub fn change<T>(root: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T> {
        let lock: File = open_lock(&root.join(LOCK))?;
        lock.lock().map_err(Error::io(format!("lock {}", root.join(LOCK).display())))?;
        let mut names = Self::load(root)?;
        let result = change(&mut names);
        names.write(root)?;
        Ok(result)
    }

    fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(FILE);
        let action = || format!("write {}", path.display());
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(io::Error::from).map_err(Error::io(action()))?;
        bytes.push(b'\n');
        if bytes.len() as u64 > NAMES_BYTES_MAX {
            let problem = format!("it would have more than {NAMES_BYTES_MAX} bytes; remove names");
            return Err(Error::malformed(path.display().to_string(), problem));
        }
        let mut file = tempfile::NamedTempFile::new_in(root.join("tmp")).map_err(Error::io(action()))?;
        file.write_all(&bytes).map_err(Error::io(action()))?;
        file.as_file().sync_all().map_err(Error::io(action()))?;
        file.persist(&path).map_err(|e| e.error).map_err(Error::io(action()))?;
        sync_directory(root).map_err(Error::io(action()))
    }
}
