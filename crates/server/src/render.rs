//! Objects in the form a client asked for: as they are, as a table, or only their metadata.
//!
//! Lists are put together from the stored texts; nothing is serialised again.

use std::{convert::Infallible, sync::Arc, vec};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use cronlet_object::{ApiError, Draft, Kind, Object, Typed, table, with_kind};
use futures_util::stream;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    limits::ANSWER_PIECE_BYTES,
    negotiate::{Form, MetaVersion},
    query::Query,
    reply,
};

/// The annotation of the bookmark that ends the initial events of a watch.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What a row of a table says about its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Whole,
}

/// Writes objects of one kind in one form.
#[derive(Clone, Debug)]
pub struct Renderer {
    kind: Kind,
    form: Form,
    include: Include,
    now: Timestamp,
}

/// The metadata of a list.
#[derive(Clone, Debug, Default)]
pub struct ListMeta {
    /// The revision whose state the list shows.
    pub revision: u64,
    /// The token of the next page, if there is one.
    pub continue_token: Option<String>,
    /// How many objects the following pages have, if that is known.
    pub remaining: Option<usize>,
}

impl ListMeta {
    fn at(revision: u64) -> Self {
        ListMeta { revision, ..ListMeta::default() }
    }

    fn json(&self) -> String {
        let mut meta = json!({});
        // What only a dry run has made is at no revision.
        if self.revision > 0 {
            meta["resourceVersion"] = json!(self.revision.to_string());
        }
        if let Some(token) = &self.continue_token {
            meta["continue"] = json!(token);
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = json!(remaining);
        }
        meta.to_string()
    }
}

impl Renderer {
    /// Writes objects of `kind` in `form`; ages are those at `now`.
    ///
    /// # Errors
    /// 400 for an `includeObject` that is not known.
    pub fn new(kind: Kind, form: Form, query: &Query, now: Timestamp) -> Result<Self, ApiError> {
        let include = match query.text("includeObject") {
            None | Some("Metadata") => Include::Metadata,
            Some("Object") => Include::Whole,
            Some("None") => Include::Nothing,
            Some(other) => {
                let why = format!("unrecognized includeObject value: {other:?}");
                return Err(ApiError::bad_request(why));
            }
        };
        Ok(Renderer { kind, form, include, now })
    }

    /// The same with ages as they are at another time.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Renderer { now, ..self.clone() }
    }

    /// The answer that consists of one object.
    pub fn answer(&self, code: StatusCode, object: &Object) -> Response {
        let mut text = String::with_capacity(object.json().len());
        self.object(&mut text, object, true);
        reply::json_text(code, text)
    }

    /// Writes an object as it stands alone.
    pub fn object(&self, out: &mut String, object: &Object, columns: bool) {
        match self.form {
            Form::Plain => out.push_str(object.json()),
            Form::Metadata(version) => partial(out, version, object),
            Form::Table(version) => {
                self.table_head(out, version, &ListMeta::at(object.revision()).json(), columns);
                self.row(out, version, object);
                out.push_str("]}");
            }
        }
    }

    /// Writes the object of a bookmark: empty but for the revision. `initial` ends the initial events.
    pub fn bookmark(&self, out: &mut String, revision: u64, initial: bool) {
        let mut typed: Typed = with_kind!(self.kind, T => T::default().into());
        if initial {
            let annotation = (INITIAL_EVENTS_END.to_owned(), "true".to_owned());
            typed.metadata_mut().annotations = Some([annotation].into());
        }
        let object = Draft::new(&typed).seal(revision);
        match self.form {
            Form::Plain | Form::Metadata(_) => self.object(out, &object, false),
            Form::Table(version) => {
                self.table_head(out, version, &ListMeta::at(revision).json(), false);
                out.push_str("{\"cells\":");
                out.push_str(&json!(vec![""; table::columns(self.kind).len()]).to_string());
                out.push_str(",\"object\":");
                partial(out, version, &object);
                out.push_str("}]}");
            }
        }
    }

    /// The answer that is a list. A long one is written while it is sent.
    pub fn list(self, meta: &ListMeta, objects: Vec<Arc<Object>>) -> Response {
        let mut pieces = Pieces::new(self, meta, objects);
        match pieces.next() {
            Some(whole) if pieces.is_finished() => reply::json_text(StatusCode::OK, whole),
            first => {
                let pieces = first.into_iter().chain(pieces).map(Ok::<_, Infallible>);
                reply::json_text(StatusCode::OK, Body::from_stream(stream::iter(pieces)))
            }
        }
    }

    fn list_head(&self, meta: &ListMeta) -> String {
        let d = self.kind.descriptor();
        let json = meta.json();
        match self.form {
            Form::Plain => format!(
                "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{json},\"items\":[",
                d.kind,
                d.api_version()
            ),
            Form::Metadata(version) => format!(
                "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"{}\",\"metadata\":{json},\"items\":[",
                version.api_version()
            ),
            Form::Table(version) => {
                let mut head = String::new();
                self.table_head(&mut head, version, &json, true);
                head
            }
        }
    }

    /// Writes an object as it stands in a list.
    fn element(&self, out: &mut String, object: &Object) {
        match self.form {
            Form::Plain => {
                out.push('{');
                out.push_str(object.json_tail());
            }
            Form::Metadata(version) => partial(out, version, object),
            Form::Table(version) => self.row(out, version, object),
        }
    }

    /// Writes a table up to its first row.
    fn table_head(&self, out: &mut String, version: MetaVersion, meta: &str, columns: bool) {
        let columns = if columns { json!(table::columns(self.kind)) } else { Value::Null };
        out.push_str("{\"kind\":\"Table\",\"apiVersion\":\"");
        out.push_str(version.api_version());
        out.push_str("\",\"metadata\":");
        out.push_str(meta);
        out.push_str(",\"columnDefinitions\":");
        out.push_str(&columns.to_string());
        out.push_str(",\"rows\":[");
    }

    fn row(&self, out: &mut String, version: MetaVersion, object: &Object) {
        let row = table::row(object, self.now);
        out.push_str("{\"cells\":");
        out.push_str(&json!(row.cells).to_string());
        if !row.conditions.is_empty() {
            out.push_str(",\"conditions\":");
            out.push_str(&json!(row.conditions).to_string());
        }
        out.push_str(",\"object\":");
        match self.include {
            Include::Nothing => out.push_str("null"),
            Include::Metadata => partial(out, version, object),
            Include::Whole => out.push_str(object.json()),
        }
        out.push('}');
    }
}

/// Writes the metadata of an object as `PartialObjectMetadata`.
fn partial(out: &mut String, version: MetaVersion, object: &Object) {
    out.push_str("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.push_str(version.api_version());
    out.push_str("\",\"metadata\":");
    out.push_str(object.metadata_json());
    out.push('}');
}

/// A list in pieces of about [`ANSWER_PIECE_BYTES`].
struct Pieces {
    renderer: Renderer,
    /// What goes before the next object; none once the list has ended.
    before: Option<String>,
    objects: vec::IntoIter<Arc<Object>>,
}

impl Pieces {
    fn new(renderer: Renderer, meta: &ListMeta, objects: Vec<Arc<Object>>) -> Self {
        Pieces { before: Some(renderer.list_head(meta)), renderer, objects: objects.into_iter() }
    }

    fn is_finished(&self) -> bool {
        self.before.is_none()
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = self.before.take()?;
        while piece.len() < ANSWER_PIECE_BYTES {
            let Some(object) = self.objects.next() else {
                piece.push_str("]}");
                return Some(piece.into());
            };
            self.renderer.element(&mut piece, &object);
            if !self.objects.as_slice().is_empty() {
                piece.push(',');
            }
        }
        self.before = Some(String::new());
        Some(piece.into())
    }
}

#[cfg(test)]
mod tests;
