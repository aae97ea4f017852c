//! A text into its documents, so that a fault in one does not hide those in the others.

use super::span::Source;

/// The documents of `text`. No line within a document can begin with the marker, not even in a quoted scalar.
pub(super) fn documents(text: &str) -> Vec<Source<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut end = 0;
    let mut directives_only = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) && !directives_only && end > start {
            documents.push(Source::new(&text[start..end], start, start_line));
            (start, start_line) = (end, index + 1);
        }
        // Directives, such as `%YAML 1.1`, belong to the document whose marker follows them.
        let is_blank = line.trim().is_empty() || line.starts_with('#');
        directives_only = match line.as_bytes() {
            [b'%', ..] if end == start => true,
            _ => directives_only && (is_blank || line.starts_with('%')),
        };
        end += line.len();
    }
    documents.push(Source::new(&text[start..], start, start_line));
    documents
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}
