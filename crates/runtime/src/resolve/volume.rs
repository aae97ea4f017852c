//! What each volume of a pod is, and what has to be made for it.

use std::path::PathBuf;

use cronlet_object::{
    Key, Kind,
    api::{self, PersistentVolume, PersistentVolumeClaim},
    claim,
    quantity::Quantity,
};
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, HostPathVolumeSource, VolumeProjection};

use super::{
    Blocked, Inputs,
    payload::{self, FILE_MODE, Source},
    pod_dir, roles,
};
use crate::{
    spec::Role,
    tokens::{TokenFile, TokenRequest},
};

/// How long a token is valid whose volume does not say, in seconds (upstream's default).
const TOKEN_SECONDS: i64 = 3600;

/// How the names of the directories begin that are a pod's own volumes, in its directory.
pub(crate) const OWN_VOLUME: &str = "volume-";

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Its name within the pod.
    pub name: String,
    /// Its directory or file on the host.
    pub source: PathBuf,
    /// Whether containers can only read it, whatever they ask for.
    pub read_only: bool,
    /// The group that owns what is made for it.
    pub gid: Option<u32>,
    /// What has to be made.
    pub plan: Plan,
}

/// What has to be made for a volume before it can be mounted.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// An empty directory that everybody may write to.
    EmptyDir,
    /// A directory on which the shim mounts memory.
    Memory {
        /// Its size, if limited.
        bytes_max: Option<u64>,
    },
    /// The directory of a claim, which outlives the pod.
    Claim {
        /// Whether a group that owns the directory owns all in it: `fsGroupChangePolicy: OnRootMismatch`.
        only_on_mismatch: bool,
    },
    /// A directory of the host that is there already: a `local` volume.
    Local {
        /// As of a claim.
        only_on_mismatch: bool,
    },
    /// Something that is on the host.
    HostPath(HostPathKind),
    /// Files, all of which change at once when they change.
    Files(Vec<FileEntry>),
    /// The same, and tokens that are still to be asked for: [`crate::tokens`].
    FilesAndTokens {
        /// Files.
        files: Vec<FileEntry>,
        /// Files with tokens.
        tokens: Vec<TokenFile>,
    },
}

/// What a host path must be: `hostPath.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPathKind {
    /// Nothing is checked; a directory is made if there is nothing, which container runtimes do when they mount it.
    Unset,
    /// A directory, which is created if there is nothing.
    DirectoryOrCreate,
    /// A directory.
    Directory,
    /// A file, which is created if there is nothing.
    FileOrCreate,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// A file in a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative path, without `..`.
    pub path: String,
    /// Content.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// Plans all volumes; what is wrong with one is added to `blocked`.
pub(super) fn plan_all(inputs: &Inputs<'_>, spec: &api::PodSpec, blocked: &mut Vec<Blocked>) -> Vec<Volume> {
    let fs_group = spec.security_context.as_ref().and_then(|context| context.fs_group);
    let may_own = inputs.node.users.uid == 0 || inputs.node.has_ranges;
    let gid = fs_group.and_then(|group| u32::try_from(group).ok()).filter(|_| may_own);
    let mut volumes = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        match plan(inputs, volume, gid) {
            Ok(planned) => volumes.push(planned),
            Err(message) => blocked.push(Blocked::Volume { volume: volume.name.clone(), message }),
        }
    }
    volumes
}

fn plan(inputs: &Inputs<'_>, volume: &api::Volume, gid: Option<u32>) -> Result<Volume, String> {
    let uid = inputs.pod.metadata.uid.as_deref().unwrap_or_default();
    let own = pod_dir(&inputs.node.pods_dir, uid).join(format!("{OWN_VOLUME}{}", volume.name));
    let planned =
        |source, read_only, plan| Volume { name: volume.name.clone(), source, read_only, gid, plan };
    if let Some(empty) = &volume.empty_dir {
        return Ok(planned(own, false, empty_dir(inputs, empty)?));
    }
    if let Some(host) = &volume.host_path {
        let kind = host_path_kind(host)?;
        return Ok(Volume { gid: None, ..planned(PathBuf::from(&host.path), false, Plan::HostPath(kind)) });
    }
    if let Some(name) = claim::name_in_pod(volume, inputs.pod.metadata.name.as_deref().unwrap_or_default()) {
        let Claimed { source, plan, read_only } = claimed(inputs, &name, volume.ephemeral.is_some())?;
        let gid = gid.filter(|_| !matches!(plan, Plan::HostPath(_)));
        let wanted = volume.persistent_volume_claim.as_ref();
        let read_only = read_only || wanted.and_then(|wanted| wanted.read_only) == Some(true);
        return Ok(Volume { gid, ..planned(source, read_only, plan) });
    }
    let files = payload::combine(files(inputs, volume)?)?;
    let tokens: Vec<TokenFile> = tokens(inputs, volume).collect();
    if let Some(token) = tokens.iter().find(|token| !payload::is_valid_path(&token.path)) {
        return Err(format!("invalid path: {:?}", token.path));
    }
    let plan = if tokens.is_empty() { Plan::Files(files) } else { Plan::FilesAndTokens { files, tokens } };
    let in_memory = inputs.node.secrets_dir.as_ref().filter(|_| is_secret(volume));
    let source = in_memory.map_or(own, |dir| pod_dir(dir, uid).join(format!("{OWN_VOLUME}{}", volume.name)));
    Ok(planned(source, true, plan))
}

/// The tokens of a projected volume.
fn tokens<'a>(inputs: &'a Inputs<'_>, volume: &'a api::Volume) -> impl Iterator<Item = TokenFile> + 'a {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let metadata = &inputs.pod.metadata;
    let account = inputs.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    volume.projected.iter().flat_map(move |projected| {
        let mode = payload::mode(projected.default_mode.unwrap_or(FILE_MODE));
        let account = account.clone().unwrap_or_default();
        let sources =
            projected.sources.iter().flatten().filter_map(|source| source.service_account_token.as_ref());
        sources.map(move |wanted| TokenFile {
            path: wanted.path.clone(),
            mode,
            request: TokenRequest {
                namespace: text(&metadata.namespace),
                pod: text(&metadata.name),
                pod_uid: text(&metadata.uid),
                account: account.clone(),
                audience: wanted.audience.clone().filter(|audience| !audience.is_empty()),
                seconds: wanted.expiration_seconds.unwrap_or(TOKEN_SECONDS),
            },
        })
    })
}

/// Whether something in a volume is secret: a token, or of a Secret.
fn is_secret(volume: &api::Volume) -> bool {
    let mut sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    volume.secret.is_some()
        || sources.any(|source| source.secret.is_some() || source.service_account_token.is_some())
}

fn empty_dir(inputs: &Inputs<'_>, empty: &EmptyDirVolumeSource) -> Result<Plan, String> {
    match empty.medium.as_deref().unwrap_or_default() {
        "" => return Ok(Plan::EmptyDir),
        "Memory" => {}
        other => return Err(format!("emptyDir medium {other:?}: this node has the disk and Memory")),
    }
    let limit = empty.size_limit.as_ref().map(|limit| limit.0.parse::<Quantity>());
    let limit = limit.transpose().map_err(|error| format!("sizeLimit: {error}"))?;
    // The kubelet's rule: what is set counts if it is less than what the pod can use.
    let limits = [limit, memory_limit(inputs), node_memory(inputs)];
    let bytes = limits.into_iter().flatten().filter_map(|limit| u64::try_from(limit.value()).ok());
    Ok(Plan::Memory { bytes_max: bytes.filter(|&bytes| bytes > 0).min() })
}

/// What a pod's containers may use of memory together; nothing if one of them has no limit.
fn memory_limit(inputs: &Inputs<'_>) -> Option<Quantity> {
    let spec = inputs.pod.spec.as_ref()?;
    let limit = |container: &api::Container| {
        container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.parse::<Quantity>().ok()
    };
    let (mut beside, mut init, mut sum) = (Quantity::ZERO, Quantity::ZERO, Quantity::ZERO);
    for (role, container) in roles(spec) {
        let own = limit(container)?;
        match role {
            Role::Sidecar => beside = beside.saturating_add(own),
            Role::Init => init = init.max(beside.saturating_add(own)),
            Role::Regular => sum = sum.saturating_add(own),
        }
    }
    Some(init.max(sum.saturating_add(beside)))
}

/// The memory that the node has for pods.
fn node_memory(inputs: &Inputs<'_>) -> Option<Quantity> {
    let node: api::Node = inputs.snapshot.decode("", &inputs.node.name)?;
    node.status?.allocatable?.get("memory")?.0.parse().ok()
}

fn changes_on_mismatch(inputs: &Inputs<'_>) -> bool {
    let security = inputs.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    security.and_then(|security| security.fs_group_change_policy.as_deref()) == Some("OnRootMismatch")
}

fn host_path_kind(host: &HostPathVolumeSource) -> Result<HostPathKind, String> {
    Ok(match host.type_.as_deref().unwrap_or_default() {
        "" => HostPathKind::Unset,
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        other => return Err(format!("hostPath type {other:?} is not known")),
    })
}

/// What a claim is bound to.
struct Claimed {
    source: PathBuf,
    plan: Plan,
    read_only: bool,
}

fn claimed(inputs: &Inputs<'_>, name: &str, is_ephemeral: bool) -> Result<Claimed, String> {
    let namespace = inputs.pod.metadata.namespace.as_deref().unwrap_or_default();
    let object = inputs.snapshot.get(&Key::new(Kind::PersistentVolumeClaim, namespace, name));
    let object = object.ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))?;
    if is_ephemeral {
        claim::check_made_for(object, &inputs.pod.metadata)?;
    }
    let claim: PersistentVolumeClaim = object.decode();
    let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    let read_only = !modes.is_empty() && modes.iter().all(|mode| mode == claim::READ_ONLY_MANY);
    let only_on_mismatch = changes_on_mismatch(inputs);
    if let Some(directory) = claim::directory_without_volume(&claim, inputs.snapshot) {
        let source = inputs.node.volumes_dir.join(directory);
        return Ok(Claimed { source, plan: Plan::Claim { only_on_mismatch }, read_only });
    }
    let volume_name = claim::volume_of(&claim).filter(|_| claim::is_bound(&claim));
    let volume_name = volume_name.ok_or_else(|| format!("persistentvolumeclaim {name:?} is not bound"))?;
    let volume: Option<PersistentVolume> = inputs.snapshot.decode("", volume_name);
    let volume = volume.ok_or_else(|| format!("persistentvolume {volume_name:?} not found"))?;
    let (source, plan) = of_volume(inputs, &volume, volume_name, only_on_mismatch)?;
    Ok(Claimed { source, plan, read_only })
}

/// Where a volume's data is, and what must be done before it can be mounted.
fn of_volume(
    inputs: &Inputs<'_>,
    volume: &PersistentVolume,
    name: &str,
    only_on_mismatch: bool,
) -> Result<(PathBuf, Plan), String> {
    let spec = volume.spec.as_ref();
    if claim::is_own_volume(volume) {
        return Ok((inputs.node.volumes_dir.join(name), Plan::Claim { only_on_mismatch }));
    }
    if spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block") {
        return Err(format!("persistentvolume {name:?}: this node has no block volumes"));
    }
    if let Some(host) = spec.and_then(|spec| spec.host_path.as_ref()) {
        return Ok((PathBuf::from(&host.path), Plan::HostPath(host_path_kind(host)?)));
    }
    if let Some(local) = spec.and_then(|spec| spec.local.as_ref()) {
        return Ok((PathBuf::from(&local.path), Plan::Local { only_on_mismatch }));
    }
    if spec.is_some_and(|spec| spec.nfs.is_some()) {
        return Err(format!(
            "persistentvolume {name:?}: this node mounts no nfs by itself; mount it on the machine, and use a volume \
             of the type local or hostPath with that path"
        ));
    }
    Err(format!("persistentvolume {name:?}: this node has no volumes of its type"))
}

/// The files of a volume that is made of API objects.
fn files(inputs: &Inputs<'_>, volume: &api::Volume) -> Result<Vec<FileEntry>, String> {
    if let Some(wanted) = &volume.config_map {
        let mode = payload::mode(wanted.default_mode.unwrap_or(FILE_MODE));
        let optional = wanted.optional == Some(true);
        return payload::config_map(
            inputs,
            &Source { name: &wanted.name, items: wanted.items.as_deref(), optional, mode },
        );
    }
    if let Some(wanted) = &volume.secret {
        let mode = payload::mode(wanted.default_mode.unwrap_or(FILE_MODE));
        let (name, optional) =
            (wanted.secret_name.as_deref().unwrap_or_default(), wanted.optional == Some(true));
        return payload::secret(inputs, &Source { name, items: wanted.items.as_deref(), optional, mode });
    }
    if let Some(wanted) = &volume.downward_api {
        let mode = payload::mode(wanted.default_mode.unwrap_or(FILE_MODE));
        return payload::downward(inputs, wanted.items.as_deref().unwrap_or_default(), mode);
    }
    if let Some(wanted) = &volume.projected {
        let mode = payload::mode(wanted.default_mode.unwrap_or(FILE_MODE));
        let sources = wanted.sources.iter().flatten();
        let parts: Result<Vec<_>, String> = sources.map(|source| projected(inputs, source, mode)).collect();
        return Ok(parts?.into_iter().flatten().collect());
    }
    Err("this node has no volumes of its type".to_owned())
}

fn projected(inputs: &Inputs<'_>, source: &VolumeProjection, mode: u32) -> Result<Vec<FileEntry>, String> {
    if let Some(wanted) = &source.config_map {
        let (items, optional) = (wanted.items.as_deref(), wanted.optional == Some(true));
        return payload::config_map(inputs, &Source { name: &wanted.name, items, optional, mode });
    }
    if let Some(wanted) = &source.secret {
        let (items, optional) = (wanted.items.as_deref(), wanted.optional == Some(true));
        return payload::secret(inputs, &Source { name: &wanted.name, items, optional, mode });
    }
    if let Some(wanted) = &source.downward_api {
        return payload::downward(inputs, wanted.items.as_deref().unwrap_or_default(), mode);
    }
    if source.service_account_token.is_some() {
        // It is none of what is stored.
        return Ok(Vec::new());
    }
    Err("this node has no projected volumes of its source's type".to_owned())
}
