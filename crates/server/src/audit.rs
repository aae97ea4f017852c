//! The audit log: who has asked for what and what came of it, one JSON line for each request (`audit.k8s.io/v1` at the level
//! `Metadata`, which has nothing of what was sent).
//!
//! A thread of its own writes, so that no request waits for the disk. The file is replaced when it has grown large, and the
//! last few are kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use axum::extract::Request;
use cronlet_object::rbac::Action;
use http::header;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::Shared,
    authz,
    limits::{
        AUDIT_AGENT_BYTES_MAX, AUDIT_EVENTS_MAX, AUDIT_FILE_BYTES_MAX, AUDIT_FILES_MAX, AUDIT_URI_BYTES_MAX,
    },
    query::Query,
    router,
};

/// The address that a request came from, as an extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Takes events for a file.
#[derive(Debug)]
pub struct AuditLog {
    lines: SyncSender<String>,
    lost: AtomicU64,
}

impl AuditLog {
    /// Opens a file, to which is added what it has not yet, and starts the thread that writes.
    ///
    /// # Errors
    /// If the file cannot be opened, or the thread not be started.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut out = Out::open(path)?;
        let (lines, received): (_, Receiver<String>) = sync_channel(AUDIT_EVENTS_MAX);
        thread::Builder::new().name("audit log".to_owned()).spawn(move || {
            while let Ok(line) = received.recv() {
                if let Err(error) = out.write(&line) {
                    tracing::error!(file = %out.path.display(), %error, "an audit event is lost");
                }
            }
        })?;
        Ok(AuditLog { lines, lost: AtomicU64::new(0) })
    }

    fn send(&self, event: &Value) {
        if self.lines.try_send(format!("{event}\n")).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(lost, "an audit event is lost: the disk is too slow for the requests");
        }
    }
}

/// What is known of a request before it is answered. If it never is, because the client has gone, that is told: what it has
/// asked for may have been done.
pub(crate) struct Asked {
    api: Arc<Shared>,
    event: Value,
}

/// The code of requests that nobody waits for an answer of; nginx has made it common.
const CLIENT_GONE: u16 = 499;

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

impl Asked {
    /// Looks at a request.
    pub(crate) fn new(api: &Arc<Shared>, request: &Request) -> Self {
        let (method, uri) = (request.method(), request.uri());
        let query = Query::parse(uri.query().unwrap_or_default());
        let (headers, extensions) = (request.headers(), request.extensions());
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": api.ids().uid(),
            "stage": "ResponseComplete",
            "requestURI": cut(uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str), AUDIT_URI_BYTES_MAX),
            "requestReceivedTimestamp": micro(api.now()),
        });
        authz::with_action(method, uri.path(), &query, |action| match action {
            Action::Path { verb, .. } => event["verb"] = json!(verb),
            Action::Resource(action) => {
                event["verb"] = json!(action.verb);
                let fields = [
                    ("resource", action.resource),
                    ("namespace", action.namespace),
                    ("name", action.name),
                    ("apiGroup", action.group),
                    ("subresource", action.subresource),
                ];
                let given = fields.iter().filter(|(_, value)| !value.is_empty());
                event["objectRef"] = given.map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
            }
        });
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        if let Some(agent) = agent {
            event["userAgent"] = json!(cut(agent, AUDIT_AGENT_BYTES_MAX));
        }
        if let Some(Peer(peer)) = extensions.get::<Peer>() {
            event["sourceIPs"] = json!([peer.ip()]);
        }
        event["user"] = match router::sender(api, headers, extensions) {
            Some(user) => json!(user.info()),
            None => json!({"username": "system:anonymous", "groups": ["system:unauthenticated"]}),
        };
        if let Some(other) = headers.get("impersonate-user").and_then(|value| value.to_str().ok()) {
            event["impersonatedUser"] = json!({"username": cut(other, AUDIT_AGENT_BYTES_MAX)});
        }
        Asked { api: api.clone(), event }
    }

    /// Tells of the request and the code of its answer.
    pub(crate) fn answered(mut self, code: u16) {
        self.tell(code);
    }

    fn tell(&mut self, code: u16) {
        let mut event = self.event.take();
        event["responseStatus"] = json!({"metadata": {}, "code": code});
        event["stageTimestamp"] = json!(micro(self.api.now()));
        if matches!(code, 401 | 403) {
            event["annotations"] = json!({"authorization.k8s.io/decision": "forbid"});
        }
        self.api.audit.get().iter().for_each(|log| log.send(&event));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.event.is_null() {
            self.tell(CLIENT_GONE);
        }
    }
}

/// A time as audit events have it, in whole microseconds.
fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The file that is written to.
struct Out {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Out {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Out { path: path.to_owned(), file, bytes })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > AUDIT_FILE_BYTES_MAX {
            // What cannot be rotated is gone on with: a large file is better than none.
            if let Err(error) = self.rotate() {
                tracing::error!(file = %self.path.display(), %error, "the audit log cannot be rotated");
            }
        }
        self.file.write_all(line.as_bytes())?;
        self.bytes += length;
        Ok(())
    }

    /// `FILE` becomes `FILE.1`, that `FILE.2`, and so on; the last is replaced.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..AUDIT_FILES_MAX).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(1))?;
        *self = Out::open(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_full_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut out = Out::open(&path).unwrap();
        for number in 0..AUDIT_FILES_MAX + 2 {
            out.bytes = AUDIT_FILE_BYTES_MAX;
            out.write(&format!("{number}\n")).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        let last = AUDIT_FILES_MAX + 1;
        assert_eq!(read("audit.log"), Some(format!("{last}\n")));
        assert_eq!(read("audit.log.1"), Some(format!("{}\n", last - 1)));
        assert_eq!(read(&format!("audit.log.{AUDIT_FILES_MAX}")), Some("1\n".to_owned()));
        assert_eq!(read(&format!("audit.log.{}", AUDIT_FILES_MAX + 1)), None);
    }
}
