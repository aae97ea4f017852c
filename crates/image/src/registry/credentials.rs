//! User and password for a registry, given or from docker's configuration.

use std::{
    env, fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::{Map, Value, json};

use crate::{DEFAULT_REGISTRY, Error, Result};

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
    let server = server(registry);
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

/// A registry as docker's configuration names it.
fn server(registry: &str) -> &str {
    if registry == DEFAULT_REGISTRY { DOCKER_HUB } else { registry }
}

/// Keeps credentials for a registry where [`docker_credentials`] and docker find them. Returns the file.
///
/// # Errors
/// If the configuration says that a helper program keeps them, cannot be read, or cannot be written.
pub fn keep_credentials(registry: &str, credentials: &Credentials) -> Result<PathBuf> {
    let path = config_path()?;
    let mut config = read(&path)?;
    let server = server(registry);
    let helper = config.get("credHelpers").and_then(|helpers| helpers.get(server));
    if let Some(helper) = helper.or_else(|| config.get("credsStore")).and_then(Value::as_str) {
        return Err(Error::malformed(
            path.display().to_string(),
            format!(
                "it has passwords kept by the helper `{helper}`; use `docker login`, or take that setting out"
            ),
        ));
    }
    let auth = BASE64_STANDARD.encode(format!("{}:{}", credentials.user, credentials.password));
    auths(&mut config, &path)?.insert(server.to_owned(), json!({ "auth": auth }));
    write(&path, &config)?;
    Ok(path)
}

/// Forgets the credentials for a registry. Whether there were any.
///
/// # Errors
/// If the configuration cannot be read or written.
pub fn forget_credentials(registry: &str) -> Result<bool> {
    let path = config_path()?;
    let mut config = read(&path)?;
    let known = auths(&mut config, &path)?.remove(server(registry)).is_some();
    if known {
        write(&path, &config)?;
    }
    Ok(known)
}

/// Docker's configuration of this user.
fn config_path() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
    let dir = dir.ok_or(io::Error::from(io::ErrorKind::NotFound));
    Ok(dir.map_err(Error::io("find docker's configuration: set HOME or DOCKER_CONFIG"))?.join("config.json"))
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        read => read.map_err(Error::io(format!("read {}", path.display())))?,
    };
    let unusable = |error: serde_json::Error| Error::malformed(path.display().to_string(), error.to_string());
    serde_json::from_str(&text).map_err(unusable)
}

fn auths<'a>(config: &'a mut Map<String, Value>, path: &Path) -> Result<&'a mut Map<String, Value>> {
    let auths = config.entry("auths").or_insert_with(|| json!({})).as_object_mut();
    auths.ok_or_else(|| Error::malformed(path.display().to_string(), "`auths` is not an object"))
}

/// Nothing half-written stays behind, and nobody else can read it.
fn write(path: &Path, config: &Map<String, Value>) -> Result<()> {
    // Another program may have made it a link to where it keeps it.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = || format!("write {}", path.display());
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(Error::io(failed()))?;
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(Error::io(failed()))?;
    let text = serde_json::to_vec_pretty(config).map_err(Error::io(failed()))?;
    file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(Error::io(failed()))?;
    file.persist(&path).map_err(|error| Error::io(failed())(error.error))?;
    Ok(())
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
