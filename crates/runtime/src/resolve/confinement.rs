//! What confines the programs of a pod besides its rights: its own profiles for system calls, and AppArmor.

use std::collections::{BTreeSet, HashMap};

use cronlet_object::api;

use super::{Inputs, roles};
use crate::{
    sandbox::seccomp,
    spec::{Root, SystemCalls},
};

/// The files of profiles for system calls, by `localhostProfile`; or why one cannot be had.
pub type Profiles = HashMap<String, Result<Vec<u8>, String>>;

/// `status.reason` of a pod that cannot be confined as it asks for (the kubelet's).
pub(super) const APP_ARMOR: &str = "AppArmor";

/// Why a pod that wants to be confined by AppArmor cannot be, in the kubelet's words. To be confined by nothing can be had
/// everywhere.
pub(super) fn refuse_app_armor(spec: &api::PodSpec, has_app_armor: bool) -> Option<String> {
    let of_pod = spec.security_context.as_ref().and_then(|pod| pod.app_armor_profile.as_ref());
    let is_wanted = roles(spec).any(|(_, container)| {
        let own = container.security_context.as_ref().and_then(|own| own.app_armor_profile.as_ref());
        own.or(of_pod).is_some_and(|profile| profile.type_ != "Unconfined")
    });
    (is_wanted && !has_app_armor)
        .then(|| "Cannot enforce AppArmor: AppArmor is not enabled on the host".to_owned())
}

/// The type of a container's profile for system calls, and its path if it has one.
fn profile<'a>(spec: &'a api::PodSpec, container: &'a api::Container) -> Option<(&'a str, Option<&'a str>)> {
    let of_pod = spec.security_context.as_ref().and_then(|pod| pod.seccomp_profile.as_ref());
    let own = container.security_context.as_ref().and_then(|own| own.seccomp_profile.as_ref());
    own.or(of_pod).map(|profile| (profile.type_.as_str(), profile.localhost_profile.as_deref()))
}

/// Whether a container's system calls are not filtered.
pub(super) fn is_unconfined(spec: &api::PodSpec, container: &api::Container) -> bool {
    profile(spec, container).is_some_and(|(kind, _)| kind == "Unconfined")
}

/// The profile of the node's that a container wants, by its path below their directory.
fn local<'a>(spec: &'a api::PodSpec, container: &'a api::Container) -> Option<&'a str> {
    profile(spec, container)
        .filter(|(kind, _)| *kind == "Localhost")
        .map(|(_, path)| path.unwrap_or_default())
}

/// All profiles of the node's that the containers of a pod want.
pub(crate) fn local_profiles(spec: &api::PodSpec) -> BTreeSet<&str> {
    roles(spec).filter_map(|(_, container)| local(spec, container)).collect()
}

/// What a container's own profile says, if it has one. A privileged container may make every call.
///
/// # Errors
/// If the profile is not there or makes no sense; in the words of containerd.
pub(super) fn system_calls(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
    root: &Root,
) -> Result<Option<SystemCalls>, String> {
    let Some(name) = local(spec, container).filter(|_| !root.privileged) else { return Ok(None) };
    let path = inputs.node.seccomp_dir.join(name);
    let file = inputs.profiles.and_then(|profiles| profiles.get(name));
    let text = match file {
        Some(Ok(text)) => text,
        Some(Err(why)) => return Err(format!("cannot load seccomp profile {path:?}: {why}")),
        None => return Err(format!("cannot load seccomp profile {path:?}: it was not read")),
    };
    seccomp::of_profile(text, &root.capabilities, &inputs.node.kernel)
        .map(Some)
        .map_err(|why| format!("decoding seccomp profile failed {path:?}: {why}"))
}
