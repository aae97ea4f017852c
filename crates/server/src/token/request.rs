//! POST to `/token` of a service account, and `TokenReview`s.

use axum::response::Response;
use cronlet_object::{ApiError, FieldErrors, Key, Kind, Path, api::Pod};
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::{
    api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{Bound, ISSUER, TokenSpec};
use crate::{
    api::Shared,
    body::Body,
    limits::{TOKEN_SECONDS_DEFAULT, TOKEN_SECONDS_MAX, TOKEN_SECONDS_MIN},
    query::WriteOptions,
    reply,
    router::Call,
};

/// Answers with a token of a service account.
///
/// # Errors
/// 404 without the account or what the token is to be bound to; 409 if that is another one of its name; 422 for a time that
/// is too short or too long.
pub(crate) async fn create_token(api: &Shared, call: Call, key: Key) -> Result<Response, ApiError> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let body = Body::receive(&call.headers, call.body).await?;
    let mut request: TokenRequest = body.decode_other("authentication.k8s.io", "v1", "TokenRequest")?;
    let Some(tokens) = api.tokens.get() else {
        return Err(ApiError::internal("this server issues no tokens"));
    };
    let snapshot = api.store.snapshot();
    let account = snapshot.get(&key).ok_or_else(|| ApiError::not_found(key.kind, &key.name))?;
    let asked = request.spec.get_or_insert_default();
    let seconds = *asked.expiration_seconds.get_or_insert(TOKEN_SECONDS_DEFAULT);
    validate(seconds)?;
    let named = request.metadata.name.as_deref().unwrap_or_default();
    if !named.is_empty() && named != key.name.as_ref() {
        let why =
            format!("the name of the object ({named}) does not match the name on the URL ({})", key.name);
        return Err(ApiError::bad_request(why));
    }
    let audiences = asked.audiences.get_or_insert_default();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let audiences = audiences.clone();
    let (bound, node) = match &asked.bound_object_ref {
        Some(reference) => {
            let (bound, node) = bind(api, &key, reference)?;
            (Some(bound), node)
        }
        None => (None, None),
    };
    let spec = TokenSpec {
        namespace: key.namespace.to_string(),
        account: key.name.to_string(),
        account_uid: account.meta().uid.to_string(),
        audiences,
        seconds,
        bound,
        node,
    };
    // Kubernetes keeps times to the second.
    let now = api.now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let token = tokens.issue(&spec, api.ids().uid(), now);
    let token = token.map_err(|why| ApiError::internal(format!("Internal error occurred: {why}")))?;
    request.metadata.name = Some(key.name.to_string());
    request.metadata.namespace = Some(key.namespace.to_string());
    request.metadata.creation_timestamp = Some(Time(now));
    request.status = Some(TokenRequestStatus {
        // A dry run does all but that.
        token: Some(if options.dry_run { String::new() } else { token.text }),
        expiration_timestamp: Some(Time(token.expires)),
    });
    let text = serde_json::to_string(&request)
        .map_err(|error| ApiError::internal(format!("the token cannot be written as JSON: {error}")))?;
    Ok(reply::json_text(StatusCode::CREATED, text))
}

fn validate(seconds: i64) -> Result<(), ApiError> {
    let mut errors = FieldErrors::new();
    let field = Path::root("spec").child("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        errors.invalid(&field, seconds, "may not specify a duration less than 10 minutes");
    } else if seconds > TOKEN_SECONDS_MAX {
        errors.invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_named("authentication.k8s.io", "TokenRequest", "", &errors))
}

/// Looks up what a token is to be bound to; of a pod its node, too.
fn bind(
    api: &Shared,
    account: &Key,
    reference: &BoundObjectReference,
) -> Result<(Bound, Option<(String, String)>), ApiError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (version, kind) = (text(&reference.api_version), text(&reference.kind));
    let (name, uid) = (text(&reference.name), text(&reference.uid));
    let kind = match (version.as_str(), kind.as_str()) {
        ("v1", "Pod") => Kind::Pod,
        ("v1", "Secret") => Kind::Secret,
        _ => {
            let (group, version) = version.split_once('/').unwrap_or(("", &version));
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let snapshot = api.store.snapshot();
    let key = Key::new(kind, account.namespace.clone(), name.as_str());
    let object = snapshot.get(&key).ok_or_else(|| ApiError::not_found(kind, &name))?;
    let record = object.meta().uid.as_ref();
    if !uid.is_empty() && uid != record {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object \
                           might have been deleted and then recreated"
        );
        return Err(ApiError::conflict_because(kind, &name, &why));
    }
    let bound = Bound { is_pod: kind == Kind::Pod, name, uid: record.to_owned() };
    if kind == Kind::Secret {
        return Ok((bound, None));
    }
    let spec = object.decode::<Pod>().spec.unwrap_or_default();
    if spec.service_account_name.as_deref() != Some(account.name.as_ref()) {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            account.name
        )));
    }
    let node = spec.node_name.and_then(|name| {
        let node = snapshot.get(&Key::new(Kind::Node, "", name.as_str()))?;
        Some((name, node.meta().uid.to_string()))
    });
    Ok((bound, node))
}
