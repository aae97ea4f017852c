//! `cronlet image`: the images of this machine, in the node's own store, whether a node runs or not.

mod login;

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use cronlet_image::{
    DEFAULT_REGISTRY, OnProgress, Progress, Reference, Registry, Store, archive, docker_credentials,
    forget_credentials,
};
use serde_json::json;

use super::block_on;
use crate::{place, print};

/// Work with the images of this machine.
#[derive(Args)]
pub struct Image {
    #[command(subcommand)]
    what: What,
    /// The node's data directory [default: /var/lib/cronlet as root, else $XDG_STATE_HOME/cronlet]
    #[arg(long, value_name = "DIR", env = "CRONLET_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// A registry, as HOST or HOST:PORT, that is spoken to without TLS; those on this machine always are
    #[arg(long, value_name = "REGISTRY", global = true)]
    insecure_registry: Vec<String>,
}

#[derive(Subcommand)]
enum What {
    /// Fetch an image from its registry
    Pull {
        /// Its name, as docker writes it
        image: Reference,
    },
    /// Send an image to the registry in its name
    Push {
        /// Its name
        image: Reference,
    },
    /// Keep user and password for a registry where docker keeps them, too
    Login(login::Login),
    /// Forget user and password for a registry
    Logout {
        /// The registry, as HOST or HOST:PORT
        #[arg(default_value = DEFAULT_REGISTRY)]
        registry: String,
    },
    /// Give an image one more name
    Tag {
        /// A name that it has
        image: Reference,
        /// The new name
        name: Reference,
    },
    /// Take images from an archive: what `docker save` writes, or an OCI layout
    Import {
        /// The archive, or the directory of a layout
        file: PathBuf,
        /// The image's name, if the archive gives none or another is wanted
        #[arg(long)]
        name: Option<Reference>,
    },
    /// Write an image to an archive
    Export {
        /// Its name
        image: Reference,
        /// The archive
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// How it is laid out
        #[arg(long, value_enum, default_value_t = Format::Docker)]
        format: Format,
    },
    /// List the images
    Ls {
        /// Output format
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Remove names; what has none any more goes with `gc`
    Rm {
        /// Names
        #[arg(required = true)]
        images: Vec<Reference>,
    },
    /// Remove what no name and no pod needs
    Gc,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// As `docker save` writes
    Docker,
    /// An OCI image layout
    Oci,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Does what was asked.
pub fn run(arguments: &Image) -> anyhow::Result<ExitCode> {
    let data_dir = place::data_dir(arguments.data_dir.as_deref())?;
    // As the node does that uses the store.
    cronlet_runtime::users::enter_ranges(None);
    let store = Store::open(place::images(&data_dir))?;
    let registry = Registry::new(arguments.insecure_registry.clone());
    match &arguments.what {
        What::Pull { image } => {
            use_tls();
            let credentials = docker_credentials(image.registry());
            let pulled = block_on(async {
                Ok(registry.pull(&store, image, credentials.as_ref(), progress()).await?)
            })?;
            print::out(&format!("{image}: {}\n", pulled.repo_digest))?;
        }
        What::Push { image } => {
            use_tls();
            let credentials = docker_credentials(image.registry());
            block_on(async { Ok(registry.push(&store, image, credentials.as_ref(), progress()).await?) })?;
            print::out(&format!("{image} pushed\n"))?;
        }
        What::Login(login) => login::run(login, &registry)?,
        What::Logout { registry } => {
            let known = forget_credentials(login::name(registry))?;
            print::out(if known { "forgotten\n" } else { "there was nothing to forget\n" })?;
        }
        What::Tag { image, name } => store.tag(image, name)?,
        What::Import { file, name } => {
            for name in archive::import(&store, file, name.as_ref())? {
                print::out(&format!("{name} imported\n"))?;
            }
        }
        What::Export { image, output, format } => export(&store, image, output, *format)?,
        What::Ls { output } => list(&store, *output)?,
        What::Rm { images } => return remove(&store, images),
        What::Gc => {
            let freed = store.gc(|| cronlet_runtime::layers_in_use(&data_dir))?;
            let (blobs, layers) = (freed.blobs, freed.layers);
            print::out(&format!(
                "removed {layers} layers and {blobs} blobs of {}\n",
                size(freed.blob_bytes)
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets this program speak TLS to registries. Without effect if it can already.
pub fn use_tls() {
    // An error says that this was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Nothing half-written stays behind: the archive gets its name when it is whole.
fn export(store: &Store, image: &Reference, output: &PathBuf, format: Format) -> anyhow::Result<()> {
    let format = match format {
        Format::Docker => archive::Format::Docker,
        Format::Oci => archive::Format::Oci,
    };
    let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty());
    let failed = || format!("cannot write {}", output.display());
    let file = tempfile::NamedTempFile::new_in(dir.unwrap_or(".".as_ref())).with_context(failed)?;
    let mut writer: BufWriter<&File> = BufWriter::new(file.as_file());
    archive::export(store, image, format, &mut writer)?;
    writer.flush().with_context(failed)?;
    drop(writer);
    file.persist(output).with_context(failed)?;
    Ok(())
}

fn list(store: &Store, output: Output) -> anyhow::Result<()> {
    let images = store.list()?;
    if let Output::Json = output {
        let rows = images.iter().map(|image| {
            json!({ "name": image.name, "id": image.id, "digest": image.manifest_digest, "sizeBytes": image.size_bytes })
        });
        return Ok(print::out(&format!("{}\n", serde_json::Value::from_iter(rows)))?);
    }
    let width = images.iter().map(|image| image.name.len()).max().unwrap_or_default().max("IMAGE".len());
    let mut text = format!("{:width$}   {:12}   SIZE\n", "IMAGE", "IMAGE ID");
    for image in images {
        let id = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
        let short = &id[..id.len().min(12)];
        text.push_str(&format!("{:width$}   {short:12}   {}\n", image.name, size(image.size_bytes)));
    }
    Ok(print::out(&text)?)
}

/// Removes what can be removed, and names what is not there.
fn remove(store: &Store, images: &[Reference]) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for image in images {
        if store.remove(image)? {
            print::out(&format!("{image} removed\n"))?;
        } else {
            eprintln!("error: no image {image} is stored here; `cronlet image ls` lists those that are");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// A size for people, in units of 1000 as docker writes it.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.1}{}", units[unit]) }
}

/// One line on a terminal that tells how much has come of all that is under way; nothing elsewhere.
fn progress() -> OnProgress {
    if !io::stderr().is_terminal() {
        return Arc::new(drop);
    }
    let known: Mutex<Vec<Progress>> = Mutex::default();
    Arc::new(move |news| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter_mut().find(|blob| blob.digest == news.digest) {
            Some(blob) => *blob = news,
            None => known.push(news),
        }
        let done: u64 = known.iter().map(|blob| blob.bytes_done).sum();
        let total: u64 = known.iter().map(|blob| blob.bytes_total).sum();
        let end = if done == total { "\n" } else { "" };
        // A terminal that is gone need not be told.
        let _ = write!(io::stderr(), "\r\x1b[K{} of {}{end}", size(done), size(total));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!([size(999), size(1_500), size(2_340_000)], ["999B", "1.5kB", "2.3MB"]);
    }
}
