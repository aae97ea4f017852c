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

/// What the pod's secrets say for an image: the first of those whose address says most of where it is. Secrets that do
/// not exist or make no sense are passed over, as the kubelet does: the pull itself then says what is wrong.
pub(crate) fn credentials(
    pod: &Pod,
    snapshot: &Snapshot,
    registry: &str,
    repository: &str,
) -> Option<(String, String)> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let secrets = secrets.filter_map(|secret| snapshot.decode::<Secret>(namespace, &secret.name));
    let entries = secrets.filter_map(|secret| {
        let text = secret.data?.remove(KEY)?;
        serde_json::from_slice::<DockerConfig>(&text.0).ok()
    });
    let matching = entries
        .flat_map(|config| config.auths)
        .filter_map(|(address, entry)| Some((matched(&address, registry, repository)?, entry.read()?)));
    // Of several that say as much, the first.
    let best = matching.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, credentials)| credentials)
}

/// How much of an image's repository an address of docker's configuration names, in bytes, if it is for that image: it
/// may have a scheme, and a path below which the image is. The paths of the registries' own versions say nothing.
fn matched(address: &str, registry: &str, repository: &str) -> Option<usize> {
    if registry == DOCKER_HUB.0 && address == DOCKER_HUB.1 {
        return Some(0);
    }
    let plain =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let (host, path) = plain.split_once('/').unwrap_or((plain, ""));
    if host != registry {
        return None;
    }
    let path = path.trim_end_matches('/');
    let rest = match path {
        "" | "v1" | "v2" => return Some(0),
        path => repository.strip_prefix(path)?,
    };
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
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
        let team = json!({ "ghcr.io": { "username": "all", "password": "p" },
            "ghcr.io/team-a": { "username": "a", "password": "p" } });
        world.secret("team", &[(KEY, &config(team))]);
        let secrets = ["missing", "other", "own", "hub", "team"].map(|name| json!({ "name": name }));
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": NAMESPACE },
            "spec": { "containers": [], "imagePullSecrets": secrets },
        }))
        .unwrap();
        let user = |registry, repository| {
            credentials(&pod, world.inputs(&pod).snapshot, registry, repository).map(|(user, _)| user)
        };
        assert_eq!(user("ghcr.io", "team-a/app").as_deref(), Some("a"));
        assert_eq!(user("ghcr.io", "team-a").as_deref(), Some("a"));
        assert_eq!(
            user("ghcr.io", "team-ab/app").as_deref(),
            Some("all"),
            "one team's password is not another's"
        );
        let found = |registry| credentials(&pod, world.inputs(&pod).snapshot, registry, "some/app");
        assert_eq!(found("localhost:5000"), Some(("user".to_owned(), "pass:word".to_owned())));
        assert_eq!(found("docker.io"), Some(("h".to_owned(), "p".to_owned())));
        assert_eq!(found("gcr.io"), None);
    }
}
