use super::{Timing, mentions_time_zone, parse};
use crate::field::{DAY, HOUR, MINUTE, MONTH, WEEKDAY};

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(parsed) => panic!("{text:?} is read as {parsed:?}"),
        Err(error) => error.to_string(),
    }
}

/// Expressions and what upstream says to them.
const REFUSALS: &[(&str, &str)] = &[
    ("", "empty spec string"),
    (" ", "expected exactly 5 fields, found 0: []"),
    ("bad", "expected exactly 5 fields, found 1: [bad]"),
    ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
    ("0  5\t*", "expected exactly 5 fields, found 3: [0 5 *]"),
    ("61 * * * *", "end of range (61) above maximum (59): 61"),
    ("* 24 * * *", "end of range (24) above maximum (23): 24"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("* * 32 * *", "end of range (32) above maximum (31): 32"),
    ("* * * 0 *", "beginning of range (0) below minimum (1): 0"),
    ("* * * 13 *", "end of range (13) above maximum (12): 13"),
    ("* * * * 7", "end of range (7) above maximum (6): 7"),
    ("* * * * 1-7", "end of range (7) above maximum (6): 1-7"),
    ("* * * * sat-sun", "beginning of range (6) beyond end of range (0): sat-sun"),
    ("30-10/2 * * * *", "beginning of range (30) beyond end of range (10): 30-10/2"),
    ("60/5 * * * *", "beginning of range (60) beyond end of range (59): 60/5"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ("1-2-3/4/5 * * * *", "too many hyphens: 1-2-3/4/5"),
    ("1/2/3 * * * *", "too many slashes: 1/2/3"),
    ("*/5/5 * * * *", "too many slashes: */5/5"),
    ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
    ("-5 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
    ("5- * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
    ("*/ * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
    ("*/x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
    ("*5 * * * *", "failed to parse int from *5: strconv.Atoi: parsing \"*5\": invalid syntax"),
    ("1_0 * * * *", "failed to parse int from 1_0: strconv.Atoi: parsing \"1_0\": invalid syntax"),
    ("0x1 * * * *", "failed to parse int from 0x1: strconv.Atoi: parsing \"0x1\": invalid syntax"),
    ("* * L * *", "failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax"),
    ("jan * * * *", "failed to parse int from jan: strconv.Atoi: parsing \"jan\": invalid syntax"),
    (
        "* * * january *",
        "failed to parse int from january: strconv.Atoi: parsing \"january\": invalid syntax",
    ),
    ("\"0 0 1 * *\"", "failed to parse int from \"0: strconv.Atoi: parsing \"\\\"0\": invalid syntax"),
    (
        "\u{ff0a} * * * *",
        "failed to parse int from \u{ff0a}: strconv.Atoi: parsing \"\u{ff0a}\": invalid syntax",
    ),
    (
        "5\u{200b} * * * *",
        "failed to parse int from 5\u{200b}: strconv.Atoi: parsing \"5\\u200b\": invalid syntax",
    ),
    ("5\u{7} * * * *", "failed to parse int from 5\u{7}: strconv.Atoi: parsing \"5\\a\": invalid syntax"),
    ("5\u{1} * * * *", "failed to parse int from 5\u{1}: strconv.Atoi: parsing \"5\\x01\": invalid syntax"),
    (
        "5\u{e0001} * * * *",
        "failed to parse int from 5\u{e0001}: strconv.Atoi: parsing \"5\\U000e0001\": invalid syntax",
    ),
    (
        "99999999999999999999 * * * *",
        "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
    ),
    ("*/-5 * * * *", "negative number (-5) not allowed: -5"),
    (
        "9223372036854775807 * * * *",
        "end of range (9223372036854775807) above maximum (59): 9223372036854775807",
    ),
    // The fields are read from left to right, and the first fault is the one that is told.
    ("61 25 * * *", "end of range (61) above maximum (59): 61"),
    ("1,61,x * * * *", "end of range (61) above maximum (59): 61"),
    ("@", "unrecognized descriptor: @"),
    ("@hourlyy", "unrecognized descriptor: @hourlyy"),
    ("@Hourly", "unrecognized descriptor: @Hourly"),
    ("@daily ", "unrecognized descriptor: @daily "),
    ("@reboot", "unrecognized descriptor: @reboot"),
    ("@every", "unrecognized descriptor: @every"),
    ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
    ("@every ", "failed to parse duration @every : time: invalid duration \"\""),
    ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
    ("@every 1d", "failed to parse duration @every 1d: time: unknown unit \"d\" in duration \"1d\""),
    (" @hourly", "expected exactly 5 fields, found 1: [@hourly]"),
    ("TZ=Nowhere/City 0 5 * * *", "provided bad location Nowhere/City: unknown time zone Nowhere/City"),
    ("CRON_TZ=utc 0 5 * * *", "provided bad location utc: unknown time zone utc"),
    ("TZ=../x 0 5 * * *", "provided bad location ../x: time: invalid location name"),
    ("TZ=UTC", "expected exactly 5 fields, found 0: []"),
    ("TZ=UTC 0 5 * *", "expected exactly 5 fields, found 4: [0 5 * *]"),
    (" TZ=UTC 0 5 * * *", "expected exactly 5 fields, found 6: [TZ=UTC 0 5 * * *]"),
];

#[test]
fn refuses_in_upstreams_words() {
    for (text, want) in REFUSALS {
        assert_eq!(refusal(text), *want, "{text:?}");
    }
    assert_eq!(refusal(&"*".repeat(40_000)), "expression has 40000 bytes, at most 32768 are read");
}

#[test]
fn reads_lists_ranges_steps_and_names() {
    for (text, want) in [
        ("*", 0..=59),
        ("?", 0..=59),
        ("0-59", 0..=59),
        ("*-5", 0..=59),
        ("5-7", 5..=7),
        ("5,6,7", 5..=7),
        ("5,,6-7,", 5..=7),
        ("+5,0006,7-7", 5..=7),
        ("57/1", 57..=59),
    ]
    .map(|(text, want)| (text, want.collect::<Vec<u64>>()))
    .into_iter()
    .chain([
        ("*/20", vec![0, 20, 40]),
        ("5/20", vec![5, 25, 45]),
        ("10-20/5", vec![10, 15, 20]),
        ("*/60", vec![0]),
        ("*/9223372036854775807", vec![0]),
        (",", vec![]),
    ]) {
        let Ok(Timing::Calendar(calendar)) = parse(&format!("{text} * * * *")).map(|p| p.timing) else {
            panic!("{text} is a minute field");
        };
        assert_eq!(calendar.minute.values().collect::<Vec<_>>(), want, "{text}");
    }
}

#[test]
fn names_are_read_in_any_case() {
    let Ok(Timing::Calendar(calendar)) = parse("0 0 1 jan-MAR,Dec Sun,mon-WED").map(|p| p.timing) else {
        panic!("names are accepted");
    };
    assert_eq!(calendar.month.values().collect::<Vec<_>>(), [1, 2, 3, 12]);
    assert_eq!(calendar.weekday.values().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_star_with_a_step_above_one_is_no_star() {
    for (text, star) in
        [("*", true), ("?", true), ("*/1", true), ("*,5", true), ("*/2", false), ("1-31", false)]
    {
        let Ok(Timing::Calendar(calendar)) = parse(&format!("0 0 {text} * *")).map(|p| p.timing) else {
            panic!("{text} is a day field");
        };
        assert_eq!(calendar.day.star, star, "{text}");
    }
}

#[test]
fn descriptors_are_the_fields_they_stand_for() {
    for (descriptor, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_eq!(parse(descriptor).unwrap().timing, parse(fields).unwrap().timing, "{descriptor}");
    }
}

#[test]
fn intervals_are_whole_seconds_and_at_least_one() {
    for (text, seconds) in [
        ("1h30m", 5400),
        ("1.9s", 1),
        ("90.5s", 90),
        ("1ns", 1),
        ("0", 1),
        ("-5m", 1),
        ("2562047h", 9_223_369_200),
    ] {
        assert_eq!(parse(&format!("@every {text}")).unwrap().timing, Timing::Every { seconds }, "{text}");
    }
}

#[test]
fn a_prefix_names_the_zone() {
    for (text, name) in [
        ("TZ=Asia/Tokyo 0 5 * * *", "Asia/Tokyo"),
        ("CRON_TZ=UTC   @daily", "UTC"),
        ("TZ= 0 5 * * *", ""),
        ("TZ=Local 0 5 * * *", "Local"),
    ] {
        assert_eq!(parse(text).unwrap().prefix.map(|prefix| prefix.name).as_deref(), Some(name), "{text}");
        assert!(mentions_time_zone(text), "{text}");
    }
    assert!(parse("0 5 * * *").unwrap().prefix.is_none());
    assert!(!mentions_time_zone("0 5 * * *"));
}

#[test]
fn bounds_are_those_of_the_clock_and_the_calendar() {
    let bounds = [&MINUTE, &HOUR, &DAY, &MONTH, &WEEKDAY].map(|bounds| (bounds.min, bounds.max));
    assert_eq!(bounds, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]);
}

#[test]
fn common_mistakes_get_a_hint() {
    for (text, want) in [
        ("* * * * 7", "Sunday is 0"),
        ("0 0 1 1 * 2024", "neither seconds nor a year"),
        ("@hourlyy", "@hourly"),
        ("@every 1d", "24h"),
        ("* * * * sat-sun", "two ranges"),
        ("0 0 L * *", "not part of the syntax"),
        ("H H * * *", "not part of the syntax"),
        ("0 0 * * \u{ff0a}", "numbers"),
        ("TZ=Mars/Phobos * * * * *", "IANA"),
    ] {
        let hint = parse(text).unwrap_err().hint().unwrap_or_default();
        assert!(hint.contains(want), "{text}: {hint}");
    }
    assert_eq!(parse("*/0 * * * *").unwrap_err().hint(), None);
}
