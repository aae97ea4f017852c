//! Which resource a word on the command line means, as the server's discovery tells it.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::client::{self, Client};

const DISCOVERY: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A kind of object, as the server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// `kind` in manifests.
    pub kind: String,
    /// The word in request paths.
    pub plural: String,
    /// The word for one, in messages.
    pub singular: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    short_names: Vec<String>,
    categories: Vec<String>,
}

impl Resource {
    /// The path of the collection; `None` means all namespaces.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => {
                format!("{root}/{}/namespaces/{}/{}", self.version, escape(namespace), self.plural)
            }
            None => format!("{root}/{}/{}", self.version, self.plural),
        }
    }

    /// The path of one object.
    pub fn object_path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.path(Some(namespace)), escape(name))
    }

    /// How messages name one object: `cronjob.batch/hello`, `pod/x`.
    pub fn title(&self, name: &str) -> String {
        if self.group.is_empty() {
            format!("{}/{name}", self.singular)
        } else {
            format!("{}.{}/{name}", self.singular, self.group)
        }
    }

    fn is_called(&self, word: &str) -> bool {
        let bare = word.strip_suffix(&format!(".{}", self.group)).unwrap_or(word);
        bare == self.plural || bare == self.singular || self.short_names.iter().any(|short| short == bare)
    }
}

/// Escapes one segment or value of a request path.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// What the server serves.
pub struct Resources(Vec<Resource>);

impl Resources {
    /// Asks the server.
    ///
    /// # Errors
    /// If it cannot be reached or does not answer as an API server does.
    pub async fn discover(client: &Client) -> anyhow::Result<Self> {
        let (core, groups) = tokio::try_join!(
            client.json(client::get("/api", DISCOVERY)),
            client.json(client::get("/apis", DISCOVERY))
        )?;
        Ok(Resources([core, groups].iter().flat_map(parse_discovery).collect()))
    }

    /// The resources that a word stands for: one, several separated by commas, or all of a category.
    ///
    /// # Errors
    /// If the server serves nothing of that name.
    pub fn find(&self, words: &str) -> anyhow::Result<Vec<&Resource>> {
        let mut found = Vec::new();
        for word in words.split(',') {
            let word = word.to_lowercase();
            if let Some(resource) = self.0.iter().find(|resource| resource.is_called(&word)) {
                found.push(resource);
                continue;
            }
            let before = found.len();
            found.extend(self.0.iter().filter(|resource| resource.categories.contains(&word)));
            if found.len() == before {
                bail!("the server doesn't have a resource type \"{word}\"");
            }
        }
        Ok(found)
    }

    /// The resource of a manifest.
    ///
    /// # Errors
    /// If the server does not serve its kind.
    pub fn of_manifest(&self, api_version: &str, kind: &str) -> anyhow::Result<&Resource> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let same = |r: &&Resource| r.group == group && r.version == version && r.kind == kind;
        self.0.iter().find(same).with_context(|| {
            format!(
                "no matches for kind \"{kind}\" in version \"{api_version}\": the server does not serve it"
            )
        })
    }
}

fn parse_discovery(document: &Value) -> Vec<Resource> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| list(value).iter().map(text).collect::<Vec<_>>();
    let mut resources = Vec::new();
    for group in list(&document["items"]) {
        // The first version is the preferred one.
        let Some(version) = list(&group["versions"]).into_iter().next() else { continue };
        resources.extend(list(&version["resources"]).iter().map(|r| Resource {
            group: text(&group["metadata"]["name"]),
            version: text(&version["version"]),
            kind: text(&r["responseKind"]["kind"]),
            plural: text(&r["resource"]),
            singular: text(&r["singularResource"]),
            namespaced: r["scope"] == "Namespaced",
            short_names: texts(&r["shortNames"]),
            categories: texts(&r["categories"]),
        }));
    }
    resources
}

/// `TYPE NAME…`, `TYPE/NAME…` or `TYPE`, as kubectl takes them: the type's word, and the names.
///
/// # Errors
/// If both forms are mixed.
pub fn parse_words(words: &[String]) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let Some((first, rest)) = words.split_first() else { bail!("say which resource, such as `cronjobs`") };
    if first.contains('/') {
        let pairs = words.iter().map(|word| match word.split_once('/') {
            Some((resource, name)) if !resource.is_empty() && !name.is_empty() => {
                Ok((resource.to_owned(), Some(name.to_owned())))
            }
            _ => bail!("`{word}`: either all arguments are TYPE/NAME or none is"),
        });
        return pairs.collect();
    }
    if rest.is_empty() {
        return Ok(vec![(first.clone(), None)]);
    }
    if let Some(word) = rest.iter().find(|word| word.contains('/')) {
        bail!("`{word}`: either all arguments are TYPE/NAME or none is");
    }
    Ok(rest.iter().map(|name| (first.clone(), Some(name.clone()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Resources {
        let document = serde_json::json!({"items": [{"metadata": {"name": "batch"}, "versions": [{
            "version": "v1",
            "resources": [{
                "resource": "cronjobs", "singularResource": "cronjob", "scope": "Namespaced", "shortNames": ["cj"],
                "categories": ["all"], "responseKind": {"kind": "CronJob"},
            }],
        }]}]});
        Resources(parse_discovery(&document))
    }

    #[test]
    fn words_find_resources() {
        let resources = resources();
        for word in ["cronjobs", "cronjob", "cj", "CronJob", "cronjobs.batch", "all"] {
            assert_eq!(resources.find(word).unwrap()[0].plural, "cronjobs", "{word}");
        }
        assert!(resources.find("deployments").is_err());
        assert!(resources.of_manifest("batch/v1", "CronJob").is_ok());
        assert!(resources.of_manifest("batch/v1beta1", "CronJob").is_err());
    }

    #[test]
    fn paths_are_escaped() {
        let resources = resources();
        let cronjobs = resources.find("cj").unwrap()[0];
        assert_eq!(cronjobs.object_path("a b", "x/y"), "/apis/batch/v1/namespaces/a%20b/cronjobs/x%2Fy");
        assert_eq!(cronjobs.path(None), "/apis/batch/v1/cronjobs");
        assert_eq!(cronjobs.title("x"), "cronjob.batch/x");
    }

    #[test]
    fn arguments_come_in_two_forms_that_do_not_mix() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parse_words(&words("pods")).unwrap(), [("pods".to_owned(), None)]);
        assert_eq!(parse_words(&words("pod a b")).unwrap().len(), 2);
        assert_eq!(parse_words(&words("pod/a job/b")).unwrap()[1], ("job".to_owned(), Some("b".to_owned())));
        assert!(parse_words(&words("pod a/b")).is_err());
        assert!(parse_words(&words("pod/a b")).is_err());
    }
}
