mod occurrences;
mod overlap;
mod scheduler;

use jiff::Timestamp;

/// An instant on the first of March 2026, UTC.
fn at(time: &str) -> Timestamp {
    match format!("2026-03-01T{time}Z").parse() {
        Ok(instant) => instant,
        Err(error) => panic!("{time}: {error}"),
    }
}
