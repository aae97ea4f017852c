//! What happened, told to `tracing` where that feature is on; nothing otherwise.

use std::time::Duration;

use crate::resilience::{BreakerState, GiveUp};

#[cfg(feature = "tracing")]
mod told {
    use super::{BreakerState, Duration, GiveUp};

    pub(crate) fn retry(attempt: u32, wait: Duration) {
        tracing::debug!(attempt, ?wait, "trying again");
    }

    pub(crate) fn give_up(attempts: u32, reason: GiveUp) {
        tracing::warn!(attempts, ?reason, "giving up");
    }

    pub(crate) fn breaker(name: &str, from: BreakerState, to: BreakerState) {
        tracing::info!(name, ?from, ?to, "circuit breaker changed");
    }

    pub(crate) fn run(name: &str, what: &str) {
        tracing::info!(name, "{what}");
    }

    pub(crate) fn alone(fault: &str) {
        tracing::warn!("{fault}");
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use super::{BreakerState, Duration, GiveUp};

    pub(crate) fn retry(_: u32, _: Duration) {}
    pub(crate) fn give_up(_: u32, _: GiveUp) {}
    pub(crate) fn breaker(_: &str, _: BreakerState, _: BreakerState) {}
    pub(crate) fn run(_: &str, _: &str) {}
    pub(crate) fn alone(_: &str) {}
}

pub(crate) use told::{alone, breaker, give_up, retry, run};
