//! One field of an expression: its bounds, its names, and the set of values its text stands for.

use std::fmt::Write as _;

use crate::parse::ParseError;

/// What a field may hold.
pub(crate) struct Bounds {
    pub min: u64,
    pub max: u64,
    /// Names of the values from `min` on, in lower case.
    names: &'static [&'static str],
}

pub(crate) const MINUTE: Bounds = Bounds { min: 0, max: 59, names: &[] };
pub(crate) const HOUR: Bounds = Bounds { min: 0, max: 23, names: &[] };
pub(crate) const DAY: Bounds = Bounds { min: 1, max: 31, names: &[] };
pub(crate) const MONTH: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
pub(crate) const WEEKDAY: Bounds =
    Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// The values a field selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Field {
    /// Bit `n` is set when the value `n` is selected.
    pub bits: u64,
    /// `*` or `?` stands in the field, and not with a step above 1: the field leaves the choice to the others.
    pub star: bool,
}

impl Field {
    /// Every value within `bounds`, as `*` says it.
    pub const fn any(bounds: &Bounds) -> Field {
        Field { bits: range_bits(bounds.min, bounds.max, 1), star: true }
    }

    /// One value.
    pub const fn only(value: u64) -> Field {
        Field { bits: 1 << value, star: false }
    }

    /// Reads a comma-separated list. As upstream, empty members are passed over, so that `1,` is `1` and `,`
    /// selects nothing.
    pub fn parse(text: &str, bounds: &Bounds) -> Result<Field, ParseError> {
        let mut field = Field::default();
        for member in text.split(',').filter(|member| !member.is_empty()) {
            let range = Range::parse(member, bounds)?;
            field.bits |= range_bits(range.start, range.end, range.step);
            field.star |= range.star;
        }
        Ok(field)
    }

    /// Whether every value within `bounds` is selected.
    pub fn is_full(self, bounds: &Bounds) -> bool {
        self.bits == range_bits(bounds.min, bounds.max, 1)
    }

    /// The selected values in ascending order.
    pub fn values(self) -> impl Iterator<Item = u64> {
        (0..64).filter(move |value| self.bits >> value & 1 == 1)
    }
}

/// One member of a list: `*`, `n`, `n-m`, each with an optional `/step`.
pub(crate) struct Range {
    pub start: u64,
    pub end: u64,
    pub step: u64,
    pub star: bool,
}

impl Range {
    pub fn parse(text: &str, bounds: &Bounds) -> Result<Range, ParseError> {
        let mut parts = text.split('/');
        let (span, step, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let mut ends = span.split('-');
        let (low, high, extra) = (ends.next().unwrap_or_default(), ends.next(), ends.next());

        let mut star = low == "*" || low == "?";
        // Upstream never looks at what follows the hyphen of `*-5`.
        let (start, mut end) = if star {
            (bounds.min, bounds.max)
        } else {
            let start = number_or_name(low, bounds)?;
            match (high, extra) {
                (None, _) => (start, start),
                (Some(high), None) => (start, number_or_name(high, bounds)?),
                (Some(_), Some(_)) => return Err(ParseError::TooManyHyphens(text.to_owned())),
            }
        };
        let step = match (step, more) {
            (None, _) => 1,
            (Some(step), None) => {
                let step = number(step)?;
                if high.is_none() {
                    end = bounds.max;
                }
                star &= step <= 1;
                step
            }
            (Some(_), Some(_)) => return Err(ParseError::TooManySlashes(text.to_owned())),
        };
        Range { start, end, step, star }.within(bounds, text)
    }

    fn within(self, bounds: &Bounds, text: &str) -> Result<Range, ParseError> {
        let (start, end, text) = (self.start, self.end, text.to_owned());
        if start < bounds.min {
            return Err(ParseError::BelowMinimum { start, min: bounds.min, text });
        }
        if end > bounds.max {
            return Err(ParseError::AboveMaximum { end, max: bounds.max, text });
        }
        if start > end {
            return Err(ParseError::Reversed { start, end, text });
        }
        if self.step == 0 {
            return Err(ParseError::ZeroStep(text));
        }
        Ok(self)
    }
}

/// Bits `start`, `start + step`, … up to `end` (below 64).
const fn range_bits(start: u64, end: u64, step: u64) -> u64 {
    let (mut bits, mut value) = (0, start);
    while value <= end {
        bits |= 1 << value;
        value = value.saturating_add(step);
    }
    bits
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u64, ParseError> {
    let named = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match named {
        Some(position) => Ok(bounds.min + position as u64),
        None => number(text),
    }
}

/// A decimal integer as Go's `strconv.Atoi` reads it: a sign is allowed, 64 bits are the bound.
fn number(text: &str) -> Result<u64, ParseError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let refusal = |reason| ParseError::NotANumber { text: text.to_owned(), quoted: quoted(text), reason };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refusal("invalid syntax"));
    }
    let value: i64 = text.parse().map_err(|_| refusal("value out of range"))?;
    u64::try_from(value).map_err(|_| ParseError::Negative { value, text: text.to_owned() })
}

/// `text` in quotes as Go's `strconv.Quote` writes it, so that blanks and invisible characters show.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            _ => push_printable(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn push_printable(out: &mut String, c: char) {
    let code = u32::from(c);
    let written = match code {
        _ if !c.escape_debug().to_string().starts_with("\\u") => {
            out.push(c);
            return;
        }
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a String does not fail");
}
