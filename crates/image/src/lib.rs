//! Container images: names, registries, archives, and a store of unpacked layers.
//!
//! * [`Reference`] is the name of an image, as docker reads it.
//! * [`Store`] keeps images below one directory and hands their layers to whoever runs containers. It is synchronous.
//! * [`Registry`] pulls images into a store and pushes them from it. It needs tokio, and a TLS provider that the program
//!   has installed (`rustls::crypto::CryptoProvider::install_default`).
//! * [`archive`] reads and writes what `docker save` and `skopeo copy` write and read.
//! * [`policy`] decides whether and when to pull; it is pure.

pub mod archive;
mod compression;
mod digest;
mod error;
mod layer;
pub mod limits;
mod manifest;
mod merged;
pub mod policy;
mod reference;
mod registry;
mod store;

pub use digest::Digest;
pub use error::{Error, Result};
pub use reference::{DEFAULT_REGISTRY, Reference};
pub use registry::{
    Credentials, OnProgress, Progress, Registry, docker_credentials, forget_credentials, keep_credentials,
};
pub use store::{Freed, Image, Listed, StartHold, Store};
