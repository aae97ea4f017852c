//! What a guarded call fails with.

use std::{error::Error, fmt, time::Duration};

/// Why a guarded call gave no result: its own error, or the guard that did not let it through or cut it short.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::Failure;
///
/// let own = Failure::Call("no such order");
/// assert!(!own.is_rejection());
/// assert_eq!(own.into_call(), Some("no such order"));
/// let refused: Failure<&str> = Failure::RateLimited { retry_after: Duration::from_secs(2) };
/// assert!(refused.is_rejection());
/// assert_eq!(refused.to_string(), "rate limit reached; try again in 2s");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The call's own error.
    Call(E),
    /// The circuit breaker is open, or has all the probes it wants.
    CircuitOpen {
        /// How long until it lets calls through again, where that is known.
        retry_after: Option<Duration>,
    },
    /// The bulkhead is full, and so is its queue, or the wait was too long.
    BulkheadFull,
    /// The rate limiter has no turn within its timeout.
    RateLimited {
        /// How long until it has one.
        retry_after: Duration,
    },
    /// The adaptive limiter lets no more calls run at a time.
    Overloaded,
    /// The call did not end in time and was dropped.
    TimedOut {
        /// The time it had.
        after: Duration,
    },
}

impl<E> Failure<E> {
    /// The call's own error, if it is one.
    pub fn into_call(self) -> Option<E> {
        match self {
            Failure::Call(error) => Some(error),
            _ => None,
        }
    }

    /// Whether a guard refused the call before it began. Such a failure says nothing about the callee, and trying
    /// again at once makes matters worse.
    pub fn is_rejection(&self) -> bool {
        !matches!(self, Failure::Call(_) | Failure::TimedOut { .. })
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Call(error) => error.fmt(f),
            Failure::CircuitOpen { retry_after: Some(wait) } => {
                write!(f, "circuit breaker is open; try again in {wait:?}")
            }
            Failure::CircuitOpen { retry_after: None } => {
                f.write_str("circuit breaker is open; try again later")
            }
            Failure::BulkheadFull => f.write_str("too many calls at a time; try again later"),
            Failure::RateLimited { retry_after } => {
                write!(f, "rate limit reached; try again in {retry_after:?}")
            }
            Failure::Overloaded => {
                f.write_str("too many calls for how fast they are answered; try again later")
            }
            Failure::TimedOut { after } => write!(f, "no result within {after:?}"),
        }
    }
}

impl<E: Error + 'static> Error for Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Failure::Call(error) => error.source(),
            _ => None,
        }
    }
}
