//! From a request to its answer: who asks, for what, by which verb.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use cronlet_object::{ApiError, Key, Kind};
use futures_util::FutureExt as _;
use http::{Extensions, HeaderMap, Method, StatusCode, header, request::Parts};

use crate::{
    api::{Api, Shared},
    audit::Asked,
    authn::{Identity, User},
    authz, body, exec, log, negotiate,
    path::{self, Part, Target, Unknown},
    port_forward,
    query::Query,
    reply,
    token::{self, ISSUER},
    verb,
};

/// A request whose path and sender are known.
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) body: Body,
    /// Who asks.
    pub(crate) user: Arc<User>,
}

impl Api {
    /// The whole API as a service. A request carries its sender as an extension of type [`Identity`].
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(healthy))
            .route("/livez", get(healthy))
            .route("/readyz", get(ready))
            .route("/version", get(version))
            // As the OpenAPI document has it, and so generated clients.
            .route("/version/", get(version))
            .fallback(handle)
            .with_state(self.clone())
    }
}

async fn version(State(api): State<Api>) -> Response {
    api.shared().version.reply(reply::JSON)
}

async fn healthy(request: Request) -> Response {
    health(&request, &[("ping", true)])
}

async fn ready(State(api): State<Api>, request: Request) -> Response {
    let api = api.shared();
    let checks =
        [("ping", true), ("store", api.store.failure().is_none()), ("shutdown", !*api.closing().borrow())];
    health(&request, &checks)
}

/// Upstream's form: `ok`, or a line for each check if one has failed or `?verbose` asks for it.
fn health(request: &Request, checks: &[(&str, bool)]) -> Response {
    let all = checks.iter().all(|(_, passed)| *passed);
    let code = if all { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    if all && Query::parse(request.uri().query().unwrap_or_default()).get("verbose").is_none() {
        return reply::text(code, "ok");
    }
    let mut text = String::new();
    for (name, passed) in checks {
        text.push_str(&if *passed { format!("[+]{name} ok\n") } else { format!("[-]{name} failed\n") });
    }
    let path = request.uri().path().trim_start_matches('/');
    text.push_str(&format!("{path} check {}\n", if all { "passed" } else { "failed" }));
    reply::text(code, text)
}

async fn handle(State(api): State<Api>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asked = api.shared().audit.get().map(|_| Asked::new(api.shared(), &request));
    // A defect in one answer must not take the connection's other requests with it.
    let answer = AssertUnwindSafe(answer(api.shared(), request)).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_panic| {
        let why =
            "Internal error occurred: the server failed while handling the request; its log has the cause";
        Err(ApiError::internal(why))
    });
    if let Some(asked) = asked {
        asked.answered(answer.as_ref().map_or_else(ApiError::code, |response| response.status().as_u16()));
    }
    match answer {
        Ok(response) => {
            tracing::debug!(%method, path, code = response.status().as_u16(), "answered");
            response
        }
        Err(error) => {
            let code = error.code();
            // A store that takes no writes has said so itself, once for all requests.
            if code == 500 && api.shared().store.failure().is_none() {
                tracing::error!(%method, path, %error, "a request failed");
            } else {
                tracing::debug!(%method, path, code, %error, "refused");
            }
            reply::error(&error)
        }
    }
}

/// Who has sent a request: by certificate, else by token.
pub(crate) fn sender(api: &Shared, headers: &HeaderMap, extensions: &Extensions) -> Option<Arc<User>> {
    if let Some(Identity::User(user)) = extensions.get::<Identity>() {
        return Some(user.clone());
    }
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let checked = api.tokens.get()?.check(token.trim(), &[ISSUER], &api.store.snapshot(), api.now());
    match checked {
        Ok((user, _)) => Some(user),
        Err(why) => {
            tracing::debug!(why, "a token is not taken");
            None
        }
    }
}

async fn answer(api: &Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let user = sender(api, &parts.headers, &parts.extensions).ok_or_else(ApiError::unauthorized)?;
    let user = authz::acting_as(api, user, &parts.headers)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    authz::check(api, &user, &parts.method, parts.uri.path(), &query)?;
    let target = match path::parse(parts.uri.path()) {
        Ok(target) => target,
        Err(Unknown::Resource) => return Err(ApiError::unknown_resource()),
        Err(Unknown::Page) => return Ok(reply::page_not_found()),
    };
    if let Target::Object { key, part: part @ (Part::Exec | Part::Attach | Part::PortForward) } = &target {
        if !matches!(parts.method, Method::GET | Method::POST) {
            return Err(ApiError::method_not_allowed());
        }
        return match part {
            Part::Exec => exec::exec(api, key, &query, &mut parts).await,
            Part::Attach => exec::attach(api, key, &query, &mut parts).await,
            _ => port_forward::port_forward(api, key, &mut parts).await,
        };
    }
    let Parts { method, headers, .. } = parts;
    let call = Call { headers, query, body, user };
    let _permit = api.admit_request()?;
    match target {
        Target::Collection { kind, namespace } => collection(api, &method, call, kind, namespace).await,
        Target::Object { key, part } => object(api, &method, call, key, part).await,
        Target::Review(review) if method == Method::POST => {
            let user = call.user;
            review.answer(api, &body::Body::receive(&call.headers, call.body).await?, &user)
        }
        Target::Metrics(metrics) if method == Method::GET => metrics.answer(api, &call.query).await,
        Target::Review(_) | Target::Metrics(_) => Err(ApiError::method_not_allowed()),
        document if method == Method::GET => discover(api, &call, &document),
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn collection(
    api: &Arc<Shared>,
    method: &Method,
    call: Call,
    kind: Kind,
    namespace: Option<String>,
) -> Result<Response, ApiError> {
    // Objects of all namespaces can only be read together.
    let scoped = namespace.is_some() || !kind.descriptor().namespaced;
    match *method {
        Method::GET if call.query.flag("watch") => verb::watch(api, &call, kind, namespace),
        Method::GET => verb::list(api, &call, kind, namespace),
        Method::POST if scoped => verb::create(api, call, kind, namespace).await,
        // Namespaces can only be deleted one by one, as on a cluster.
        Method::DELETE if scoped && kind != Kind::Namespace => {
            verb::delete_collection(api, call, kind, namespace).await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn object(
    api: &Arc<Shared>,
    method: &Method,
    call: Call,
    key: Key,
    part: Part,
) -> Result<Response, ApiError> {
    match (method, part) {
        (&Method::GET, Part::Log) => log::log(api, &key, &call.query),
        (&Method::GET, Part::Whole | Part::Status) => verb::get(api, &call, &key),
        (&Method::PUT, Part::Whole | Part::Status) => verb::update(api, call, key, part).await,
        (&Method::PATCH, Part::Whole | Part::Status) => verb::patch(api, call, key, part).await,
        (&Method::DELETE, Part::Whole) => verb::delete(api, call, key).await,
        (&Method::POST, Part::Token) => token::create_token(api, call, key).await,
        (&Method::POST, Part::Eviction) => verb::evict(api, call, key).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn discover(api: &Shared, call: &Call, target: &Target) -> Result<Response, ApiError> {
    let headers = &call.headers;
    match target {
        Target::CoreVersions => Ok(api.discovery.core(negotiate::discovery_form(headers)?, headers)),
        Target::Groups => Ok(api.discovery.groups(negotiate::discovery_form(headers)?, headers)),
        Target::Group(group) => Ok(api.discovery.group(group)),
        Target::Resources { group, version } => Ok(api.discovery.resources(group, version)),
        Target::OpenApiV2 => api.openapi.v2(headers),
        Target::OpenApiIndex => Ok(api.openapi.index(headers)),
        Target::OpenApiDocument { group, version } => {
            let document = api.openapi.document(group, version, &call.query, headers, api.now());
            Ok(document.unwrap_or_else(reply::page_not_found))
        }
        Target::Review(_) | Target::Metrics(_) | Target::Collection { .. } | Target::Object { .. } => {
            Err(ApiError::method_not_allowed())
        }
    }
}
