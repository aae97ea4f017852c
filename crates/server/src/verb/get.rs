//! GET of one object.

use axum::response::Response;
use cronlet_object::{ApiError, Key};
use http::StatusCode;

use super::{check_revision, existing};
use crate::{api::Shared, negotiate, render::Renderer, router::Call};

/// Answers with the object. A resource version in the request means "not older than", which what is stored now always
/// is.
///
/// # Errors
/// 404 without the object; 504 for a version that is still to come.
pub(crate) fn get(api: &Shared, call: &Call, key: &Key) -> Result<Response, ApiError> {
    let renderer = Renderer::new(key.kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    check_revision(call.query.revision()?, api.store.snapshot().revision())?;
    let object = existing(api, key)?;
    Ok(renderer.answer(StatusCode::OK, &object))
}
