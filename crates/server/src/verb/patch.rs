//! PATCH of one object or of its status.

use axum::response::Response;
use cronlet_object::{
    ApiError, FieldErrors, Key, Object, Path, Typed,
    admit::{self, Context},
    document::{Decoded, decode_typed},
    managed,
    patch::{Patch, PatchType, go_text},
};
use http::StatusCode;
use serde_json::Value;

use super::{Outcome, apply, existing, write};
use crate::{
    api::Shared,
    body::{self, oddities},
    limits::RACE_TRIES_MAX,
    negotiate,
    path::Part,
    query::{FieldValidation, WriteOptions},
    render::Renderer,
    reply,
    router::Call,
};

/// Changes the object, or its status only, and answers with what is stored then.
///
/// # Errors
/// 404 without the object; 409 if the patch is for another version of it; 415 for a type of patch that is not known;
/// 400, 422 and, as upstream has it, 500 for a patch that does not fit the object.
pub(crate) async fn patch(api: &Shared, call: Call, key: Key, part: Part) -> Result<Response, ApiError> {
    let media_type = body::media_type(&call.headers);
    if media_type == apply::MEDIA_TYPE {
        return apply::apply(api, call, key, part).await;
    }
    let renderer = Renderer::new(key.kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let patch_type = patch_type(&media_type)?;
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    let manager = options.manager(&call.headers);
    let patch = Patch::read(patch_type, &body::read(call.body).await?)?;
    // A patch that names the version it is for is not tried on another.
    let conditional = patch.document().pointer("/metadata/resourceVersion").is_some();
    let mut tries_left = if conditional { 1 } else { RACE_TRIES_MAX };
    loop {
        tries_left -= 1;
        let old = existing(api, &key)?;
        let (object, mut warnings) = patched(&old, &patch, patch_type, options.field_validation)?;
        let mut context = Context { now: api.now(), ids: &mut api.ids() };
        let updated = admit::update(&old, object, part.subresource(), &mut context)?;
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

fn patch_type(media_type: &str) -> Result<PatchType, ApiError> {
    PatchType::from_media_type(media_type).ok_or_else(|| {
        ApiError::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml",
        )
    })
}

/// The object as the patch makes it, and what is odd about the patch.
fn patched(
    old: &Object,
    patch: &Patch,
    patch_type: PatchType,
    validation: FieldValidation,
) -> Result<(Typed, Vec<String>), ApiError> {
    let kind = old.kind();
    let value = patch.apply(&old.value(), kind.descriptor().kind)?;
    let Decoded { object, unknown } = decode_typed(kind, &value)
        .map_err(|error| unusable(patch, patch_type, &value, &error.to_string()))?;
    let oddities = match validation {
        FieldValidation::Ignore => Vec::new(),
        _ => oddities(patch.duplicates(), &unknown),
    };
    if validation == FieldValidation::Strict && !oddities.is_empty() {
        let why = format!("strict decoding error: {}", oddities.join(", "));
        return Err(unusable(patch, patch_type, &value, &why));
    }
    Ok((object, oddities))
}

/// 422 about the result of a patch, as upstream words it: a strategic merge patch is shown itself, the others by their
/// result.
fn unusable(patch: &Patch, patch_type: PatchType, result: &Value, why: &str) -> ApiError {
    let shown = match patch_type {
        PatchType::Strategic => go_text(patch.document()),
        PatchType::Json | PatchType::Merge => result.to_string(),
    };
    let mut errors = FieldErrors::new();
    errors.invalid(&Path::root("patch"), shown, why);
    ApiError::invalid_named("", "", "", &errors)
}
