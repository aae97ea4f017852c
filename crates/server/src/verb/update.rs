//! PUT of one object or of its status.

use axum::response::Response;
use cronlet_object::{
    ApiError, Key,
    admit::{self, Context},
    managed,
};
use http::StatusCode;

use super::{Outcome, existing, write};
use crate::{
    api::Shared, body::Body, limits::RACE_TRIES_MAX, negotiate, path::Part, query::WriteOptions,
    render::Renderer, reply, router::Call,
};

/// Replaces the object, or its status only, and answers with what is stored then.
///
/// # Errors
/// 400 for a body that is not this object; 404 without the object; 409 if it has changed since the version that the
/// body is based on; 422 for values that are not valid.
pub(crate) async fn update(api: &Shared, call: Call, key: Key, part: Part) -> Result<Response, ApiError> {
    let renderer = Renderer::new(key.kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let manager = options.manager(&call.headers);
    let received =
        Body::receive(&call.headers, call.body).await?.object(key.kind, options.field_validation)?;
    let (mut object, mut warnings) = (received.object, received.warnings);
    admit::enter_namespace(&mut object, &key.namespace)?;
    // Without a version in the body the last writer wins, however often it has to try.
    let unconditional = matches!(object.metadata().resource_version.as_deref(), None | Some("" | "0"));
    let mut tries_left = if unconditional { RACE_TRIES_MAX } else { 1 };
    loop {
        tries_left -= 1;
        let old = existing(api, &key)?;
        let mut context = Context { now: api.now(), ids: &mut api.ids() };
        let updated = admit::update(&old, object.clone(), part.subresource(), &mut context)?;
        let updated = managed::record_update(&old, updated, &manager, part.subresource(), api.now());
        match write(api, &old, updated, &options, &call.user).await {
            Err(error) if error.reason() == "Conflict" && tries_left > 0 => {}
            outcome => {
                let Outcome { object, warnings: more } = outcome?;
                warnings.extend(more);
                let mut response = renderer.answer(StatusCode::OK, &object);
                reply::warn(&mut response, &warnings);
                return Ok(response);
            }
        }
    }
}
