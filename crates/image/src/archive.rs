//! Images as files: what `docker save`, `podman save` and `skopeo copy` write, read and written.

mod export;
mod import;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Reference, Result, Store, limits::MANIFEST_BYTES_MAX};

/// File of an image layout that lists its images (OCI image specification, `image-layout.md`).
const INDEX_FILE: &str = "index.json";
/// File that marks an image layout.
const LAYOUT_FILE: &str = "oci-layout";
/// File of a docker archive that lists its images.
const MANIFEST_FILE: &str = "manifest.json";
/// What a layout calls an image: a tag, or a full name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What containerd and docker call an image in a layout: its full name.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// One image of a docker archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// How an archive is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As `docker save` writes: a tar archive for `docker load`, `podman load`, `skopeo copy docker-archive:…`.
    Docker,
    /// An image layout in a tar archive, as `skopeo copy … oci-archive:…` writes. Unpacked it is an image layout.
    Oci,
}

/// Imports all images of a docker archive or an image layout: a tar archive (plain, gzip or zstd), or the directory of a
/// layout. They get the names they have in there, or `name` if there is but one image. Returns the names.
///
/// # Errors
/// If it is no such archive, is damaged, has an image for another machine, or leaves open what an image is called.
pub fn import(store: &Store, source: &Path, name: Option<&Reference>) -> Result<Vec<Reference>> {
    let _hold = store.hold()?;
    let shown = source.display().to_string();
    if !source.is_dir() {
        let file = File::open(source).map_err(Error::io(format!("open {shown}")))?;
        return import::archive(store, &shown, file, name);
    }
    let path = source.join(INDEX_FILE);
    let size = path.metadata().map_err(Error::io(format!("read {}", path.display())))?.len();
    if size > MANIFEST_BYTES_MAX {
        return Err(Error::malformed(
            path.display().to_string(),
            format!("more than {MANIFEST_BYTES_MAX} bytes"),
        ));
    }
    let index = fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
    import::layout(store, &shown, &index, name, &mut |descriptor| {
        let path = source.join("blobs/sha256").join(descriptor.digest.hex());
        let mut blob = File::open(&path).map_err(Error::io(format!("open {}", path.display())))?;
        let mut writer = store.blob_writer()?;
        std::io::copy(&mut blob, &mut writer).map_err(Error::io(format!("copy {}", path.display())))?;
        writer.finish(&descriptor.digest)
    })
}

/// Exports a stored image. The same image gives the same bytes.
///
/// # Errors
/// If the image is not stored, or `target` cannot be written.
pub fn export(store: &Store, reference: &Reference, format: Format, target: &mut dyn Write) -> Result<()> {
    let _hold = store.hold()?;
    let named = store.find(reference)?.ok_or_else(|| Error::NotStored { name: reference.to_string() })?;
    match format {
        Format::Docker => export::docker(store, reference, &named.manifest, target),
        Format::Oci => export::oci(store, reference, &named.manifest, target),
    }
}
