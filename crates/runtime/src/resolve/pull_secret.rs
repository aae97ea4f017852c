//! The users and passwords for a registry, as the secrets of a pod or of its account give them.

use base64::{Engine, prelude::BASE64_STANDARD};
use cronlet_object::{
    Snapshot,
    api::{Pod, Secret, ServiceAccount},
};
use serde::Deserialize;
use std::{cmp::Reverse, collections::BTreeMap};

/// The key of a secret of the type `kubernetes.io/dockerconfigjson`.
const KEY: &str = ".dockerconfigjson";
/// The key of a secret of the type `kubernetes.io/dockercfg`, which has the addresses alone.
const OLD_KEY: &str = ".dockercfg";

/// The registry whose entry docker writes under an address of its own.
const DOCKER_HUB: (&str, &str) = ("docker.io", "index.docker.io");

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

/// How much an address says of where an image is: the bytes of its path, then those of its host that are no wildcards.
type Weight = (usize, usize);

/// What the pod's secrets, or those of its account if it names none, say for an image: all that match, those first whose
/// address says most of where it is. Secrets that do not exist or make no sense are passed over, as the kubelet does: the
/// pull itself then says what is wrong.
pub(crate) fn credentials(
    pod: &Pod,
    snapshot: &Snapshot,
    registry: &str,
    repository: &str,
) -> Vec<(String, String)> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let secrets = secrets_of(pod, snapshot, namespace);
    let secrets = secrets.iter().filter_map(|name| snapshot.decode::<Secret>(namespace, name));
    let mut matching: Vec<(Weight, (String, String))> = secrets
        .filter_map(entries)
        .flatten()
        .filter_map(|(address, entry)| Some((matched(&address, registry, repository)?, entry.read()?)))
        .collect();
    // Of several that say as much, the first comes first.
    matching.sort_by_key(|(weight, _)| Reverse(*weight));
    let mut found: Vec<(String, String)> = Vec::with_capacity(matching.len());
    for (_, credentials) in matching {
        if !found.contains(&credentials) {
            found.push(credentials);
        }
    }
    found
}

/// The secrets that a pod names; those of its account if it names none.
fn secrets_of(pod: &Pod, snapshot: &Snapshot, namespace: &str) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let own = spec.image_pull_secrets.clone().unwrap_or_default();
    let of_account = || {
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        snapshot.decode::<ServiceAccount>(namespace, account)?.image_pull_secrets
    };
    let secrets = if own.is_empty() { of_account().unwrap_or_default() } else { own };
    secrets.into_iter().map(|secret| secret.name).collect()
}

/// The addresses of a secret of either type, and what is said for them.
fn entries(secret: Secret) -> Option<BTreeMap<String, Entry>> {
    let mut data = secret.data?;
    match data.remove(KEY) {
        Some(text) => Some(serde_json::from_slice::<DockerConfig>(&text.0).ok()?.auths),
        None => serde_json::from_slice(&data.remove(OLD_KEY)?.0).ok(),
    }
}

/// How much an address of docker's configuration says of where an image is, if it is for that image. It may have a
/// scheme, `*` and `?` in the parts of its host's name, and a path below which the image is. The paths of the registries'
/// own versions say nothing.
fn matched(address: &str, registry: &str, repository: &str) -> Option<Weight> {
    let plain =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let (host, path) = plain.split_once('/').unwrap_or((plain, ""));
    if registry == DOCKER_HUB.0 && host == DOCKER_HUB.1 {
        return Some((0, 0));
    }
    if !is_host(host, registry) {
        return None;
    }
    let literal = host.len() - host.matches(['*', '?']).count();
    let path = path.trim_end_matches('/');
    let rest = match path {
        "" | "v1" | "v2" => return Some((0, literal)),
        path => repository.strip_prefix(path)?,
    };
    (rest.is_empty() || rest.starts_with('/')).then_some((path.len(), literal))
}

/// Whether a registry is one that a host and port with wildcards stands for. A wildcard stands for nothing beyond a dot.
fn is_host(pattern: &str, registry: &str) -> bool {
    let port = |text: &str| text.rsplit_once(':').map(|(_, port)| port.to_owned());
    let name = |text: &str| text.rsplit_once(':').map_or(text, |(name, _)| name).to_owned();
    if pattern == registry {
        return true;
    }
    let (wanted, found) = (name(pattern), name(registry));
    port(pattern) == port(registry)
        && wanted.split('.').count() == found.split('.').count()
        && wanted.split('.').zip(found.split('.')).all(|(wanted, found)| is_like(wanted, found))
}

/// Whether a text is what a pattern with `*` and `?` stands for.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut done) = (0, 0);
    // Where the latest `*` is, and how much of the text it has been given: what follows it may need it to have more.
    let mut star: Option<(usize, usize)> = None;
    while done < text.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, done));
                at += 1;
            }
            (Some(&byte), _) if byte == b'?' || byte == text[done] => (at, done) = (at + 1, done + 1),
            (_, Some((position, given))) => {
                star = Some((position, given + 1));
                (at, done) = (position + 1, given + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
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
        let found = |registry: &str, repository: &str| {
            credentials(&pod, world.inputs(&pod).snapshot, registry, repository)
        };
        let users = |registry, repository| {
            found(registry, repository).into_iter().map(|(user, _)| user).collect::<Vec<_>>()
        };
        assert_eq!(users("ghcr.io", "team-a/app"), ["a", "all"], "who says most comes first");
        assert_eq!(users("ghcr.io", "team-a"), ["a", "all"]);
        assert_eq!(users("ghcr.io", "team-ab/app"), ["all"], "one team's password is not another's");
        assert_eq!(found("localhost:5000", "some/app"), [("user".to_owned(), "pass:word".to_owned())]);
        assert_eq!(found("docker.io", "some/app"), [("h".to_owned(), "p".to_owned())]);
        assert!(found("gcr.io", "some/app").is_empty());
    }

    #[test]
    fn the_older_type_of_secret_and_the_accounts_own_count() {
        let mut world = World::new();
        let auth = BASE64_STANDARD.encode("old:p");
        let old = json!({ "reg.example.com": { "auth": auth, "email": "x@example.com" } }).to_string();
        world.secret("old", &[(OLD_KEY, old.as_bytes())]);
        let own =
            json!({ "auths": { "reg.example.com": { "username": "own", "password": "p" } } }).to_string();
        world.secret("own", &[(KEY, own.as_bytes())]);
        world.store::<ServiceAccount>(json!({
            "metadata": { "name": "builder", "namespace": NAMESPACE },
            "imagePullSecrets": [{ "name": "old" }],
        }));
        let users = |own: serde_json::Value| {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": { "name": "p", "namespace": NAMESPACE },
                "spec": { "containers": [], "imagePullSecrets": own, "serviceAccountName": "builder" },
            }))
            .unwrap();
            let found = credentials(&pod, world.inputs(&pod).snapshot, "reg.example.com", "app");
            found.into_iter().map(|(user, _)| user).collect::<Vec<_>>()
        };
        assert_eq!(users(json!([])), ["old"]);
        assert_eq!(users(json!([{ "name": "own" }])), ["own"], "what the pod names stands for all");
    }

    #[test]
    fn a_wildcard_stands_for_a_part_of_a_hosts_name() {
        for (address, registry, repository, weight) in [
            ("*.example.com", "reg.example.com", "app", Some((0, 12))),
            ("https://*.example.com/team", "reg.example.com", "team/app", Some((4, 12))),
            ("*.example.com", "a.b.example.com", "app", None),
            ("*.example.com", "example.com", "app", None),
            ("r?g-*x.example.com:5000", "reg-eu-x.example.com:5000", "app", Some((0, 21))),
            ("*.example.com", "reg.example.com:5000", "app", None),
            ("reg*.example.com", "breg.example.com", "app", None),
            ("reg.example.com/team", "reg.example.com", "teamwork/app", None),
        ] {
            assert_eq!(matched(address, registry, repository), weight, "{address} {registry}/{repository}");
        }
    }
}
