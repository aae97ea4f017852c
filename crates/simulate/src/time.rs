//! Two times: how long the simulation has gone on, which only grows, and what the wall clock shows.

use cronlet_object::Clock;
use jiff::{SignedDuration, Timestamp};

/// A wall clock that can be set, over a time that only grows.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedClock {
    start: Timestamp,
    elapsed: SignedDuration,
    offset: SignedDuration,
}

impl SimulatedClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        SimulatedClock { start, elapsed: SignedDuration::ZERO, offset: SignedDuration::ZERO }
    }

    /// How long the simulation has gone on. Containers run by this time.
    pub fn elapsed(&self) -> SignedDuration {
        self.elapsed
    }

    /// When the wall clock will show `time`, unless it is set meanwhile; now if it does already.
    pub fn elapsed_at(&self, time: Timestamp) -> SignedDuration {
        time.duration_since(self.start).saturating_sub(self.offset).max(self.elapsed)
    }

    /// Lets time pass until `elapsed`.
    pub fn advance_to(&mut self, elapsed: SignedDuration) {
        self.elapsed = self.elapsed.max(elapsed);
    }

    /// Sets the wall clock forward, or back by a negative amount. A machine that sleeps looks the same to its
    /// programs as a clock that is set forward: none of them runs meanwhile.
    pub fn step(&mut self, by: SignedDuration) {
        self.offset = self.offset.saturating_add(by);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.start.saturating_add(self.elapsed.saturating_add(self.offset)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_follow_a_clock_that_is_set() {
        let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let noon: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut clock = SimulatedClock::new(start);
        assert_eq!(clock.elapsed_at(noon), SignedDuration::from_hours(12));
        clock.step(SignedDuration::from_hours(2));
        assert_eq!(clock.elapsed_at(noon), SignedDuration::from_hours(10));
        clock.advance_to(SignedDuration::from_hours(11));
        assert_eq!(clock.now(), "2026-03-01T13:00:00Z".parse().unwrap());
        assert_eq!(clock.elapsed_at(noon), SignedDuration::from_hours(11));
        clock.step(SignedDuration::from_hours(-3));
        assert_eq!(clock.elapsed_at(noon), SignedDuration::from_hours(13));
    }
}
