use super::*;

#[test]
fn every_step_of_the_scale() {
    let cases = [
        (i64::MIN, "<invalid>"),
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (1, "1s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE, "10m"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 59, "3h"),
        (3 * HOUR + MINUTE, "3h1m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (48 * HOUR - 1, "47h"),
        (48 * HOUR, "2d"),
        (49 * HOUR, "2d1h"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY - 1, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR, "8y"),
        (i64::MAX, "292471208677y"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(human_duration(SignedDuration::from_secs(seconds)), expected, "{seconds} s");
    }
}

#[test]
fn fractions_of_a_second_are_cut_off() {
    assert_eq!(human_duration(SignedDuration::from_millis(-1_999)), "0s");
    assert_eq!(human_duration(SignedDuration::from_millis(-2_000)), "<invalid>");
    assert_eq!(human_duration(SignedDuration::from_millis(1_999)), "1s");
}

#[test]
fn age_counts_from_the_given_instant() {
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    assert_eq!(age(now, "2026-03-01T11:55:30Z".parse().ok()), "4m30s");
    assert_eq!(age(now, "2026-03-01T12:00:01Z".parse().ok()), "0s");
    assert_eq!(age(now, "2026-03-01T12:01:00Z".parse().ok()), "<invalid>");
    assert_eq!(age(now, None), "<unknown>");
}
