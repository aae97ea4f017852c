//! PATCH by server-side apply: a configuration that says which fields its sender wants to have what values.

use std::sync::Arc;

use axum::response::Response;
use cronlet_object::{
    ApiError, Key, Object, Transaction, Typed, Write,
    admit::{self, Context, Subresource},
    document::decode_typed,
    managed::{self, Applied, Apply},
    policy, rbac,
};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{create::check_namespace, existing, write};
use crate::{
    api::Shared, authn::User, authz, body, discovery::group_version_text, limits::RACE_TRIES_MAX, negotiate,
    path::Part, query::WriteOptions, render::Renderer, reply, router::Call,
};

/// What the body of a server-side apply is said to be. It may be JSON, too.
pub(super) const MEDIA_TYPE: &str = "application/apply-patch+yaml";

/// Makes the object as the configuration wants it, and creates it if there is none.
///
/// # Errors
/// 400 for a body that is no such configuration; 404 for the status of nothing; 409 if others own what would change; 422 for
/// values that are not valid.
pub(super) async fn apply(api: &Shared, call: Call, key: Key, part: Part) -> Result<Response, ApiError> {
    let renderer = Renderer::new(key.kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let options = WriteOptions::parse_apply(&call.query)?;
    let received = body::configuration(&body::read(call.body).await?, key.kind, options.field_validation)?;
    let (mut config, mut warnings) = (received.value, received.warnings);
    identify(&mut config, &key)?;
    let conditional = config.pointer("/metadata/resourceVersion").is_some();
    let mut tries_left = if conditional { 1 } else { RACE_TRIES_MAX };
    let races = [ApiError::conflict(key.kind, &key.name), ApiError::already_exists(key.kind, &key.name)];
    loop {
        tries_left -= 1;
        match once(api, (&key, part), &config, &options, &call.user).await {
            Err(error) if tries_left > 0 && races.contains(&error) => {}
            done => {
                let Done { code, object, warnings: more } = done?;
                warnings.extend(more);
                let mut response = renderer.answer(code, &object);
                reply::warn(&mut response, &warnings);
                return Ok(response);
            }
        }
    }
}

/// What an apply has led to.
struct Done {
    code: StatusCode,
    object: Arc<Object>,
    warnings: Vec<String>,
}

async fn once(
    api: &Shared,
    (key, part): (&Key, Part),
    config: &Value,
    options: &WriteOptions,
    user: &User,
) -> Result<Done, ApiError> {
    let how = Apply {
        manager: &options.field_manager,
        part: part.subresource(),
        force: options.force,
        now: api.now(),
    };
    let live = match existing(api, key) {
        Ok(live) => live,
        Err(_) if how.part == Subresource::Main => {
            // To apply what is not there is to create it, which is another right.
            authz::permit_create(api, user, key)?;
            return create(api, (key, config), how, options, user).await;
        }
        Err(missing) => return Err(missing),
    };
    let Applied { value, owners } = managed::apply(Some(&live), config.clone(), key.kind, how)?;
    let typed = decoded(key, &value)?;
    let updated = admit::update(&live, typed, how.part, &mut Context { now: how.now, ids: &mut api.ids() })?;
    let outcome = write(api, &live, managed::record_applied(&live, updated, owners), options, user).await?;
    Ok(Done { code: StatusCode::OK, object: outcome.object, warnings: outcome.warnings })
}

async fn create(
    api: &Shared,
    (key, config): (&Key, &Value),
    how: Apply<'_>,
    options: &WriteOptions,
    user: &User,
) -> Result<Done, ApiError> {
    if let Some(uid) = config.pointer("/metadata/uid").and_then(Value::as_str) {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(ApiError::conflict_because(key.kind, &key.name, &why));
    }
    let Applied { value, owners } = managed::apply(None, config.clone(), key.kind, how)?;
    let typed = decoded(key, &value)?;
    let snapshot = api.store.snapshot();
    check_namespace(&snapshot, &typed)?;
    rbac::check_escalation(&snapshot, user.asker(), None, &typed)?;
    let mut context = Context { now: how.now, ids: &mut api.ids() };
    let admitted = policy::create(&snapshot, typed, &mut context)?;
    let admitted = managed::record_created(admitted, owners);
    let warnings = admitted.warnings;
    let object = if options.dry_run {
        Arc::new(admitted.draft.unsealed())
    } else {
        let transaction =
            Transaction { writes: vec![Write::Create(admitted.draft)], ..Transaction::default() };
        api.commit(transaction, key.kind, &key.name).await?.changes[0].object().clone()
    };
    Ok(Done { code: StatusCode::CREATED, object, warnings })
}

/// A configuration need not say which object it is for, but may not name another.
fn identify(config: &mut Value, key: &Key) -> Result<(), ApiError> {
    let Some(map) = config.as_object_mut() else { return Ok(()) };
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return Ok(()) };
    for (field, wanted) in [("name", &key.name), ("namespace", &key.namespace)] {
        let found = metadata.get(field).and_then(Value::as_str).unwrap_or_default();
        if found.is_empty() && !wanted.is_empty() {
            metadata.insert(field.to_owned(), json!(**wanted));
        } else if found != wanted.as_ref() {
            let what = format!(
                "the {field} of the object ({found}) does not match the {field} on the URL ({wanted})"
            );
            return Err(ApiError::bad_request(what));
        }
    }
    Ok(())
}

fn decoded(key: &Key, value: &Value) -> Result<Typed, ApiError> {
    match decode_typed(key.kind, value) {
        Ok(decoded) => Ok(decoded.object),
        Err(error) => {
            let d = key.kind.descriptor();
            let of = if key.namespace.is_empty() {
                key.name.to_string()
            } else {
                format!("{}/{}", key.namespace, key.name)
            };
            let version = group_version_text(d.group, d.version);
            Err(ApiError::bad_request(format!(
                "failed to create typed patch object ({of}; {version}, Kind={}): {error}",
                d.kind
            )))
        }
    }
}
