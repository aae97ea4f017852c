//! One YAML document into a value, with the place of every part.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DefaultMessageFormatter, DuplicateKeyPolicy, Error, MessageFormatter, Options, Spanned};

use super::ManifestError;
use super::places::{Children, Node};
use super::span::Source;
use crate::document::Trail;
use crate::limits::{
    FIELD_PROBLEMS_MAX, MANIFEST_DEPTH_MAX, MANIFEST_NODES_MAX, MANIFEST_REPEATED_NODES_MAX,
};

/// A document as read.
pub(super) struct Read {
    pub(super) value: Value,
    pub(super) places: Node,
    /// Keys that occur more than once: their paths, and what to say of them.
    pub(super) duplicates: Vec<(String, ManifestError)>,
    /// What YAML can say and an object cannot.
    pub(super) errors: Vec<ManifestError>,
}

/// Reads the one document in `source`. Nothing but blanks and comments reads as null.
pub(super) fn read(source: &Source<'_>) -> Result<Read, ManifestError> {
    let document = serde_saphyr::from_str_with_options::<Spanned<Content>>(source.text, options());
    let document = document.map_err(|error| syntax_error(source, &error))?;
    let mut reader = Reader { source, duplicates: Vec::new(), errors: Vec::new() };
    let (value, places) = reader.convert(document, Trail::Root);
    Ok(Read { value, places, duplicates: reader.duplicates, errors: reader.errors })
}

fn options() -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        // Found here instead, all of them.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
        budget: serde_saphyr::budget! { max_depth: MANIFEST_DEPTH_MAX, max_nodes: MANIFEST_NODES_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MANIFEST_REPEATED_NODES_MAX },
    }
}

fn syntax_error(source: &Source<'_>, error: &Error) -> ManifestError {
    let span = error.location().map_or_else(|| source.whole(), |location| source.span(location));
    let mut cause = error;
    while let Error::AliasError { error, .. } | Error::WithSnippet { error, .. } = cause {
        cause = error;
    }
    let message = match cause {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("maps and lists are nested more than {MANIFEST_DEPTH_MAX} levels deep")
        }
        Error::Budget { breach: BudgetBreach::Nodes { .. }, .. } => {
            format!("the document has more than {MANIFEST_NODES_MAX} values")
        }
        Error::AliasReplayLimitExceeded { .. } => {
            format!("aliases repeat more than {MANIFEST_REPEATED_NODES_MAX} values")
        }
        Error::MultipleDocuments { .. } => "a second document begins here, where one was expected".to_owned(),
        other => DefaultMessageFormatter.format_message(other).into_owned(),
    };
    ManifestError { message, span }
}

/// A YAML node as its tag resolves.
enum Content {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Spanned<Content>>),
    Map(Vec<(Spanned<Content>, Spanned<Content>)>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        fold(value).map(Content::Number).ok_or_else(|| E::custom("a number beyond all ranges"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = access.next_element()? {
            list.push(element);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = access.next_entry()? {
            map.push(entry);
        }
        Ok(Content::Map(map))
    }
}

/// Whole floats as integers, the way Go prints them: `1e3` and `089` stand for 1000 and 89.
fn fold(value: f64) -> Option<Number> {
    const INTEGERS_END: f64 = 18_446_744_073_709_551_616.0;
    if value.fract() != 0.0 || value.abs() >= INTEGERS_END {
        return Number::from_f64(value);
    }
    // The cast is exact: the value is whole and within range.
    #[allow(clippy::cast_possible_truncation)]
    let whole = value as i128;
    match (i64::try_from(whole), u64::try_from(whole)) {
        (Ok(whole), _) => Some(whole.into()),
        (_, Ok(whole)) => Some(whole.into()),
        _ => Number::from_f64(value),
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    duplicates: Vec<(String, ManifestError)>,
    errors: Vec<ManifestError>,
}

impl Reader<'_> {
    fn convert(&mut self, node: Spanned<Content>, trail: Trail<'_>) -> (Value, Node) {
        let span = self.source.span(node.referenced);
        let (value, children) = match node.value {
            Content::Null => (Value::Null, Children::None),
            Content::Bool(value) => (Value::Bool(value), Children::None),
            Content::Number(number) => (Value::Number(number), Children::None),
            Content::String(text) => (Value::String(text), Children::None),
            Content::List(list) => {
                let elements = list.into_iter().enumerate();
                let pairs = elements.map(|(i, element)| self.convert(element, Trail::Index(&trail, i)));
                let (values, nodes) = pairs.unzip();
                (Value::Array(values), Children::List(nodes))
            }
            Content::Map(entries) => self.convert_map(entries, trail),
        };
        (value, Node { key: None, value: span, children })
    }

    fn convert_map(
        &mut self,
        entries: Vec<(Spanned<Content>, Spanned<Content>)>,
        trail: Trail<'_>,
    ) -> (Value, Children) {
        let mut map = Map::new();
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for (key, value) in entries {
            let key_span = self.source.span(key.referenced);
            let Some(key) = key_text(key.value) else {
                if self.errors.len() < FIELD_PROBLEMS_MAX {
                    let message = "a key must be a string, a number or a boolean".to_owned();
                    self.errors.push(ManifestError { message, span: key_span });
                }
                continue;
            };
            let trail = Trail::Field(&trail, &key);
            let (value, mut node) = self.convert(value, trail);
            if let Some(first) = nodes.get(&key)
                && self.duplicates.len() < FIELD_PROBLEMS_MAX
            {
                let first_line = first.key.as_ref().map_or(0, |span| span.line);
                let message = format!("the key {key:?} is already set on line {first_line}");
                self.duplicates.push((trail.to_string(), ManifestError { message, span: key_span.clone() }));
            }
            node.key = Some(key_span);
            map.insert(key.clone(), value);
            nodes.insert(key, node);
        }
        (Value::Object(map), Children::Map(nodes))
    }
}

/// Keys in JSON are strings: `8080:` and `yes:` become `"8080"` and `"true"`, as they do for Kubernetes.
fn key_text(key: Content) -> Option<String> {
    match key {
        Content::String(text) => Some(text),
        Content::Bool(value) => Some(value.to_string()),
        Content::Number(number) => Some(number.to_string()),
        Content::Null | Content::List(_) | Content::Map(_) => None,
    }
}
