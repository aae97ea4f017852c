//! Environment variables, and the fields of a pod that they and volumes may show.

use super::names::{config_key_errors, dns_subdomain_errors, env_name_errors, qualified_name_errors, report};
use crate::{FieldErrors, Path};
use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector,
};

/// Fields of a pod that an environment variable may show.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields of a pod that a file of a volume may show.
pub(crate) const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Further paths that are known, though none of the above may show them.
const OTHER_FIELDS: [&str; 4] = ["spec.host", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const HUGE_PAGES_FIELDS: [&str; 2] = ["limits.hugepages-", "requests.hugepages-"];
const SIZE_DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env` of a container.
pub(crate) fn validate_env(variables: &[EnvVar], field: &Path, errors: &mut FieldErrors) {
    for (i, variable) in variables.iter().enumerate() {
        if variable.name.is_empty() {
            errors.required(&field.index(i).child("name"), "");
        } else {
            report(env_name_errors(&variable.name), &variable.name, || field.index(i).child("name"), errors);
        }
        if let Some(source) = &variable.value_from {
            let has_value = variable.value.as_deref().is_some_and(|value| !value.is_empty());
            validate_source(source, has_value, &field.index(i).child("valueFrom"), errors);
        }
    }
}

fn validate_source(source: &EnvVarSource, has_value: bool, field: &Path, errors: &mut FieldErrors) {
    let mut sources = 0;
    if let Some(reference) = &source.field_ref {
        sources += 1;
        validate_field_ref(reference, &ENV_FIELDS, &field.child("fieldRef"), errors);
    }
    if let Some(reference) = &source.resource_field_ref {
        sources += 1;
        validate_resource_field_ref(reference, false, &field.child("resourceFieldRef"), errors);
    }
    if let Some(reference) = &source.config_map_key_ref {
        sources += 1;
        validate_key_ref(&reference.name, &reference.key, &field.child("configMapKeyRef"), errors);
    }
    if let Some(reference) = &source.secret_key_ref {
        sources += 1;
        validate_key_ref(&reference.name, &reference.key, &field.child("secretKeyRef"), errors);
    }
    if let Some(reference) = &source.file_key_ref {
        sources += 1;
        let parts =
            [("key", &reference.key), ("volumeName", &reference.volume_name), ("path", &reference.path)];
        for (name, value) in parts {
            if value.is_empty() {
                errors.required(&field.child("fileKeyRef").child(name), "");
            }
        }
    }
    match sources {
        0 => errors.invalid(
            field,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
        _ if has_value => errors.invalid(field, "", "may not be specified when `value` is not empty"),
        1 => {}
        _ => errors.invalid(field, "", "may not have more than one field specified at a time"),
    }
}

fn validate_key_ref(name: &str, key: &str, field: &Path, errors: &mut FieldErrors) {
    report(dns_subdomain_errors(name), name, || field.child("name"), errors);
    if key.is_empty() {
        errors.required(&field.child("key"), "");
    } else {
        report(config_key_errors(key), key, || field.child("key"), errors);
    }
}

/// A reference to a field of the pod; `supported` are those that may be shown here.
pub(crate) fn validate_field_ref(
    reference: &ObjectFieldSelector,
    supported: &[&str],
    field: &Path,
    errors: &mut FieldErrors,
) {
    let path = reference.field_path.as_str();
    let version = reference.api_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        return errors.required(&field.child("apiVersion"), "");
    }
    if path.is_empty() {
        return errors.required(&field.child("fieldPath"), "");
    }
    if let Err(reason) = known_field(version, path) {
        let detail = format!("error converting fieldPath: {reason}");
        return errors.invalid(&field.child("fieldPath"), path, detail);
    }
    match subscripted(path) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            report(qualified_name_errors(&key), &key, || field.clone(), errors);
        }
        Some((_, key)) => report(qualified_name_errors(key), key, || field.clone(), errors),
        None => {
            let path = if path == "spec.host" { "spec.nodeName" } else { path };
            if !supported.contains(&path) {
                errors.not_supported(&field.child("fieldPath"), path, supported);
            }
        }
    }
}

fn known_field(version: &str, path: &str) -> Result<(), String> {
    if version != "v1" {
        return Err(format!("unsupported pod version: {version}"));
    }
    match subscripted(path) {
        Some(("metadata.annotations" | "metadata.labels", _)) => Ok(()),
        Some(_) => Err(format!("field label does not support subscript: {path}")),
        None if [&ENV_FIELDS[..], &VOLUME_FIELDS, &OTHER_FIELDS]
            .iter()
            .any(|known| known.contains(&path)) =>
        {
            Ok(())
        }
        None => Err(format!("field label not supported: {path}")),
    }
}

/// The parts of `metadata.labels['key']`.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

/// A reference to a request or limit of a container.
pub(crate) fn validate_resource_field_ref(
    reference: &ResourceFieldSelector,
    in_volume: bool,
    field: &Path,
    errors: &mut FieldErrors,
) {
    let resource = reference.resource.as_str();
    let huge_pages = HUGE_PAGES_FIELDS.iter().any(|prefix| resource.starts_with(prefix));
    if in_volume && reference.container_name.as_deref().unwrap_or_default().is_empty() {
        errors.required(&field.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(&field.child("resource"), "");
    } else if !RESOURCE_FIELDS.contains(&resource) && !huge_pages {
        errors.not_supported(&field.child("resource"), resource, &RESOURCE_FIELDS);
    }
    let divisor = reference.divisor.as_ref().map_or("0", |divisor| divisor.0.as_str());
    if divisor == "0" {
        return;
    }
    let (supported, name): (&[&str], _) = match resource {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (&SIZE_DIVISORS, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => {
            (&SIZE_DIVISORS, "local ephemeral storage")
        }
        _ if huge_pages => (&SIZE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !supported.contains(&divisor) {
        let list = if name == "cpu" { supported.join(" and ") } else { supported.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {name} resource");
        errors.invalid(&field.child("divisor"), resource, detail);
    }
}

/// `envFrom` of a container.
pub(crate) fn validate_env_from(sources: &[EnvFromSource], field: &Path, errors: &mut FieldErrors) {
    for (i, source) in sources.iter().enumerate() {
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            report(env_name_errors(prefix), prefix, || field.index(i).child("prefix"), errors);
        }
        let config_map = source.config_map_ref.as_ref().map(|source| ("configMapRef", &source.name));
        let secret = source.secret_ref.as_ref().map(|source| ("secretRef", &source.name));
        for (kind, name) in config_map.iter().chain(&secret) {
            let at = || field.index(i).child(kind).child("name");
            if name.is_empty() {
                errors.required(&at(), "");
            } else {
                report(super::names::NameRule::Subdomain.base_errors(name), name, at, errors);
            }
        }
        match config_map.iter().chain(&secret).count() {
            0 => errors.invalid(field, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(field, "", "may not have more than one field specified at a time"),
        }
    }
}
