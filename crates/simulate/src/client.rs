//! What clients ask of the server: the writes of kubectl, decided by the same rules.

use cronlet_object::{
    ApiError, Ids, Key, Kind, Snapshot, Transaction, Typed, Write,
    admit::{self, Subresource, Updated},
    deletion::{self, Deletion},
    document::decode_typed,
    patch::{Patch, PatchType},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub enum Call {
    /// POST.
    Create(Box<Typed>),
    /// PATCH with a JSON merge patch.
    Patch {
        /// The object.
        key: Key,
        /// The part of it that is patched.
        subresource: Subresource,
        /// RFC 7386.
        patch: Value,
    },
    /// DELETE.
    Delete {
        /// The object.
        key: Key,
        /// `propagationPolicy`; that of the kind if absent.
        propagation: Option<String>,
        /// `gracePeriodSeconds`; that of the object if absent.
        grace_seconds: Option<i64>,
    },
}

impl Call {
    /// The writes that answer this request.
    ///
    /// # Errors
    /// As the API answers them.
    pub(crate) fn transaction(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<Transaction, ApiError> {
        let existing =
            |key: &Key| snapshot.get(key).cloned().ok_or_else(|| ApiError::not_found(key.kind, &key.name));
        let mut context = admit::Context { now, ids };
        let write = match self {
            Call::Create(object) => {
                let draft = admit::create((**object).clone(), &mut context)?.draft;
                if snapshot.get(draft.key()).is_some() {
                    return Err(ApiError::already_exists(draft.key().kind, &draft.key().name));
                }
                Some(Write::Create(draft))
            }
            Call::Patch { key, subresource, patch } => {
                let old = existing(key)?;
                let new = patched(key.kind, &old.value(), patch)?;
                match admit::update(&old, new, *subresource, &mut context)? {
                    Updated::Unchanged => None,
                    Updated::Replace(admitted) => {
                        Some(Write::Update { draft: admitted.draft, expect: old.revision() })
                    }
                    Updated::Remove => Some(Write::Delete { key: key.clone(), expect: old.revision() }),
                }
            }
            Call::Delete { key, propagation, grace_seconds } => {
                let old = existing(key)?;
                let options = DeleteOptions {
                    propagation_policy: propagation.clone(),
                    grace_period_seconds: *grace_seconds,
                    ..DeleteOptions::default()
                };
                match deletion::delete(&old, &options, now)? {
                    Deletion::Remove => Some(Write::Delete { key: key.clone(), expect: old.revision() }),
                    Deletion::Mark(draft) => Some(Write::Update { draft, expect: old.revision() }),
                    Deletion::Unchanged => None,
                }
            }
        };
        Ok(Transaction { writes: write.into_iter().collect(), ..Transaction::default() })
    }
}

fn patched(kind: Kind, target: &Value, patch: &Value) -> Result<Typed, ApiError> {
    let refused = |error: String| ApiError::bad_request(error);
    let patch = Patch::read(PatchType::Merge, patch.to_string().as_bytes())
        .map_err(|error| refused(error.to_string()))?;
    let value = patch.apply(target, kind.descriptor().kind).map_err(|error| refused(error.to_string()))?;
    let decoded = decode_typed(kind, &value).map_err(|error| refused(error.to_string()))?;
    Ok(decoded.object)
}
