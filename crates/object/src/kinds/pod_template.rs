//! Pod specifications as Pods, Jobs and CronJobs share them: their defaults, and what clients are warned of.

use crate::{
    Path,
    api::{Container, PodSpec, PodTemplateSpec, Volume},
    quantity::Quantity,
};
use k8s_openapi::{
    api::core::v1::{
        ContainerPort, DownwardAPIVolumeFile, EnvVar, HTTPGetAction, Lifecycle, ObjectFieldSelector, Probe,
        ProjectedVolumeSource, ResourceFieldSelector, ResourceRequirements,
    },
    apimachinery::pkg::api::resource::Quantity as QuantityText,
};

/// Mode of files in volumes, 0644, as the decimal that manifests show: 420.
const FILE_MODE: i32 = 0o644;
/// Life of a projected service account token, in seconds.
const TOKEN_SECONDS: i64 = 3600;
/// Time between the request to stop and the end by force, in seconds.
const GRACE_SECONDS: i64 = 30;

/// Fills in what a template leaves out.
pub(crate) fn set_template_defaults(template: &mut PodTemplateSpec) {
    template.metadata.get_or_insert_default();
    set_spec_defaults(template.spec.get_or_insert_default());
}

/// Fills in what a pod specification leaves out, wherever it stands.
pub(crate) fn set_spec_defaults(spec: &mut PodSpec) {
    fill(&mut spec.dns_policy, "ClusterFirst");
    fill(&mut spec.restart_policy, "Always");
    fill(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    mirror_service_account(spec);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        set_container_defaults(container);
    }
    spec.volumes.iter_mut().flatten().for_each(set_volume_defaults);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are shown.
pub(crate) fn mirror_service_account(spec: &mut PodSpec) {
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let name = given(&spec.service_account_name).or_else(|| given(&spec.service_account));
    spec.service_account.clone_from(&name);
    spec.service_account_name = name;
}

fn fill(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_owned());
    }
}

fn fill_number(field: &mut Option<i32>, value: i32) {
    if field.unwrap_or_default() == 0 {
        *field = Some(value);
    }
}

fn set_container_defaults(container: &mut Container) {
    fill(&mut container.termination_message_path, "/dev/termination-log");
    fill(&mut container.termination_message_policy, "File");
    fill(&mut container.image_pull_policy, pull_policy(container.image.as_deref().unwrap_or_default()));
    container.resources.get_or_insert_default();
    let ports: &mut [ContainerPort] = container.ports.as_deref_mut().unwrap_or_default();
    ports.iter_mut().for_each(|port| fill(&mut port.protocol, "TCP"));
    container.env.iter_mut().flatten().for_each(set_env_defaults);
    let probes =
        [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    probes.into_iter().flatten().for_each(set_probe_defaults);
    if let Some(Lifecycle { post_start, pre_stop, .. }) = &mut container.lifecycle {
        let handlers = [post_start, pre_stop].into_iter().flatten();
        handlers.filter_map(|handler| handler.http_get.as_mut()).for_each(set_http_defaults);
    }
}

/// An image is pulled every time if its tag is `latest`, given or implied.
fn pull_policy(image: &str) -> &'static str {
    let tagged = image.rsplit_once('/').map_or(image, |(_, rest)| rest);
    let latest = match tagged.split_once(':') {
        _ if image.is_empty() || image.contains('@') => false,
        Some((_, tag)) => tag == "latest",
        // A reference in capitals cannot be read, so upstream finds no tag in it.
        None => !image.bytes().any(|b| b.is_ascii_uppercase()),
    };
    if latest { "Always" } else { "IfNotPresent" }
}

fn set_env_defaults(variable: &mut EnvVar) {
    let Some(source) = &mut variable.value_from else { return };
    source.field_ref.iter_mut().for_each(set_field_ref_defaults);
    source.resource_field_ref.iter_mut().for_each(set_resource_ref_defaults);
}

fn set_field_ref_defaults(reference: &mut ObjectFieldSelector) {
    fill(&mut reference.api_version, "v1");
}

fn set_resource_ref_defaults(reference: &mut ResourceFieldSelector) {
    reference.divisor.get_or_insert_with(|| QuantityText("0".into()));
}

fn set_probe_defaults(probe: &mut Probe) {
    fill_number(&mut probe.timeout_seconds, 1);
    fill_number(&mut probe.period_seconds, 10);
    fill_number(&mut probe.success_threshold, 1);
    fill_number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(set_http_defaults);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn set_http_defaults(http: &mut HTTPGetAction) {
    fill(&mut http.path, "/");
    fill(&mut http.scheme, "HTTP");
}

fn set_volume_defaults(volume: &mut Volume) {
    if *volume == (Volume { name: volume.name.clone(), ..Default::default() }) {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(FILE_MODE);
        source.items.iter_mut().flatten().for_each(set_downward_defaults);
    }
    if let Some(source) = &mut volume.projected {
        set_projected_defaults(source);
    }
    if let Some(image) = &mut volume.image {
        fill(&mut image.pull_policy, pull_policy(image.reference.as_deref().unwrap_or_default()));
    }
    if let Some(claim) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut()) {
        fill(&mut claim.spec.volume_mode, "Filesystem");
    }
}

fn set_downward_defaults(file: &mut DownwardAPIVolumeFile) {
    file.field_ref.iter_mut().for_each(set_field_ref_defaults);
    file.resource_field_ref.iter_mut().for_each(set_resource_ref_defaults);
}

fn set_projected_defaults(source: &mut ProjectedVolumeSource) {
    source.default_mode.get_or_insert(FILE_MODE);
    for projection in source.sources.iter_mut().flatten() {
        if let Some(token) = &mut projection.service_account_token {
            token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
        }
        let files = projection.downward_api.as_mut().and_then(|source| source.items.as_mut());
        files.into_iter().flatten().for_each(set_downward_defaults);
    }
}

/// What a client should be told about a pod specification that is accepted.
pub(crate) fn warnings(spec: &PodSpec, field: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let containers = spec.containers.iter().enumerate().map(|(i, container)| ("containers", i, container));
    let inits = spec.init_containers.iter().flatten().enumerate();
    for (list, i, container) in inits.map(|(i, container)| ("initContainers", i, container)).chain(containers)
    {
        let at = || field.child(list).index(i);
        if let Some(resources) = &container.resources {
            warn_of_fractions(resources, at, &mut warnings);
        }
        let variables = container.env.as_deref().unwrap_or_default();
        warn_of_hidden_variables(variables, at, &mut warnings);
    }
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        let at = field.child("terminationGracePeriodSeconds");
        warnings.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    let secrets = spec.image_pull_secrets.as_deref().unwrap_or_default();
    for (i, secret) in secrets.iter().enumerate() {
        let at = || field.child("imagePullSecrets").index(i);
        if secret.name.is_empty() {
            warnings.push(format!("{}: invalid empty name \"\"", at().child("name")));
        } else if secrets[..i].contains(secret) {
            warnings.push(format!("{}: duplicate name {:?}", at().child("name"), secret.name));
        }
    }
    warnings
}

/// Half a byte cannot be had.
fn warn_of_fractions(resources: &ResourceRequirements, field: impl Fn() -> Path, warnings: &mut Vec<String>) {
    for (list, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for name in ["memory", "ephemeral-storage"] {
            let Some(text) = amounts.as_ref().and_then(|amounts| amounts.get(name)) else { continue };
            if text.0.parse::<Quantity>().is_ok_and(|amount| amount.milli_value() % 1_000 != 0) {
                let at = field().child("resources").child(list).key(name);
                warnings
                    .push(format!("{at}: fractional byte value {:?} is invalid, must be an integer", text.0));
            }
        }
    }
}

/// A variable that is given twice; harmless if the second builds on the first.
fn warn_of_hidden_variables(variables: &[EnvVar], field: impl Fn() -> Path, warnings: &mut Vec<String>) {
    for (i, variable) in variables.iter().enumerate() {
        if !variables[..i].iter().any(|other| other.name == variable.name) {
            continue;
        }
        let reference = format!("$({})", variable.name);
        let value = variable.value.as_deref().unwrap_or_default();
        let extends = variable.value_from.is_none() && value != reference && value.contains(&reference);
        if !extends {
            let at = field().child("env").index(i);
            warnings.push(format!(
                "{at}: hides previous definition of {:?}, which may be dropped when using apply",
                variable.name
            ));
        }
    }
}

/// The names of a pod's containers, as the Containers column shows them.
pub(crate) fn container_names(spec: Option<&PodSpec>) -> String {
    let names: Vec<&str> = spec.iter().flat_map(|spec| &spec.containers).map(|c| c.name.as_str()).collect();
    names.join(",")
}

/// The images of a pod's containers, as the Images column shows them.
pub(crate) fn container_images(spec: Option<&PodSpec>) -> String {
    let containers = spec.iter().flat_map(|spec| &spec.containers);
    containers.map(|container| container.image.as_deref().unwrap_or_default()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_tagged_latest_are_pulled_every_time() {
        for image in ["busybox", "busybox:latest", "host:5000/a/b", "docker.io/x:latest"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in ["busybox:1", "host:5000/a/b:v2", "x@sha256:00", "x:latest@sha256:00", "", "Foo"] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }

    #[test]
    fn a_variable_that_extends_its_namesake_is_not_warned_of() {
        let variable =
            |value: &str| EnvVar { name: "a".into(), value: Some(value.into()), ..Default::default() };
        let mut warnings = Vec::new();
        let variables = [variable("a"), variable("x"), variable("$(a)"), variable("$(a) $(a)")];
        warn_of_hidden_variables(&variables, || Path::root("spec"), &mut warnings);
        assert_eq!(
            warnings,
            [1, 2].map(|i| format!(
                "spec.env[{i}]: hides previous definition of \"a\", which may be dropped when using apply"
            ))
        );
    }
}
