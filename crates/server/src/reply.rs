//! Answers: their headers, errors as `Status`, warnings.

use axum::{body::Body, response::Response};
use cronlet_object::ApiError;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// `Content-Type` of every answer that is JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Longest warning, in characters; the rest is cut off, as upstream does.
const WARNING_CHARS_MAX: usize = 256;
/// Most warnings of one answer together, in bytes.
const WARNINGS_BYTES_MAX: usize = 4096;

/// JSON text with a status code.
pub fn json_text(code: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// 200 with a value as JSON.
pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => json_text(StatusCode::OK, text),
        Err(cause) => error(&ApiError::internal(format!("the answer cannot be written as JSON: {cause}"))),
    }
}

/// Plain text with a status code.
pub fn text(code: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}

/// 404 for a path outside the API.
pub fn page_not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A redirect to a path of this server.
pub fn redirect(code: StatusCode, to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    if let Ok(location) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A refusal as the `Status` that says why.
pub fn error(error: &ApiError) -> Response {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_string(error.status()).expect("a Status is always JSON");
    let mut response = json_text(code, body);
    let retry = error.status().details.as_ref().and_then(|details| details.retry_after_seconds);
    if let Some(seconds) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds a `Warning` header for each text; kubectl prints them.
pub fn warn(response: &mut Response, warnings: impl IntoIterator<Item: AsRef<str>>) {
    let mut bytes = 0;
    for warning in warnings {
        let value = warning_header(warning.as_ref());
        bytes += value.len();
        if bytes > WARNINGS_BYTES_MAX {
            return;
        }
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

fn warning_header(warning: &str) -> String {
    let mut header = String::from("299 - \"");
    for c in warning.chars().take(WARNING_CHARS_MAX) {
        match c {
            '"' | '\\' => {
                header.push('\\');
                header.push(c);
            }
            // What cannot stand in a header: clients give up on the whole header otherwise.
            c if c.is_control() => header.push(' '),
            c if !c.is_ascii() => header.push('?'),
            c => header.push(c),
        }
    }
    header.push('"');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted_and_bounded() {
        assert_eq!(warning_header("unknown field \"a\\b\"\n"), "299 - \"unknown field \\\"a\\\\b\\\" \"");
        assert_eq!(warning_header(&"x".repeat(1000)).len(), "299 - \"\"".len() + WARNING_CHARS_MAX);
        let mut response = json(&());
        warn(&mut response, vec!["x".repeat(500); 100]);
        assert_eq!(response.headers().get_all(header::WARNING).iter().count(), 15);
    }

    #[test]
    fn errors_say_when_to_try_again() {
        let response = error(&ApiError::too_many_requests("busy", 1));
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
