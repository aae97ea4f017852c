use jiff::Timestamp;

use crate::{Schedule, WarningCode, load_time_zone};

fn warnings(expression: &str, zone: &str) -> Vec<(WarningCode, String, String)> {
    let now: Timestamp = "2024-01-15T12:00:00Z".parse().unwrap();
    let schedule = Schedule::parse(expression).unwrap();
    let warnings = schedule.warnings(&load_time_zone(zone).unwrap(), now);
    warnings.into_iter().map(|w| (w.code, w.message, w.hint)).collect()
}

#[test]
fn show() {
    for (e, z) in [
        ("30 2 * * *", "America/New_York"),
        ("30 1 * * *", "America/New_York"),
        ("*/5 1-2 * * *", "America/New_York"),
        ("*/7 */5 */2 */5 */2", "UTC"),
        ("*/90 * * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("0 0 13 * 5", "UTC"),
        ("0 0 1-31 * 5", "UTC"),
        ("0 12 26 4 *", "Africa/Cairo"),
        ("0 3 * * *", "Australia/Lord_Howe"),
        ("0 0 * * *", "Africa/Cairo"),
        ("*/5 * * * *", "Africa/Cairo"),
        ("@every 20s", "UTC"),
    ] {
        println!("{e} {z}");
        for w in warnings(e, z) {
            println!("   {}: {}\n      hint: {}", w.0, w.1, w.2);
        }
    }
}
