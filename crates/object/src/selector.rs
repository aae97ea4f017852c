//! Label selectors and field selectors: parsing, matching, printing.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use thiserror::Error;

use crate::FieldError;

mod field;
mod parse;
mod requirement;
mod syntax;

pub use field::{FieldSelector, FieldSelectorError, FieldTerm};
pub use requirement::{Operator, Requirement};
pub use syntax::{dns_subdomain_errors, label_value_errors, qualified_name_errors};

/// A label selector: the conditions that all must hold, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Selects);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Selects {
    Nothing,
    All(Vec<Requirement>),
}

/// A label selector that cannot be read. The messages are upstream's.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SelectorError {
    /// The text has another token than the grammar allows at this place.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// The token, empty at the end of the text.
        found: String,
        /// What might have stood there.
        expected: &'static str,
    },
    /// `in` and `notin` want a list in parentheses.
    #[error("found '{found}' expected: '('")]
    MissingParenthesis {
        /// The token, empty at the end of the text.
        found: String,
    },
    /// A key or a value is not one that a label could have, or their number does not fit the operator.
    #[error("{}", list(.0))]
    Field(Vec<FieldError>),
    /// An expression has an operator other than `In`, `NotIn`, `Exists` and `DoesNotExist`.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// One of the conditions, separated by commas, is wrong.
    #[error("unable to parse requirement: {0}")]
    Requirement(Box<SelectorError>),
}

fn list(errors: &[FieldError]) -> String {
    match errors {
        [one] => one.to_string(),
        several => {
            let texts: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

impl Selector {
    /// Selects every object.
    #[must_use]
    pub fn everything() -> Self {
        Selector(Selects::All(Vec::new()))
    }

    /// Selects no object.
    #[must_use]
    pub fn nothing() -> Self {
        Selector(Selects::Nothing)
    }

    /// Reads the `labelSelector` of a request: `k=v,k==v,k!=v,k in (a,b),k notin (a),k,!k,k>1,k<2`.
    /// The empty text selects everything.
    ///
    /// # Errors
    /// The first fault, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::requirements(text).map(Self::from_requirements)
    }

    /// Reads the selector of a spec. Upstream's rule: none at all selects nothing, an empty one everything.
    ///
    /// # Errors
    /// An expression that is not valid.
    pub fn from_label_selector(selector: Option<&LabelSelector>) -> Result<Self, SelectorError> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let labels = selector.match_labels.iter().flatten();
        let mut requirements = labels
            .map(|(key, value)| Requirement::new(key, Operator::Equals, vec![value.clone()]))
            .collect::<Result<Vec<_>, _>>()?;
        for expression in selector.match_expressions.iter().flatten() {
            let operator = Operator::of_expression(&expression.operator)?;
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(Self::from_requirements(requirements))
    }

    fn from_requirements(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key().cmp(b.key()));
        Selector(Selects::All(requirements))
    }

    /// Whether it selects every object, so that nothing need be compared.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(&self.0, Selects::All(requirements) if requirements.is_empty())
    }

    /// The conditions; none for a selector of nothing.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        match &self.0 {
            Selects::Nothing => &[],
            Selects::All(requirements) => requirements,
        }
    }

    /// Whether an object with the labels that `label` looks up is selected.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        match &self.0 {
            Selects::Nothing => false,
            Selects::All(requirements) => requirements.iter().all(|r| r.matches(label(r.key()))),
        }
    }
}

/// As `-l` takes it and the Selector column shows it, without the column's `<none>`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements().iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// The cell of a Selector column: the conditions, `<none>` without any, `<error>` for an invalid selector.
#[must_use]
pub fn format_label_selector(selector: Option<&LabelSelector>) -> String {
    match Selector::from_label_selector(selector) {
        Ok(selector) if selector.requirements().is_empty() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

#[cfg(test)]
mod tests;
