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
    fn of(failed: bool, slow: bool) -> Tally {
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
    parts: Parts,
}

/// What will have to be forgotten, oldest first.
#[derive(Debug)]
enum Parts {
    /// Each call, as two bits.
    Calls { held: VecDeque<u8>, most: usize },
    /// The calls of each part of the time, and when it began.
    Times { held: VecDeque<(Instant, Tally)>, length: Duration },
}

/// More calls than any part of a window has had: what says so was not written by a breaker.
const COUNT_MAX: usize = 1 << 32;

const FAILED: u8 = 1;
const SLOW: u8 = 2;

impl Sliding {
    pub(super) fn new(kind: Window) -> Sliding {
        let parts = match kind {
            Window::Count(most) => Parts::Calls { held: VecDeque::new(), most: most.max(1) },
            Window::Time(length) => Parts::Times { held: VecDeque::new(), length },
        };
        Sliding { total: Tally::default(), parts }
    }

    /// Counts a call, and gives the counts of all that are in the window now.
    pub(super) fn record(&mut self, failed: bool, slow: bool, now: Instant) -> Tally {
        let call = Tally::of(failed, slow);
        match &mut self.parts {
            Parts::Calls { held, most } => {
                if held.len() >= *most
                    && let Some(oldest) = held.pop_front()
                {
                    self.total.remove(Tally::of(oldest & FAILED != 0, oldest & SLOW != 0));
                }
                held.push_back(u8::from(failed) * FAILED + u8::from(slow) * SLOW);
            }
            Parts::Times { held, length } => {
                let age = |began: Instant| now.saturating_duration_since(began);
                while let Some((began, oldest)) = held.front().copied()
                    && age(began) >= *length
                {
                    held.pop_front();
                    self.total.remove(oldest);
                }
                let part = *length / u32::try_from(WINDOW_PARTS).unwrap_or(u32::MAX);
                match held.back_mut() {
                    Some((began, tally)) if age(*began) < part => tally.add(call),
                    _ => held.push_back((now, call)),
                }
            }
        }
        self.total.add(call);
        self.total
    }

    /// The calls in it as a text: a letter for each, or for each part of the time its age and its counts.
    pub(super) fn remember(&self, now: Instant) -> String {
        match &self.parts {
            Parts::Calls { held, .. } => held.iter().map(|bits| char::from(b'a' + bits)).collect(),
            Parts::Times { held, .. } => {
                let part = |(began, tally): &(Instant, Tally)| {
                    let age = now.saturating_duration_since(*began).as_nanos();
                    format!("{age} {} {} {}", tally.calls, tally.failed, tally.slow)
                };
                held.iter().map(part).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Takes over the calls that another one of this kind remembered `age` before `now`.
    pub(super) fn recall(&mut self, text: &str, age: Duration, now: Instant) -> Option<()> {
        let mut total = Tally::default();
        match &mut self.parts {
            Parts::Calls { held, most } => {
                let skipped = text.len().saturating_sub(*most);
                for letter in text.bytes().skip(skipped) {
                    let bits = letter.checked_sub(b'a').filter(|bits| *bits <= (FAILED | SLOW))?;
                    held.push_back(bits);
                    total.add(Tally::of(bits & FAILED != 0, bits & SLOW != 0));
                }
            }
            Parts::Times { held, .. } => {
                for line in text.lines() {
                    let mut numbers = line.split(' ').map(|word| word.parse::<u64>().ok());
                    let mut next = || numbers.next().flatten();
                    let began = Duration::from_nanos(next()?).saturating_add(age);
                    let mut count = || usize::try_from(next()?).ok().filter(|count| *count <= COUNT_MAX);
                    let tally = Tally { calls: count()?, failed: count()?, slow: count()? };
                    if tally.failed > tally.calls || tally.slow > tally.calls {
                        return None;
                    }
                    // What instants do not reach is too old to count.
                    if let Some(began) = now.checked_sub(began) {
                        held.push_back((began, tally));
                        total.add(tally);
                    }
                }
            }
        }
        self.total = total;
        Some(())
    }
}
