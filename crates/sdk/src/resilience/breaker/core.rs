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

/// What the states are called where they are kept.
const STATES: [(BreakerState, &str); 6] = [
    (BreakerState::Closed, "closed"),
    (BreakerState::Open, "open"),
    (BreakerState::HalfOpen, "half-open"),
    (BreakerState::Disabled, "disabled"),
    (BreakerState::ForcedOpen, "forced-open"),
    (BreakerState::MetricsOnly, "metrics-only"),
];

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
///
/// ```
/// use cronlet_sdk::resilience::{Admission, BreakerCore, Ticket};
///
/// let now = tokio::time::Instant::now();
/// let mut breaker = BreakerCore::new(Default::default(), now);
/// let mut under_way: Vec<Ticket> = Vec::new();
/// if let Admission::Admitted(ticket) = breaker.admit(now) {
///     under_way.push(ticket);
/// }
/// for ticket in under_way {
///     breaker.release(ticket);
/// }
/// ```
#[derive(Debug)]
#[must_use = "a probe that is neither recorded nor released is lost"]
pub struct Ticket {
    era: u64,
}

/// A breaker without a clock: every method is handed the time.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Admission, BreakerConfig, BreakerCore, BreakerState, CallOutcome, Window};
///
/// let start = tokio::time::Instant::now();
/// let config = BreakerConfig { window: Window::Count(1), ..BreakerConfig::default() };
/// let mut breaker = BreakerCore::new(config, start);
/// let Admission::Admitted(ticket) = breaker.admit(start) else { panic!("it is closed") };
/// breaker.record(ticket, CallOutcome::Failure, Duration::from_millis(5), start);
/// assert_eq!(breaker.state(), BreakerState::Open);
/// assert!(matches!(breaker.admit(start), Admission::Refused { retry_after: Some(_) }));
///
/// let later = start + Duration::from_secs(60);
/// breaker.advance(later);
/// assert_eq!(breaker.state(), BreakerState::HalfOpen);
/// let Admission::Admitted(ticket) = breaker.admit(later) else { panic!("a probe may go") };
/// // It said nothing about the callee: another may probe.
/// breaker.release(ticket);
/// ```
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

    /// Does not wait for ever for probes, which may have died with their process.
    pub(super) fn bound_probes(&mut self, most: Duration) {
        let patience = &mut self.config.max_wait_in_half_open;
        *patience = if patience.is_zero() { most } else { *patience };
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

    /// What it knows, as a text that [`recall`](BreakerCore::recall) understands.
    pub(in crate::resilience) fn remember(&self, now: Instant) -> String {
        let state = STATES.iter().find(|(state, _)| *state == self.state).map_or("", |(_, name)| name);
        let spent = now.saturating_duration_since(self.since).as_nanos();
        format!("{state} {spent} {} {}\n{}", self.era, self.probes, self.window.remember(now))
    }

    /// Takes over what a breaker of the same rules knew `age` before `now`. What makes no sense changes nothing.
    pub(in crate::resilience) fn recall(&mut self, text: &str, age: Duration, now: Instant) -> Option<()> {
        let (first, calls) = text.split_once('\n')?;
        let mut words = first.split(' ');
        let mut next = || words.next();
        let name = next()?;
        let (state, _) = STATES.iter().find(|(_, known)| *known == name)?;
        let spent = Duration::from_nanos(next()?.parse().ok()?).saturating_add(age);
        let (era, probes) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let mut window = Sliding::new(self.window_of(*state));
        window.recall(calls, age, now)?;
        // Where instants do not reach back that far, it was just now: what waits, waits once more.
        let since = now.checked_sub(spent).unwrap_or(now);
        (self.state, self.since, self.era, self.window, self.probes) = (*state, since, era, window, probes);
        Some(())
    }

    fn window_of(&self, state: BreakerState) -> Window {
        match state {
            // The probes are counted apart, all of them.
            BreakerState::HalfOpen => Window::Count(self.config.permitted_calls_in_half_open),
            _ => self.config.window,
        }
    }

    fn enter(&mut self, state: BreakerState, now: Instant) {
        let window = Sliding::new(self.window_of(state));
        (self.state, self.since, self.window, self.probes) = (state, now, window, 0);
        self.era = self.era.wrapping_add(1);
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
