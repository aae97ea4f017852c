//! The decisions of a circuit breaker: which calls it lets through, and what their outcomes change.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    BreakerConfig, Window,
    window::{Sliding, Tally},
};

/// The states of a breaker, resilience4j's six.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through and are counted.
    Closed,
    /// Calls are refused until the wait is over.
    Open,
    /// A few calls go through as probes; their outcome decides.
    HalfOpen,
    /// All calls go through and none is counted, until forced elsewhere.
    Disabled,
    /// All calls are refused, until forced elsewhere.
    ForcedOpen,
    /// All calls go through and are counted, but the breaker never opens, until forced elsewhere.
    MetricsOnly,
}

/// How a call ended, as the breaker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It did what it should.
    Success,
    /// It did not.
    Failure,
}

/// What a breaker says to a call.
#[derive(Debug)]
pub enum Admission {
    /// It may go ahead, and must hand the ticket back.
    Admitted(Ticket),
    /// It may not.
    Refused {
        /// How long until probes are let through, where that is known.
        retry_after: Option<Duration>,
    },
}

/// The admission of one call. Worthless once the breaker's state has changed.
#[derive(Debug)]
#[must_use = "a probe that is neither recorded nor released is lost"]
pub struct Ticket {
    era: u64,
}

/// A breaker without a clock: every method is handed the time.
#[derive(Debug)]
pub struct BreakerCore {
    config: BreakerConfig,
    state: BreakerState,
    /// When the state began.
    since: Instant,
    /// Counts the states: calls of an earlier one say nothing about this one.
    era: u64,
    window: Sliding,
    /// Probes let through and not given back, finished or not.
    probes: usize,
}

impl BreakerCore {
    /// A closed breaker, as of `now`. What is out of bounds in the configuration is taken as the bound.
    pub fn new(config: BreakerConfig, now: Instant) -> BreakerCore {
        let config = config.within_bounds();
        BreakerCore {
            config,
            state: BreakerState::Closed,
            since: now,
            era: 0,
            window: Sliding::new(config.window),
            probes: 0,
        }
    }

    /// The state as of the last call of any method.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Follows the time: half-open when the wait is over, open again when the probes take too long.
    pub fn advance(&mut self, now: Instant) {
        let spent = now.saturating_duration_since(self.since);
        let patience = self.config.max_wait_in_half_open;
        match self.state {
            BreakerState::Open if spent >= self.config.wait_in_open => {
                self.enter(BreakerState::HalfOpen, now);
            }
            BreakerState::HalfOpen if !patience.is_zero() && spent >= patience => {
                self.enter(BreakerState::Open, now);
            }
            _ => {}
        }
    }

    /// Whether a call may go ahead at `now`.
    pub fn admit(&mut self, now: Instant) -> Admission {
        self.advance(now);
        match self.state {
            BreakerState::Open => {
                let spent = now.saturating_duration_since(self.since);
                Admission::Refused { retry_after: Some(self.config.wait_in_open.saturating_sub(spent)) }
            }
            BreakerState::ForcedOpen => Admission::Refused { retry_after: None },
            BreakerState::HalfOpen if self.probes >= self.config.permitted_calls_in_half_open => {
                Admission::Refused { retry_after: None }
            }
            BreakerState::HalfOpen => {
                self.probes += 1;
                Admission::Admitted(Ticket { era: self.era })
            }
            _ => Admission::Admitted(Ticket { era: self.era }),
        }
    }

    /// Takes a call back that said nothing about the callee: another probe may take its place.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is handed back once")]
    pub fn release(&mut self, ticket: Ticket) {
        if ticket.era == self.era {
            self.probes = self.probes.saturating_sub(1);
        }
    }

    /// Counts the outcome of a call that took `took` and ended `now`.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is handed back once")]
    pub fn record(&mut self, ticket: Ticket, outcome: CallOutcome, took: Duration, now: Instant) {
        self.advance(now);
        if ticket.era != self.era || self.state == BreakerState::Disabled {
            return;
        }
        let slow = took > self.config.slow_call_duration_threshold;
        let tally = self.window.record(outcome == CallOutcome::Failure, slow, now);
        match self.state {
            BreakerState::Closed if tally.calls >= self.config.minimum_calls && self.is_bad(tally) => {
                self.enter(BreakerState::Open, now);
            }
            BreakerState::HalfOpen if tally.calls >= self.config.permitted_calls_in_half_open => {
                let next = if self.is_bad(tally) { BreakerState::Open } else { BreakerState::Closed };
                self.enter(next, now);
            }
            _ => {}
        }
    }

    /// Puts the breaker into a state.
    pub fn force(&mut self, state: BreakerState, now: Instant) {
        self.enter(state, now);
    }

    fn enter(&mut self, state: BreakerState, now: Instant) {
        let window = match state {
            // The probes are counted apart, all of them.
            BreakerState::HalfOpen => Window::Count(self.config.permitted_calls_in_half_open),
            _ => self.config.window,
        };
        (self.state, self.since, self.window, self.probes) = (state, now, Sliding::new(window), 0);
        self.era += 1;
    }

    fn is_bad(&self, tally: Tally) -> bool {
        reaches(tally.failed, tally.calls, self.config.failure_rate_threshold)
            || reaches(tally.slow, tally.calls, self.config.slow_call_rate_threshold)
    }
}

/// Whether `part` of `whole` is at least so many percent. Exact for any count a window can hold.
#[expect(clippy::cast_precision_loss, reason = "windows hold far fewer calls than 2^52")]
fn reaches(part: usize, whole: usize, percent: f64) -> bool {
    part as f64 * 100.0 >= percent * whole as f64
}
