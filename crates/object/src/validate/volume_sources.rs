//! What a volume is made of.

use super::{
    env::{VOLUME_FIELDS, validate_field_ref, validate_resource_field_ref},
    one_of,
    resources::parse,
};
use crate::{FieldErrors, Path, api::Volume, kinds::persistent_volume_claim};
use k8s_openapi::api::core::v1::{
    CSIVolumeSource, ConfigMapVolumeSource, DownwardAPIVolumeFile, DownwardAPIVolumeSource,
    EmptyDirVolumeSource, EphemeralVolumeSource, HostPathVolumeSource, ImageVolumeSource, KeyToPath,
    NFSVolumeSource, PersistentVolumeClaimVolumeSource, PersistentVolumeSpec, ProjectedVolumeSource,
    SecretVolumeSource, ServiceAccountTokenProjection, VolumeProjection,
};

const MODE_MAX: i32 = 0o777;
const MODE_RANGE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// Shortest and longest life of a projected token, in seconds.
const TOKEN_SECONDS: (i64, i64) = (600, 1 << 32);

/// The source of a volume: exactly one, in the order in which upstream looks for them. Sources that no
/// runtime here can mount are only counted: their pod is accepted and stays Pending. `in_pod` is false for a
/// template.
pub(crate) fn validate_source(volume: &Volume, in_pod: bool, field: &Path, errors: &mut FieldErrors) {
    let mut sources = Sources { field, count: 0, errors };
    sources.add("emptyDir", &volume.empty_dir, validate_empty_dir);
    sources.add("hostPath", &volume.host_path, validate_host_path);
    sources.add("gitRepo", &volume.git_repo, unchecked);
    sources.add("gcePersistentDisk", &volume.gce_persistent_disk, unchecked);
    sources.add("awsElasticBlockStore", &volume.aws_elastic_block_store, unchecked);
    sources.add("secret", &volume.secret, validate_secret);
    sources.add("nfs", &volume.nfs, validate_nfs);
    sources.add("iscsi", &volume.iscsi, unchecked);
    sources.add("glusterfs", &volume.glusterfs, unchecked);
    sources.add("flocker", &volume.flocker, unchecked);
    sources.add("persistentVolumeClaim", &volume.persistent_volume_claim, validate_claim);
    sources.add("rbd", &volume.rbd, unchecked);
    sources.add("cinder", &volume.cinder, unchecked);
    sources.add("cephFS", &volume.cephfs, unchecked);
    sources.add("quobyte", &volume.quobyte, unchecked);
    sources.add("downwardAPI", &volume.downward_api, validate_downward_api);
    sources.add("fc", &volume.fc, unchecked);
    sources.add("flexVolume", &volume.flex_volume, unchecked);
    sources.add("configMap", &volume.config_map, validate_config_map);
    sources.add("azureFile", &volume.azure_file, unchecked);
    sources.add("vsphereVolume", &volume.vsphere_volume, unchecked);
    sources.add("photonPersistentDisk", &volume.photon_persistent_disk, unchecked);
    sources.add("portworxVolume", &volume.portworx_volume, unchecked);
    sources.add("azureDisk", &volume.azure_disk, unchecked);
    sources.add("storageos", &volume.storageos, unchecked);
    sources.add("projected", &volume.projected, validate_projected);
    sources.add("scaleIO", &volume.scale_io, unchecked);
    sources.add("csi", &volume.csi, validate_csi);
    sources.add("ephemeral", &volume.ephemeral, validate_ephemeral);
    sources.add("image", &volume.image, if in_pod { validate_image } else { validate_template_image });
    if sources.count == 0 {
        errors.required(field, "must specify a volume type");
    }
}

/// The source of a PersistentVolume: as [`validate_source`].
pub(crate) fn validate_volume_source(spec: &PersistentVolumeSpec, field: &Path, errors: &mut FieldErrors) {
    let mut sources = Sources { field, count: 0, errors };
    sources.add("hostPath", &spec.host_path, validate_host_path);
    sources.add("gcePersistentDisk", &spec.gce_persistent_disk, unchecked);
    sources.add("awsElasticBlockStore", &spec.aws_elastic_block_store, unchecked);
    sources.add("glusterfs", &spec.glusterfs, unchecked);
    sources.add("flocker", &spec.flocker, unchecked);
    sources.add("nfs", &spec.nfs, validate_nfs);
    sources.add("rbd", &spec.rbd, unchecked);
    sources.add("quobyte", &spec.quobyte, unchecked);
    sources.add("cephFS", &spec.cephfs, unchecked);
    sources.add("iscsi", &spec.iscsi, unchecked);
    sources.add("cinder", &spec.cinder, unchecked);
    sources.add("fc", &spec.fc, unchecked);
    sources.add("flexVolume", &spec.flex_volume, unchecked);
    sources.add("azureFile", &spec.azure_file, unchecked);
    sources.add("vsphereVolume", &spec.vsphere_volume, unchecked);
    sources.add("photonPersistentDisk", &spec.photon_persistent_disk, unchecked);
    sources.add("portworxVolume", &spec.portworx_volume, unchecked);
    sources.add("azureDisk", &spec.azure_disk, unchecked);
    sources.add("scaleIO", &spec.scale_io, unchecked);
    sources.add("local", &spec.local, |local, field, errors| {
        if local.path.is_empty() {
            return errors.required(&field.child("path"), "");
        }
        validate_no_backsteps(&local.path, || field.child("path"), errors);
    });
    sources.add("storageos", &spec.storageos, unchecked);
    sources.add("csi", &spec.csi, |csi, field, errors| {
        required(Some(&csi.driver), || field.child("driver"), errors);
        required(Some(&csi.volume_handle), || field.child("volumeHandle"), errors);
    });
    if sources.count == 0 {
        errors.required(field, "must specify a volume type");
    }
    if spec.local.is_some() && spec.node_affinity.is_none() {
        errors.required(&field.child("nodeAffinity"), "Local volume requires node affinity");
    }
}

/// Counts the sources of a volume, and validates the first.
struct Sources<'a> {
    field: &'a Path,
    count: usize,
    errors: &'a mut FieldErrors,
}

impl Sources<'_> {
    fn add<T>(&mut self, name: &str, source: &Option<T>, rule: fn(&T, &Path, &mut FieldErrors)) {
        let Some(source) = source else { return };
        self.count += 1;
        let field = self.field.child(name);
        if self.count > 1 {
            self.errors.forbidden(&field, "may not specify more than 1 volume type");
        } else {
            rule(source, &field, self.errors);
        }
    }
}

fn unchecked<T>(_: &T, _: &Path, _: &mut FieldErrors) {}

fn validate_empty_dir(source: &EmptyDirVolumeSource, field: &Path, errors: &mut FieldErrors) {
    if source.size_limit.as_ref().and_then(parse).is_some_and(|limit| limit.is_negative()) {
        errors.forbidden(&field.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

fn validate_secret(source: &SecretVolumeSource, field: &Path, errors: &mut FieldErrors) {
    required(source.secret_name.as_deref(), || field.child("secretName"), errors);
    validate_files(source.default_mode, source.items.as_deref(), field, errors);
}

fn validate_config_map(source: &ConfigMapVolumeSource, field: &Path, errors: &mut FieldErrors) {
    required(Some(&source.name), || field.child("name"), errors);
    validate_files(source.default_mode, source.items.as_deref(), field, errors);
}

fn validate_claim(source: &PersistentVolumeClaimVolumeSource, field: &Path, errors: &mut FieldErrors) {
    required(Some(&source.claim_name), || field.child("claimName"), errors);
}

fn validate_downward_api(source: &DownwardAPIVolumeSource, field: &Path, errors: &mut FieldErrors) {
    validate_mode(source.default_mode, || field.child("defaultMode"), errors);
    source.items.iter().flatten().for_each(|file| validate_downward_file(file, field, errors));
}

fn validate_csi(source: &CSIVolumeSource, field: &Path, errors: &mut FieldErrors) {
    required(Some(&source.driver), || field.child("driver"), errors);
}

fn validate_ephemeral(source: &EphemeralVolumeSource, field: &Path, errors: &mut FieldErrors) {
    let field = field.child("volumeClaimTemplate");
    match &source.volume_claim_template {
        None => errors.required(&field, ""),
        Some(claim) => persistent_volume_claim::validate_spec(&claim.spec, &field.child("spec"), errors),
    }
}

fn validate_image(source: &ImageVolumeSource, field: &Path, errors: &mut FieldErrors) {
    required(source.reference.as_deref(), || field.child("reference"), errors);
    validate_template_image(source, field, errors);
}

/// In a template the reference may still be missing.
fn validate_template_image(source: &ImageVolumeSource, field: &Path, errors: &mut FieldErrors) {
    let policy = source.pull_policy.as_deref().unwrap_or_default();
    one_of(policy, &["Always", "IfNotPresent", "Never"], || field.child("pullPolicy"), errors);
}

fn required(value: Option<&str>, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if value.unwrap_or_default().is_empty() {
        errors.required(&field(), "");
    }
}

fn validate_host_path(source: &HostPathVolumeSource, field: &Path, errors: &mut FieldErrors) {
    if source.path.is_empty() {
        return errors.required(&field.child("path"), "");
    }
    validate_no_backsteps(&source.path, || field.child("path"), errors);
    if let Some(kind) = source.type_.as_deref().filter(|kind| !HOST_PATH_TYPES.contains(kind)) {
        errors.not_supported(&field.child("type"), kind, &HOST_PATH_TYPES);
    }
}

fn validate_nfs(source: &NFSVolumeSource, field: &Path, errors: &mut FieldErrors) {
    required(Some(&source.server), || field.child("server"), errors);
    required(Some(&source.path), || field.child("path"), errors);
    if !source.path.starts_with('/') {
        errors.invalid(&field.child("path"), &source.path, "must be an absolute path");
    }
}

fn validate_mode(mode: Option<i32>, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if let Some(mode) = mode.filter(|mode| !(0..=MODE_MAX).contains(mode)) {
        errors.invalid(&field(), mode, MODE_RANGE);
    }
}

fn validate_files(mode: Option<i32>, items: Option<&[KeyToPath]>, field: &Path, errors: &mut FieldErrors) {
    validate_mode(mode, || field.child("defaultMode"), errors);
    for (i, item) in items.into_iter().flatten().enumerate() {
        validate_item(item, &field.child("items").index(i), errors);
    }
}

fn validate_item(item: &KeyToPath, field: &Path, errors: &mut FieldErrors) {
    required(Some(&item.key), || field.child("key"), errors);
    required(Some(&item.path), || field.child("path"), errors);
    validate_unreserved_path(&item.path, || field.child("path"), errors);
    validate_mode(item.mode, || field.child("mode"), errors);
}

fn validate_downward_file(file: &DownwardAPIVolumeFile, field: &Path, errors: &mut FieldErrors) {
    required(Some(&file.path), || field.child("path"), errors);
    validate_unreserved_path(&file.path, || field.child("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(reference), other) => {
            validate_field_ref(reference, &VOLUME_FIELDS, &field.child("fieldRef"), errors);
            if other.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(field, "resource", detail);
            }
        }
        (None, Some(reference)) => {
            validate_resource_field_ref(reference, true, &field.child("resourceFieldRef"), errors);
        }
        (None, None) => errors.required(field, "one of fieldRef and resourceFieldRef is required"),
    }
    validate_mode(file.mode, || field.child("mode"), errors);
}

fn validate_projected(source: &ProjectedVolumeSource, field: &Path, errors: &mut FieldErrors) {
    validate_mode(source.default_mode, || field.child("defaultMode"), errors);
    let mut paths: Vec<&str> = Vec::new();
    for (i, projection) in source.sources.iter().flatten().enumerate() {
        let at = field.child("sources").index(i);
        validate_projection(projection, field, &at, errors);
        for (owner, path) in projected_paths(projection) {
            if paths.contains(&path) {
                errors.invalid(field, owner, "conflicting duplicate paths");
            } else if !path.is_empty() {
                paths.push(path);
            }
        }
    }
}

/// The files a projection makes, each with what upstream names in case of a conflict.
fn projected_paths(projection: &VolumeProjection) -> Vec<(&str, &str)> {
    let mut paths: Vec<(&str, &str)> = Vec::new();
    if let Some(secret) = &projection.secret {
        paths.extend(secret.items.iter().flatten().map(|item| (secret.name.as_str(), item.path.as_str())));
    }
    if let Some(config_map) = &projection.config_map {
        paths.extend(
            config_map.items.iter().flatten().map(|item| (config_map.name.as_str(), item.path.as_str())),
        );
    }
    if let Some(downward) = &projection.downward_api {
        paths.extend(downward.items.iter().flatten().map(|file| (file.path.as_str(), file.path.as_str())));
    }
    paths
}

fn validate_projection(projection: &VolumeProjection, volume: &Path, field: &Path, errors: &mut FieldErrors) {
    let mut count = 0;
    let named = [
        ("secret", projection.secret.as_ref().map(|source| (&source.name, &source.items))),
        ("configMap", projection.config_map.as_ref().map(|source| (&source.name, &source.items))),
    ];
    for (kind, source) in named {
        let Some((name, items)) = source else { continue };
        count += 1;
        required(Some(name), || field.child(kind).child("name"), errors);
        for (i, item) in items.iter().flatten().enumerate() {
            validate_item(item, &field.child(kind).child("items").index(i), errors);
        }
    }
    if let Some(downward) = &projection.downward_api {
        count += 1;
        let at = field.child("downwardAPI");
        downward.items.iter().flatten().for_each(|file| validate_downward_file(file, &at, errors));
    }
    if let Some(token) = &projection.service_account_token {
        count += 1;
        validate_token(token, volume, &field.child("serviceAccountToken"), errors);
    }
    count += usize::from(projection.cluster_trust_bundle.is_some());
    count += usize::from(projection.pod_certificate.is_some());
    if count > 1 {
        errors.forbidden(field, "may not specify more than 1 volume type per source");
    }
}

fn validate_token(
    token: &ServiceAccountTokenProjection,
    volume: &Path,
    field: &Path,
    errors: &mut FieldErrors,
) {
    let seconds = token.expiration_seconds.unwrap_or_default();
    let at = || field.child("expirationSeconds");
    if seconds < TOKEN_SECONDS.0 {
        errors.invalid(&at(), seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > TOKEN_SECONDS.1 {
        errors.invalid(&at(), seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if token.path.is_empty() {
        errors.required(&volume.child("path"), "");
    } else {
        validate_unreserved_path(&token.path, || volume.child("path"), errors);
    }
}

/// A path that stays below the directory it is relative to.
pub(crate) fn validate_descending_path(path: &str, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    let absolute = path.starts_with('/');
    let backsteps = has_backsteps(path);
    if !absolute && !backsteps {
        return;
    }
    let field = field();
    if absolute {
        errors.invalid(&field, path, "must be a relative path");
    }
    validate_no_backsteps(path, || field.clone(), errors);
}

fn validate_no_backsteps(path: &str, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if has_backsteps(path) {
        errors.invalid(&field(), path, "must not contain '..'");
    }
}

fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// A descending path none of whose names is one that volumes keep for themselves.
fn validate_unreserved_path(path: &str, field: impl Fn() -> Path, errors: &mut FieldErrors) {
    validate_descending_path(path, &field, errors);
    if path.starts_with("..") && !path.starts_with("../") {
        errors.invalid(&field(), path, "must not start with '..'");
    }
}
