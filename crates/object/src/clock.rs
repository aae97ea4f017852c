//! The one seam through which the time of day enters the program.

use jiff::Timestamp;

/// Tells the wall-clock time. The real implementation lives in the binary; simulations have their own.
pub trait Clock: Send + Sync {
    /// The time now. It may step in either direction between two calls.
    fn now(&self) -> Timestamp;
}
