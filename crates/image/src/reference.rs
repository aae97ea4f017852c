//! Names of images, read as docker reads them.

use std::{fmt, str::FromStr};

use crate::{
    Digest, Error,
    limits::{NAME_BYTES_MAX, TAG_BYTES_MAX},
};

/// The registry of names that give none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
/// Where docker.io keeps the images whose name is a single word.
const OFFICIAL: &str = "library/";
const CHARACTERS: &str =
    "a repository is lower-case letters and digits, with `.`, `_`, `__` or `-` between them";

/// A complete image name: registry, repository, and tag or digest. Grammar and defaults are those of
/// `github.com/distribution/reference`, which docker and the kubelet use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host and port, such as `docker.io` or `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path at the registry, such as `library/busybox`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where the name gave neither tag nor digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the name fixes the content.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, such as `docker.io/library/busybox`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What the name is stored under. A digest says it all, so a tag beside it is left out.
    #[must_use]
    pub fn key(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.name()),
            (None, tag) => format!("{}:{}", self.name(), tag.as_deref().unwrap_or(DEFAULT_TAG)),
        }
    }

    /// The same repository, at this digest.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| Error::InvalidImageName { name: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("64 hex digits are an image ID; give a name".to_owned());
    }
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest.parse::<Digest>()?)),
        None => (text, None),
    };
    let (registry, path) = split_registry(named);
    check_registry(registry)?;
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    for component in path.split('/') {
        check_component(component)?;
    }
    let prefix = if registry == DEFAULT_REGISTRY && !path.contains('/') { OFFICIAL } else { "" };
    let repository = format!("{prefix}{path}");
    if registry.len() + 1 + repository.len() > NAME_BYTES_MAX {
        return Err(format!("it is longer than {NAME_BYTES_MAX} characters"));
    }
    let tag = match (tag, &digest) {
        (None, None) => Some(DEFAULT_TAG),
        (tag, _) => tag,
    };
    Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
}

/// The first part is a registry if it cannot be part of a repository: it has a dot, a port or a capital, or is
/// `localhost`.
fn split_registry(named: &str) -> (&str, &str) {
    match named.split_once('/') {
        Some((first, rest)) if is_registry(first) => {
            (if first == "index.docker.io" { DEFAULT_REGISTRY } else { first }, rest)
        }
        _ => (DEFAULT_REGISTRY, named),
    }
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let host_is_valid = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    if !host_is_valid {
        return Err(format!("`{host}` is not the host of a registry"));
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err(format!("`{registry}` has no port between 0 and 65535 after the colon"));
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let edges = label.starts_with('-') || label.ends_with('-');
    !label.is_empty() && !edges && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
        && tag.len() <= TAG_BYTES_MAX;
    if !valid {
        return Err(format!(
            "tag `{tag}` is not a letter, digit or `_` followed by at most 127 of these, `.` and `-`"
        ));
    }
    Ok(())
}

fn check_component(component: &str) -> Result<(), String> {
    if component.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("`{component}` has capital letters; a repository is lower-case"));
    }
    let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let valid = bytes.first().is_some_and(letter)
        && bytes.last().is_some_and(letter)
        && bytes
            .split(|b| letter(b))
            .all(|run| matches!(run, b"" | b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-'));
    if !valid {
        return Err(format!("`{component}` is not part of a repository: {CHARACTERS}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_get_dockers_defaults() {
        for (text, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.37", "docker.io/library/busybox:1.37"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
            ("bitnami/redis", "docker.io/bitnami/redis:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("ghcr.io/a/b/c_d__e--f.g:V.1-x", "ghcr.io/a/b/c_d__e--f.g:V.1-x"),
            ("Host/app", "Host/app:latest"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn a_digest_needs_no_tag_and_outranks_one() {
        let plain: Reference = format!("busybox@{DIGEST}").parse().unwrap();
        assert_eq!(plain.to_string(), format!("docker.io/library/busybox@{DIGEST}"));
        let both: Reference = format!("busybox:1@{DIGEST}").parse().unwrap();
        assert_eq!(both.to_string(), format!("docker.io/library/busybox:1@{DIGEST}"));
        assert_eq!(both.key(), plain.key());
    }

    #[test]
    fn what_is_no_name_is_refused_as_invalid_image_name() {
        let long = "a".repeat(256);
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            " busybox",
            "busybox ",
            "Busybox",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:b:c",
            "a:-x",
            "a@sha256:12",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "a._b",
            "../a",
            "localhost:x/a",
            "localhost:70000/a",
            "ex-.com/a",
            "[::x]/a",
            "a\nb",
            "ä",
            "http://host/a",
            &DIGEST[7..],
            &long,
            &tag,
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.reason(), "InvalidImageName", "{text}: {error}");
        }
    }
}
