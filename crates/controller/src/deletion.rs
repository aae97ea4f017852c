//! Deletions as controllers ask for them: of the object that was read, with a propagation policy.

use cronlet_object::{ApiError, Object, Write, deletion};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are deleted after it.
    Background,
    /// It goes after those that block its deletion.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

impl Propagation {
    fn as_str(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

/// The write that deletes `object`, or marks it as being deleted where something still has to happen before.
/// `None` if it is on its way already.
pub(crate) fn write(
    object: &Object,
    propagation: Propagation,
    now: Timestamp,
) -> Result<Option<Write>, ApiError> {
    let options = DeleteOptions {
        propagation_policy: Some(propagation.as_str().to_owned()),
        ..DeleteOptions::default()
    };
    Ok(match deletion::delete(object, &options, now)? {
        deletion::Deletion::Remove => {
            Some(Write::Delete { key: object.key().clone(), expect: object.revision() })
        }
        deletion::Deletion::Mark(draft) => Some(Write::Update { draft, expect: object.revision() }),
        deletion::Deletion::Unchanged => None,
    })
}
