//! What an exit code says.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use crate::time::Cancelled;

/// Why a task has failed, and whether another attempt can help.
///
/// `?` makes one of any error, retriable; [`permanent`](TaskError::permanent) says that trying again is in vain.
///
/// ```
/// use cronlet_sdk::{task::TaskError, time::Cancelled};
///
/// assert!(TaskError::permanent("no such table").is_permanent());
/// assert!(!TaskError::retriable("connection reset").is_permanent());
/// assert!(TaskError::from(Cancelled::Cancelled).is_cancelled());
/// ```
pub struct TaskError {
    permanent: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl TaskError {
    /// Another attempt may succeed: the network, a lock, a full disk.
    pub fn retriable(source: impl Into<Box<dyn Error + Send + Sync>>) -> TaskError {
        TaskError { permanent: false, source: source.into() }
    }

    /// Another attempt would fail alike: wrong input, a missing permission.
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> TaskError {
        TaskError { permanent: true, source: source.into() }
    }

    /// Whether another attempt is in vain.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// Whether the task failed because it was told to end.
    pub fn is_cancelled(&self) -> bool {
        self.source.is::<Cancelled>()
    }
}

// No `std::error::Error` for `TaskError` itself: that would collide with this.
impl<E: Error + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> TaskError {
        TaskError::retriable(error)
    }
}

/// The error and its causes.
impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            // Many errors repeat their cause in their own text.
            if !text.ends_with(&inner_text) {
                write!(text, ": {inner_text}")?;
            }
            cause = inner.source();
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which exit code says what. A Job's `podFailurePolicy` can act on them: `FailJob` on the permanent ones saves the
/// retries that are in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCodes {
    /// Another attempt may help; 75, `EX_TEMPFAIL` of sysexits.
    pub retriable: u8,
    /// Another attempt is in vain; 65, `EX_DATAERR`.
    pub permanent: u8,
    /// The environment cannot be read, or there is no runtime; 78, `EX_CONFIG`.
    pub misconfigured: u8,
    /// It was told to end and did not get done; 143, what a shell gives for SIGTERM.
    pub cancelled: u8,
    /// It panicked; 101, what Rust gives.
    pub panicked: u8,
}

impl Default for ExitCodes {
    fn default() -> ExitCodes {
        ExitCodes { retriable: 75, permanent: 65, misconfigured: 78, cancelled: 143, panicked: 101 }
    }
}
