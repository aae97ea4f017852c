//! Pulls images from registries into a store, and pushes them from it.

mod credentials;
mod fault;

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::{
    Client, RegistryOperation,
    client::{BlobResponse, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};

pub use self::credentials::{Credentials, docker_credentials, forget_credentials, keep_credentials};
use self::fault::explain;
use crate::{
    Digest, Error, Image, Reference, Result, Store,
    limits::{
        CONFIG_BYTES_MAX, CONNECT_SECONDS_MAX, DOWNLOAD_QUEUE_CHUNKS_MAX, MANIFEST_BYTES_MAX,
        RESUMPTIONS_MAX, SILENCE_SECONDS_MAX, TRANSFERS_MAX,
    },
    manifest::{
        Config, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Document, Manifest, OCI_INDEX, OCI_MANIFEST,
    },
    store::{BlobWriter, Named},
};

const ACCEPTED: &[&str] = &[OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
const USER_AGENT: &str = concat!("cronlet/", env!("CARGO_PKG_VERSION"));

/// What a connection brings of a blob.
type Chunks = stream::BoxStream<'static, io::Result<tokio_util::bytes::Bytes>>;

/// How far the transfer of one blob is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Digest of the blob.
    pub digest: String,
    /// Bytes transferred so far.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// Is told of progress, from any thread, often; it must not wait.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// The way to registries. Those on a loopback address are spoken to in plain HTTP, as are those listed as insecure;
/// all others over TLS.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    insecure: Vec<String>,
}

/// One image at its registry.
struct Remote {
    client: Client,
    auth: RegistryAuth,
    /// The image in the words of the client.
    image: oci_client::Reference,
    reference: Reference,
}

impl Registry {
    /// `insecure` are registries, as `host` or `host:port`, that are spoken to without TLS.
    #[must_use]
    pub fn new(insecure: Vec<String>) -> Self {
        Self { insecure }
    }

    /// Pulls the image for this machine, with two layers at a time, and names it in the store. What is there already
    /// is not transferred again.
    ///
    /// # Errors
    /// If the registry cannot be reached, refuses, lacks the image or sends something else; if a layer cannot be
    /// unpacked; if the store cannot be written. Nothing is named then.
    pub async fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        credentials: Option<&Credentials>,
        on_progress: OnProgress,
    ) -> Result<Image> {
        let remote = self.remote(reference, credentials)?;
        remote.pull(store, on_progress).await.map_err(|e| e.of(reference))
    }

    /// Pushes a stored image to the registry in its name, with two blobs at a time. What is there already is not
    /// transferred again.
    ///
    /// # Errors
    /// If the image is not stored, or the registry cannot be reached or refuses.
    pub async fn push(
        &self,
        store: &Store,
        reference: &Reference,
        credentials: Option<&Credentials>,
        on_progress: OnProgress,
    ) -> Result<()> {
        let remote = self.remote(reference, credentials)?;
        let _hold = blocking(store, Store::hold).await?;
        let wanted = reference.clone();
        let (digest, bytes, manifest) = blocking(store, move |store| {
            let named = store.find(&wanted)?.ok_or_else(|| Error::NotStored { name: wanted.to_string() })?;
            let bytes = store.read_blob(&named.manifest, MANIFEST_BYTES_MAX)?;
            let manifest = store.manifest(&named.manifest)?;
            Ok((named.manifest, bytes, manifest))
        })
        .await?;
        if reference.digest().is_some_and(|wanted| *wanted != digest) {
            let cause =
                "only the manifest for this machine is stored, not the index of that digest; push a tag";
            return Err(Error::Transfer { image: reference.to_string(), cause: cause.to_owned() });
        }
        remote.push(store, &manifest, bytes, on_progress).await
    }

    /// Asks a registry, as `host` or `host:port`, whether it takes these credentials.
    ///
    /// # Errors
    /// If it does not, or cannot be reached.
    pub async fn check(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        // Credentials are for repositories. Whether there is one of this name does not matter.
        let reference: Reference = format!("{registry}/library/hello-world").parse()?;
        let Remote { client, auth, image, .. } = self.remote(&reference, Some(credentials))?;
        let token = client.auth(&image, &auth, RegistryOperation::Pull).await;
        if token.map_err(|error| explain(&reference, error))?.is_some() {
            return Ok(());
        }
        // Without tokens, the credentials come with each request.
        match client.list_tags(&image, &auth, Some(1), None).await.map_err(|error| explain(&reference, error))
        {
            Ok(_) | Err(Error::NotInRegistry { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remote(&self, reference: &Reference, credentials: Option<&Credentials>) -> Result<Remote> {
        let registry = reference.registry();
        let plain = is_loopback(registry) || self.insecure.iter().any(|r| r == registry);
        let exceptions = if plain { vec![registry.to_owned()] } else { Vec::new() };
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(exceptions),
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(CONNECT_SECONDS_MAX)),
            read_timeout: Some(Duration::from_secs(SILENCE_SECONDS_MAX)),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        // Without authorities the client cannot be made, not even for plain HTTP: oci-client 0.18 panics.
        if rustls_native_certs::load_native_certs().certs.is_empty() {
            return Err(fault::no_authorities(reference));
        }
        let client = Client::try_from(config).map_err(|e| explain(reference, e))?;
        let auth = credentials
            .map_or(RegistryAuth::Anonymous, |c| RegistryAuth::Basic(c.user.clone(), c.password.clone()));
        Ok(Remote { client, auth, image: for_client(reference), reference: reference.clone() })
    }
}

impl Remote {
    async fn pull(&self, store: &Store, on_progress: OnProgress) -> Result<Image> {
        let hold = blocking(store, Store::hold).await?;
        let named = self.pull_blobs(store, on_progress).await?;
        let reference = self.reference.clone();
        blocking(store, move |store| {
            // Goes on when nobody waits for the pull any more, so it must hold on its own.
            let _hold = hold;
            store.unpack(&named.manifest)?;
            store.name(&reference, named)?;
            store.image(&reference)?.ok_or_else(|| Error::NotStored { name: reference.to_string() })
        })
        .await
    }

    async fn pull_blobs(&self, store: &Store, on_progress: OnProgress) -> Result<Named> {
        let (bytes, digest) = self.document(&self.reference).await?;
        let what = format!("what the registry has as {}", self.reference);
        let (bytes, manifest) = match Document::read(&what, &bytes)? {
            Document::Manifest(manifest) => (bytes, manifest),
            Document::Index(index) => {
                let descriptor = index.for_this_machine(&what)?;
                let (inner, _) = self.document(&self.reference.at(descriptor.digest.clone())).await?;
                match Document::read(&what, &inner)? {
                    Document::Manifest(manifest) if inner.len() as u64 == descriptor.size => {
                        blocking(store, move |store| store.write_blob(&bytes)).await?;
                        (inner, manifest)
                    }
                    Document::Manifest(_) => {
                        return Err(Error::malformed(what, "its size is not as promised"));
                    }
                    Document::Index(_) => {
                        return Err(Error::malformed(what, "an index that leads to an index"));
                    }
                }
            }
        };
        if manifest.config.size > CONFIG_BYTES_MAX {
            return Err(Error::malformed(
                what,
                format!("a configuration of more than {CONFIG_BYTES_MAX} bytes"),
            ));
        }
        self.download(store, &manifest.config, &on_progress).await?;
        // Before the layers: what cannot run here is not worth the transfer.
        let config = manifest.config.digest.clone();
        let layers = manifest.layers.len();
        blocking(store, move |store| {
            Config::read(&what, &store.read_blob(&config, CONFIG_BYTES_MAX)?, layers)
        })
        .await?;
        stream::iter(distinct(&manifest.layers))
            .map(|layer| self.download(store, layer, &on_progress))
            .buffer_unordered(TRANSFERS_MAX)
            .try_collect::<()>()
            .await?;
        let manifest = blocking(store, move |store| store.write_blob(&bytes)).await?;
        Ok(Named { manifest, digest })
    }

    /// A manifest or index with its digest, which is that of the name if it has one.
    async fn document(&self, reference: &Reference) -> Result<(Vec<u8>, Digest)> {
        let pulled = self.client.pull_manifest_raw(&for_client(reference), &self.auth, ACCEPTED).await;
        let (bytes, _) = pulled.map_err(|e| explain(reference, e))?;
        let digest = Digest::of(&bytes);
        if reference.digest().is_some_and(|wanted| *wanted != digest) {
            let problem =
                format!("its content is {digest}; the registry or the way to it is not to be trusted");
            return Err(Error::malformed(reference.to_string(), problem));
        }
        Ok((bytes.to_vec(), digest))
    }

    async fn download(&self, store: &Store, blob: &Descriptor, on_progress: &OnProgress) -> Result<()> {
        if store.has_blob(blob) {
            return Ok(());
        }
        let digest = blob.digest.clone();
        let begin = async || {
            let digest = digest.clone();
            blocking(store, move |store| store.resume_writer(&digest)).await
        };
        let writer = begin().await?;
        let has_part = writer.bytes() > 0;
        match self.complete(store, blob, writer, on_progress).await {
            // What was there need not be what was once written: the machine may have lost power.
            Err(Error::Malformed { .. }) if has_part => {
                self.complete(store, blob, begin().await?, on_progress).await
            }
            completed => completed,
        }
    }

    /// Fetches what is missing of a blob, over as many connections as it takes while each brings something, and stores it.
    async fn complete(
        &self,
        store: &Store,
        blob: &Descriptor,
        mut writer: BlobWriter,
        on_progress: &OnProgress,
    ) -> Result<()> {
        for left in (0..=RESUMPTIONS_MAX).rev() {
            let before = writer.bytes();
            let outcome;
            (writer, outcome) = self.fetch(store, blob, writer, on_progress).await?;
            match outcome {
                // Its digest tells whether it is right.
                _ if writer.bytes() == blob.size => break,
                Err(_) if left > 0 && before < writer.bytes() && writer.bytes() < blob.size => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        if writer.bytes() != blob.size {
            writer.discard();
            let problem = format!("it has not the {} bytes it should have", blob.size);
            return Err(Error::malformed(format!("blob {} of {}", blob.digest, self.reference), problem));
        }
        let expected = blob.digest.clone();
        blocking(store, move |_| writer.finish(&expected)).await
    }

    /// What a blob consists of from where its writer is; from its beginning, which the writer is taken back to, if the
    /// registry does not give parts.
    async fn open(&self, blob: &Descriptor, writer: &mut BlobWriter) -> Result<Chunks> {
        let explained = |error| explain(&self.reference, error);
        let digest = blob.digest.as_str();
        let rewound = || Error::io(format!("write blob {}", blob.digest));
        if (1..blob.size).contains(&writer.bytes()) {
            match self.client.pull_blob_stream_partial(&self.image, digest, writer.bytes(), None).await {
                Ok(BlobResponse::Partial(rest)) => return Ok(rest.stream),
                Ok(BlobResponse::Full(all)) => {
                    writer.start_over().map_err(rewound())?;
                    return Ok(all.stream);
                }
                Err(error) => match explained(error) {
                    // It does not like the range.
                    Error::Transfer { .. } => {}
                    error => return Err(error),
                },
            }
        }
        writer.start_over().map_err(rewound())?;
        let opened = self.client.pull_blob_stream(&self.image, digest).await;
        Ok(opened.map_err(explained)?.stream)
    }

    /// Writes what one connection brings. The inner result says how that ended; the outer one fails where the store does.
    async fn fetch(
        &self,
        store: &Store,
        blob: &Descriptor,
        mut writer: BlobWriter,
        on_progress: &OnProgress,
    ) -> Result<(BlobWriter, Result<()>)> {
        if writer.bytes() == blob.size {
            return Ok((writer, Ok(())));
        }
        let mut chunks = match self.open(blob, &mut writer).await {
            Ok(chunks) => chunks,
            Err(error) => return Ok((writer, Err(error))),
        };
        let (sender, mut queue) = tokio::sync::mpsc::channel::<Vec<u8>>(DOWNLOAD_QUEUE_CHUNKS_MAX);
        let (expected, progress) = (blob.clone(), Arc::clone(on_progress));
        let writing = blocking(store, move |_| {
            let write = |e: io::Error| Error::io(format!("write blob {}", expected.digest))(e);
            while let Some(chunk) = queue.blocking_recv() {
                writer.write_all(&chunk).map_err(write)?;
                if writer.bytes() > expected.size {
                    break;
                }
                progress(Progress {
                    digest: expected.digest.to_string(),
                    bytes_done: writer.bytes(),
                    bytes_total: expected.size,
                });
            }
            Ok(writer)
        });
        let reading = async {
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|e| fault::broken_off(&self.reference, &e))?;
                // The writer has given up, and says why.
                if sender.send(chunk.to_vec()).await.is_err() {
                    break;
                }
            }
            drop(sender);
            Ok::<_, Error>(())
        };
        let (written, read) = tokio::join!(writing, reading);
        Ok((written?, read))
    }

    async fn push(
        &self,
        store: &Store,
        manifest: &Manifest,
        bytes: Vec<u8>,
        on_progress: OnProgress,
    ) -> Result<()> {
        let refused = |e| explain(&self.reference, e);
        self.client.auth(&self.image, &self.auth, RegistryOperation::Push).await.map_err(refused)?;
        let mut blobs = distinct(&manifest.layers);
        blobs.push(&manifest.config);
        stream::iter(blobs)
            .map(|blob| self.upload(store, blob, &on_progress))
            .buffer_unordered(TRANSFERS_MAX)
            .try_collect::<()>()
            .await?;
        let kind = manifest.media_type.as_deref().unwrap_or(OCI_MANIFEST);
        let kind =
            kind.parse().map_err(|_| Error::malformed("manifest", "its media type is no header value"))?;
        self.client.push_manifest_raw(&self.image, bytes, kind).await.map_err(refused)?;
        Ok(())
    }

    async fn upload(&self, store: &Store, blob: &Descriptor, on_progress: &OnProgress) -> Result<()> {
        let digest = blob.digest.as_str();
        let refused = |e| explain(&self.reference, e);
        if self.client.blob_exists(&self.image, digest).await.map_err(refused)? {
            return Ok(());
        }
        let wanted = blob.digest.clone();
        let file = blocking(store, move |store| store.open_blob(&wanted)).await?;
        let (progress, total, mut done) = (Arc::clone(on_progress), blob.size, 0);
        let of = blob.digest.to_string();
        let content = tokio_util::io::ReaderStream::new(tokio::fs::File::from_std(file))
            .inspect_ok(move |chunk| {
                done += chunk.len() as u64;
                progress(Progress { digest: of.clone(), bytes_done: done, bytes_total: total });
            })
            .map_err(oci_client::errors::OciDistributionError::IoError);
        let pushed = self.client.push_blob_stream(&self.image, content, digest, Some(blob.size)).await;
        pushed.map(|_| ()).map_err(refused)
    }
}

/// Runs what waits for the disk where that holds up nobody.
async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.map_err(|e| Error::io("finish work on the image store")(io::Error::other(e)))?
}

fn for_client(reference: &Reference) -> oci_client::Reference {
    let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => oci_client::Reference::with_digest(registry, repository, digest.to_string()),
        (None, tag) => {
            oci_client::Reference::with_tag(registry, repository, tag.unwrap_or("latest").to_owned())
        }
    }
}

/// An image may have the same layer twice.
fn distinct(layers: &[Descriptor]) -> Vec<&Descriptor> {
    let mut seen = std::collections::HashSet::new();
    layers.iter().filter(|layer| seen.insert(&layer.digest)).collect()
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_spoken_to_in_plain_http_unasked() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in
            ["docker.io", "localhost.example.com", "10.0.0.1:5000", "[fe80::1]:5000", "127.0.0.1.nip.io"]
        {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
