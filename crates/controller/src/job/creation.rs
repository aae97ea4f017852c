//! New pods for a Job, made from its template.

use std::collections::HashSet;

use cronlet_object::{
    ApiError, Draft, Ids, Key, Kind, Snapshot,
    api::{Container, EnvVar, EnvVarSource, JobSpec, ObjectFieldSelector, ObjectMeta, Pod},
};

use super::{
    adoption::controller_reference,
    indexed::next_failure_counts,
    pod::{INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, TRACKING_FINALIZER},
    situation::Situation,
};

/// The variable that tells a container its completion index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// Longest part of a pod's name that precedes the random suffix, in bytes.
const GENERATED_BASE_BYTES_MAX: usize = 58;
/// How often another random suffix is tried when a name is taken. Among 27^5 suffixes that is plenty.
const NAME_ATTEMPTS_MAX: usize = 8;

/// Decides whether a pod may be created, and completes it: defaults, UID, timestamps.
pub(super) type Admit<'a> = dyn FnMut(Pod, &mut Ids) -> Result<Draft, ApiError> + 'a;

/// What new pods are made with.
pub(super) struct Supply<'a, 'b> {
    /// The source of names and UIDs.
    pub(super) ids: &'a mut Ids,
    /// What decides about them.
    pub(super) admit: &'a mut Admit<'b>,
}

/// The pods that were made, and the error that ended it early.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// The new pods.
    pub(super) pods: Vec<Draft>,
    /// Why no further pod could be made. The rest would be refused for the same reason, so it is not tried.
    pub(super) refused: Option<ApiError>,
}

/// Makes pods with the given completion indexes from the template of a Job.
pub(super) fn create(
    situation: &Situation<'_>,
    job: &JobSpec,
    indexes: &[Option<u32>],
    snapshot: &Snapshot,
    supply: &mut Supply<'_, '_>,
) -> Created {
    let mut created = Created::default();
    let mut names = HashSet::new();
    for index in indexes {
        let mut pod = from_template(situation, job, *index);
        let base = pod.metadata.generate_name.clone().unwrap_or_default();
        let name = free_name(&base, situation.object.namespace(), snapshot, &names, supply.ids);
        names.insert(name.clone());
        pod.metadata.name = Some(name);
        match (supply.admit)(pod, supply.ids) {
            Ok(draft) => created.pods.push(draft),
            Err(error) => {
                created.refused = Some(error);
                break;
            }
        }
    }
    created
}

fn free_name(
    base: &str,
    namespace: &str,
    snapshot: &Snapshot,
    new: &HashSet<String>,
    ids: &mut Ids,
) -> String {
    let mut name = ids.name(base);
    for _ in 1..NAME_ATTEMPTS_MAX {
        let key = Key::new(Kind::Pod, namespace, name.as_str());
        if !new.contains(&name) && snapshot.get(&key).is_none() {
            break;
        }
        name = ids.name(base);
    }
    name
}

fn from_template(situation: &Situation<'_>, job: &JobSpec, index: Option<u32>) -> Pod {
    let template = job.template.metadata.as_ref();
    let mut pod = Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", situation.object.name())),
            namespace: Some(situation.object.namespace().to_owned()),
            labels: template.and_then(|meta| meta.labels.clone()),
            annotations: template.and_then(|meta| meta.annotations.clone()),
            finalizers: template.and_then(|meta| meta.finalizers.clone()),
            owner_references: Some(vec![controller_reference(situation.object)]),
            ..ObjectMeta::default()
        },
        spec: job.template.spec.clone(),
        status: None,
    };
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING_FINALIZER) {
        finalizers.push(TRACKING_FINALIZER.to_owned());
    }
    if let Some(index) = index {
        give_index(&mut pod, situation, index);
    }
    pod
}

/// Makes a pod the one of an index: name, host name, annotation, label, variable, and the failures before it.
fn give_index(pod: &mut Pod, situation: &Situation<'_>, index: u32) {
    let job = situation.object.name();
    pod.metadata.generate_name = Some(indexed_base(job, index));
    pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if situation.spec.backoff_limit_per_index.is_some() {
        let indexed = situation.indexed.as_ref();
        let replaced = indexed.and_then(|indexed| indexed.awaiting_replacement.get(&index));
        let replaced = replaced.map(|at| &situation.pods[*at]);
        let (counted, ignored) = next_failure_counts(&situation.spec, replaced);
        annotations.insert(INDEX_FAILURES.to_owned(), counted.to_string());
        if ignored > 0 {
            annotations.insert(INDEX_IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(hostname(job, index));
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        give_index_variable(container);
    }
}

fn give_index_variable(container: &mut Container) {
    let env = container.env.get_or_insert_default();
    if env.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    env.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: format!("metadata.labels['{INDEX}']"),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
}

/// What precedes the random suffix in the name of an index's pod. A long Job name is cut, not the index.
pub(super) fn indexed_base(job: &str, index: u32) -> String {
    let tail = format!("-{index}-");
    let room = GENERATED_BASE_BYTES_MAX.saturating_sub(tail.len());
    format!("{}{tail}", &job[..job.floor_char_boundary(room)])
}

/// The host name of an index's pods.
pub(super) fn hostname(job: &str, index: u32) -> String {
    format!("{job}-{index}")
}
