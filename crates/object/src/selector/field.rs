//! Field selectors: `metadata.name=x,status.phase!=Running`.

use thiserror::Error;

/// A field selector that cannot be read. The messages are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldSelectorError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole text.
        selector: String,
        /// The part between two commas.
        term: String,
    },
    /// A backslash stands before something other than a backslash, a comma and an equals sign.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A value has a comma or an equals sign without a backslash; upstream prints its number.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

/// One comparison of a field with a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldTerm {
    /// The field's path, such as `metadata.name`.
    pub field: String,
    /// Whether the field must differ from the value rather than equal it.
    pub negated: bool,
    /// The value; an absent field counts as empty.
    pub value: String,
}

/// A field selector: the comparisons that all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldTerm>);

impl FieldSelector {
    /// Reads the `fieldSelector` of a request. Which fields a kind knows is for the caller to check, by
    /// [`FieldSelector::terms`]. The empty text selects everything.
    ///
    /// # Errors
    /// The first fault, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let mut parts = split_unescaped(text);
        // Upstream reads them sorted, which decides whose error is the first.
        parts.sort_unstable();
        let terms = parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
            let misunderstood =
                || FieldSelectorError::Term { selector: text.to_owned(), term: part.to_owned() };
            let (field, negated, value) = split_term(part).ok_or_else(misunderstood)?;
            Ok(FieldTerm { field: field.to_owned(), negated, value: unescape(value)? })
        });
        terms.collect::<Result<_, _>>().map(FieldSelector)
    }

    /// The comparisons.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.0
    }

    /// Whether it selects every object, so that nothing need be compared.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that `field` must have, if a term demands one: what lets a name be looked up directly.
    #[must_use]
    pub fn exact_value(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| !term.negated && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether an object whose fields `value` looks up (empty when absent) is selected.
    pub fn matches<S: AsRef<str>>(&self, value: impl Fn(&str) -> S) -> bool {
        self.0.iter().all(|term| (value(&term.field).as_ref() == term.value) != term.negated)
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    })
    .collect()
}

/// Field, whether the operator negates, and value: at the first place where an operator stands.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let equals = term.find('=')?;
    let (field, value) = (&term[..equals], &term[equals + 1..]);
    match field.strip_suffix('!') {
        Some(field) => Some((field, true, value)),
        None => Some((field, false, value.strip_prefix('=').unwrap_or(value))),
    }
}

fn unescape(text: &str) -> Result<String, FieldSelectorError> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                other => {
                    let sequence = ['\\'].into_iter().chain(other).collect();
                    return Err(FieldSelectorError::Escape(sequence));
                }
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(c)),
            c => value.push(c),
        }
    }
    Ok(value)
}
