//! Reads docker archives and image layouts into a store.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read},
};

use tar::EntryType;

use super::{IMAGE_NAME, INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, REF_NAME, Saved};
use crate::{
    Digest, Error, Reference, Result, Store,
    compression::{Budget, Compression, Metered, decompressed},
    limits::{
        ARCHIVE_BYTES_MAX, ARCHIVE_ENTRIES_MAX, ENTRY_HEADER_BYTES_MAX, MANIFEST_BYTES_MAX, SYMLINKS_MAX,
    },
    manifest::{Descriptor, Document, Index, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST},
    store::Named,
};

/// The files of an archive, all of which are blobs in the store by now. What no image needs is garbage there.
struct Contents<'a> {
    store: &'a Store,
    /// Name of the archive, for errors.
    source: &'a str,
    files: HashMap<String, Digest>,
    links: HashMap<String, String>,
}

pub(super) fn archive(
    store: &Store,
    source: &str,
    file: impl Read,
    name: Option<&Reference>,
) -> Result<Vec<Reference>> {
    let contents = Contents::read(store, source, file)?;
    // Newer versions of docker write both; the layout has the true manifest.
    if contents.files.contains_key(LAYOUT_FILE) {
        let index = contents.document(INDEX_FILE)?;
        return layout(store, source, &index, name, &mut |descriptor| {
            let problem = format!("it lacks blob {}, or has it with another size", descriptor.digest);
            Err(Error::malformed(source, problem))
        });
    }
    if !contents.files.contains_key(MANIFEST_FILE) {
        return Err(Error::malformed(
            source,
            "it is neither what `docker save` writes nor an OCI image layout",
        ));
    }
    let bytes = contents.document(MANIFEST_FILE)?;
    let saved: Vec<Saved> = serde_json::from_slice(&bytes)
        .map_err(|e| Error::malformed(source, format!("{MANIFEST_FILE}: {e}")))?;
    let mut images = Vec::new();
    for image in saved {
        let names =
            image.repo_tags.iter().flatten().map(|tag| tag.parse()).collect::<Result<Vec<Reference>>>()?;
        images.push((contents.manifest(&image)?, names));
    }
    name_all(store, source, images, name)
}

/// Imports all images of a layout. `fetch` brings a blob that the store lacks.
pub(super) fn layout(
    store: &Store,
    source: &str,
    index: &[u8],
    name: Option<&Reference>,
    fetch: &mut dyn FnMut(&Descriptor) -> Result<()>,
) -> Result<Vec<Reference>> {
    let Document::Index(index) = Document::read(source, index)? else {
        return Err(Error::malformed(source, "its index.json is no index"));
    };
    let mut images: Vec<(Digest, Vec<Reference>)> = Vec::new();
    for (descriptor, names) in named_entries(source, &index)? {
        let manifest = fetch_image(store, source, descriptor, fetch)?;
        match images.iter_mut().find(|(known, _)| *known == manifest) {
            Some((_, known)) => known.extend(names),
            None => images.push((manifest, names)),
        }
    }
    name_all(store, source, images, name)
}

/// The entries of a layout that are images, with the names they give themselves. Where entries differ only in their
/// platform, the one for this machine counts.
fn named_entries<'a>(source: &str, index: &'a Index) -> Result<Vec<(&'a Descriptor, Vec<Reference>)>> {
    let mut by_name: BTreeMap<Option<Reference>, Vec<Descriptor>> = BTreeMap::new();
    for descriptor in &index.manifests {
        by_name.entry(own_name(descriptor)?).or_default().push(descriptor.clone());
    }
    let mut entries = Vec::new();
    for (name, manifests) in by_name {
        let chosen = match manifests.as_slice() {
            [only] => only.digest.clone(),
            _ => Index { manifests, ..index.clone() }.for_this_machine(source)?.digest.clone(),
        };
        if let Some(descriptor) = index.manifests.iter().find(|d| d.digest == chosen) {
            entries.push((descriptor, name.into_iter().collect()));
        }
    }
    Ok(entries)
}

fn own_name(descriptor: &Descriptor) -> Result<Option<Reference>> {
    let Some(annotations) = &descriptor.annotations else { return Ok(None) };
    if let Some(full) = annotations.get(IMAGE_NAME) {
        return full.parse().map(Some);
    }
    match annotations.get(REF_NAME) {
        // A word alone is a tag, and does not say of what.
        Some(name) if name.contains([':', '/']) => name.parse().map(Some),
        _ => Ok(None),
    }
}

/// Brings the image of an entry into the store, and returns the digest of its manifest.
fn fetch_image(
    store: &Store,
    source: &str,
    descriptor: &Descriptor,
    fetch: &mut dyn FnMut(&Descriptor) -> Result<()>,
) -> Result<Digest> {
    let mut bring = |descriptor: &Descriptor| {
        if store.has_blob(descriptor) { Ok(()) } else { fetch(descriptor) }
    };
    let read = |digest: &Digest| Document::read(source, &store.read_blob(digest, MANIFEST_BYTES_MAX)?);
    bring(descriptor)?;
    let (digest, manifest) = match read(&descriptor.digest)? {
        Document::Manifest(manifest) => (descriptor.digest.clone(), manifest),
        Document::Index(index) => {
            let inner = index.for_this_machine(source)?;
            bring(inner)?;
            match read(&inner.digest)? {
                Document::Manifest(manifest) => (inner.digest.clone(), manifest),
                Document::Index(_) => {
                    return Err(Error::malformed(source, "an index that leads to an index"));
                }
            }
        }
    };
    bring(&manifest.config)?;
    for layer in &manifest.layers {
        bring(layer)?;
    }
    Ok(digest)
}

/// Unpacks all images, then names them: all or none.
fn name_all(
    store: &Store,
    source: &str,
    mut images: Vec<(Digest, Vec<Reference>)>,
    name: Option<&Reference>,
) -> Result<Vec<Reference>> {
    match (images.as_mut_slice(), name) {
        ([], _) => return Err(Error::malformed(source, "it has no image")),
        ([(_, names)], Some(name)) => *names = vec![name.clone()],
        (several, Some(_)) => {
            let problem = format!("it has {} images; one name is not enough, so give none", several.len());
            return Err(Error::malformed(source, problem));
        }
        (all, None) => {
            if all.iter().any(|(_, names)| names.is_empty()) {
                return Err(Error::malformed(source, "it has an image without a name; give one"));
            }
        }
    }
    for (manifest, _) in &images {
        store.unpack(manifest)?;
    }
    let mut given = Vec::new();
    for (manifest, names) in images {
        for name in names {
            store.name(&name, Named { manifest: manifest.clone(), digest: manifest.clone() })?;
            given.push(name);
        }
    }
    Ok(given)
}

impl<'a> Contents<'a> {
    fn read(store: &'a Store, source: &'a str, file: impl Read) -> Result<Self> {
        let broken = |e: io::Error| Error::malformed(source, e.to_string());
        let budget = Budget::default();
        budget.set(ENTRY_HEADER_BYTES_MAX);
        let inner = decompressed(file).map_err(broken)?;
        let mut archive = tar::Archive::new(Metered::new(inner, budget.clone(), ARCHIVE_BYTES_MAX));
        let mut contents = Self { store, source, files: HashMap::new(), links: HashMap::new() };
        let mut entries = 0;
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            entries += 1;
            if entries > ARCHIVE_ENTRIES_MAX {
                return Err(Error::malformed(source, format!("more than {ARCHIVE_ENTRIES_MAX} entries")));
            }
            budget.set(u64::MAX);
            contents.take(&mut entry)?;
            io::copy(&mut entry, &mut io::sink()).map_err(broken)?;
            budget.set(ENTRY_HEADER_BYTES_MAX);
        }
        Ok(contents)
    }

    fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<()> {
        let broken = |e: io::Error| Error::malformed(self.source, e.to_string());
        let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
        match entry.header().entry_type() {
            // Sparse files are refused: they can be larger than all limits, and no image has them here.
            EntryType::Regular | EntryType::Continuous => {
                let mut writer = self.store.blob_writer()?;
                if io::copy(entry, &mut writer).map_err(broken)? != entry.size() {
                    return Err(Error::malformed(self.source, "it ends in the middle of a file"));
                }
                let digest = writer.finish_any()?;
                self.files.insert(path, digest);
            }
            // Old versions of docker write a layer once and link to it.
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().map(|t| String::from_utf8_lossy(&t).into_owned());
                let target =
                    target.ok_or_else(|| Error::malformed(self.source, "a link without a target"))?;
                let is_symlink = entry.header().entry_type() == EntryType::Symlink;
                let above = path.rsplit_once('/').map_or("", |(above, _)| above);
                let target = if is_symlink { format!("{above}/{target}") } else { target };
                self.links.insert(path, normal(&target));
            }
            _ => {}
        }
        Ok(())
    }

    fn digest(&self, path: &str) -> Result<&Digest> {
        let mut path = normal(path);
        for _ in 0..SYMLINKS_MAX {
            if let Some(digest) = self.files.get(&path) {
                return Ok(digest);
            }
            let Some(target) = self.links.get(&path) else { break };
            path.clone_from(target);
        }
        Err(Error::malformed(self.source, format!("it lacks `{path}`")))
    }

    fn document(&self, path: &str) -> Result<Vec<u8>> {
        self.store.read_blob(self.digest(path)?, MANIFEST_BYTES_MAX)
    }

    /// Writes the manifest that a docker archive does not have, and returns its digest.
    fn manifest(&self, image: &Saved) -> Result<Digest> {
        let config = self.descriptor(self.digest(&image.config)?, OCI_CONFIG.to_owned())?;
        let layer = |path: &String| {
            let digest = self.digest(path)?;
            let compression = Compression::of(&mut self.store.open_blob(digest)?);
            let compression = compression.map_err(Error::io(format!("read blob {digest}")))?;
            self.descriptor(digest, format!("{OCI_LAYER}{}", compression.suffix()))
        };
        let layers = image.layers.iter().map(layer).collect::<Result<_>>()?;
        let media_type = Some(OCI_MANIFEST.to_owned());
        let manifest = Manifest { schema_version: 2, media_type, config, layers };
        let bytes =
            serde_json::to_vec(&manifest).map_err(|e| Error::malformed(self.source, e.to_string()))?;
        // Held to what a manifest from elsewhere is held to.
        Document::read(self.source, &bytes)?;
        self.store.write_blob(&bytes)
    }

    fn descriptor(&self, digest: &Digest, media_type: String) -> Result<Descriptor> {
        let size = self.store.open_blob(digest)?.metadata();
        let size = size.map_err(Error::io(format!("read blob {digest}")))?.len();
        Ok(Descriptor { media_type, digest: digest.clone(), size, platform: None, annotations: None })
    }
}

/// A path without `.`, `..` and needless slashes. It is only ever compared.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
