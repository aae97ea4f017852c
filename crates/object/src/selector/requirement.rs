//! One condition of a label selector.

use std::fmt;

use serde_json::Value;

use super::{SelectorError, label_value_errors, qualified_name_errors};
use crate::{FieldErrors, Path};

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `k=v`
    Equals,
    /// `k==v`
    DoubleEquals,
    /// `k!=v`, which also holds without the label.
    NotEquals,
    /// `k in (a,b)`
    In,
    /// `k notin (a,b)`, which also holds without the label.
    NotIn,
    /// `k`
    Exists,
    /// `!k`
    DoesNotExist,
    /// `k>1`, which holds for integers only.
    GreaterThan,
    /// `k<1`, which holds for integers only.
    LessThan,
}

impl Operator {
    /// The operator as `matchExpressions` names it.
    pub(super) fn of_expression(name: &str) -> Result<Self, SelectorError> {
        match name {
            "In" => Ok(Operator::In),
            "NotIn" => Ok(Operator::NotIn),
            "Exists" => Ok(Operator::Exists),
            "DoesNotExist" => Ok(Operator::DoesNotExist),
            _ => Err(SelectorError::Operator(name.to_owned())),
        }
    }
}

/// A key, an operator and the values it compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A condition whose key and values a label could have and whose values fit the operator in number.
    pub(super) fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, SelectorError> {
        let mut errors = FieldErrors::new();
        let problems = qualified_name_errors(key);
        if !problems.is_empty() {
            errors.invalid(&Path::root("key"), key, problems.join("; "));
        }
        check_count(operator, &values, &mut errors);
        for (i, value) in values.iter().enumerate() {
            let path = Path::root("values").index(i);
            if matches!(operator, Operator::GreaterThan | Operator::LessThan)
                && parse_integer(value).is_none()
            {
                errors.invalid(
                    &path,
                    value.as_str(),
                    "for 'Gt', 'Lt' operators, the value must be an integer",
                );
            }
            let problems = label_value_errors(value);
            if !problems.is_empty() {
                errors.invalid(&path.key(key), value.as_str(), problems.join("; "));
            }
        }
        if errors.is_empty() {
            Ok(Requirement { key: key.to_owned(), operator, values })
        } else {
            Err(SelectorError::Field(errors.0))
        }
    }

    /// The label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label is compared.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What the label is compared with.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the condition holds for a label's value, or for its absence.
    #[must_use]
    pub fn matches(&self, label: Option<&str>) -> bool {
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::Equals | Operator::DoubleEquals | Operator::In => label.is_some_and(listed),
            Operator::NotEquals | Operator::NotIn => !label.is_some_and(listed),
            Operator::GreaterThan => self.compare(label, |label, bound| label > bound),
            Operator::LessThan => self.compare(label, |label, bound| label < bound),
        }
    }

    fn compare(&self, label: Option<&str>, holds: impl Fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|value| parse_integer(value));
        label.and_then(parse_integer).zip(bound).is_some_and(|(label, bound)| holds(label, bound))
    }
}

fn parse_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn check_count(operator: Operator, values: &[String], errors: &mut FieldErrors) {
    let problem = match (operator, values.len()) {
        (Operator::In | Operator::NotIn, 0) => "for 'in', 'notin' operators, values set can't be empty",
        (Operator::In | Operator::NotIn, _) => return,
        (Operator::Exists | Operator::DoesNotExist, 0) => return,
        (Operator::Exists | Operator::DoesNotExist, _) => {
            "values set must be empty for exists and does not exist"
        }
        (_, 1) => return,
        (Operator::GreaterThan | Operator::LessThan, _) => {
            "for 'Gt', 'Lt' operators, exactly one value is required"
        }
        (_, _) => "exact-match compatibility requires one single value",
    };
    errors.invalid(&Path::root("values"), Value::from(values), problem);
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}
