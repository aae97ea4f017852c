//! The user and password for a registry, as a pod's `imagePullSecrets` give them.

use base64::{Engine, prelude::BASE64_STANDARD};
use cronlet_object::{
    Snapshot,
    api::{Pod, Secret},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The key of a secret of the type `kubernetes.io/dockerconfigjson`.
const KEY: &str = ".dockerconfigjson";

/// The registry whose entry docker writes under an address of its own.
const DOCKER_HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    /// `user:password` in base64.
    auth: Option<String>,
}

/// The first of the pod's secrets that names the registry. Secrets that do not exist or make no sense are passed over,
/// as the kubelet does: the pull itself then says what is wrong.
pub(crate) fn credentials(pod: &Pod, snapshot: &Snapshot, registry: &str) -> Option<(String, String)> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    secrets.filter_map(|secret| snapshot.decode::<Secret>(namespace, &secret.name)).find_map(|secret| {
        let text = secret.data?.remove(KEY)?;
        let config: DockerConfig = serde_json::from_slice(&text.0).ok()?;
        config.auths.into_iter().find(|(address, _)| is_for(address, registry))?.1.read()
    })
}

/// Whether an address of docker's configuration is that of a registry: with or without a scheme and a path.
fn is_for(address: &str, registry: &str) -> bool {
    let plain =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let host = plain.split('/').next().unwrap_or_default();
    host == registry || (registry == DOCKER_HUB.0 && address == DOCKER_HUB.1)
}

impl Entry {
    fn read(self) -> Option<(String, String)> {
        if let (Some(user), Some(password)) = (self.username, self.password) {
            return Some((user, password));
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(self.auth?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resolve::tests::{NAMESPACE, World};

    #[test]
    fn the_secret_that_names_the_registry_counts() {
        let config = |auths: serde_json::Value| json!({ "auths": auths }).to_string().into_bytes();
        let mut world = World::new();
        world.secret("other", &[(KEY, &config(json!({ "quay.io": { "username": "q", "password": "q" } })))]);
        let auth = BASE64_STANDARD.encode("user:pass:word");
        world.secret("own", &[(KEY, &config(json!({ "https://localhost:5000/v2/": { "auth": auth } })))]);
        let hub = json!({ "https://index.docker.io/v1/": { "username": "h", "password": "p" } });
        world.secret("hub", &[(KEY, &config(hub))]);
        let secrets =
            json!([{ "name": "missing" }, { "name": "other" }, { "name": "own" }, { "name": "hub" }]);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": NAMESPACE },
            "spec": { "containers": [], "imagePullSecrets": secrets },
        }))
        .unwrap();
        let found = |registry| credentials(&pod, world.inputs(&pod).snapshot, registry);
        assert_eq!(found("localhost:5000"), Some(("user".to_owned(), "pass:word".to_owned())));
        assert_eq!(found("docker.io"), Some(("h".to_owned(), "p".to_owned())));
        assert_eq!(found("ghcr.io"), None);
    }
}
