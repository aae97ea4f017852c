//! What tables show: the columns of a kind, and an object's row.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use serde::Serialize;
use serde_json::Value;

use crate::{Kind, Object, age::age, kinds::Rules};

/// A column of a table, as `columnDefinitions` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The heading; kubectl shows it in capitals.
    pub name: &'static str,
    /// The OpenAPI type of the cells.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// The OpenAPI format of the cells; `name` marks the column that names the object.
    pub format: &'static str,
    /// What the column says.
    pub description: &'static str,
    /// 0 for columns that are always shown, 1 for those of `-o wide`.
    pub priority: i32,
}

impl Column {
    /// A column of texts.
    pub(crate) const fn text(name: &'static str) -> Self {
        Column { name, type_: "string", format: "", description: "", priority: 0 }
    }

    /// A column of texts that is shown on demand.
    pub(crate) const fn wide(name: &'static str) -> Self {
        Column { priority: 1, ..Column::text(name) }
    }

    /// The same column with another declared type.
    pub(crate) const fn declared(self, type_: &'static str) -> Self {
        Column { type_, ..self }
    }

    /// The same column, marked as the name of the object.
    pub(crate) const fn naming(self) -> Self {
        Column { format: "name", ..self }
    }
}

/// The first column of nearly every table.
pub(crate) const NAME: Column = Column::text("Name").naming();

/// What an object looks like in a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// One cell for each column of the kind.
    pub cells: Vec<Value>,
    /// What the row says about the object as a whole; empty for most.
    pub conditions: Vec<RowCondition>,
}

impl Row {
    /// A row that only has cells.
    pub(crate) fn of(cells: impl Into<Vec<Value>>) -> Self {
        Row { cells: cells.into(), conditions: Vec::new() }
    }
}

/// A condition of a row: old versions of kubectl hid the rows of pods that had finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowCondition {
    /// The condition.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// Whether it holds.
    pub status: &'static str,
    /// Why, as a code.
    pub reason: &'static str,
    /// Why, in words.
    pub message: &'static str,
}

/// The columns of a kind's table. Every row has a cell for each, those of `-o wide` included.
pub fn columns(kind: Kind) -> &'static [Column] {
    with_kind!(kind, T => T::COLUMNS)
}

/// The row of an object. Ages are those at `now`.
pub fn row(object: &Object, now: Timestamp) -> Row {
    with_kind!(object.kind(), T => object.decode::<T>().row(now))
}

/// The cell of the Name column.
pub(crate) fn name(meta: &ObjectMeta) -> Value {
    meta.name.as_deref().unwrap_or_default().into()
}

/// The cell of the Age column.
pub(crate) fn age_of(meta: &ObjectMeta, now: Timestamp) -> Value {
    since(meta.creation_timestamp.as_ref(), now).into()
}

/// The cell of a column that shows when the object was created; clients make an age of it.
pub(crate) fn created(meta: &ObjectMeta) -> Value {
    meta.creation_timestamp.as_ref().map_or_else(Value::default, |time| time.0.to_string().into())
}

/// The time since `time`, or `<unknown>`.
pub(crate) fn since(time: Option<&Time>, now: Timestamp) -> String {
    age(now, time.map(|time| time.0))
}

/// As [`since`], of a time with a fraction.
pub(crate) fn since_micro(time: Option<&MicroTime>, now: Timestamp) -> String {
    age(now, time.map(|time| time.0))
}

/// A text, or `absent` if there is none or it is empty.
pub(crate) fn text_or(value: Option<&str>, absent: &str) -> Value {
    value.filter(|value| !value.is_empty()).unwrap_or(absent).into()
}

#[cfg(test)]
mod tests;
