//! Amounts of CPU, memory and storage: Kubernetes' `resource.Quantity`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

/// A text that is no quantity. The messages are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// The text does not have the shape of a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number has more digits than any resource could need (the bound is about 10^29).
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// The text ends in something that is not a known suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The family of suffixes a quantity was written with; it is printed in the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`, or no suffix.
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `e3`, `E-2`.
    DecimalExponent,
}

/// A fixed-point number, exact to 10^-9; anything finer is rounded away from zero when read, as upstream
/// does.
///
/// Quantities are equal when their values are, however they were written.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANOS_PER_UNIT: i128 = 1_000_000_000;
const NANO_EXPONENT: i32 = -9;
/// A quantity with a binary suffix is capped here, silently, as upstream does: `8Ei` is 2^63-1.
const BINARY_MAX_NANOS: i128 = i64::MAX as i128 * NANOS_PER_UNIT;
/// No decimal exponent beyond this can give a value that is neither zero nor out of range.
const DECIMAL_EXPONENTS: RangeInclusive<i32> = -100..=100;

const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// In order of their power of 1024.
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Zero, which is also how an absent quantity counts.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::DecimalSi };

    /// A whole number of units, printed with suffixes of `format`.
    #[must_use]
    pub fn from_units(units: i64, format: Format) -> Self {
        Quantity { nanos: i128::from(units) * NANOS_PER_UNIT, format }
    }

    /// The family of suffixes it is printed with.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the value is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether the value is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// The value in whole units (bytes, CPUs), rounded away from zero and kept within `i64`.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.rounded_to(NANOS_PER_UNIT)
    }

    /// The value in thousandths (millicores), rounded away from zero and kept within `i64`.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        self.rounded_to(NANOS_PER_UNIT / 1_000)
    }

    /// The sum, printed as `self` is; it stays at the bound where it would pass it.
    #[must_use]
    pub fn saturating_add(self, other: Quantity) -> Self {
        Quantity { nanos: self.nanos.saturating_add(other.nanos), ..self }
    }

    /// The difference, printed as `self` is; it stays at the bound where it would pass it.
    #[must_use]
    pub fn saturating_sub(self, other: Quantity) -> Self {
        Quantity { nanos: self.nanos.saturating_sub(other.nanos), ..self }
    }

    fn rounded_to(&self, nanos_per_step: i128) -> i64 {
        let steps = divide_away_from_zero(self.nanos, nanos_per_step, false);
        i64::try_from(steps).unwrap_or(if steps < 0 { i64::MIN } else { i64::MAX })
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let number = Number::split_from(text)?;
        let (magnitude, format) = match Suffix::parse(number.suffix)? {
            Suffix::Decimal(exponent) => (number.scaled_by_ten(exponent)?, Format::DecimalSi),
            Suffix::Exponent(exponent) => (number.scaled_by_ten(exponent)?, Format::DecimalExponent),
            Suffix::Binary(power) => {
                let nanos = number.scaled_by_1024(power).min(BINARY_MAX_NANOS);
                // A fraction of one byte is printed in decimal: a binary suffix would have to round it.
                let fraction = 0 < nanos && nanos < NANOS_PER_UNIT;
                (nanos, if fraction { Format::DecimalSi } else { Format::BinarySi })
            }
        };
        Ok(Quantity { nanos: if number.negative { -magnitude } else { magnitude }, format })
    }
}

/// A text taken apart: sign, digits and suffix.
struct Number<'a> {
    negative: bool,
    /// The significant digits, read as an integer, of which `fraction_digits` follow the point.
    digits: i128,
    fraction_digits: i32,
    /// Further digits of the fraction, not all zero, did not fit.
    inexact: bool,
    overflow: bool,
    suffix: &'a str,
}

impl<'a> Number<'a> {
    fn split_from(text: &'a str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_while(unsigned, |b| b.is_ascii_digit());
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split_while(rest, |b| b.is_ascii_digit()),
            None => ("", rest),
        };
        let (_, exponent) = split_while(suffix, |b| b"eEinumkKMGTP".contains(&b));
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if !exponent.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        let mut number =
            Number { negative, digits: 0, fraction_digits: 0, inexact: false, overflow: false, suffix };
        whole.bytes().for_each(|digit| number.overflow |= !number.append(digit));
        for digit in fraction.trim_end_matches('0').bytes() {
            if !number.inexact && number.append(digit) {
                number.fraction_digits += 1;
            } else {
                number.inexact = true;
            }
        }
        Ok(number)
    }

    fn append(&mut self, digit: u8) -> bool {
        let longer =
            self.digits.checked_mul(10).and_then(|digits| digits.checked_add(i128::from(digit - b'0')));
        self.digits = longer.unwrap_or(self.digits);
        longer.is_some()
    }

    fn scaled_by_ten(&self, exponent: i32) -> Result<i128, QuantityError> {
        let shift = exponent - self.fraction_digits - NANO_EXPONENT;
        if self.overflow {
            return Err(QuantityError::Number);
        }
        if self.digits == 0 {
            return Ok(i128::from(self.inexact));
        }
        match power_of_ten(shift.unsigned_abs()) {
            Some(factor) if shift >= 0 => self.digits.checked_mul(factor).ok_or(QuantityError::Number),
            None if shift >= 0 => Err(QuantityError::Number),
            Some(factor) => Ok(divide_away_from_zero(self.digits, factor, self.inexact)),
            None => Ok(1),
        }
    }

    /// In nano-units, or any number beyond the cap when the value is beyond it.
    fn scaled_by_1024(&self, power: u32) -> i128 {
        let (mut digits, mut fraction_digits, mut inexact) =
            (self.digits, self.fraction_digits, self.inexact);
        let product = loop {
            if self.overflow {
                return i128::MAX;
            }
            match digits.checked_mul(1 << (10 * power)) {
                Some(product) => break product,
                None if fraction_digits == 0 => return i128::MAX,
                None => {
                    inexact |= digits % 10 != 0;
                    digits /= 10;
                    fraction_digits -= 1;
                }
            }
        };
        let shift = -fraction_digits - NANO_EXPONENT;
        let factor = power_of_ten(shift.unsigned_abs()).unwrap_or(i128::MAX);
        if shift >= 0 {
            product.saturating_mul(factor).saturating_add(i128::from(inexact))
        } else {
            divide_away_from_zero(product, factor, inexact)
        }
    }
}

enum Suffix {
    /// A power of ten, written as a letter.
    Decimal(i32),
    /// A power of ten, written out.
    Exponent(i32),
    /// A power of 1024.
    Binary(u32),
}

impl Suffix {
    fn parse(text: &str) -> Result<Self, QuantityError> {
        if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(suffix, _)| *suffix == text) {
            return Ok(Suffix::Decimal(*exponent));
        }
        if let Some(power) = (1u32..).zip(&BINARY_SUFFIXES[1..]).find_map(|(n, s)| (*s == text).then_some(n))
        {
            return Ok(Suffix::Binary(power));
        }
        let exponent = text.strip_prefix(['e', 'E']).filter(|digits| !digits.is_empty());
        let exponent = exponent.and_then(|digits| digits.parse::<i64>().ok()).ok_or(QuantityError::Suffix)?;
        let clamped = i32::try_from(exponent).unwrap_or(if exponent < 0 { i32::MIN } else { i32::MAX });
        Ok(Suffix::Exponent(clamped.clamp(*DECIMAL_EXPONENTS.start(), *DECIMAL_EXPONENTS.end())))
    }
}

/// The canonical form: no fraction, and the largest suffix that keeps the value exact.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let units = self.nanos / NANOS_PER_UNIT;
        let whole = self.nanos % NANOS_PER_UNIT == 0;
        if self.format == Format::BinarySi && whole && units.unsigned_abs() >= 1024 {
            return write_binary(f, units);
        }
        let (mantissa, exponent) = canonical_decimal(self.nanos);
        let letter = DECIMAL_SUFFIXES.iter().find(|(_, power)| *power == exponent);
        match (self.format, letter) {
            (_, _) if exponent == 0 => write!(f, "{mantissa}"),
            (Format::DecimalSi | Format::BinarySi, Some((suffix, _))) => write!(f, "{mantissa}{suffix}"),
            _ => write!(f, "{mantissa}e{exponent}"),
        }
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut units: i128) -> fmt::Result {
    let mut power = 0;
    while power + 1 < BINARY_SUFFIXES.len() && units % 1024 == 0 {
        units /= 1024;
        power += 1;
    }
    write!(f, "{units}{}", BINARY_SUFFIXES[power])
}

/// A mantissa and the largest exponent divisible by three that represent `nanos` exactly.
fn canonical_decimal(nanos: i128) -> (i128, i32) {
    let (mut mantissa, mut exponent) = (nanos, NANO_EXPONENT);
    while mantissa % 1_000 == 0 {
        mantissa /= 1_000;
        exponent += 3;
    }
    (mantissa, exponent)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

/// `inexact` says that a little was cut off a dividend above zero before.
fn divide_away_from_zero(dividend: i128, divisor: i128, inexact: bool) -> i128 {
    let (quotient, remainder) = (dividend / divisor, dividend % divisor);
    quotient + if remainder == 0 { i128::from(inexact) } else { remainder.signum() }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

fn split_while(text: &str, accept: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !accept(b)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests;
