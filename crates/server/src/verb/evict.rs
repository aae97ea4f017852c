//! POST to `/eviction` of a pod: its deletion by somebody who would wait for a disruption budget.

use axum::response::Response;
use cronlet_object::{ApiError, Key};
use http::StatusCode;
use k8s_openapi::api::policy::v1::Eviction;
use serde_json::json;

use super::delete::remove;
use crate::{api::Shared, body::Body, query::WriteOptions, reply, router::Call};

/// Deletes a pod with its grace period. There are no disruption budgets here that could forbid it.
///
/// # Errors
/// 400 for a body that is no eviction of this pod; else as for a deletion.
pub(crate) async fn evict(api: &Shared, call: Call, key: Key) -> Result<Response, ApiError> {
    let query = WriteOptions::parse(&call.query, "CreateOptions")?;
    let body = Body::receive(&call.headers, call.body).await?;
    let eviction: Eviction = body.decode_other("policy", "v1", "Eviction")?;
    let named = eviction.metadata.name.as_deref().unwrap_or_default();
    if !named.is_empty() && named != key.name.as_ref() {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = eviction.delete_options.unwrap_or_default();
    if query.dry_run {
        options.dry_run = Some(vec!["All".to_owned()]);
    }
    remove(api, &key, &options).await?;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(reply::json_text(StatusCode::CREATED, status.to_string()))
}
