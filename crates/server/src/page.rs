//! Pages of a list: the token that leads to the next one, and the snapshots they are cut from.

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cronlet_object::{ApiError, Snapshot};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::{LIST_SNAPSHOT_TIME_MAX, LIST_SNAPSHOTS_MAX};

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// Where the next page begins. Clients keep it as opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The revision of the first page.
    pub revision: u64,
    /// Namespace of the last object that was sent; empty for kinds without one.
    pub namespace: String,
    /// Name of the last object that was sent.
    pub name: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "rv")]
    revision: u64,
    start: String,
}

impl Token {
    /// The token as clients get it.
    pub fn encode(&self) -> String {
        let start = format!("{}/{}", self.namespace, self.name);
        let written = Written { version: TOKEN_VERSION.to_owned(), revision: self.revision, start };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&written).expect("numbers and texts are always JSON"))
    }

    /// The inverse of [`Token::encode`].
    ///
    /// # Errors
    /// 400 if no such token was ever given out.
    pub fn decode(text: &str) -> Result<Self, ApiError> {
        let refuse = |why: &str| {
            ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| refuse(&error.to_string()))?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|error| refuse(&error.to_string()))?;
        if written.version != TOKEN_VERSION {
            return Err(refuse("server does not recognize this encoded version"));
        }
        let (namespace, name) = written.start.split_once('/').ok_or_else(|| refuse("it names no object"))?;
        Ok(Token { revision: written.revision, namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// The latest snapshots from which first pages were cut, so that all pages of a list show the same state.
#[derive(Debug, Default)]
pub struct Snapshots(VecDeque<(Timestamp, Snapshot)>);

impl Snapshots {
    /// Keeps a snapshot that was taken `now`; if there are too many, the oldest makes room for it.
    pub fn keep(&mut self, snapshot: &Snapshot, now: Timestamp) {
        if self.get(snapshot.revision()).is_some() {
            return;
        }
        if self.0.len() >= LIST_SNAPSHOTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, snapshot.clone()));
    }

    /// Forgets snapshots whose lists were most likely given up.
    pub fn forget_old(&mut self, now: Timestamp) {
        self.0.retain(|(taken, _)| now.duration_since(*taken).unsigned_abs() < LIST_SNAPSHOT_TIME_MAX);
    }

    /// The snapshot of exactly this revision, if it is kept.
    pub fn get(&self, revision: u64) -> Option<&Snapshot> {
        self.0.iter().map(|(_, snapshot)| snapshot).find(|snapshot| snapshot.revision() == revision)
    }
}

#[cfg(test)]
mod tests;
