//! The files of volumes that are made of API objects.

use std::collections::BTreeMap;

use cronlet_object::api::{ConfigMap, Secret};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath};

use super::{FileEntry, Inputs, downward};
use crate::limits;

/// What a volume's files are made of, and how.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Name of the object.
    pub(super) name: &'a str,
    /// The keys that are wanted, and their paths; all if absent.
    pub(super) items: Option<&'a [KeyToPath]>,
    /// Whether the object and the keys may be missing.
    pub(super) optional: bool,
    /// Permissions of files that have none of their own.
    pub(super) mode: u32,
}

/// Permissions of files, unless the volume says otherwise (upstream's default).
pub(super) const FILE_MODE: i32 = 0o644;

/// Permission bits from a field of the API.
pub(super) fn mode(bits: i32) -> u32 {
    u32::try_from(bits).unwrap_or(0) & 0o777
}

pub(super) fn config_map(inputs: &Inputs<'_>, source: &Source<'_>) -> Result<Vec<FileEntry>, String> {
    let found: Option<ConfigMap> = inputs.snapshot.decode(namespace(inputs), source.name);
    let Some(found) = found else {
        return missing(source, format!("configmap {:?} not found", source.name));
    };
    let text = found.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
    let binary = found.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
    select(source, text.chain(binary).collect(), "config")
}

pub(super) fn secret(inputs: &Inputs<'_>, source: &Source<'_>) -> Result<Vec<FileEntry>, String> {
    let found: Option<Secret> = inputs.snapshot.decode(namespace(inputs), source.name);
    let Some(found) = found else {
        return missing(source, format!("secret {:?} not found", source.name));
    };
    select(source, found.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect(), "secret")
}

/// Files with fields of the pod.
pub(super) fn downward(
    inputs: &Inputs<'_>,
    items: &[DownwardAPIVolumeFile],
    default_mode: u32,
) -> Result<Vec<FileEntry>, String> {
    let file = |item: &DownwardAPIVolumeFile| {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => downward::field(inputs, &field.field_path)?,
            (None, Some(resource)) => downward::resource(inputs, resource, "")?,
            (None, None) => String::new(),
        };
        let mode = item.mode.map_or(default_mode, mode);
        Ok(FileEntry { path: item.path.clone(), data: text.into_bytes(), mode })
    };
    items.iter().map(file).collect()
}

/// Puts files from several sources together: the last of those with the same path counts.
///
/// # Errors
/// If a path leads out of the volume, or there is too much.
pub(super) fn combine(files: impl IntoIterator<Item = FileEntry>) -> Result<Vec<FileEntry>, String> {
    let by_path: BTreeMap<String, FileEntry> =
        files.into_iter().map(|file| (file.path.clone(), file)).collect();
    let files: Vec<FileEntry> = by_path.into_values().collect();
    let bytes: usize = files.iter().map(|file| file.data.len()).sum();
    if bytes > limits::PROJECTED_BYTES_MAX {
        return Err(format!("its files have {bytes} bytes, more than {}", limits::PROJECTED_BYTES_MAX));
    }
    match files.iter().find(|file| !is_valid_path(&file.path)) {
        Some(file) => Err(format!("invalid path: {:?}", file.path)),
        None => Ok(files),
    }
}

/// A relative path that stays inside, and does not start with what marks the volume's own files.
pub(super) fn is_valid_path(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with("..")
        && path.len() <= 4096
        && path.split('/').all(|name| !name.is_empty() && name != ".." && name != "." && name.len() <= 255)
}

fn namespace<'a>(inputs: &Inputs<'a>) -> &'a str {
    inputs.pod.metadata.namespace.as_deref().unwrap_or_default()
}

fn missing(source: &Source<'_>, message: String) -> Result<Vec<FileEntry>, String> {
    if source.optional { Ok(Vec::new()) } else { Err(message) }
}

fn select(
    source: &Source<'_>,
    data: BTreeMap<String, Vec<u8>>,
    kind: &str,
) -> Result<Vec<FileEntry>, String> {
    let Some(items) = source.items else {
        let file = |(path, data)| FileEntry { path, data, mode: source.mode };
        return Ok(data.into_iter().map(file).collect());
    };
    let mut files = Vec::with_capacity(items.len());
    for item in items {
        match data.get(&item.key) {
            Some(data) => files.push(FileEntry {
                path: item.path.clone(),
                data: data.clone(),
                mode: item.mode.map_or(source.mode, mode),
            }),
            None if source.optional => {}
            None => return Err(format!("references non-existent {kind} key: {}", item.key)),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
