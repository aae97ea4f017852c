//! PriorityClasses: names for the priorities of pods.

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::PriorityClass,
    table::{self, Column, Row},
    validate::{immutable, names::NameRule, one_of},
};

/// The beginning of names that are the system's.
const SYSTEM_PREFIX: &str = "system-";
/// The greatest value that a class of a user may have.
const USER_VALUE_MAX: i32 = 1_000_000_000;
/// The system's classes and their values, which every cluster has.
pub(crate) const SYSTEM: [(&str, i32, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];
/// What a pod may do to others of lower priority, unless it says something else.
pub(crate) const PREEMPT: &str = "PreemptLowerPriority";
const POLICIES: [&str; 2] = ["Never", PREEMPT];

impl Rules for PriorityClass {
    const NAME: NameRule = NameRule::Subdomain;
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Value").declared("integer"),
        Column::text("Global-Default").declared("boolean"),
        Column::text("Age"),
        Column::text("PreemptionPolicy"),
    ];

    fn set_defaults(&mut self) {
        self.preemption_policy.get_or_insert_with(|| PREEMPT.to_owned());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name.starts_with(SYSTEM_PREFIX) {
            if let Some(why) = not_of_the_system(self, name) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
                );
                errors.forbidden(&Path::root("metadata").child("name"), detail);
            }
        } else if value_of(self) > USER_VALUE_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {USER_VALUE_MAX}");
            errors.forbidden(&Path::root("value"), detail);
        }
        if let Some(policy) = self.preemption_policy.as_deref() {
            one_of(policy, &POLICIES, || Path::root("preemptionPolicy"), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if value_of(self) != value_of(old) {
            errors.forbidden(&Path::root("value"), "may not be changed in an update.");
        }
        let field = || Path::root("preemptionPolicy");
        immutable(&self.preemption_policy, &old.preemption_policy, field, errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        Row::of([
            table::name(&self.metadata),
            value_of(self).into(),
            self.global_default.unwrap_or_default().into(),
            table::age_of(&self.metadata, now),
            self.preemption_policy.as_deref().unwrap_or_default().into(),
        ])
    }
}

/// The priority of pods that name the class.
pub(crate) fn value_of(class: &PriorityClass) -> i32 {
    class.value.unwrap_or_default()
}

/// Why a class with a name of the system is not one of its classes.
fn not_of_the_system(class: &PriorityClass, name: &str) -> Option<String> {
    let Some((_, value, _)) = SYSTEM.iter().find(|(known, ..)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value_of(class) != *value {
        return Some(format!("value of {name} PriorityClass must be {value}"));
    }
    let is_default = class.global_default.unwrap_or_default();
    is_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}
