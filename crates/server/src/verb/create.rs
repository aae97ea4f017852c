//! POST to a collection.

use axum::response::Response;
use cronlet_object::{
    ApiError, Key, Kind, Snapshot, Transaction, Typed, Write,
    admit::{self, Context},
    policy, rbac,
};
use http::StatusCode;

use crate::{
    api::Shared, body::Body, limits::GENERATED_NAME_TRIES_MAX, negotiate, query::WriteOptions,
    render::Renderer, reply, router::Call,
};

/// Creates the object in the body and answers 201 with what was stored.
///
/// # Errors
/// 400 for a body that is no such object; 404 without the namespace; 409 if the name is taken; 422 for values that are
/// not valid.
pub(crate) async fn create(
    api: &Shared,
    call: Call,
    kind: Kind,
    namespace: Option<String>,
) -> Result<Response, ApiError> {
    let renderer = Renderer::new(kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let received = Body::receive(&call.headers, call.body).await?.object(kind, options.field_validation)?;
    let (mut object, mut warnings) = (received.object, received.warnings);
    admit::enter_namespace(&mut object, namespace.as_deref().unwrap_or_default())?;
    let snapshot = api.store.snapshot();
    check_namespace(&snapshot, &object)?;
    rbac::check_escalation(&snapshot, call.user.asker(), None, &object)?;

    let named = object.metadata().name.as_ref().is_some_and(|name| !name.is_empty());
    let mut tries_left = if named { 1 } else { GENERATED_NAME_TRIES_MAX };
    let mut ids = api.ids();
    loop {
        tries_left -= 1;
        let mut context = Context { now: api.now(), ids: &mut ids };
        let admitted = policy::create(&snapshot, object.clone(), &mut context)?;
        let key = admitted.draft.key().clone();
        let taken = ApiError::already_exists(kind, &key.name);
        let created = if options.dry_run {
            let free = api.store.snapshot().get(&key).is_none();
            if free {
                Ok(renderer.answer(StatusCode::CREATED, &admitted.draft.unsealed()))
            } else {
                Err(taken.clone())
            }
        } else {
            let transaction =
                Transaction { writes: vec![Write::Create(admitted.draft)], ..Transaction::default() };
            let committed = api.commit(transaction, kind, &key.name).await;
            committed.map(|committed| renderer.answer(StatusCode::CREATED, committed.changes[0].object()))
        };
        match created {
            Err(error) if error == taken && tries_left > 0 => {}
            created => {
                let mut response = created?;
                warnings.extend(admitted.warnings);
                reply::warn(&mut response, &warnings);
                return Ok(response);
            }
        }
    }
}

/// Refuses early what the store would refuse: that a namespace is missing is said before what is wrong with the object.
pub(super) fn check_namespace(snapshot: &Snapshot, object: &Typed) -> Result<(), ApiError> {
    let Some(namespace) = object.metadata().namespace.as_deref() else { return Ok(()) };
    match snapshot.get(&Key::new(Kind::Namespace, "", namespace)) {
        None => Err(ApiError::not_found(Kind::Namespace, namespace)),
        Some(found) if found.meta().deleted.is_some() => {
            let name = object.metadata().name.as_deref().unwrap_or_default();
            Err(ApiError::namespace_terminating(object.kind(), name, namespace))
        }
        Some(_) => Ok(()),
    }
}
