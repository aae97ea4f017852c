//! Go's duration text (`1h30m`, `1.5h`, `300ms`), as `@every` takes it.

use std::fmt::Write as _;

use jiff::SignedDuration;

const LARGEST: u64 = 1 << 63;

/// Why a text is not a Go duration; the messages are those of Go's `time.ParseDuration`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form `[+-](number unit)…`, or beyond ±2^63 ns.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {}", quoted(.0))]
    MissingUnit(String),
    /// A unit other than `ns`, `us`, `µs`, `ms`, `s`, `m`, `h`.
    #[error("time: unknown unit {} in duration {}", quoted(.unit), quoted(.text))]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole duration.
        text: String,
    },
}

/// Reads a Go duration such as `1h30m`, `90s` or `300ms`.
///
/// # Errors
/// In Go's own words.
pub fn parse_duration(text: &str) -> Result<SignedDuration, DurationError> {
    parse_nanoseconds(text).map(SignedDuration::from_nanos)
}

/// Parses a Go duration into nanoseconds.
pub(crate) fn parse_nanoseconds(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after_number) = Number::take(rest).ok_or_else(invalid)?;
        let unit_bytes =
            after_number.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(unit_bytes);
        let scale = unit_nanoseconds(unit, text)?;
        let part = number.times(scale).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|sum| *sum <= LARGEST).ok_or_else(invalid)?;
        rest = after_unit;
    }
    if negative {
        return Ok(0i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// A decimal number taken apart as Go does, so that fractions round the same way.
struct Number {
    whole: u64,
    fraction: u64,
    fraction_scale: f64,
}

impl Number {
    /// The number `text` starts with, and what follows it. `None` if there is none or its whole part overflows.
    fn take(text: &str) -> Option<(Number, &str)> {
        let (whole_digits, mut rest) = split_digits(text);
        let mut whole: u64 = 0;
        for digit in whole_digits.bytes() {
            whole = whole.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            if whole > LARGEST {
                return None;
            }
        }
        let (mut fraction, mut fraction_scale, mut fraction_digits) = (0, 1.0, "");
        if let Some(after_point) = rest.strip_prefix('.') {
            (fraction_digits, rest) = split_digits(after_point);
            (fraction, fraction_scale) = leading_fraction(fraction_digits);
        }
        let has_digits = !whole_digits.is_empty() || !fraction_digits.is_empty();
        has_digits.then_some((Number { whole, fraction, fraction_scale }, rest))
    }

    /// The number times `unit` nanoseconds; `None` beyond 2^63.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn times(&self, unit: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(unit)?;
        // Go adds the fraction in floating point and truncates; an exact sum would differ in the last nanosecond.
        let fraction = (self.fraction as f64 * (unit as f64 / self.fraction_scale)) as u64;
        whole.checked_add(fraction).filter(|sum| *sum <= LARGEST)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The digits after a point as an integer and the power of ten below it; digits beyond 63 bits are dropped.
fn leading_fraction(digits: &str) -> (u64, f64) {
    let (mut value, mut scale) = (0u64, 1.0);
    for digit in digits.bytes() {
        let longer = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
        let Some(longer) = longer.filter(|v| *v <= LARGEST) else { break };
        value = longer;
        scale *= 10.0;
    }
    (value, scale)
}

fn unit_nanoseconds(unit: &str, text: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "" => return Err(DurationError::MissingUnit(text.to_owned())),
        "ns" => 1,
        // The micro sign (U+00B5) and the Greek letter mu (U+03BC) both count.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
    })
}

/// `text` in quotes as Go's `time` package writes it: bytes beyond printable ASCII in hexadecimal.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\x7f' => out.push(c),
            _ => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(out, "\\x{byte:02x}").expect("writing to a String does not fail");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::parse_nanoseconds;

    #[test]
    fn reads_what_go_reads() {
        let second = 1_000_000_000;
        for (text, want) in [
            ("0", 0),
            ("+0", 0),
            ("5s", 5 * second),
            ("-5s", -5 * second),
            ("+1.5h", 5400 * second),
            ("1h30m10s", 5410 * second),
            (".5s", second / 2),
            ("1.s", second),
            ("100us", 100_000),
            ("100\u{b5}s", 100_000),
            ("100\u{3bc}s", 100_000),
            ("1h1h", 7200 * second),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.100000000000000000000h", 360 * second),
        ] {
            assert_eq!(parse_nanoseconds(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses_with_gos_words() {
        for (text, want) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("x", r#"time: invalid duration "x""#),
            (".s", r#"time: invalid duration ".s""#),
            (" 5m", r#"time: invalid duration " 5m""#),
            ("3", r#"time: missing unit in duration "3""#),
            ("5 m", r#"time: unknown unit " m" in duration "5 m""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1\u{e9}", r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#),
            ("1\"", r#"time: unknown unit "\"" in duration "1\"""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("99999999999999999999s", r#"time: invalid duration "99999999999999999999s""#),
            ("2562048h", r#"time: invalid duration "2562048h""#),
        ] {
            assert_eq!(parse_nanoseconds(text).unwrap_err().to_string(), want, "{text}");
        }
    }
}
