//! Security contexts of pods and containers.

use super::{inclusive_range, one_of, volume_sources::validate_descending_path};
use crate::{FieldErrors, Path, api::PodSpec};
use k8s_openapi::api::core::v1::{
    AppArmorProfile, PodSecurityContext, SeccompProfile, SecurityContext, Sysctl,
};

/// Largest user or group ID.
const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_NAME_CHARS_MAX: usize = 253;
/// Longest name of an AppArmor profile, in bytes: the kernel's `PATH_MAX` less one.
const APP_ARMOR_BYTES_MAX: usize = 4095;
const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn validate_id(id: Option<i64>, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if let Some(id) = id.filter(|id| !(0..=ID_MAX).contains(id)) {
        errors.invalid(&field(), id, inclusive_range(0, ID_MAX));
    }
}

/// `securityContext` of a pod.
pub(crate) fn validate_pod(
    context: &PodSecurityContext,
    spec: &PodSpec,
    field: &Path,
    errors: &mut FieldErrors,
) {
    validate_id(context.fs_group, || field.child("fsGroup"), errors);
    validate_id(context.run_as_user, || field.child("runAsUser"), errors);
    validate_id(context.run_as_group, || field.child("runAsGroup"), errors);
    for (i, id) in context.supplemental_groups.iter().flatten().enumerate() {
        validate_id(Some(*id), || field.child("supplementalGroups").index(i), errors);
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&field.child("shareProcessNamespace"), true, detail);
    }
    validate_sysctls(context.sysctls.as_deref().unwrap_or_default(), spec, field, errors);
    let choices: [(&str, &Option<String>, &[&str]); 3] = [
        ("fsGroupChangePolicy", &context.fs_group_change_policy, &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &context.supplemental_groups_policy, &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &context.se_linux_change_policy, &["MountOption", "Recursive"]),
    ];
    validate_profiles(context.seccomp_profile.as_ref(), context.app_armor_profile.as_ref(), field, errors);
    for (name, value, supported) in choices {
        if let Some(value) = value.as_deref().filter(|value| !supported.contains(value)) {
            errors.not_supported(&field.child(name), value, supported);
        }
    }
}

fn validate_sysctls(sysctls: &[Sysctl], spec: &PodSpec, field: &Path, errors: &mut FieldErrors) {
    for (i, sysctl) in sysctls.iter().enumerate() {
        let name = sysctl.name.as_str();
        let at = || field.child("sysctls").index(i).child("name");
        if name.is_empty() {
            errors.required(&at(), "");
        } else if !is_sysctl_name(name) {
            let detail = format!(
                "must have at most {SYSCTL_NAME_CHARS_MAX} characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            );
            errors.invalid(&at(), name, detail);
        } else if sysctls[..i].iter().any(|other| other.name == name) {
            errors.duplicate(&at(), name);
        }
        let dotted = name.replace('/', ".");
        if spec.host_network == Some(true) && dotted.starts_with("net.") {
            errors.invalid(&at(), name, "may not be specified when 'hostNetwork' is true");
        }
        let ipc =
            ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        if spec.host_ipc == Some(true) && ipc {
            errors.invalid(&at(), name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let outer = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= SYSCTL_NAME_CHARS_MAX
        && name.split(['.', '/']).all(|segment| {
            let bytes = segment.as_bytes();
            bytes.first().is_some_and(|b| outer(*b))
                && bytes.last().is_some_and(|b| outer(*b))
                && bytes.iter().all(|b| outer(*b) || b"-_".contains(b))
        })
}

/// `securityContext` of a container. `host_users` is false for a pod with a user namespace of its own.
pub(crate) fn validate_container(
    context: &SecurityContext,
    host_users: bool,
    field: &Path,
    errors: &mut FieldErrors,
) {
    validate_id(context.run_as_user, || field.child("runAsUser"), errors);
    validate_id(context.run_as_group, || field.child("runAsGroup"), errors);
    if let Some(mount) = &context.proc_mount {
        one_of(mount, &["Default", "Unmasked"], || field.child("procMount"), errors);
        if host_users && mount == "Unmasked" {
            errors.invalid(&field.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    validate_profiles(context.seccomp_profile.as_ref(), context.app_armor_profile.as_ref(), field, errors);
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(field, context, detail);
        }
        let added = context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
        if added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN") {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(field, context, detail);
        }
    }
}

fn validate_profiles(
    seccomp: Option<&SeccompProfile>,
    app_armor: Option<&AppArmorProfile>,
    field: &Path,
    errors: &mut FieldErrors,
) {
    if let Some(profile) = seccomp {
        validate_seccomp(profile, &field.child("seccompProfile"), errors);
    }
    if let Some(profile) = app_armor {
        validate_app_armor(profile, &field.child("appArmorProfile"), errors);
    }
}

fn validate_seccomp(profile: &SeccompProfile, field: &Path, errors: &mut FieldErrors) {
    match profile.type_.as_str() {
        "" => errors.required(&field.child("type"), "type is required when seccompProfile is set"),
        known if PROFILE_TYPES.contains(&known) => {}
        other => errors.not_supported(&field.child("type"), other, &PROFILE_TYPES),
    }
    let local = || field.child("localhostProfile");
    match &profile.localhost_profile {
        Some(path) if profile.type_ == "Localhost" => validate_descending_path(path, local, errors),
        None if profile.type_ == "Localhost" => {
            errors.required(&local(), "must be set when seccomp type is Localhost");
        }
        Some(_) => errors.invalid(&local(), profile, "can only be set when seccomp type is Localhost"),
        None => {}
    }
}

fn validate_app_armor(profile: &AppArmorProfile, field: &Path, errors: &mut FieldErrors) {
    let local = || field.child("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", None | Some("")) => {
            errors.required(&local(), "must be set when AppArmor type is Localhost");
        }
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.invalid(&local(), name, "must not be padded with whitespace");
            }
            if name.len() > APP_ARMOR_BYTES_MAX {
                errors.too_long(&local(), APP_ARMOR_BYTES_MAX);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&local(), name, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.required(&field.child("type"), "type is required when appArmorProfile is set"),
        (other, _) => errors.not_supported(&field.child("type"), other, &PROFILE_TYPES),
    }
}
