//! What pods may learn about themselves (the downward API), for environment variables and for files.

use std::collections::BTreeMap;

use cronlet_object::{api::Node, quantity::Quantity};
use k8s_openapi::{api::core::v1::ResourceFieldSelector, apimachinery::pkg::api::resource};

use super::{Inputs, roles};

/// The value of a field of the pod.
pub(super) fn field(inputs: &Inputs<'_>, path: &str) -> Result<String, String> {
    let metadata = &inputs.pod.metadata;
    let spec = inputs.pod.spec.as_ref();
    let text = |value: Option<&String>| Ok(value.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        "metadata.labels" => Ok(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Ok(lines(metadata.annotations.as_ref())),
        "spec.nodeName" => Ok(inputs.node.name.clone()),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" | "status.hostIPs" => Ok(inputs.node.ip.clone()),
        "status.podIP" | "status.podIPs" => Ok(inputs.pod_ip()),
        _ => match subscript(path) {
            Some(("metadata.labels", key)) => {
                text(metadata.labels.as_ref().and_then(|labels| labels.get(key)))
            }
            Some(("metadata.annotations", key)) => {
                text(metadata.annotations.as_ref().and_then(|annotations| annotations.get(key)))
            }
            _ => Err(format!("unsupported fieldPath: {path}")),
        },
    }
}

/// Takes `metadata.labels['key']` apart.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, rest) = path.split_once("['")?;
    Some((field, rest.strip_suffix("']")?))
}

/// One line `key="value"` for each entry, in the order of the keys, quoted as Go quotes strings.
fn lines(entries: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        entries.into_iter().flatten().map(|(key, value)| format!("{key}={}", quote(value))).collect();
    lines.join("\n")
}

/// A string literal of the language Go.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The value of a container's resource, in units of the divisor and rounded up. A limit that is not set is what the
/// node has. `own_container` is the container that asks, unless it names another.
pub(super) fn resource(
    inputs: &Inputs<'_>,
    selector: &ResourceFieldSelector,
    own_container: &str,
) -> Result<String, String> {
    let name = selector.container_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(own_container);
    let spec = inputs.pod.spec.as_ref();
    let container =
        spec.and_then(|spec| roles(spec).map(|(_, container)| container).find(|c| c.name == name));
    let container = container.ok_or_else(|| format!("container {name} not found"))?;
    let (list, resource) = selector.resource.split_once('.').unwrap_or_default();
    let resources = container.resources.as_ref();
    let own = |list: Option<&BTreeMap<String, resource::Quantity>>| {
        list.and_then(|list| list.get(resource)).cloned()
    };
    let value = match list {
        "limits" => own(resources.and_then(|r| r.limits.as_ref())).or_else(|| allocatable(inputs, resource)),
        "requests" => own(resources.and_then(|r| r.requests.as_ref())),
        _ => return Err(format!("unsupported container resource: {}", selector.resource)),
    };
    let value = parse(value.as_ref())?.unwrap_or(Quantity::ZERO);
    let divisor = parse(selector.divisor.as_ref())?.filter(|divisor| !divisor.is_zero());
    let (value, divisor) = if resource == "cpu" {
        (value.milli_value(), divisor.map_or(1000, |divisor| divisor.milli_value()))
    } else {
        (value.value(), divisor.map_or(1, |divisor| divisor.value()))
    };
    Ok(round_up(value, divisor).to_string())
}

fn round_up(value: i64, divisor: i64) -> i64 {
    value / divisor + i64::from(value % divisor > 0)
}

fn parse(quantity: Option<&resource::Quantity>) -> Result<Option<Quantity>, String> {
    quantity
        .map(|quantity| quantity.0.parse().map_err(|error| format!("{:?}: {error}", quantity.0)))
        .transpose()
}

/// How much of a resource the node has for pods, as it says itself.
pub(super) fn allocatable(inputs: &Inputs<'_>, resource: &str) -> Option<resource::Quantity> {
    let node: Node = inputs.snapshot.decode("", &inputs.node.name)?;
    node.status?.allocatable?.remove(resource)
}

#[cfg(test)]
mod tests;
