//! How objects go: at once, after a grace period, or when their finalizers are gone.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

use crate::{
    ApiError, Draft, FieldErrors, Kind, Object, Path, Typed, Write,
    admit::whole_seconds,
    api::{Namespace, ObjectMeta, Pod, Time},
    kinds::namespace,
    validate::metadata::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER},
};

/// Namespaces that are always there.
const PROTECTED_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];
const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];
const ORPHANED_PODS_WARNING: &str = "child pods are preserved by default when jobs are deleted; set \
    propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

/// What a request to delete an object comes to.
#[derive(Clone, Debug)]
pub enum Deletion {
    /// The object is to be removed now.
    Remove,
    /// The object is to be marked as being deleted; something must still happen before it can go.
    Mark(Draft),
    /// The object is being deleted already, and the request changes nothing about it.
    Unchanged,
}

/// What becomes of the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Propagation {
    /// They stay, without it.
    Orphan,
    /// They go first.
    Foreground,
    /// They go after it.
    Background,
}

/// Decides a request to delete `object`.
///
/// # Errors
/// 422 for options that make no sense, 409 if a precondition does not hold, 403 for a namespace that must
/// stay.
pub fn delete(object: &Object, options: &DeleteOptions, now: Timestamp) -> Result<Deletion, ApiError> {
    validate_options(options)?;
    check_preconditions(object, options)?;
    match object.typed() {
        Typed::Namespace(namespace) => delete_namespace(object, *namespace, options, now),
        mut typed => {
            let graceful = match &mut typed {
                Typed::Pod(pod) => mark_pod(pod, options.grace_period_seconds, now),
                _ => Grace::Over,
            };
            if graceful == Grace::Unchanged {
                return Ok(Deletion::Unchanged);
            }
            let propagation = propagation(object, options);
            let meta = typed.metadata_mut();
            set_propagation(meta, propagation);
            if graceful == Grace::Over {
                if meta.finalizers.as_ref().is_none_or(Vec::is_empty) {
                    return Ok(Deletion::Remove);
                }
                mark(meta, now);
            }
            Ok(changed(object, &typed))
        }
    }
}

fn changed(object: &Object, typed: &Typed) -> Deletion {
    let draft = Draft::new(typed);
    if draft.is_same_as(object) { Deletion::Unchanged } else { Deletion::Mark(draft) }
}

/// The warning that comes with a deletion, if one does: without a policy the pods of a Job stay behind.
pub fn warning(kind: Kind, options: &DeleteOptions) -> Option<&'static str> {
    let chosen = options.propagation_policy.is_some() || options.orphan_dependents.is_some();
    (kind == Kind::Job && !chosen).then_some(ORPHANED_PODS_WARNING)
}

fn validate_options(options: &DeleteOptions) -> Result<(), ApiError> {
    let mut errors = FieldErrors::new();
    if let Some(policy) = options.propagation_policy.as_deref() {
        let field = Path::root("propagationPolicy");
        if options.orphan_dependents.is_some() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.invalid(&field, policy, detail);
        }
        if !POLICIES.contains(&policy) {
            errors.not_supported(&field, policy, &["Foreground", "Background", "Orphan", "nil"]);
        }
    }
    if options.dry_run.iter().flatten().any(|mode| mode != "All") {
        errors.not_supported(&Path::root("dryRun"), &options.dry_run, &["All"]);
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_named("meta.k8s.io", "DeleteOptions", "", &errors))
}

fn check_preconditions(object: &Object, options: &DeleteOptions) -> Result<(), ApiError> {
    let Some(preconditions) = &options.preconditions else { return Ok(()) };
    let refuse = |what: &str, asked: &str, record: &str, might: &str| {
        let why = format!(
            "the {what} in the precondition ({asked}) does not match the {what} in record ({record}). The \
             object might have been {might}"
        );
        Err(ApiError::precondition_failed(object.kind(), object.name(), &why))
    };
    let uid = object.meta().uid.as_ref();
    if let Some(asked) = preconditions.uid.as_deref().filter(|asked| *asked != uid) {
        return refuse("UID", asked, uid, "deleted and then recreated");
    }
    let version = object.revision().to_string();
    if let Some(asked) = preconditions.resource_version.as_deref().filter(|asked| *asked != version) {
        return refuse("ResourceVersion", asked, &version, "modified");
    }
    Ok(())
}

/// A namespace first loses its contents; it is marked, and goes when its last finalizer does.
fn delete_namespace(
    object: &Object,
    mut namespace: Namespace,
    options: &DeleteOptions,
    now: Timestamp,
) -> Result<Deletion, ApiError> {
    if PROTECTED_NAMESPACES.contains(&object.name()) {
        return Err(ApiError::forbidden(Kind::Namespace, object.name(), "this namespace may not be deleted"));
    }
    if namespace.metadata.deletion_timestamp.is_some() {
        let due = is_due(&Typed::from(namespace));
        return Ok(if due { Deletion::Remove } else { Deletion::Unchanged });
    }
    namespace.metadata.deletion_timestamp = Some(whole_seconds(now));
    set_propagation(&mut namespace.metadata, propagation(object, options));
    namespace.status.get_or_insert_default().phase = Some(namespace::TERMINATING.to_owned());
    let typed = Typed::from(namespace);
    Ok(if is_due(&typed) { Deletion::Remove } else { changed(object, &typed) })
}

/// What a pod's grace period makes of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grace {
    /// There is none, or none any more.
    Over,
    /// It runs.
    Running,
    /// It runs already, and the request does not shorten it.
    Unchanged,
}

/// Marks a pod as being deleted after its grace period. A later request can only shorten the period.
fn mark_pod(pod: &mut Pod, asked: Option<i64>, now: Timestamp) -> Grace {
    // A negative period counts as the shortest one there is.
    let asked = asked.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let period = if let Some(deleted) = &pod.metadata.deletion_timestamp {
        let (deleted, current) = (deleted.0, pod.metadata.deletion_grace_period_seconds);
        match (asked, current) {
            (_, None) => return Grace::Over,
            (Some(asked), Some(current)) if asked < current => {
                pod.metadata.deletion_timestamp = Some(later(deleted, asked - current));
                asked
            }
            // Nothing is left to wait for but finalizers.
            (_, Some(_)) => return Grace::Unchanged,
        }
    } else {
        let period = grace_period(pod, asked);
        bump_generation(&mut pod.metadata);
        pod.metadata.deletion_timestamp = Some(later(now, period));
        period
    };
    pod.metadata.deletion_grace_period_seconds = Some(period);
    if period == 0 { Grace::Over } else { Grace::Running }
}

/// A pod that no node can be running, because it is not bound to one or has ended, needs no time to stop.
fn grace_period(pod: &Pod, asked: Option<i64>) -> i64 {
    let bound =
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some_and(|name| !name.is_empty());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if !bound || matches!(phase, Some("Succeeded" | "Failed")) {
        return 0;
    }
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let period = asked.or(own).unwrap_or(0);
    if period < 0 { 1 } else { period }
}

/// `seconds` after `time`, or the last moment there is: clients choose the period.
fn later(time: Timestamp, seconds: i64) -> Time {
    let end = time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    whole_seconds(end)
}

fn bump_generation(meta: &mut ObjectMeta) {
    if let Some(generation) = meta.generation.as_mut().filter(|generation| **generation > 0) {
        *generation += 1;
    }
}

/// Marks an object without a grace period as being deleted.
fn mark(meta: &mut ObjectMeta, now: Timestamp) {
    if meta.deletion_timestamp.is_none() {
        meta.deletion_timestamp = Some(whole_seconds(now));
        bump_generation(meta);
    }
    meta.deletion_grace_period_seconds = Some(0);
}

fn propagation(object: &Object, options: &DeleteOptions) -> Propagation {
    let has = |name: &str| object.meta().finalizers.iter().any(|finalizer| finalizer.as_ref() == name);
    match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        // Nothing is ever owned by an event.
        _ if object.kind() == Kind::Event => Propagation::Background,
        (Some(true), _) | (None, Some("Orphan")) => Propagation::Orphan,
        (None, Some("Foreground")) => Propagation::Foreground,
        (Some(false), _) | (None, Some(_)) => Propagation::Background,
        (None, None) if has(ORPHAN_FINALIZER) => Propagation::Orphan,
        (None, None) if has(FOREGROUND_FINALIZER) => Propagation::Foreground,
        (None, None) if object.kind() == Kind::Job => Propagation::Orphan,
        (None, None) => Propagation::Background,
    }
}

/// Leaves word for the garbage collector.
fn set_propagation(meta: &mut ObjectMeta, propagation: Propagation) {
    let wanted = match propagation {
        Propagation::Orphan => Some(ORPHAN_FINALIZER),
        Propagation::Foreground => Some(FOREGROUND_FINALIZER),
        Propagation::Background => None,
    };
    let mut finalizers = meta.finalizers.take().unwrap_or_default();
    finalizers.retain(|name| Some(name.as_str()) == wanted || !is_propagation(name));
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|name| name == wanted)) {
        finalizers.push(wanted.to_owned());
    }
    meta.finalizers = (!finalizers.is_empty()).then_some(finalizers);
}

fn is_propagation(finalizer: &str) -> bool {
    finalizer == ORPHAN_FINALIZER || finalizer == FOREGROUND_FINALIZER
}

/// Whether an object is being deleted and has nothing left to wait for: no finalizer, and no grace period.
/// That of a pod ends when its node says that nothing of it is left, by setting it to zero.
pub fn is_due(object: &Typed) -> bool {
    let meta = object.metadata();
    let held = |finalizers: Option<&Vec<String>>| finalizers.is_some_and(|list| !list.is_empty());
    let contents = match object {
        Typed::Namespace(namespace) => namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref()),
        _ => None,
    };
    meta.deletion_timestamp.is_some()
        && meta.deletion_grace_period_seconds.unwrap_or_default() == 0
        && !held(meta.finalizers.as_ref())
        && !held(contents)
}

/// The write that turns `old` into `new`, which a controller or the node made from it; none if nothing
/// changes. If `new` is being deleted and has nothing left to wait for, it goes.
///
/// Unlike [`crate::admit::update`] this validates nothing and leaves `metadata.generation` to the caller.
pub fn replace(old: &Object, new: &Typed) -> Option<Write> {
    let expect = old.revision();
    if is_due(new) {
        return Some(Write::Delete { key: old.key().clone(), expect });
    }
    let draft = Draft::new(new);
    (!draft.is_same_as(old)).then_some(Write::Update { draft, expect })
}

#[cfg(test)]
mod tests;
