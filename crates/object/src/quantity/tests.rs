use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn canonical_form() {
    let cases = [
        ("0", "0"),
        ("-0", "0"),
        ("0Mi", "0"),
        ("0.0000", "0"),
        ("1", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1.5", "1500m"),
        ("1000m", "1"),
        ("1001m", "1001m"),
        ("+12", "12"),
        ("-3.5", "-3500m"),
        ("007", "7"),
        ("1000", "1k"),
        ("1500k", "1500k"),
        ("1500000k", "1500M"),
        ("1000E", "1e21"),
        ("12345678901234567890", "12345678901234567890"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1536Mi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1023", "1023"),
        ("1Ki", "1Ki"),
        ("1025Ki", "1025Ki"),
        ("1.1Ki", "1126400m"),
        ("0.0001Ki", "102400u"),
        ("-1Gi", "-1Gi"),
        ("7Ei", "7Ei"),
        ("8Ei", "9223372036854775807"),
        ("999999999999Ei", "9223372036854775807"),
        ("-9Ei", "-9223372036854775807"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e6", "12e6"),
        ("1e2", "100"),
        ("1e4", "10e3"),
        ("1e-3", "1e-3"),
        ("1e+3", "1e3"),
        ("1.25e3", "1250"),
        ("1E", "1E"),
        ("100n", "100n"),
        ("1u", "1u"),
        ("0.9n", "1n"),
        ("-0.9n", "-1n"),
        ("1e-20", "1e-9"),
        ("1e-999999999999", "1e-9"),
        ("0e999999999999", "0"),
        ("1.0000000000000000000000000000000000000000000001", "1000000001n"),
        ("1.0000000000000000000000000000000000000000000001Ki", "1024000000001n"),
        ("1.2345", "1234500u"),
        ("123456789012345678901234.5k", "123456789012345678901234500"),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).to_string(), expected, "{text}");
    }
}

/// Upstream reads these, although they do not match the expression that its own message cites.
#[test]
fn a_number_without_digits_is_zero() {
    for text in ["-", "+", ".", "Ki", "m"] {
        assert_eq!(parse(text).to_string(), "0", "{text}");
    }
}

#[test]
fn refusals_have_upstreams_words() {
    let cases = [
        ("", QuantityError::Format),
        (" 1", QuantityError::Format),
        ("1 ", QuantityError::Format),
        ("1.1.M", QuantityError::Format),
        ("1+1.0M", QuantityError::Format),
        ("aoeu", QuantityError::Format),
        ("-3.01e-x", QuantityError::Format),
        ("1ä", QuantityError::Format),
        ("0.1mi", QuantityError::Suffix),
        (".5i", QuantityError::Suffix),
        ("1i", QuantityError::Suffix),
        ("-3.01e-", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("1K", QuantityError::Suffix),
        ("1Kie3", QuantityError::Suffix),
        ("1e30", QuantityError::Number),
        ("1e999999999999", QuantityError::Number),
        ("9999999999999999999999999999999999999999", QuantityError::Number),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Quantity>(), Err(expected), "{text}");
    }
    assert_eq!(
        QuantityError::Format.to_string(),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn values_round_away_from_zero() {
    let cases = [
        ("1", 1, 1_000),
        ("1m", 1, 1),
        ("1n", 1, 1),
        ("1500m", 2, 1_500),
        ("-1500m", -2, -1_500),
        ("1.0001", 2, 1_001),
        ("1Mi", 1_048_576, 1_048_576_000),
        ("100E", i64::MAX, i64::MAX),
        ("-100E", i64::MIN, i64::MIN),
    ];
    for (text, value, milli) in cases {
        assert_eq!((parse(text).value(), parse(text).milli_value()), (value, milli), "{text}");
    }
}

#[test]
fn comparison_ignores_how_it_was_written() {
    assert_eq!(parse("1Gi"), parse("1024Mi"));
    assert_eq!(parse("1"), parse("1000m"));
    assert!(parse("1G") < parse("1Gi"));
    assert!(parse("-1") < Quantity::ZERO);
    assert!(parse("-1").is_negative() && !parse("-0").is_negative());
    assert!(parse("0Ki").is_zero());
    assert_eq!(parse("2Ki").format(), Format::BinarySi);
}

#[test]
fn sums_keep_the_first_format() {
    assert_eq!(parse("1Gi").saturating_add(parse("1048576")).to_string(), "1025Mi");
    assert_eq!(parse("1").saturating_sub(parse("250m")).to_string(), "750m");
    assert_eq!(Quantity::from_units(4096, Format::BinarySi).to_string(), "4Ki");
    let huge = parse("1e29");
    assert!(huge.saturating_add(huge) > huge);
}

proptest! {
    #[test]
    fn the_canonical_form_reads_back_as_the_same_value(text in "[+-]?[0-9]{0,25}(\\.[0-9]{0,30})?([numkMGTPE]|[KMGTPE]i|e-?[0-9]{1,2})?") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            let canonical = quantity.to_string();
            let again = parse(&canonical);
            prop_assert_eq!(quantity, again);
            prop_assert_eq!(again.to_string(), canonical);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}|[-+.0-9eEinumkKMGTP]{0,60}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            let _ = (quantity.to_string(), quantity.value(), quantity.milli_value());
        }
    }
}
