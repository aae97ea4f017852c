//! What other objects say about a new one: upstream's admission plugins, applied to whoever creates it.

mod limit_range;
mod service_account;

use crate::{
    ApiError, Kind, Object, Snapshot, Typed,
    admit::{self, Admitted, Context},
    api::{Pod, PriorityClass},
    claim,
    kinds::{
        Rules,
        priority_class::{self, PREEMPT},
    },
};

/// Makes a new object fit to be stored beside everything else: [`admit::create`] with what LimitRanges, ServiceAccounts and
/// PriorityClasses say.
///
/// # Errors
/// 403 if another object forbids it; else as [`admit::create`].
pub fn create(snapshot: &Snapshot, mut object: Typed, ctx: &mut Context<'_>) -> Result<Admitted, ApiError> {
    match &mut object {
        Typed::Pod(pod) => {
            // Upstream's plugins see objects with their defaults.
            pod.set_defaults();
            limit_range::admit_pod(snapshot, pod)?;
            service_account::admit(snapshot, pod, ctx.ids)?;
            resolve_priority(snapshot, pod)?;
        }
        Typed::PersistentVolumeClaim(wanted) => limit_range::check_claim(snapshot, wanted)?,
        Typed::PriorityClass(class) => check_default_class(snapshot, class)?,
        _ => {}
    }
    admit::create(object, ctx)
}

/// Checks a replacement for a stored object beside everything else.
///
/// # Errors
/// 403 if another object forbids it.
pub fn check_update(snapshot: &Snapshot, old: &Object, new: &Typed) -> Result<(), ApiError> {
    match new {
        Typed::PersistentVolumeClaim(new) => {
            let old = old.decode();
            if claim::requested(new) > claim::requested(&old) {
                claim::check_growth(&old, new, snapshot)?;
                limit_range::check_claim(snapshot, new)?;
            }
            Ok(())
        }
        Typed::PriorityClass(class) => check_default_class(snapshot, class),
        _ => Ok(()),
    }
}

/// Why an object may never be deleted, if it may not.
pub fn check_deletion(object: &Object) -> Result<(), ApiError> {
    let is_system = |name: &str| priority_class::SYSTEM.iter().any(|(system, ..)| *system == name);
    if object.kind() == Kind::PriorityClass && is_system(object.name()) {
        let why = "this is a system priority class and cannot be deleted";
        return Err(ApiError::forbidden(Kind::PriorityClass, object.name(), why));
    }
    Ok(())
}

/// The PriorityClasses that every cluster has.
pub fn system_priority_classes() -> impl Iterator<Item = PriorityClass> {
    priority_class::SYSTEM.iter().map(|(name, value, description)| {
        let mut class = PriorityClass {
            description: Some((*description).to_owned()),
            value: Some(*value),
            ..PriorityClass::default()
        };
        class.metadata.name = Some((*name).to_owned());
        class
    })
}

fn refused(pod: &Pod, why: &str) -> ApiError {
    let name = pod.metadata.name.as_deref().or(pod.metadata.generate_name.as_deref()).unwrap_or_default();
    ApiError::forbidden(Kind::Pod, name, why)
}

/// Gives a pod the priority of its class: the one it names, or the default one if there is one.
fn resolve_priority(snapshot: &Snapshot, pod: &mut Pod) -> Result<(), ApiError> {
    let spec = pod.spec.get_or_insert_default();
    let named = spec.priority_class_name.clone().filter(|name| !name.is_empty());
    let class = match &named {
        Some(name) => match snapshot.decode::<PriorityClass>("", name) {
            Some(class) => Some(class),
            None => {
                return Err(refused(pod, &format!("no PriorityClass with name {name} was found")));
            }
        },
        None => default_class(snapshot),
    };
    let value = class.as_ref().map_or(0, priority_class::value_of);
    if let Some(given) = spec.priority.filter(|given| *given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission \
             controller computed {value} from the given PriorityClass name"
        );
        return Err(refused(pod, &why));
    }
    let policy = class.as_ref().and_then(|class| class.preemption_policy.as_deref()).unwrap_or(PREEMPT);
    if let Some(given) = spec.preemption_policy.as_deref().filter(|given| *given != policy) {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        );
        return Err(refused(pod, &why));
    }
    spec.priority = Some(value);
    spec.preemption_policy = Some(policy.to_owned());
    spec.priority_class_name = class.and_then(|class| class.metadata.name);
    Ok(())
}

/// The class of pods that name none; of several the lowest, as upstream has it.
fn default_class(snapshot: &Snapshot) -> Option<PriorityClass> {
    let classes = snapshot.list(Kind::PriorityClass);
    // The text is enough to pass over the others, since every pod comes this way.
    let marked = classes.filter(|object| object.json().contains("\"globalDefault\":true"));
    marked
        .map(|object| object.decode::<PriorityClass>())
        .filter(|class| class.global_default == Some(true))
        .min_by_key(priority_class::value_of)
}

fn check_default_class(snapshot: &Snapshot, class: &PriorityClass) -> Result<(), ApiError> {
    if class.global_default != Some(true) {
        return Ok(());
    }
    let own = class.metadata.name.as_deref().unwrap_or_default();
    match default_class(snapshot).and_then(|other| other.metadata.name).filter(|other| other != own) {
        None => Ok(()),
        Some(other) => {
            let why =
                format!("PriorityClass {other} is already marked as default. Only one default can exist");
            Err(ApiError::forbidden(Kind::PriorityClass, own, &why))
        }
    }
}

#[cfg(test)]
mod tests;
