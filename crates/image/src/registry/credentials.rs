//! User and password for a registry, given or from docker's configuration.

use std::fmt;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::DEFAULT_REGISTRY;

/// What docker calls its own registry in its configuration.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A user and a password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user.
    pub user: String,
    /// Password or access token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The credentials that `docker login` has stored for a registry: in `$DOCKER_CONFIG/config.json` or
/// `~/.docker/config.json`, or with a helper program, which this waits for. Credentials that cannot be had are none:
/// the image may be public, and if it is not, the registry says so.
#[must_use]
pub fn docker_credentials(registry: &str) -> Option<Credentials> {
    let server = if registry == DEFAULT_REGISTRY { DOCKER_HUB } else { registry };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Some(Credentials { user, password }),
        Ok(DockerCredential::IdentityToken(_)) => {
            tracing::warn!(registry, "docker's identity tokens are not supported; log in with a password");
            None
        }
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => {
            None
        }
        // What a helper printed may be secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            tracing::warn!(registry, helper, "docker's credential helper has no credentials");
            None
        }
        Err(error) => {
            tracing::warn!(registry, %error, "docker's credentials cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let credentials = Credentials { user: "me".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
