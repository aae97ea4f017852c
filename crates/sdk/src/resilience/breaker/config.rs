//! What a circuit breaker can be told.

use std::time::Duration;

use crate::limits::WINDOW_CALLS_MAX;

/// Which calls the rates are taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls; 1 to [`WINDOW_CALLS_MAX`].
    Count(usize),
    /// The calls that ended within this time. It moves on by a tenth of its length at a time.
    Time(Duration),
}

/// The rules of a breaker. Names and defaults are resilience4j's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerConfig {
    /// Opens when this share of calls failed, in percent; 50.
    pub failure_rate_threshold: f64,
    /// Opens when this share of calls was slow, in percent; 100.
    pub slow_call_rate_threshold: f64,
    /// A call is slow if it takes longer; 60 s.
    pub slow_call_duration_threshold: Duration,
    /// Which calls are looked at; the last 100.
    pub window: Window,
    /// No rate is taken of fewer calls; 100, but never more than a count-based window holds.
    pub minimum_calls: usize,
    /// How many probes are let through when half-open, at a time and in all, before the rates decide; 10, at least 1.
    pub permitted_calls_in_half_open: usize,
    /// How long it stays open before it lets probes through; 60 s.
    pub wait_in_open: Duration,
    /// How long it waits for the outcome of the probes before it opens again; zero for ever, which is the default.
    pub max_wait_in_half_open: Duration,
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig {
            failure_rate_threshold: 50.0,
            slow_call_rate_threshold: 100.0,
            slow_call_duration_threshold: Duration::from_secs(60),
            window: Window::Count(100),
            minimum_calls: 100,
            permitted_calls_in_half_open: 10,
            wait_in_open: Duration::from_secs(60),
            max_wait_in_half_open: Duration::ZERO,
        }
    }
}

impl BreakerConfig {
    pub(super) fn within_bounds(mut self) -> BreakerConfig {
        if let Window::Count(calls) = self.window {
            let calls = calls.clamp(1, WINDOW_CALLS_MAX);
            self.window = Window::Count(calls);
            self.minimum_calls = self.minimum_calls.min(calls);
        }
        self.minimum_calls = self.minimum_calls.max(1);
        self.permitted_calls_in_half_open = self.permitted_calls_in_half_open.clamp(1, WINDOW_CALLS_MAX);
        self
    }
}
