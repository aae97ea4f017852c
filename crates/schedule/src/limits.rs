//! Bounds of the crate, with their units.

/// Calendar years a search looks ahead (or back) before it answers "never", as robfig/cron does.
pub const SEARCH_YEARS: i64 = 5;

/// Bytes of an expression that [`Schedule::parse`](crate::Schedule::parse) reads. Upstream has no bound of its own;
/// the longest useful expression lists every value of every field and stays below 400 bytes.
pub const EXPRESSION_BYTES_MAX: usize = 32_768;

/// Occurrences compared around one change of the clocks for a warning about it.
pub const WARNING_OCCURRENCES_MAX: usize = 100;

/// Transitions looked at for daylight-saving warnings: two a year for the years a search spans, and the odd extra.
pub const WARNING_TRANSITIONS_MAX: usize = 12;
