//! What can go wrong with an image, and the reason Kubernetes gives for it.

use std::io;

use crate::Reference;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault with an image. The message names the place, the cause and the remedy, and holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not one that docker reads.
    #[error("`{name}` is not the name of an image: {problem}")]
    InvalidImageName {
        /// The name as written.
        name: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, with the path.
        action: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A layer holds what may not be unpacked, or is damaged.
    #[error("layer {layer} cannot be unpacked: {problem}")]
    Layer {
        /// Digest of the layer's archive.
        layer: String,
        /// The entry and what is wrong with it.
        problem: String,
    },
    /// A manifest, configuration or archive says what cannot be, or is beyond a limit.
    #[error("{what} is not usable: {problem}")]
    Malformed {
        /// The document or archive.
        what: String,
        /// What is wrong with it, and what helps.
        problem: String,
    },
    /// The store does not have what its index promises.
    #[error("the image store has no {what}; pull or import the image again")]
    Incomplete {
        /// What is missing.
        what: String,
    },
    /// The store has no image of this name.
    #[error("no image `{name}` is stored here; pull or import it first")]
    NotStored {
        /// The full name that was looked up.
        name: String,
    },
    /// An image was transferred, but cannot be used or stored.
    #[error("image {image} cannot be used: {cause}")]
    Unusable {
        /// The full name of the image.
        image: String,
        /// What went wrong with it.
        cause: Box<Error>,
    },
    /// Images are being pulled or imported, so nothing can be collected now.
    #[error("images are being pulled or imported; collect garbage when that is done")]
    Busy,
    /// A registry did not answer, or with an error of its own.
    #[error("registry of {image} is not available: {cause}; check the network and the registry's name")]
    RegistryUnavailable {
        /// The full name of the image.
        image: String,
        /// What went wrong.
        cause: String,
    },
    /// A registry wants other credentials, or none will do.
    #[error("registry refuses access to {image}: {cause}; check the name, and the user and password for it")]
    AccessDenied {
        /// The full name of the image.
        image: String,
        /// What went wrong.
        cause: String,
    },
    /// A registry does not have the image.
    #[error("registry has no {image}: {cause}; check name and tag")]
    NotInRegistry {
        /// The full name of the image.
        image: String,
        /// What the registry says.
        cause: String,
    },
    /// A registry's answer cannot be used.
    #[error("cannot transfer {image}: {cause}")]
    Transfer {
        /// The full name of the image.
        image: String,
        /// What went wrong, and what helps.
        cause: String,
    },
}

impl Error {
    /// The reason a waiting container shows for this fault, in the kubelet's words (`pkg/kubelet/images/types.go`).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidImageName { .. } => "InvalidImageName",
            Self::RegistryUnavailable { .. } => "RegistryUnavailable",
            Self::Incomplete { .. } => "ImageInspectError",
            Self::Unusable { cause, .. } => cause.reason(),
            _ => "ErrImagePull",
        }
    }

    /// Wraps an error of the system with what was tried.
    pub(crate) fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source: source.into() }
    }

    /// The error with the image named, if it does not name it.
    pub(crate) fn of(self, image: &Reference) -> Self {
        match self {
            Self::Io { .. } | Self::Layer { .. } | Self::Malformed { .. } | Self::Incomplete { .. } => {
                Self::Unusable { image: image.to_string(), cause: Box::new(self) }
            }
            named => named,
        }
    }

    pub(crate) fn malformed(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), problem: problem.into() }
    }
}
