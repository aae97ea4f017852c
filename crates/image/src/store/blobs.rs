//! Blobs: files whose names are the digests of their content.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempPath};

use super::{Store, sync_directory};
use crate::{Digest, Error, Result, digest::Hasher, manifest::Descriptor};

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob of this digest and size is here.
    pub(crate) fn has_blob(&self, descriptor: &Descriptor) -> bool {
        self.blob_path(&descriptor.digest).metadata().is_ok_and(|m| m.len() == descriptor.size)
    }

    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::Incomplete { what: format!("blob {digest}") })
            }
            other => other.map_err(Error::io(format!("open {}", path.display()))),
        }
    }

    /// Reads a document of at most `bytes_max` bytes, and checks that it is what its digest says.
    pub(crate) fn read_blob(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.open_blob(digest)?.take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(Error::io(format!("read blob {digest}")))?;
        if bytes.len() as u64 > bytes_max {
            return Err(Error::malformed(format!("blob {digest}"), format!("more than {bytes_max} bytes")));
        }
        if Digest::of(&bytes) != *digest {
            return Err(Error::malformed(format!("blob {digest}"), "it was changed; pull the image again"));
        }
        Ok(bytes)
    }

    /// Stores a document.
    pub(crate) fn write_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).map_err(Error::io(format!("write blob {digest}")))?;
        writer.finish(&digest)?;
        Ok(digest)
    }

    /// A file without a name, for what is only on the way.
    pub(crate) fn scratch_file(&self) -> Result<File> {
        let tmp = self.root.join("tmp");
        tempfile::tempfile_in(&tmp).map_err(Error::io(format!("make a file in {}", tmp.display())))
    }

    pub(crate) fn blob_writer(&self) -> Result<BlobWriter> {
        let tmp = self.root.join("tmp");
        let file = tempfile::Builder::new().prefix("blob-").tempfile_in(&tmp);
        let file = file.map_err(Error::io(format!("make a file in {}", tmp.display())))?;
        Ok(BlobWriter { file, hasher: Hasher::default(), bytes: 0, store: self.clone() })
    }

    /// Goes on with a blob of which a part is here, or begins one that can be gone on with. What was there before counts
    /// for no more than what comes: the digest is that of the whole. While somebody else writes this blob, begins one
    /// that leaves nothing.
    pub(crate) fn resume_writer(&self, expected: &Digest) -> Result<BlobWriter> {
        let path = self.root.join("tmp").join(format!("{PART}{}", expected.hex()));
        let failed = || format!("go on with blob {expected}");
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(Error::io(failed()))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return self.blob_writer(),
            Err(TryLockError::Error(error)) => return Err(Error::io(failed())(error)),
        }
        let mut hasher = Hasher::default();
        let bytes = io::copy(&mut file, &mut hasher).map_err(Error::io(failed()))?;
        let path = TempPath::try_from_path(path).map_err(Error::io(failed()))?;
        let mut file = NamedTempFile::from_parts(file, path);
        file.disable_cleanup(true);
        Ok(BlobWriter { file, hasher, bytes, store: self.clone() })
    }
}

/// What the names of blobs begin with of which only a part is here.
pub(super) const PART: &str = "part-";

/// Whether a file still has its name: whoever held it before may have stored or removed it.
fn is_at(file: &File, path: &Path) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(inode) == fs::metadata(path).ok().map(inode)
}

/// A blob in the making. It is stored when it is whole and what was expected. Otherwise it leaves nothing, unless it can
/// be gone on with.
pub(crate) struct BlobWriter {
    file: NamedTempFile,
    hasher: Hasher,
    bytes: u64,
    store: Store,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Forgets what was written.
    pub fn start_over(&mut self) -> io::Result<()> {
        self.file.as_file().set_len(0)?;
        self.file.as_file_mut().rewind()?;
        (self.hasher, self.bytes) = (Hasher::default(), 0);
        Ok(())
    }

    /// Gives up: nothing stays to be gone on with.
    pub fn discard(mut self) {
        self.file.disable_cleanup(false);
    }

    /// Stores what was written, if that is its digest.
    pub fn finish(self, expected: &Digest) -> Result<()> {
        let found = self.hasher.clone().finish();
        if found != *expected {
            self.discard();
            let problem = format!("its content is {found}; it was damaged on the way or at its source");
            return Err(Error::malformed(format!("blob {expected}"), problem));
        }
        self.finish_any().map(|_| ())
    }

    /// Stores what was written, whatever it is, and tells its digest.
    pub fn finish_any(self) -> Result<Digest> {
        let digest = self.hasher.finish();
        let path = self.store.blob_path(&digest);
        let action = || format!("store blob {digest}");
        self.file.as_file().sync_all().map_err(Error::io(action()))?;
        self.file.persist(&path).map_err(|e| e.error).map_err(Error::io(action()))?;
        sync_directory(path.parent().unwrap_or(&path)).map_err(Error::io(action()))?;
        Ok(digest)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
