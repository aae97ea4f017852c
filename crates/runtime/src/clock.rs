//! The time of day inside a shim, which is a program of its own and has no clock handed to it.

use jiff::Timestamp;

/// The time now.
#[allow(
    clippy::disallowed_methods,
    reason = "the edge of the shim: everything below takes the time as a parameter"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
