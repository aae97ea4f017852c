//! DELETE of one object or of a collection.

use std::sync::Arc;

use axum::response::Response;
use cronlet_object::{
    ApiError, Key, Kind, Object, Transaction, Write,
    deletion::{self, Deletion},
    policy,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use serde_json::json;

use super::{existing, list::select};
use crate::{
    api::Shared,
    body::Body,
    filter::Filter,
    limits::{DELETIONS_AT_ONCE_MAX, RACE_TRIES_MAX},
    negotiate,
    query::{ListOptions, Query},
    render::{ListMeta, Renderer},
    reply,
    router::Call,
};

/// What a deletion did.
pub(super) enum Deleted {
    /// The object is gone. This was its last state.
    Gone(Arc<Object>),
    /// The object lingers until something else is done; this is its state now.
    Lingering(Arc<Object>),
}

/// Deletes the object, or marks it as being deleted if something is still to be done first.
///
/// # Errors
/// 404 without the object; 409 if a precondition does not hold; 422 for options that are not valid.
pub(crate) async fn delete(api: &Shared, call: Call, key: Key) -> Result<Response, ApiError> {
    let renderer = Renderer::new(key.kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let options = options(call).await?;
    let mut response = match remove(api, &key, &options).await? {
        Deleted::Lingering(object) => renderer.answer(StatusCode::OK, &object),
        Deleted::Gone(object) if answers_with_object(key.kind) => renderer.answer(StatusCode::OK, &object),
        Deleted::Gone(object) => success(&object),
    };
    reply::warn(&mut response, deletion::warning(key.kind, &options));
    Ok(response)
}

/// Deletes every object that the selectors select, and answers with a list of them.
///
/// # Errors
/// As [`delete`], for the first object that cannot be deleted; those before it are.
pub(crate) async fn delete_collection(
    api: &Shared,
    call: Call,
    kind: Kind,
    namespace: Option<String>,
) -> Result<Response, ApiError> {
    let renderer = Renderer::new(kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let list = ListOptions::parse(&call.query)?;
    let filter = Filter::new(kind, namespace, &list.label_selector, &list.field_selector)?;
    let options = options(call).await?;
    let snapshot = api.store.snapshot();
    let keys: Vec<Key> = select(&snapshot, &filter, None)
        .take(list.limit.unwrap_or(usize::MAX))
        .map(|object| object.key().clone())
        .collect();
    let deleted: Vec<Option<Arc<Object>>> = stream::iter(keys)
        .map(async |key| match remove(api, &key, &options).await {
            Ok(Deleted::Gone(object) | Deleted::Lingering(object)) => Ok(Some(object)),
            // Somebody else was faster.
            Err(error) if error.reason() == "NotFound" => Ok(None),
            Err(error) => Err(error),
        })
        .buffered(DELETIONS_AT_ONCE_MAX)
        .try_collect()
        .await?;
    let meta = ListMeta { revision: api.store.snapshot().revision(), ..ListMeta::default() };
    let mut response = renderer.list(&meta, deleted.into_iter().flatten().collect());
    reply::warn(&mut response, deletion::warning(kind, &options));
    Ok(response)
}

pub(super) async fn remove(api: &Shared, key: &Key, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    // The only valid value is `All`.
    let dry_run = options.dry_run.as_ref().is_some_and(|modes| !modes.is_empty());
    let mut tries_left = RACE_TRIES_MAX;
    loop {
        tries_left -= 1;
        let old = existing(api, key)?;
        policy::check_deletion(&old)?;
        let deletion = deletion::delete(&old, options, api.now())?;
        let write = match deletion {
            Deletion::Unchanged => return Ok(Deleted::Lingering(old)),
            Deletion::Remove if dry_run => return Ok(Deleted::Gone(old)),
            Deletion::Mark(draft) if dry_run => {
                return Ok(Deleted::Lingering(Arc::new(draft.seal(old.revision()))));
            }
            Deletion::Remove => Write::Delete { key: key.clone(), expect: old.revision() },
            Deletion::Mark(draft) => Write::Update { draft, expect: old.revision() },
        };
        let transaction = Transaction { writes: vec![write], ..Transaction::default() };
        match api.commit(transaction, key.kind, &key.name).await {
            Err(error) if error.reason() == "Conflict" && tries_left > 0 => {}
            committed => {
                let committed = committed?;
                return Ok(match &committed.changes[0].new {
                    Some(object) => Deleted::Lingering(object.clone()),
                    None => Deleted::Gone(Arc::new(old.restamped(committed.revision))),
                });
            }
        }
    }
}

/// The options in the body; without a body, those in the query.
async fn options(call: Call) -> Result<DeleteOptions, ApiError> {
    match Body::receive_any(&call.headers, call.body).await? {
        None => options_of_query(&call.query),
        Some(body) => body.delete_options(),
    }
}

fn options_of_query(query: &Query) -> Result<DeleteOptions, ApiError> {
    Ok(DeleteOptions {
        dry_run: Some(query.all("dryRun").map(str::to_owned).collect()),
        grace_period_seconds: query.integer("gracePeriodSeconds")?,
        orphan_dependents: query.optional_flag("orphanDependents"),
        propagation_policy: query.text("propagationPolicy").map(str::to_owned),
        ..DeleteOptions::default()
    })
}

/// Whether upstream answers the deletion of this kind with the last state instead of a Status.
fn answers_with_object(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Pod
            | Kind::PersistentVolume
            | Kind::PersistentVolumeClaim
            | Kind::Service
            | Kind::ServiceAccount
            | Kind::StorageClass
    )
}

fn success(object: &Object) -> Response {
    let d = object.kind().descriptor();
    let mut details = json!({"name": object.name(), "kind": d.plural, "uid": &*object.meta().uid});
    if !d.group.is_empty() {
        details["group"] = json!(d.group);
    }
    reply::json(&json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }))
}
