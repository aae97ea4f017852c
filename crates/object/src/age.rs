//! Ages and durations as kubectl's tables print them.

use jiff::{SignedDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Kubernetes counts a year as 365 days, leap years or not.
const YEAR: i64 = 365 * DAY;

/// The time since `since` for an AGE column, or `<unknown>` for an object that has no timestamp.
#[must_use]
pub fn age(now: Timestamp, since: Option<Timestamp>) -> String {
    match since {
        Some(since) => human_duration(now.duration_since(since)),
        None => "<unknown>".to_owned(),
    }
}

/// A duration in at most two units, the finer one only while it still tells something
/// (upstream `duration.HumanDuration`): `45s`, `3m20s`, `17m`, `5h2m`, `30h`, `4d7h`, `90d`, `3y12d`.
///
/// Up to two seconds in the future count as now (clocks of two machines differ); beyond that the answer is
/// `<invalid>`. Fractions of a second are cut off.
#[must_use]
pub fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two_units(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two_units(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two_units(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two_units(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        252_288_000.. => format!("{}y", seconds / YEAR),
    }
}

fn two_units(coarse: i64, coarse_unit: &str, fine: i64, fine_unit: &str) -> String {
    if fine == 0 {
        format!("{coarse}{coarse_unit}")
    } else {
        format!("{coarse}{coarse_unit}{fine}{fine_unit}")
    }
}

#[cfg(test)]
mod tests;
