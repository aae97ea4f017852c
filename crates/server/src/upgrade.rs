//! From a request to a connection: WebSockets, and connections that are taken over as they are.

use axum::{
    body::Body,
    extract::{FromRequestParts as _, ws::WebSocketUpgrade},
    response::Response,
};
use cronlet_object::ApiError;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::{
    limits::EXEC_MESSAGE_BYTES_MAX,
    spdy::connection::{Connection, Sink, Source},
};

const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Whether a request is for a connection that speaks SPDY.
pub(crate) fn wants_spdy(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    upgrade.to_ascii_uppercase().starts_with("SPDY/")
}

/// The handshake of a WebSocket that speaks one of these protocols; of those that the client offers the first of ours.
///
/// # Errors
/// 400 if the request is for none, or for none of these protocols.
pub(crate) async fn websocket(
    parts: &mut Parts,
    protocols: &'static [&'static str],
) -> Result<(WebSocketUpgrade, String), ApiError> {
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await;
    let upgrade = upgrade.map_err(|rejection| ApiError::bad_request(rejection.to_string()))?;
    let upgrade = upgrade
        .protocols(protocols.iter().copied())
        .max_message_size(EXEC_MESSAGE_BYTES_MAX)
        .max_frame_size(EXEC_MESSAGE_BYTES_MAX);
    let chosen = upgrade.selected_protocol().and_then(|protocol| protocol.to_str().ok()).map(str::to_owned);
    match chosen {
        Some(protocol) => Ok((upgrade, protocol)),
        None => Err(unknown_protocol(protocols)),
    }
}

fn unknown_protocol(protocols: &[&str]) -> ApiError {
    ApiError::bad_request(format!(
        "none of the client's protocols is known: offer one of {}",
        protocols.join(", ")
    ))
}

/// A connection that is about to speak SPDY.
pub(crate) struct Spdy {
    /// What is spoken within its streams.
    pub(crate) protocol: &'static str,
    /// The answer that must be sent first.
    pub(crate) answer: Response,
    upgrade: OnUpgrade,
}

impl Spdy {
    /// Takes the connection of a request over. Of the protocols that the client offers the first that is one of ours is
    /// chosen, as upstream does; who offers none means the last.
    ///
    /// # Errors
    /// 400 if it cannot be taken over, or speaks none of these protocols.
    pub(crate) fn of(parts: &mut Parts, protocols: &[&'static str]) -> Result<Self, ApiError> {
        let offered = parts.headers.get_all(STREAM_PROTOCOL);
        let mut offered: Vec<&str> = offered
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(',').map(str::trim))
            .collect();
        let asked = parts.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
        if !asked.is_some_and(|asked| asked.eq_ignore_ascii_case(SPDY)) {
            return Err(ApiError::bad_request(format!("of SPDY only {SPDY} is spoken here")));
        }
        if offered.is_empty() {
            offered.extend(protocols.last());
        }
        let known = |offered: &&str| protocols.iter().find(|protocol| *protocol == offered).copied();
        let protocol = offered.iter().find_map(known).ok_or_else(|| unknown_protocol(protocols))?;
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or_else(|| ApiError::bad_request("this connection cannot be upgraded"))?;
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(SPDY));
        headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
        Ok(Spdy { protocol, answer, upgrade })
    }

    /// The connection, once the answer is sent.
    pub(crate) async fn connection(upgrade: OnUpgrade) -> Option<Connection> {
        let (read, write) = tokio::io::split(TokioIo::new(upgrade.await.ok()?));
        Some(Connection::new(Source::Plain(Box::pin(read)), Sink::Plain(Box::pin(write))))
    }

    /// The answer, and what becomes the connection then.
    pub(crate) fn split(self) -> (Response, OnUpgrade) {
        (self.answer, self.upgrade)
    }
}

/// A connection that speaks SPDY within the messages of a WebSocket.
pub(crate) fn tunnel(socket: axum::extract::ws::WebSocket) -> Connection {
    let (sink, source) = socket.split();
    Connection::new(Source::Messages(source), Sink::Messages(sink))
}
