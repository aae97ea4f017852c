//! What can be done with objects, one module for each verb; every one works for every kind.

use std::sync::Arc;

use cronlet_object::{
    ApiError, Key, Kind, Object, Transaction, Write,
    admit::{Subresource, Updated},
    policy, rbac,
};

use crate::{api::Shared, authn::User, path::Part, query::WriteOptions};

mod apply;
mod create;
mod delete;
mod evict;
mod get;
mod list;
mod patch;
mod update;
mod watch;

pub(crate) use create::create;
pub(crate) use delete::{delete, delete_collection};
pub(crate) use evict::evict;
pub(crate) use get::get;
pub(crate) use list::list;
pub(crate) use patch::patch;
pub(crate) use update::update;
pub(crate) use watch::watch;

/// Whether a replacement of this kind is held against other objects: those that give rights, and those of which there is
/// one default.
fn is_looked_at_by_others(kind: Kind) -> bool {
    use Kind::{ClusterRole, ClusterRoleBinding, PersistentVolumeClaim, PriorityClass, Role, RoleBinding};
    matches!(
        kind,
        ClusterRole | ClusterRoleBinding | Role | RoleBinding | PersistentVolumeClaim | PriorityClass
    )
}

/// The object that a path names.
fn existing(api: &Shared, key: &Key) -> Result<Arc<Object>, ApiError> {
    api.store.snapshot().get(key).cloned().ok_or_else(|| ApiError::not_found(key.kind, &key.name))
}

/// Refuses a resource version that the server has not come to.
fn check_revision(asked: Option<u64>, current: u64) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked > current => Err(ApiError::too_large_revision(asked, current)),
        _ => Ok(()),
    }
}

/// What a change of an object led to.
struct Outcome {
    /// The state after it.
    object: Arc<Object>,
    /// What the client should be told.
    warnings: Vec<String>,
}

/// Commits an admitted change of `old`, unless it is a dry run or changes nothing.
async fn write(
    api: &Shared,
    old: &Arc<Object>,
    updated: Updated,
    options: &WriteOptions,
    user: &User,
) -> Result<Outcome, ApiError> {
    let (key, expect) = (old.key(), old.revision());
    if let Updated::Replace(admitted) = &updated
        && is_looked_at_by_others(key.kind)
    {
        let (new, snapshot) = (admitted.draft.clone().unsealed().typed(), api.store.snapshot());
        rbac::check_escalation(&snapshot, user.asker(), Some(old), &new)?;
        policy::check_update(&snapshot, old, &new)?;
    }
    let (write, warnings) = match updated {
        Updated::Unchanged => return Ok(Outcome { object: old.clone(), warnings: Vec::new() }),
        Updated::Replace(admitted) if options.dry_run => {
            let object = Arc::new(admitted.draft.seal(expect));
            return Ok(Outcome { object, warnings: admitted.warnings });
        }
        Updated::Remove if options.dry_run => {
            return Ok(Outcome { object: old.clone(), warnings: Vec::new() });
        }
        Updated::Replace(admitted) => (Write::Update { draft: admitted.draft, expect }, admitted.warnings),
        Updated::Remove => (Write::Delete { key: key.clone(), expect }, Vec::new()),
    };
    let transaction = Transaction { writes: vec![write], ..Transaction::default() };
    let committed = api.commit(transaction, key.kind, &key.name).await?;
    let object = match &committed.changes[0].new {
        Some(object) => object.clone(),
        None => Arc::new(old.restamped(committed.revision)),
    };
    Ok(Outcome { object, warnings })
}

impl Part {
    /// The part as admission knows it.
    fn subresource(self) -> Subresource {
        match self {
            Part::Status => Subresource::Status,
            Part::Whole
            | Part::Log
            | Part::Exec
            | Part::Attach
            | Part::PortForward
            | Part::Eviction
            | Part::Token => Subresource::Main,
        }
    }
}
