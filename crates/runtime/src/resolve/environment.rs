//! The environment of a container, in the order and with the expansion that Kubernetes defines.

use cronlet_object::{
    Snapshot,
    api::{self, ConfigMap, Secret},
};
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVarSource};

use super::{Inputs, downward, network};
use crate::tokens;

/// Where programs are searched for unless the container says otherwise: the default of container runtimes.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Environment variables in the order of their first definition.
type Variables = Vec<(String, String)>;

/// The variables that a container defines, or why they cannot be known. To others it cannot refer.
pub(super) fn resolve(inputs: &Inputs<'_>, container: &api::Container) -> Result<Variables, String> {
    let mut variables = Variables::new();
    for source in container.env_from.iter().flatten() {
        add_all(inputs, source, &mut variables)?;
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, &variables)),
            (_, Some(source)) => value_from(inputs, container, source)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            set(&mut variables, variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// The whole environment of a container: its own variables, and where it says nothing else `defaults` and what every
/// container has.
pub(super) fn complete(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    mut variables: Variables,
    defaults: impl IntoIterator<Item = (String, String)>,
) -> Variables {
    let general = [("PATH".to_owned(), PATH.to_owned()), ("HOSTNAME".to_owned(), hostname(inputs, spec))];
    for (name, value) in defaults.into_iter().chain(general).chain(api_variables(inputs, spec)) {
        if lookup(&variables, &name).is_none() {
            variables.push((name, value));
        }
    }
    variables
}

/// By what clients in a pod find the API: for pods that have a token for it and can reach it. One that has a network of its
/// own does not reach the node's loopback interface.
fn api_variables(inputs: &Inputs<'_>, spec: &api::PodSpec) -> Vec<(String, String)> {
    let Some(api) = inputs.node.api.filter(|_| tokens::is_wanted(spec)) else { return Vec::new() };
    let host = if api.ip().is_unspecified() { inputs.node.ip.clone() } else { api.ip().to_string() };
    if inputs.attachment.is_some() && api.ip().is_loopback() {
        return Vec::new();
    }
    let port = api.port().to_string();
    let variable = |name: &str, value: &str| (format!("KUBERNETES_SERVICE_{name}"), value.to_owned());
    vec![variable("HOST", &host), variable("PORT", &port), variable("PORT_HTTPS", &port)]
}

/// Replaces `$(NAME)` by the variable's value, once. `$$` is a `$`; what names no variable stays as it is.
pub(super) fn expand(text: &str, variables: &[(String, String)]) -> String {
    expand_with(text, |name, literal| lookup(variables, name).unwrap_or(literal).to_owned())
}

/// Like [`expand`], but a name without a value is an error, whose text is upstream's.
pub(super) fn expand_strictly(text: &str, variables: &[(String, String)]) -> Result<String, String> {
    let mut missing = None;
    let expanded = expand_with(text, |name, _| match lookup(variables, name) {
        Some(value) if !value.is_empty() => value.to_owned(),
        _ => {
            missing.get_or_insert_with(|| format!("missing value for {name:?}"));
            String::new()
        }
    });
    missing.map_or(Ok(expanded), Err)
}

/// Walks a text; `value` gets each name and the reference as it is written.
fn expand_with<'a>(text: &'a str, mut value: impl FnMut(&'a str, &'a str) -> String) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let reference = &rest[at..];
        let length = match reference.as_bytes().get(1) {
            Some(b'$') => {
                expanded.push('$');
                2
            }
            Some(b'(') => match reference.find(')') {
                Some(end) => {
                    expanded.push_str(&value(&reference[2..end], &reference[..=end]));
                    end + 1
                }
                None => {
                    expanded.push_str("$(");
                    2
                }
            },
            _ => {
                expanded.push('$');
                1
            }
        };
        rest = &reference[length..];
    }
    expanded + rest
}

fn lookup<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn set(variables: &mut Variables, name: String, value: String) {
    match variables.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => variables.push((name, value)),
    }
}

/// Whether the pod shares the machine's host name: who shares its network does.
pub(super) fn has_hosts_name(spec: &api::PodSpec) -> bool {
    spec.host_network == Some(true)
}

/// The pod's host name, unless it has the machine's.
pub(super) fn hostname(inputs: &Inputs<'_>, spec: &api::PodSpec) -> String {
    if has_hosts_name(spec) {
        return inputs.node.hostname.clone();
    }
    // One that is too long with its domain keeps the pod from being started.
    network::kernel_hostname(inputs.pod, spec).unwrap_or_else(|_| network::own_hostname(inputs.pod))
}

fn namespace<'a>(inputs: &Inputs<'a>) -> &'a str {
    inputs.pod.metadata.namespace.as_deref().unwrap_or_default()
}

fn config_map(snapshot: &Snapshot, namespace: &str, name: &str) -> Option<ConfigMap> {
    snapshot.decode(namespace, name)
}

fn secret(snapshot: &Snapshot, namespace: &str, name: &str) -> Option<Secret> {
    snapshot.decode(namespace, name)
}

/// Defines a variable for every key of a ConfigMap or Secret.
fn add_all(inputs: &Inputs<'_>, source: &EnvFromSource, variables: &mut Variables) -> Result<(), String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(reference) = &source.config_map_ref {
        match config_map(inputs.snapshot, namespace(inputs), &reference.name) {
            Some(config_map) => {
                for (key, value) in config_map.data.into_iter().flatten() {
                    set(variables, format!("{prefix}{key}"), value);
                }
            }
            None if reference.optional == Some(true) => {}
            None => return Err(format!("configmap {:?} not found", reference.name)),
        }
    }
    if let Some(reference) = &source.secret_ref {
        match secret(inputs.snapshot, namespace(inputs), &reference.name) {
            Some(secret) => {
                for (key, value) in secret.data.into_iter().flatten() {
                    let value = text(value.0, &reference.name, &key)?;
                    set(variables, format!("{prefix}{key}"), value);
                }
            }
            None if reference.optional == Some(true) => {}
            None => return Err(format!("secret {:?} not found", reference.name)),
        }
    }
    Ok(())
}

/// The value that a variable gets from elsewhere; nothing if it is optional and not there.
fn value_from(
    inputs: &Inputs<'_>,
    container: &api::Container,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    let namespace = namespace(inputs);
    if let Some(field) = &source.field_ref {
        return downward::field(inputs, &field.field_path).map(Some);
    }
    if let Some(resource) = &source.resource_field_ref {
        return downward::resource(inputs, resource, &container.name).map(Some);
    }
    if let Some(wanted) = &source.config_map_key_ref {
        let (name, key, optional) = (&wanted.name, &wanted.key, wanted.optional == Some(true));
        let Some(mut found) = config_map(inputs.snapshot, namespace, name) else {
            return absent(optional, format!("configmap {name:?} not found"));
        };
        return match found.data.as_mut().and_then(|data| data.remove(key)) {
            Some(value) => Ok(Some(value)),
            None => absent(optional, format!("couldn't find key {key} in ConfigMap {namespace}/{name}")),
        };
    }
    if let Some(wanted) = &source.secret_key_ref {
        let (name, key, optional) = (&wanted.name, &wanted.key, wanted.optional == Some(true));
        let Some(mut found) = secret(inputs.snapshot, namespace, name) else {
            return absent(optional, format!("secret {name:?} not found"));
        };
        return match found.data.as_mut().and_then(|data| data.remove(key)) {
            Some(value) => text(value.0, name, key).map(Some),
            None => absent(optional, format!("couldn't find key {key} in Secret {namespace}/{name}")),
        };
    }
    Err("this node does not know the variable's source".to_owned())
}

fn absent(optional: bool, message: String) -> Result<Option<String>, String> {
    if optional { Ok(None) } else { Err(message) }
}

fn text(value: Vec<u8>, secret: &str, key: &str) -> Result<String, String> {
    String::from_utf8(value).map_err(|_| {
        format!("key {key} of secret {secret:?} is not UTF-8 text and cannot be an environment variable")
    })
}

#[cfg(test)]
mod tests;
