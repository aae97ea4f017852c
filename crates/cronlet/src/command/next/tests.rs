use clap::{Args, Command, FromArgMatches};
use serde_json::{Value, json};

use super::{Next, answer};

fn parse(words: &[&str]) -> Result<Next, clap::Error> {
    let command = Next::augment_args(Command::new("next"));
    let matches = command.try_get_matches_from([&["next"], words].concat())?;
    Next::from_arg_matches(&matches)
}

fn output(words: &[&str], input: &str) -> anyhow::Result<String> {
    let now = "2024-03-09T12:00:00Z".parse().unwrap();
    let mut out = Vec::new();
    answer(&parse(words)?, now, input.as_bytes(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn refusal(words: &[&str]) -> String {
    output(words, "").unwrap_err().to_string()
}

#[test]
fn people_get_a_table() {
    let words =
        ["30 2 * * *", "--tz", "America/New_York", "--from", "2024-03-08T23:17:30-05:00", "--count", "3"];
    insta::assert_snapshot!(output(&words, "").unwrap(), @r"
     Schedule: 30 2 * * *
      Meaning: at 02:30 every day
    Time zone: America/New_York
         From: Fri 2024-03-08 23:17:30 -05:00

    NEXT                          IN
    Sat 2024-03-09 02:30 -05:00   3h 12m
    Mon 2024-03-11 02:30 -04:00   2d 2h    clocks went forward 1h
    Tue 2024-03-12 02:30 -04:00   3d 2h

    warning[dst-skipped]: clocks in America/New_York go from 02:00 to 03:00 on 2024-03-10, 2025-03-09, 2026-03-08, …: 02:30 does not exist that day, and nothing runs instead
       hint: choose a time outside 02:00 to 03:00, or `timeZone: Etc/UTC`
    ");
}

#[test]
fn a_repeated_hour_shows() {
    let words =
        ["*/30 1 3 11 *", "--tz", "America/New_York", "--from", "2024-11-03T00:00:00-04:00", "--count", "4"];
    let text = output(&words, "").unwrap();
    let rows: Vec<&str> = text.lines().skip(6).take(4).collect();
    assert_eq!(
        rows,
        [
            "Sun 2024-11-03 01:00 -04:00   1h",
            "Sun 2024-11-03 01:30 -04:00   1h 30m",
            "Sun 2024-11-03 01:00 -05:00   2h       clocks went back 1h",
            "Sun 2024-11-03 01:30 -05:00   2h 30m",
        ]
    );
}

#[test]
fn seconds_show_where_there_are_any() {
    let text = output(&["@every 90s", "--tz", "UTC", "--count", "2"], "").unwrap();
    assert!(text.contains("Sat 2024-03-09 12:01:30 +00:00   1m 30s\n"), "{text}");
    assert!(text.contains("Sat 2024-03-09 12:03:00 +00:00   3m\n"), "{text}");
}

#[test]
fn nothing_to_come_is_said() {
    let text = output(&["0 0 31 2 *", "--tz", "UTC"], "").unwrap();
    assert!(text.contains("No occurrence in the next five years.\n\nwarning[never-fires]: "), "{text}");
}

#[test]
fn programs_get_json() {
    let words = ["0 9 13 * 5", "--tz", "Europe/London", "--count", "2", "-o", "json"];
    let value: Value = serde_json::from_str(&output(&words, "").unwrap()).unwrap();
    assert_eq!(value["schedule"], "0 9 13 * 5");
    assert_eq!(value["timeZone"], "Europe/London");
    assert_eq!(value["description"], "at 09:00 on day 13 of every month and on every Friday");
    assert_eq!(value["occurrences"], json!(["2024-03-13T09:00:00Z", "2024-03-15T09:00:00Z"]));
    assert_eq!(value["warnings"][0]["code"], "day-or-weekday");
    assert!(value["warnings"][0]["hint"].is_string());
}

#[test]
fn the_machines_zone_is_the_default() {
    let value: Value = serde_json::from_str(&output(&["@daily", "-o", "json"], "").unwrap()).unwrap();
    let system = jiff::tz::TimeZone::system();
    assert_eq!(value["timeZone"], system.iana_name().unwrap_or("Local"));
    assert_eq!(value["occurrences"].as_array().unwrap().len(), 5);
}

#[test]
fn faults_name_the_place_the_cause_and_the_remedy() {
    assert_eq!(
        refusal(&["* * * * 7"]),
        "schedule \"* * * * 7\": end of range (7) above maximum (6): 7\n\
         hint: Sunday is 0 (or SUN); 7 is no day of the week here"
    );
    assert_eq!(
        refusal(&["CRON_TZ=UTC 0 5 * * *"]),
        "schedule \"CRON_TZ=UTC 0 5 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    );
    assert_eq!(
        refusal(&["@daily", "--tz", "Mars/Phobos"]),
        "time zone \"Mars/Phobos\": unknown time zone Mars/Phobos"
    );
    assert_eq!(
        refusal(&["@daily", "--tz", "Local"]),
        "time zone \"Local\": timeZone must be an explicit time zone as defined in \
         https://www.iana.org/time-zones"
    );
}

#[test]
fn the_command_line_is_checked() {
    for words in [
        &[][..],
        &["@daily", "--stdin"],
        &["--stdin", "--tz", "UTC"],
        &["@daily", "--count", "0"],
        &["@daily", "--count", "10001"],
        &["@daily", "--from", "yesterday"],
        &["@daily", "-o", "yaml"],
    ] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}

#[test]
fn every_line_gets_an_answer() {
    let long = format!("{{\"expr\": \"{}\"}}", "*".repeat(70_000));
    let questions = [
        r#"{"expr": "0 0 1 * *", "tz": "Asia/Tokyo", "from": "2024-05-30T20:30:00Z", "count": 2, "id": "mine"}"#,
        r#"{"expr": "@hourly", "count": 1}"#,
        r#"{"expr": "@hourly", "tz": "", "from": null, "count": 1}"#,
        r#"{"expr": "0 0 31 2 *", "tz": "UTC"}"#,
        r#"{"expr": "@hourly", "count": 0}"#,
        r#"{"expr": "61 * * * *"}"#,
        r#"{"expr": "TZ=Asia/Tokyo @daily", "count": 1, "from": "2024-03-09T00:00:00Z"}"#,
        r#"{"expr": "@daily", "tz": "Mars/Phobos"}"#,
        r#"{"expr": "@daily", "from": "yesterday"}"#,
        r#"{"expr": "@daily", "count": 10001}"#,
        r#"{"tz": "UTC"}"#,
        r#"{"expr": 5}"#,
        "not json",
        "",
        &long,
        r#"{"expr": "@daily", "count": 1}"#,
    ];
    let answers = output(&["--stdin"], &questions.join("\n")).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), questions.len());
    assert_eq!(
        answers[0],
        json!({"occurrences": ["2024-06-01T00:00:00+09:00", "2024-07-01T00:00:00+09:00"]})
    );
    for plain in [1, 2] {
        assert_eq!(answers[plain], json!({"occurrences": ["2024-03-09T13:00:00Z"]}));
    }
    for empty in [3, 4] {
        assert_eq!(answers[empty], json!({"occurrences": []}));
    }
    assert_eq!(answers[6], json!({"occurrences": ["2024-03-09T15:00:00Z"]}));
    for (place, cause) in [
        (5, "schedule \"61 * * * *\": end of range (61) above maximum (59): 61"),
        (7, "time zone \"Mars/Phobos\": unknown time zone Mars/Phobos"),
        (8, "from \"yesterday\": "),
        (9, "count 10001 is above 10000"),
        (10, "the line is not a question: missing field `expr`"),
        (11, "the line is not a question: invalid type: integer `5`, expected a string"),
        (12, "the line is not a question: expected ident"),
        (13, "the line is not a question: EOF while parsing"),
        (14, "the line is longer than 65536 bytes"),
    ] {
        let error = answers[place]["error"].as_str().unwrap_or_default();
        assert!(error.starts_with(cause), "{place}: {error}");
    }
    assert_eq!(answers[15], json!({"occurrences": ["2024-03-10T00:00:00Z"]}));
}

#[test]
fn bytes_that_are_not_text_get_an_answer_too() {
    let arguments = parse(&["--stdin"]).unwrap();
    let mut out = Vec::new();
    let input = b"\xff\xfe\n{\"expr\": \"@daily\", \"count\": 1}\n".as_slice();
    answer(&arguments, jiff::Timestamp::UNIX_EPOCH, input, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("{\"error\":"), "{text}");
    assert!(text.ends_with("{\"occurrences\":[\"1970-01-02T00:00:00Z\"]}\n"), "{text}");
}
