//! Time zones by name: Go's `time.LoadLocation`, and what Kubernetes asks of `spec.timeZone` on top.

use jiff::tz::TimeZone;

/// The longest part of a zone name (between slashes) that Kubernetes accepts, in characters.
const PART_CHARS_MAX: usize = 14;

/// What is wrong with a time zone name; the messages are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// `spec.timeZone` is present and empty.
    #[error("timeZone must be nil or non-empty string")]
    Empty,
    /// `Local` in any case: the zone would be whatever the controller's machine has.
    #[error("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")]
    Local,
    /// The database has no zone of this name (letters' case counts).
    #[error("unknown time zone {0}")]
    Unknown(String),
    /// A name that could leave the directory of the database.
    #[error("time: invalid location name")]
    InvalidName,
}

/// Everything Kubernetes has against `name` as a `spec.timeZone`, in upstream's order; empty if it is accepted.
pub fn validate_time_zone(name: &str) -> Vec<ZoneError> {
    if name.is_empty() {
        return vec![ZoneError::Empty];
    }
    if !name.split('/').all(is_portable_part) {
        return vec![ZoneError::Unknown(name.to_owned())];
    }
    let mut errors = Vec::new();
    if name.eq_ignore_ascii_case("Local") {
        errors.push(ZoneError::Local);
    }
    errors.extend(load_location(name).err());
    errors
}

/// The zone a valid `spec.timeZone` names.
///
/// # Errors
/// The first of [`validate_time_zone`]'s errors.
pub fn load_time_zone(name: &str) -> Result<TimeZone, ZoneError> {
    match validate_time_zone(name).into_iter().next() {
        Some(error) => Err(error),
        None => match load_location(name)? {
            Location::Named(zone) => Ok(zone),
            Location::Local => Err(ZoneError::Local),
        },
    }
}

/// The tz project's rules for names that fit every file system.
fn is_portable_part(part: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    (1..=PART_CHARS_MAX).contains(&part.chars().count())
        && part.chars().all(known)
        && !matches!(part, "." | "..")
        && !part.starts_with('-')
}

/// What a name stands for in Go.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// The zone of whoever evaluates the schedule.
    Local,
    /// A zone of the database.
    Named(TimeZone),
}

/// Resolves `name` as Go's `time.LoadLocation` does: `""` is UTC, `Local` the machine's zone.
pub(crate) fn load_location(name: &str) -> Result<Location, ZoneError> {
    match name {
        "" | "UTC" => return Ok(Location::Named(TimeZone::UTC)),
        "Local" => return Ok(Location::Local),
        _ => {}
    }
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Err(ZoneError::InvalidName);
    }
    // jiff matches names without regard to case; upstream's database is a directory of files, where it counts.
    TimeZone::get(name)
        .ok()
        .filter(|zone| !zone.is_unknown() && zone.iana_name() == Some(name))
        .map(Location::Named)
        .ok_or_else(|| ZoneError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{load_time_zone, validate_time_zone};

    #[test]
    fn accepts_what_kubernetes_accepts() {
        for name in [
            "UTC",
            "Etc/UTC",
            "GMT0",
            "EST5EDT",
            "Etc/GMT-14",
            "Europe/Berlin",
            "Asia/Calcutta",
            "America/North_Dakota/New_Salem",
        ] {
            assert_eq!(validate_time_zone(name), [], "{name}");
            assert!(load_time_zone(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_with_kubernetes_words() {
        let explicit = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        for (name, want) in [
            ("", vec!["timeZone must be nil or non-empty string"]),
            ("Local", vec![explicit]),
            ("LOCAL", vec![explicit, "unknown time zone LOCAL"]),
            ("Mars/Phobos", vec!["unknown time zone Mars/Phobos"]),
            ("europe/berlin", vec!["unknown time zone europe/berlin"]),
            (" Europe/Berlin", vec!["unknown time zone  Europe/Berlin"]),
            ("Europe/Berlin ", vec!["unknown time zone Europe/Berlin "]),
            ("../etc/passwd", vec!["unknown time zone ../etc/passwd"]),
            ("/Europe/Berlin", vec!["unknown time zone /Europe/Berlin"]),
            ("Europe//Berlin", vec!["unknown time zone Europe//Berlin"]),
            ("-Europe", vec!["unknown time zone -Europe"]),
            ("Europe/ABCDEFGHIJKLMNO", vec!["unknown time zone Europe/ABCDEFGHIJKLMNO"]),
            ("A..B", vec!["time: invalid location name"]),
            ("Etc/Unknown", vec!["unknown time zone Etc/Unknown"]),
        ] {
            let errors: Vec<String> = validate_time_zone(name).iter().map(ToString::to_string).collect();
            assert_eq!(errors, want, "{name:?}");
            assert_eq!(load_time_zone(name).unwrap_err().to_string(), want[0], "{name:?}");
        }
    }
}
