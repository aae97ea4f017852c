//! Volumes of a pod, and their mounts in containers.

use super::{
    names::{dns_label_errors, report},
    volume_sources::{validate_descending_path, validate_source},
};
use crate::{
    FieldErrors, Path,
    api::{Container, ObjectMeta, Volume},
};
use k8s_openapi::api::core::v1::{VolumeDevice, VolumeMount};

/// Validates the volumes of a pod and returns the faultless ones: only these can be mounted. `pod` is absent
/// for a template, whose pods have no name yet.
pub(crate) fn validate_volumes<'a>(
    volumes: &'a [Volume],
    pod: Option<&ObjectMeta>,
    field: &Path,
    errors: &mut FieldErrors,
) -> Vec<&'a Volume> {
    let mut known: Vec<&Volume> = Vec::with_capacity(volumes.len());
    let pod_name = pod.and_then(|pod| pod.name.as_deref()).filter(|name| !name.is_empty());
    for (i, volume) in volumes.iter().enumerate() {
        let before = errors.0.len();
        let at = field.index(i);
        validate_source(volume, pod.is_some(), &at, errors);
        if volume.name.is_empty() {
            errors.required(&at.child("name"), "");
        } else {
            report(dns_label_errors(&volume.name), &volume.name, || at.child("name"), errors);
        }
        if known.iter().any(|other| other.name == volume.name) {
            errors.duplicate(&at.child("name"), &volume.name);
        }
        if errors.0.len() == before {
            known.push(volume);
        }
        if let (Some(claim), Some(pod_name)) = (&volume.persistent_volume_claim, pod_name) {
            let created = |other: &Volume| {
                other.ephemeral.is_some() && claim.claim_name == format!("{pod_name}-{}", other.name)
            };
            if volumes.iter().any(created) {
                errors.invalid(
                    &at.child("persistentVolumeClaim").child("claimName"),
                    &claim.claim_name,
                    "must not reference a PVC that gets created for an ephemeral volume",
                );
            }
        }
    }
    known
}

/// `volumeMounts` of a container.
pub(crate) fn validate_mounts(
    container: &Container,
    volumes: &[&Volume],
    field: &Path,
    errors: &mut FieldErrors,
) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    for (i, mount) in mounts.iter().enumerate() {
        let at = field.index(i);
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        if mount.name.is_empty() {
            errors.required(&at.child("name"), "");
        }
        if volume.is_none() {
            errors.not_found(&at.child("name"), &mount.name, "");
        }
        if mount.mount_path.is_empty() {
            errors.required(&at.child("mountPath"), "");
        }
        if mounts[..i].iter().any(|other| other.mount_path == mount.mount_path) {
            errors.invalid(&at.child("mountPath"), &mount.mount_path, "must be unique");
        }
        if devices.iter().any(|device| device.name == mount.name) {
            errors.invalid(&at.child("name"), &mount.name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.invalid(&at.child("mountPath"), &mount.mount_path, detail);
        }
        validate_sub_path(mount, volume.is_some_and(|volume| volume.image.is_some()), &at, field, errors);
        validate_propagation(mount, container, field, errors);
    }
}

/// `list` is the path of all mounts: upstream reports some faults there.
fn validate_sub_path(
    mount: &VolumeMount,
    in_image: bool,
    field: &Path,
    list: &Path,
    errors: &mut FieldErrors,
) {
    let given = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
    let (path, expression) = (given(&mount.sub_path), given(&mount.sub_path_expr));
    for (name, value) in [("subPath", &path), ("subPathExpr", &expression)] {
        if let Some(value) = value.as_ref().filter(|_| in_image) {
            errors.invalid(&field.child(name), value, "not allowed in image volume sources");
        }
    }
    if let Some(path) = &path {
        validate_descending_path(path, || list.child("subPath"), errors);
    }
    if let Some(expression) = &expression {
        if path.is_some() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&field.child("subPathExpr"), expression, detail);
        }
        validate_descending_path(expression, || list.child("subPathExpr"), errors);
    }
}

fn validate_propagation(mount: &VolumeMount, container: &Container, list: &Path, errors: &mut FieldErrors) {
    let propagation = mount.mount_propagation.as_deref();
    if let Some(mode) = propagation {
        let modes = ["Bidirectional", "HostToContainer", "None"];
        let privileged =
            container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
        if !modes.contains(&mode) {
            errors.not_supported(&list.child("mountPropagation"), mode, &modes);
        }
        if mode == "Bidirectional" && !privileged {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.forbidden(&list.child("mountPropagation"), detail);
        }
    }
    let at = || list.child("recursiveReadOnly");
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.forbidden(&at(), "may only be specified when readOnly is true");
            }
            if propagation.is_some_and(|mode| mode != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.forbidden(&at(), detail);
            }
        }
        Some(other) => errors.not_supported(&at(), other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

/// `volumeDevices` of a container.
pub(crate) fn validate_devices(
    container: &Container,
    volumes: &[&Volume],
    field: &Path,
    errors: &mut FieldErrors,
) {
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    for (i, device) in devices.iter().enumerate() {
        validate_device(device, &devices[..i], &field.index(i), errors);
        let name = || field.index(i).child("name");
        match volumes.iter().find(|volume| volume.name == device.name) {
            None => errors.not_found(&name(), &device.name, ""),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => errors
                .invalid(
                    &name(),
                    &device.name,
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                ),
            Some(_) => {}
        }
        if mounts.iter().any(|mount| mount.name == device.name) {
            errors.invalid(&name(), &device.name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.invalid(&field.index(i).child("devicePath"), &device.device_path, detail);
        }
    }
}

fn validate_device(device: &VolumeDevice, before: &[VolumeDevice], field: &Path, errors: &mut FieldErrors) {
    let path = device.device_path.as_str();
    if device.name.is_empty() {
        errors.required(&field.child("name"), "");
    } else if before.iter().any(|other| other.name == device.name) {
        errors.invalid(&field.child("name"), &device.name, "must be unique");
    }
    if path.is_empty() {
        errors.required(&field.child("devicePath"), "");
    } else if before.iter().any(|other| other.device_path == path) {
        errors.invalid(&field.child("devicePath"), path, "must be unique");
    }
    if path.split('/').any(|part| part == "..") {
        errors.invalid(&field.child("devicePath"), path, "can not contain backsteps ('..')");
    }
}
