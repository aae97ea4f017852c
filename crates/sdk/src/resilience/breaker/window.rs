//! Counts of the calls a circuit breaker looks at.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Window;
use crate::limits::WINDOW_PARTS;

/// How many calls there were, and how many of them failed or were slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: usize,
    pub(super) failed: usize,
    pub(super) slow: usize,
}

impl Tally {
    pub(super) fn of(failed: bool, slow: bool) -> Tally {
        Tally { calls: 1, failed: usize::from(failed), slow: usize::from(slow) }
    }

    fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.slow += other.slow;
    }

    fn remove(&mut self, other: Tally) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }
}

/// A sliding window with its running total.
#[derive(Debug)]
pub(super) struct Sliding {
    total: Tally,
    /// Each call, or each part of the time, oldest first.
    parts: VecDeque<(Instant, Tally)>,
    kind: Window,
}

impl Sliding {
    pub(super) fn new(kind: Window) -> Sliding {
        Sliding { total: Tally::default(), parts: VecDeque::new(), kind }
    }

    /// Counts a call, and gives the counts of all that are in the window now.
    pub(super) fn record(&mut self, call: Tally, now: Instant) -> Tally {
        match self.kind {
            Window::Count(calls) => {
                while self.parts.len() >= calls.max(1) {
                    self.forget_oldest();
                }
                self.parts.push_back((now, call));
            }
            Window::Time(length) => self.record_in_time(call, now, length),
        }
        self.total.add(call);
        self.total
    }

    fn record_in_time(&mut self, call: Tally, now: Instant, length: Duration) {
        let part = length / u32::try_from(WINDOW_PARTS).unwrap_or(u32::MAX);
        while self.parts.front().is_some_and(|(began, _)| now.saturating_duration_since(*began) >= length) {
            self.forget_oldest();
        }
        match self.parts.back_mut() {
            Some((began, tally)) if now.saturating_duration_since(*began) < part => tally.add(call),
            _ => self.parts.push_back((now, call)),
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.parts.pop_front() {
            self.total.remove(oldest);
        }
    }
}
