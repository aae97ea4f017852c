//! The only place that reads a clock or sleeps: everything else takes the time as a parameter.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, Sleep};

use crate::limits::SLEEP_DAYS_MAX;

/// Tokio's clock: monotonic, and virtual in a runtime whose time is paused.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Ends at `deadline`.
#[expect(clippy::disallowed_methods, reason = "the one module of this crate that waits for time to pass")]
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    tokio::time::sleep_until(deadline)
}

/// The instant `duration` from now; [`SLEEP_DAYS_MAX`] from now if that is later than instants reach.
pub(crate) fn later(duration: Duration) -> Instant {
    let now = now();
    let furthest = Duration::from_secs(SLEEP_DAYS_MAX * 86_400);
    now.checked_add(duration.min(furthest)).unwrap_or(now)
}

/// The wall clock a [`Scheduler`](crate::cron::Scheduler) goes by.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock {
    anchor: Option<(Timestamp, Instant)>,
}

impl WallClock {
    /// The clock of the machine.
    pub fn system() -> WallClock {
        WallClock { anchor: None }
    }

    /// A clock that shows `start` now and goes on with tokio's clock: with paused time, a year passes in no time.
    pub fn starting_at(start: Timestamp) -> WallClock {
        WallClock { anchor: Some((start, now())) }
    }

    /// Whether somebody may set the clock, so that it has to be looked at now and then.
    pub(crate) fn can_be_set(&self) -> bool {
        self.anchor.is_none()
    }

    /// What the clock shows.
    #[expect(clippy::disallowed_methods, reason = "the one module of this crate that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        let Some((start, since)) = self.anchor else { return Timestamp::now() };
        let passed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
        start.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}
