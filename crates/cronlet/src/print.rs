//! How lists and objects look on a terminal.

use std::io::{self, Write};

use serde_json::Value;

/// Narrowest column, in characters, as kubectl's tables have it.
const COLUMN_WIDTH_MIN: usize = 6;
/// Space between columns, in characters.
const COLUMN_GAP: usize = 3;

/// Writes text to standard output, where it may be read by a program that has had enough: see [`is_broken_pipe`].
///
/// # Errors
/// If writing fails.
pub fn out(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

/// Whether a command failed because whoever read its output has gone, as `| head` does. That is no failure.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error with its causes. A cause that the text before it gives already is not given again.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Writes rows as left-aligned columns. The last column is not padded.
///
/// # Errors
/// If writing fails.
pub fn columns(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let longest = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        (longest.unwrap_or_default() + COLUMN_GAP).max(COLUMN_WIDTH_MIN)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}"));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The rows of a server-side Table, as texts: the header first, unless `header` is false. Columns of lower priority
/// are shown if `wide`.
pub fn table_rows(table: &Value, wide: bool, header: bool) -> Vec<Vec<String>> {
    let definitions = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let shown: Vec<bool> =
        definitions.iter().map(|c| wide || c["priority"].as_i64().unwrap_or_default() == 0).collect();
    let pick = |cells: &[Value], text: fn(&Value) -> String| {
        cells.iter().zip(&shown).filter(|(_, shown)| **shown).map(|(cell, _)| text(cell)).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    if header {
        rows.push(pick(&definitions, |column| column["name"].as_str().unwrap_or_default().to_uppercase()));
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        rows.push(pick(row["cells"].as_array().map_or(&[], Vec::as_slice), cell_text));
    }
    rows
}

fn cell_text(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The object as YAML text.
pub fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// The object as indented JSON text.
pub fn json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_given_once() {
        let cause = io::Error::from_raw_os_error(30);
        let error = anyhow::Error::new(cause).context("a: Read-only file system (os error 30)").context("b");
        assert_eq!(causes(&error), "b: a: Read-only file system (os error 30)");
        assert_eq!(causes(&anyhow::anyhow!("inner").context("outer")), "outer: inner");
    }

    #[test]
    fn columns_line_up_as_kubectl_s() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let mut out = Vec::new();
        columns(&mut out, &[row(&["NAME", "AGE"]), row(&["hello-world", "5m"])]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME          AGE\nhello-world   5m\n");
    }

    #[test]
    fn wide_columns_are_shown_when_asked_for() {
        let table = serde_json::json!({
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["a", 7]}],
        });
        assert_eq!(table_rows(&table, false, true), [["NAME"], ["a"]]);
        assert_eq!(table_rows(&table, true, false), [["a", "7"]]);
    }
}
