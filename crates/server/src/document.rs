//! An answer that never changes while the server runs, with the tag by which clients recognise it.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A document and its hash.
#[derive(Debug)]
pub struct Document {
    body: Bytes,
    hash: String,
}

impl Document {
    /// Writes a JSON document once and for all.
    pub fn new(value: &Value) -> Self {
        Document::of(value.to_string().into())
    }

    /// A document in another format.
    pub fn of(body: Bytes) -> Self {
        let hash = Sha256::digest(&body).iter().map(|byte| format!("{byte:02X}")).collect();
        Document { body, hash }
    }

    /// The hash of the document in upper-case hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The whole document.
    pub fn reply(&self, content_type: HeaderValue) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }

    /// The whole document with its `Etag`, or 304 if the client has it already.
    pub fn reply_unless_cached(&self, content_type: HeaderValue, request: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", self.hash);
        let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let known =
            known.flat_map(|value| value.split(',')).map(|value| value.trim().trim_start_matches("W/"));
        let mut response = if known.into_iter().any(|value| value == tag || value == "*") {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            self.reply(content_type)
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}
