//! Manifests as people write them: YAML or JSON, one document or many, every fault with its place in the
//! text.
//!
//! YAML is read as Kubernetes reads it (YAML 1.1): `yes` and `off` are booleans, `0644` is octal, whole
//! floats are integers, keys that are not strings become strings.

use serde_json::Value;
use thiserror::Error;

use crate::document::Document;
use crate::limits::MANIFEST_BYTES_MAX;

mod places;
mod span;
mod split;
mod yaml;

use places::{Children, Node};
use span::Source;
pub use span::Span;

/// One object of a text.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The object. Of a key that occurs twice, the later value.
    pub value: Value,
    document: Span,
    places: Node,
}

/// What a text contains.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The objects, those in lists one by one. Also objects of documents that have errors, as far as they
    /// could be read, so that whatever else is wrong with them can be told at the same time.
    pub manifests: Vec<Manifest>,
    /// All faults found, in the order of the text.
    pub errors: Vec<ManifestError>,
}

/// A fault in a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {}, column {}: {message}", span.line, span.column)]
pub struct ManifestError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl Manifest {
    /// The place of the whole document that the object stands in.
    #[must_use]
    pub fn document(&self) -> &Span {
        &self.document
    }

    /// The place of the value at `path`, such as `spec.template.spec.containers[0].image` or `data[key]`.
    /// Where the text has no such value, the nearest place above: the key of the map that lacks it, say.
    #[must_use]
    pub fn span_of(&self, path: &str) -> &Span {
        let (node, found) = self.places.find(path);
        match (&node.children, &node.key) {
            (Children::None, _) if found => &node.value,
            (_, Some(key)) => key,
            (_, None) => &node.value,
        }
    }

    /// The place of the key at the end of `path`, or the nearest place above, as for [`Manifest::span_of`].
    #[must_use]
    pub fn span_of_key(&self, path: &str) -> &Span {
        let (node, _) = self.places.find(path);
        node.key.as_ref().unwrap_or(&node.value)
    }
}

/// Reads the documents of a text, separated by lines that begin with `---`. Empty documents are passed
/// over; the items of a `List` count as objects of their own.
#[must_use]
pub fn read_manifests(text: &str) -> Manifests {
    let mut result = Manifests::default();
    if text.len() > MANIFEST_BYTES_MAX {
        let message = format!("the text is longer than {MANIFEST_BYTES_MAX} bytes");
        result.errors.push(ManifestError { message, span: Span::start() });
        return result;
    }
    for source in split::documents(text) {
        match yaml::read(&source) {
            Err(error) => result.errors.push(error),
            Ok(read) => {
                result.errors.extend(read.errors);
                for (_, duplicate) in read.duplicates {
                    result.errors.push(duplicate);
                }
                result.add(read.value, read.places, &source.whole());
            }
        }
    }
    result.errors.sort_by_key(|error| error.span.bytes.start);
    result
}

impl Manifests {
    fn add(&mut self, value: Value, places: Node, document: &Span) {
        match value {
            Value::Null => {}
            Value::Object(mut list) if is_list(&list) => {
                let Some(Value::Array(items)) = list.remove("items") else { return };
                for (item, places) in items.into_iter().zip(places.into_elements_of("items")) {
                    self.add(item, places, document);
                }
            }
            value @ Value::Object(_) => {
                self.manifests.push(Manifest { value, document: document.clone(), places });
            }
            _ => self.errors.push(ManifestError {
                message: "expected an object with apiVersion, kind and metadata".to_owned(),
                span: places.value,
            }),
        }
    }
}

fn is_list(object: &serde_json::Map<String, Value>) -> bool {
    let of_list_kind = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    of_list_kind && object.get("items").is_some_and(Value::is_array)
}

/// Reads the one document of a request body in YAML, or JSON for that matter. Keys that occur twice are no
/// fault here but reported, as [`crate::document::read_json`] reports them.
///
/// # Errors
/// A body that is not YAML, or not one document.
pub fn read_yaml(body: &[u8]) -> Result<Document, ManifestError> {
    let fault = |message: String| ManifestError { message, span: Span::start() };
    let text = std::str::from_utf8(body).map_err(|error| fault(error.to_string()))?;
    let read = yaml::read(&Source::new(text, 0, 1))?;
    match read.errors.into_iter().next() {
        Some(error) => Err(error),
        None => {
            let duplicates = read.duplicates.into_iter().map(|(path, _)| path).collect();
            Ok(Document { value: read.value, duplicates })
        }
    }
}

#[cfg(test)]
mod tests;
