//! Writes images of a store as docker archives and image layouts.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Read, Seek as _, Write},
};

use serde::Serialize;
use tar::{Builder, EntryType, Header};

use super::{IMAGE_NAME, INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, REF_NAME, Saved};
use crate::{
    Digest, Error, Reference, Result, Store,
    compression::decompressed,
    limits::{CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX},
    manifest::{Descriptor, Index, OCI_INDEX, OCI_MANIFEST},
};

/// An archive being written: files with the same owner and time, whoever writes it and when.
struct Writer<'a> {
    tar: Builder<&'a mut dyn Write>,
    what: String,
}

impl<'a> Writer<'a> {
    fn new(reference: &Reference, target: &'a mut dyn Write) -> Self {
        Self { tar: Builder::new(target), what: format!("write an archive of {reference}") }
    }

    fn file(&mut self, path: &str, length: u64, content: impl Read) -> Result<()> {
        let mut header = header(EntryType::Regular, 0o644, length);
        self.tar.append_data(&mut header, path, content).map_err(Error::io(self.what.clone()))
    }

    fn directory(&mut self, path: &str) -> Result<()> {
        let mut header = header(EntryType::Directory, 0o755, 0);
        self.tar.append_data(&mut header, path, io::empty()).map_err(Error::io(self.what.clone()))
    }

    fn json(&mut self, path: &str, document: &impl Serialize) -> Result<()> {
        let bytes =
            serde_json::to_vec(document).map_err(io::Error::from).map_err(Error::io(self.what.clone()))?;
        self.file(path, bytes.len() as u64, bytes.as_slice())
    }

    fn finish(mut self) -> Result<()> {
        let finished = self.tar.finish().and_then(|()| self.tar.get_mut().flush());
        finished.map_err(Error::io(self.what))
    }
}

fn header(kind: EntryType, mode: u32, length: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(length);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

pub(super) fn docker(
    store: &Store,
    reference: &Reference,
    manifest: &Digest,
    target: &mut dyn Write,
) -> Result<()> {
    let (manifest, config) = store.documents(manifest)?;
    let mut writer = Writer::new(reference, target);
    let mut layers = Vec::new();
    let mut written = HashSet::new();
    for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let path = format!("{}.tar", diff_id.hex());
        if written.insert(diff_id) {
            let (length, plain) = plain_layer(store, &descriptor.digest)?;
            writer.file(&path, length, plain)?;
        }
        layers.push(path);
    }
    let config = format!("{}.json", manifest.config.digest.hex());
    let bytes = store.read_blob(&manifest.config.digest, CONFIG_BYTES_MAX)?;
    writer.file(&config, bytes.len() as u64, bytes.as_slice())?;
    let repo_tags = reference.tag().map(|tag| vec![format!("{}:{tag}", reference.name())]);
    writer.json(MANIFEST_FILE, &[Saved { config, repo_tags, layers }])?;
    writer.finish()
}

/// A layer decompressed, in a file without a name: an archive wants to know the length first.
fn plain_layer(store: &Store, digest: &Digest) -> Result<(u64, impl Read + use<>)> {
    let action = || format!("decompress layer {digest}");
    let mut plain = store.scratch_file()?;
    let mut content = decompressed(store.open_blob(digest)?).map_err(Error::io(action()))?;
    let length = io::copy(&mut content, &mut plain).map_err(Error::io(action()))?;
    plain.rewind().map_err(Error::io(action()))?;
    Ok((length, plain))
}

pub(super) fn oci(
    store: &Store,
    reference: &Reference,
    digest: &Digest,
    target: &mut dyn Write,
) -> Result<()> {
    let manifest = store.manifest(digest)?;
    let mut writer = Writer::new(reference, target);
    writer.json(LAYOUT_FILE, &BTreeMap::from([("imageLayoutVersion", "1.0.0")]))?;
    let bytes = store.read_blob(digest, MANIFEST_BYTES_MAX)?;
    let mut annotations = BTreeMap::new();
    if let Some(tag) = reference.tag() {
        annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        annotations.insert(IMAGE_NAME.to_owned(), format!("{}:{tag}", reference.name()));
    }
    let entry = Descriptor {
        media_type: manifest.media_type.clone().unwrap_or_else(|| OCI_MANIFEST.to_owned()),
        digest: digest.clone(),
        size: bytes.len() as u64,
        platform: None,
        annotations: Some(annotations),
    };
    let index = Index { schema_version: 2, media_type: Some(OCI_INDEX.to_owned()), manifests: vec![entry] };
    writer.json(INDEX_FILE, &index)?;
    writer.directory("blobs/")?;
    writer.directory("blobs/sha256/")?;
    writer.file(&blob_path(digest), bytes.len() as u64, bytes.as_slice())?;
    let mut written = HashSet::new();
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        if written.insert(&blob.digest) {
            writer.file(&blob_path(&blob.digest), blob.size, store.open_blob(&blob.digest)?)?;
        }
    }
    writer.finish()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
