//! Places in a text.

use std::ops::Range;

use serde_saphyr::Location;

/// A place in the text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The bytes from the beginning of the text; never empty unless the text ends there.
    pub bytes: Range<usize>,
    /// The line of the first of them, from 1.
    pub line: usize,
    /// The column of the first of them, in characters from 1.
    pub column: usize,
}

impl Span {
    /// The beginning of a text.
    pub(super) fn start() -> Self {
        Span { bytes: 0..0, line: 1, column: 1 }
    }
}

/// One document within a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    /// The bytes of the text before this document.
    offset: usize,
    /// The line on which this document begins, from 1.
    line: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, offset: usize, line: usize) -> Self {
        Source { text, offset, line }
    }

    /// The place of the document without the blank lines around it.
    pub(super) fn whole(&self) -> Span {
        let content = self.text.trim_start();
        let before = &self.text[..self.text.len() - content.len()];
        let start = self.offset + before.rfind('\n').map_or(0, |newline| newline + 1);
        Span {
            bytes: start..self.offset + self.text.trim_end().len().max(start - self.offset),
            line: self.line + before.matches('\n').count(),
            column: 1,
        }
    }

    /// The place that the parser names, on one line, so that it can be underlined.
    pub(super) fn span(&self, location: Location) -> Span {
        let line = usize::try_from(location.line()).unwrap_or(usize::MAX).max(1);
        let column = usize::try_from(location.column()).unwrap_or(usize::MAX).max(1);
        let byte = |offset: Option<u64>| offset.and_then(|offset| usize::try_from(offset).ok());
        let start = match byte(location.span().byte_offset()) {
            Some(start) if self.text.is_char_boundary(start) => start,
            _ => self.find(line, column),
        };
        let line_rest = self.text[start..].split(['\n', '\r']).next().unwrap_or_default();
        let one = line_rest.chars().next().map_or(0, char::len_utf8);
        let length =
            byte(location.span().byte_len()).unwrap_or(one).clamp(one, line_rest.trim_end().len().max(one));
        Span { bytes: self.offset + start..self.offset + start + length, line: self.line + line - 1, column }
    }

    fn find(&self, line: usize, column: usize) -> usize {
        let start_of_line = match line {
            1 => 0,
            line => self
                .text
                .match_indices('\n')
                .nth(line - 2)
                .map_or(self.text.len(), |(newline, _)| newline + 1),
        };
        let rest = &self.text[start_of_line..];
        start_of_line + rest.char_indices().nth(column - 1).map_or(rest.len(), |(byte, _)| byte)
    }
}
