//! What a registry's refusal means. Messages hold no addresses: those of a redirect can be signed, and so be secret.

use std::io;

use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};

use crate::{Error, Reference};

/// Most characters shown of what a registry says.
const SAID_CHARACTERS_MAX: usize = 200;

/// The error for the image, in our words.
pub(super) fn explain(reference: &Reference, error: OciDistributionError) -> Error {
    use OciDistributionError as E;
    match error {
        E::UnauthorizedError { .. } => denied(reference, "user or password is wrong or missing".to_owned()),
        E::AuthenticationFailure(said) => {
            denied(reference, format!("no access token was given ({})", shown(&said)))
        }
        E::ImageManifestNotFoundError(_) => absent(reference, "it does not know the name".to_owned()),
        E::ServerError { code, message, .. } => answered(reference, code, &message),
        E::RegistryError { envelope, .. } => refused(reference, &envelope),
        E::RequestError(error) => match error.status() {
            Some(status) => answered(reference, status.as_u16(), ""),
            None => unavailable(reference, root_cause(&error)),
        },
        E::IoError(error) => broken_off(reference, &error),
        other => transfer(reference, shown(&other.to_string())),
    }
}

/// The error for an answer with this status.
fn answered(reference: &Reference, code: u16, said: &str) -> Error {
    let said = if said.is_empty() { String::new() } else { format!(" ({})", shown(said)) };
    let cause = format!("it answers with status {code}{said}");
    match code {
        401 | 403 => denied(reference, cause),
        404 => absent(reference, cause),
        500.. => unavailable(reference, cause),
        _ => transfer(reference, format!("the registry refuses: {cause}")),
    }
}

/// The error where TLS cannot be used at all.
pub(super) fn no_authorities(reference: &Reference) -> Error {
    let cause =
        "this machine has no CA certificates; install them (package ca-certificates), or set SSL_CERT_FILE";
    transfer(reference, cause.to_owned())
}

/// The error for a transfer that ended early.
pub(super) fn broken_off(reference: &Reference, error: &io::Error) -> Error {
    let cause = error.get_ref().map_or_else(|| error.to_string(), |inner| root_cause(inner));
    unavailable(reference, format!("the transfer broke off: {cause}"))
}

fn refused(reference: &Reference, envelope: &OciEnvelope) -> Error {
    use OciErrorCode as C;
    let said = envelope.errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ");
    let said = shown(&said);
    match envelope.errors.first().map(|e| &e.code) {
        Some(C::Unauthorized | C::Denied) => denied(reference, said),
        Some(C::ManifestUnknown | C::NameUnknown | C::NotFound | C::BlobUnknown | C::ManifestBlobUnknown) => {
            absent(reference, said)
        }
        Some(C::Toomanyrequests) => {
            transfer(reference, format!("the registry wants fewer requests ({said}); wait, or log in"))
        }
        _ => transfer(reference, format!("the registry refuses: {said}")),
    }
}

fn denied(reference: &Reference, cause: String) -> Error {
    Error::AccessDenied { image: reference.to_string(), cause }
}

fn absent(reference: &Reference, cause: String) -> Error {
    Error::NotInRegistry { image: reference.to_string(), cause }
}

fn unavailable(reference: &Reference, cause: String) -> Error {
    Error::RegistryUnavailable { image: reference.to_string(), cause }
}

fn transfer(reference: &Reference, cause: String) -> Error {
    Error::Transfer { image: reference.to_string(), cause }
}

/// The innermost cause. The outer ones name the address.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|c| c.source()) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "the request failed".to_owned(), |c| shown(&c.to_string()))
}

/// One line of what a stranger says.
fn shown(said: &str) -> String {
    said.chars().take(SAID_CHARACTERS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_get_the_kubelets_reasons() {
        let reference: Reference = "busybox".parse().unwrap();
        let url = || "https://host/?signature=secret".to_owned();
        let server =
            |code| OciDistributionError::ServerError { code, url: url(), message: "a\nb".to_owned() };
        let envelope = |code: &str| {
            let text = format!(r#"{{"errors":[{{"code":"{code}","message":"said"}}]}}"#);
            let envelope = serde_json::from_str(&text).unwrap();
            OciDistributionError::RegistryError { envelope, url: url() }
        };
        for (error, reason, words) in [
            (server(503), "RegistryUnavailable", "status 503 (a b)"),
            (server(401), "ErrImagePull", "user and password"),
            (server(404), "ErrImagePull", "check name and tag"),
            (OciDistributionError::UnauthorizedError { url: url() }, "ErrImagePull", "user and password"),
            (envelope("DENIED"), "ErrImagePull", "user and password"),
            (envelope("MANIFEST_UNKNOWN"), "ErrImagePull", "check name and tag"),
            (envelope("TOOMANYREQUESTS"), "ErrImagePull", "log in"),
        ] {
            let error = explain(&reference, error);
            let text = error.to_string();
            assert_eq!(error.reason(), reason, "{text}");
            assert!(text.contains(words) && text.contains("docker.io/library/busybox:latest"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
