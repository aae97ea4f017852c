//! The account of a pod, and the volume by which its containers get the account's token.
//!
//! Upstream gives it to every pod. Here pods of containers have it; processes of the host, which see the files of the host,
//! have it if their pod asks for it with a volume of its own.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector,
    ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeMount, VolumeProjection,
};

use super::refused;
use crate::{
    ApiError, Ids, Kind, Snapshot,
    api::{Pod, ServiceAccount, Volume},
};

/// The account of pods that name none.
const DEFAULT: &str = "default";
/// Where client libraries look for the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How the name of the volume begins; five random characters follow.
const VOLUME: &str = "kube-api-access-";
/// How long the token is asked for, in seconds: upstream's number, which says that nobody has chosen it.
const SECONDS: i64 = 3607;
const FILE_MODE: i32 = 0o644;
/// How the version of the runtime begins of a node that runs containers.
const RUNS_CONTAINERS: &str = "\"containerRuntimeVersion\":\"cronlet-oci";

/// Gives a new pod the token of its account, unless it or the account does not want that.
///
/// # Errors
/// 403 if the pod names an account that is not there.
pub(super) fn admit(snapshot: &Snapshot, pod: &mut Pod, ids: &mut Ids) -> Result<(), ApiError> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let spec = pod.spec.get_or_insert_default();
    let name = spec.service_account_name.clone().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| DEFAULT.to_owned());
    let Some(account) = snapshot.decode::<ServiceAccount>(&namespace, &name) else {
        // Every namespace gets the default account, but for a moment after its creation.
        if name == DEFAULT {
            return Ok(());
        }
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(refused(pod, &why));
    };
    let wanted = spec.automount_service_account_token.or(account.automount_service_account_token);
    if wanted != Some(false) && snapshot.list(Kind::Node).any(|node| node.json().contains(RUNS_CONTAINERS)) {
        mount(pod, ids);
    }
    Ok(())
}

fn mount(pod: &mut Pod, ids: &mut Ids) {
    let spec = pod.spec.get_or_insert_default();
    let mounts_it = |volume_mounts: &Option<Vec<VolumeMount>>| {
        volume_mounts.iter().flatten().any(|mount| mount.mount_path == MOUNT_PATH)
    };
    let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
    let lacking: Vec<_> = containers.filter(|container| !mounts_it(&container.volume_mounts)).collect();
    if lacking.is_empty() {
        return;
    }
    let name = ids.name(VOLUME);
    for container in lacking {
        container.volume_mounts.get_or_insert_default().push(VolumeMount {
            name: name.clone(),
            mount_path: MOUNT_PATH.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
    spec.volumes.get_or_insert_default().push(volume(name));
}

fn volume(name: String) -> Volume {
    let file = |key: &str| KeyToPath { key: key.to_owned(), path: key.to_owned(), mode: None };
    let token = ServiceAccountTokenProjection {
        expiration_seconds: Some(SECONDS),
        path: "token".to_owned(),
        audience: None,
    };
    let authority = ConfigMapProjection {
        name: "kube-root-ca.crt".to_owned(),
        items: Some(vec![file("ca.crt")]),
        optional: None,
    };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: "metadata.namespace".to_owned(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ];
    let projected = ProjectedVolumeSource { default_mode: Some(FILE_MODE), sources: Some(sources) };
    Volume { name, projected: Some(projected), ..Volume::default() }
}
