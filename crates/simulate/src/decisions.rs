//! Long times of CronJobs by their controller's decisions alone: which times are due, what the deadline rules out, what
//! the concurrency policy allows, when to look again.
//!
//! There are no objects here and no store; Jobs only last. A [`Simulation`](crate::Simulation) does all of it for some
//! days of a CronJob; this goes through years. The two are held against each other in a test.

use std::collections::VecDeque;

use cronlet_controller::cronjob::{ConcurrencyPolicy, Timing, Verdict};
use jiff::{SignedDuration, Timestamp};

/// The start of a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The scheduled time.
    pub scheduled: Timestamp,
    /// When it was decided.
    pub at: Timestamp,
    /// How many Jobs were ended for it.
    pub replaced: usize,
}

/// The starts of one CronJob's Jobs, in their order.
#[derive(Debug)]
pub struct Decisions<'a> {
    timing: Timing<'a>,
    policy: ConcurrencyPolicy,
    lasts: SignedDuration,
    until: Timestamp,
    /// When the controller looks next; absent if nothing is left to come.
    look_at: Option<Timestamp>,
    /// When the Jobs that run end, the next first.
    ends: VecDeque<Timestamp>,
}

impl<'a> Decisions<'a> {
    /// From the creation of a CronJob, which is `timing.since`, until a time. Each Job takes `lasts`.
    pub fn new(
        timing: Timing<'a>,
        policy: ConcurrencyPolicy,
        lasts: SignedDuration,
        until: Timestamp,
    ) -> Self {
        let look_at = Some(timing.since);
        Decisions { timing, policy, lasts, until, look_at, ends: VecDeque::new() }
    }

    fn look(&mut self, now: Timestamp) -> Option<Start> {
        let scheduled = self.timing.due(now).ok()?.most_recent?;
        let replaced = match self.policy.verdict(self.ends.len()) {
            Verdict::Start => 0,
            Verdict::HoldBack => return None,
            Verdict::Replace => self.ends.drain(..).count(),
        };
        self.timing.since = scheduled;
        self.ends.push_back(now.saturating_add(self.lasts).unwrap_or(Timestamp::MAX));
        Some(Start { scheduled, at: now, replaced })
    }
}

impl Iterator for Decisions<'_> {
    type Item = Start;

    fn next(&mut self) -> Option<Start> {
        loop {
            let now = self.look_at.filter(|time| *time <= self.until)?;
            while self.ends.front().is_some_and(|end| *end <= now) {
                self.ends.pop_front();
            }
            let start = self.look(now);
            let timer = self.timing.next_look(now);
            self.look_at = timer.into_iter().chain(self.ends.front().copied()).min();
            if start.is_some() {
                return start;
            }
        }
    }
}

#[cfg(test)]
mod tests;
