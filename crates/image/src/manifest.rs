//! The documents of an image: index, manifest and configuration, as OCI and docker write them.

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Error, Result,
    digest::Hasher,
    limits::{INDEX_ENTRIES_MAX, LAYERS_MAX, MANIFEST_BYTES_MAX},
};

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A pointer to a blob: what it is, its digest and its size in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The pieces of one image for one platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// Size of configuration and layers as transferred, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.config.size + self.layers.iter().map(|layer| layer.size).sum::<u64>()
    }
}

/// Manifests by platform, or by name in an image layout.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub manifests: Vec<Descriptor>,
}

/// Either of the two that a name can stand for.
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Reads a manifest or index; `what` names it in errors.
    pub fn read(what: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(Error::malformed(what, format!("it has more than {MANIFEST_BYTES_MAX} bytes")));
        }
        // A document with both lists could be taken for either, by whoever checks it and whoever runs it.
        #[derive(Deserialize)]
        struct Shape {
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
        }
        let unreadable = |e: serde_json::Error| Error::malformed(what, e.to_string());
        let shape: Shape = serde_json::from_slice(bytes).map_err(unreadable)?;
        match (shape.manifests.is_some(), shape.layers.is_some()) {
            (true, false) => {
                let index: Index = serde_json::from_slice(bytes).map_err(unreadable)?;
                if index.manifests.len() > INDEX_ENTRIES_MAX {
                    return Err(Error::malformed(what, format!("more than {INDEX_ENTRIES_MAX} entries")));
                }
                Ok(Self::Index(index))
            }
            (false, true) => {
                let manifest: Manifest = serde_json::from_slice(bytes).map_err(unreadable)?;
                if manifest.layers.len() > LAYERS_MAX {
                    return Err(Error::malformed(what, format!("more than {LAYERS_MAX} layers")));
                }
                Ok(Self::Manifest(manifest))
            }
            _ => Err(Error::malformed(what, "it is neither a manifest nor an index of schema version 2")),
        }
    }
}

impl Index {
    /// The manifest for Linux on this machine.
    pub fn for_this_machine(&self, what: &str) -> Result<&Descriptor> {
        let architecture = architecture();
        let fits = |d: &&Descriptor| {
            d.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == architecture)
        };
        if let Some(descriptor) = self.manifests.iter().find(fits) {
            return Ok(descriptor);
        }
        // An index of one image need not name its platform.
        if let [only] = self.manifests.as_slice()
            && only.platform.is_none()
        {
            return Ok(only);
        }
        let offered: Vec<String> =
            self.manifests.iter().filter_map(|d| d.platform.as_ref()).map(shown).collect();
        Err(Error::malformed(
            what,
            format!(
                "no image for linux/{architecture}, only for {}; choose another image",
                offered.join(", ")
            ),
        ))
    }
}

fn shown(platform: &Platform) -> String {
    format!("{}/{}", platform.os, platform.architecture)
}

/// This machine's architecture in the words of images, which are those of Go.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// What an image says about the process to run. Everything may be absent or null.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Process {
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub stop_signal: Option<String>,
}

/// The digests of the decompressed layers, lowest first.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RootFs {
    pub diff_ids: Vec<Digest>,
}

/// The configuration of an image.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    pub architecture: String,
    pub os: String,
    pub config: Option<Process>,
    pub rootfs: RootFs,
}

impl Config {
    /// Reads the configuration of an image with so many layers, and checks that it can run here.
    pub fn read(what: &str, bytes: &[u8], layers: usize) -> Result<Self> {
        let config: Self =
            serde_json::from_slice(bytes).map_err(|e| Error::malformed(what, e.to_string()))?;
        if config.rootfs.diff_ids.len() != layers {
            let count = config.rootfs.diff_ids.len();
            return Err(Error::malformed(what, format!("it names {count} layers, the manifest {layers}")));
        }
        if config.os != "linux" || config.architecture != architecture() {
            let here = format!("linux/{}", architecture());
            let there = format!("{}/{}", config.os, config.architecture);
            return Err(Error::malformed(what, format!("the image is for {there}, this machine is {here}")));
        }
        Ok(config)
    }

    /// The identities of the stacks of layers, lowest first (OCI image specification, `config.md`, ChainID).
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::new();
        for diff_id in &self.rootfs.diff_ids {
            let id = match chain.last() {
                None => diff_id.clone(),
                Some(below) => {
                    let mut hasher = Hasher::default();
                    hasher.update(format!("{below} {diff_id}").as_bytes());
                    hasher.finish()
                }
            };
            chain.push(id);
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(&str, &str)]) -> Index {
        let manifests = entries.iter().map(|(os, architecture)| {
            let digest = Digest::of(format!("{os} {architecture}").as_bytes());
            let (os, architecture) = ((*os).to_owned(), (*architecture).to_owned());
            let platform = Some(Platform { os, architecture, variant: None });
            Descriptor { media_type: OCI_MANIFEST.to_owned(), digest, size: 1, platform, annotations: None }
        });
        Index { schema_version: 2, media_type: None, manifests: manifests.collect() }
    }

    #[test]
    fn the_platform_is_linux_on_this_architecture() {
        let here = architecture();
        let index = index(&[("windows", here), ("unknown", "unknown"), ("linux", "vax"), ("linux", here)]);
        let chosen = index.for_this_machine("test").unwrap();
        assert_eq!(chosen.digest, index.manifests[3].digest);
    }

    #[test]
    fn an_image_for_others_only_says_for_whom() {
        let error = index(&[("linux", "vax"), ("windows", "amd64")]).for_this_machine("test").unwrap_err();
        let text = error.to_string();
        assert!(text.contains(architecture()) && text.contains("linux/vax, windows/amd64"), "{text}");
    }

    #[test]
    fn a_document_that_could_be_read_in_two_ways_is_refused() {
        for text in [
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            r#"{"schemaVersion":1,"fsLayers":[]}"#,
            "[]",
        ] {
            assert!(Document::read("test", text.as_bytes()).is_err(), "{text}");
        }
    }
}
