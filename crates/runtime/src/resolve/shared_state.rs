//! Where guards of a program keep what they know, for pods that ask for it: a directory of their namespace on this node,
//! which outlives them. `cronlet-sdk` and `cronlet exec` look for it.

use std::path::{Path, PathBuf};

use super::{Inputs, Plan, Volume};
use crate::spec::{Mount, Propagation, ReadOnlyBelow};

/// The annotation of a pod that asks for it, with the value `shared`.
const ANNOTATION: &str = "cronlet.dev/state";
/// The name of the volume that it is, which no volume of a pod can have.
const VOLUME: &str = ANNOTATION;
/// Where containers see it.
const TARGET: &str = "/run/cronlet/state";
/// What tells them where that is.
const VARIABLE: &str = "CRONLET_STATE_DIR";

/// The directory of a namespace. No volume has a name like it.
pub(crate) fn directory(volumes_dir: &Path, namespace: &str) -> PathBuf {
    volumes_dir.join(format!("state~{namespace}"))
}

/// The volume that it is, or why the pod cannot have it; nothing if it does not ask.
pub(super) fn volume(inputs: &Inputs<'_>) -> Result<Option<Volume>, String> {
    let metadata = &inputs.pod.metadata;
    match metadata.annotations.as_ref().and_then(|own| own.get(ANNOTATION)).map(String::as_str) {
        None => Ok(None),
        Some("shared") => {
            let namespace = metadata.namespace.as_deref().unwrap_or_default();
            let source = directory(&inputs.node.volumes_dir, namespace);
            let plan = Plan::Claim { only_on_mismatch: true };
            Ok(Some(Volume { name: VOLUME.to_owned(), source, read_only: false, gid: None, plan }))
        }
        Some(other) => Err(format!("the annotation {ANNOTATION} is {other:?}: it must be \"shared\"")),
    }
}

/// Adds it to what a container has, unless that has a directory of its own for the purpose.
pub(super) fn give(volumes: &[Volume], mounts: &mut Vec<Mount>, environment: &mut Vec<(String, String)>) {
    let Some(volume) = volumes.iter().find(|volume| volume.name == VOLUME) else { return };
    if environment.iter().any(|(name, _)| name == VARIABLE) {
        return;
    }
    environment.push((VARIABLE.to_owned(), TARGET.to_owned()));
    mounts.push(Mount {
        volume: VOLUME.to_owned(),
        source: volume.source.clone(),
        sub_path: None,
        target: TARGET.into(),
        read_only: false,
        read_only_below: ReadOnlyBelow::No,
        propagation: Propagation::None,
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Blocked, resolve, tests::World};

    #[test]
    fn a_pod_that_asks_has_the_directory_of_its_namespace() {
        let world = World::new();
        let mut pod = world.pod("{command: [run]}");
        let plain = resolve(world.inputs(&pod)).unwrap();
        assert!(plain.volumes.is_empty(), "{:?}", plain.volumes);

        pod.metadata.annotations = Some([("cronlet.dev/state".to_owned(), "shared".to_owned())].into());
        let resolved = resolve(world.inputs(&pod)).unwrap();
        let source = Path::new("/data/volumes/state~ns");
        assert_eq!(resolved.volumes[0].source, source);
        let container = &resolved.spec.containers[0];
        assert_eq!(
            (container.mounts[0].source.as_path(), container.mounts[0].target.as_path()),
            (source, Path::new("/run/cronlet/state"))
        );
        assert!(container.env.contains(&("CRONLET_STATE_DIR".to_owned(), "/run/cronlet/state".to_owned())));

        let spec = pod.spec.as_mut().unwrap();
        spec.containers[0].env =
            Some(vec![serde_json::from_value(serde_json::json!({ "name": "CRONLET_STATE_DIR" })).unwrap()]);
        let own = resolve(world.inputs(&pod)).unwrap();
        assert!(own.spec.containers[0].mounts.is_empty(), "it has said otherwise");
    }

    #[test]
    fn another_value_is_refused() {
        let world = World::new();
        let mut pod = world.pod("{command: [run]}");
        pod.metadata.annotations = Some([("cronlet.dev/state".to_owned(), "mine".to_owned())].into());
        let blocked = resolve(world.inputs(&pod)).unwrap_err();
        let [Blocked::Volume { message, .. }] = &blocked[..] else { panic!("{blocked:?}") };
        assert_eq!(message, "the annotation cronlet.dev/state is \"mine\": it must be \"shared\"");
    }
}
