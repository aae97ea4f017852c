//! How long to wait before each retry.

use std::time::Duration;

/// The waits between attempts. Pure: randomness is handed in.
///
/// Defaults, of resilience4j: 500 ms, constant, no jitter, no bound.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100), 2.0);
/// let waits: Vec<u128> = (1..=3).map(|n| backoff.nominal(n).as_millis()).collect();
/// assert_eq!(waits, [100, 200, 400]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    initial: Duration,
    growth: Growth,
    max: Duration,
    jitter: Jitter,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Growth {
    Constant,
    Linear { increment: Duration },
    Exponential { multiplier: f64 },
}

/// How a wait is spread, so that those who failed together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Backoff, Jitter};
///
/// let ms = Duration::from_millis;
/// let full = Backoff::linear(ms(100), ms(50)).max(ms(180)).jitter(Jitter::Full);
/// assert_eq!([1, 2, 3].map(|retry| full.nominal(retry)), [ms(100), ms(150), ms(180)]);
/// // Randomness is handed in: a half here.
/// assert_eq!(full.wait(1, Duration::ZERO, 0.5), ms(50));
/// let equal = Backoff::constant(ms(100)).jitter(Jitter::Equal);
/// assert_eq!(equal.wait(1, Duration::ZERO, 0.5), ms(75));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Jitter {
    /// The wait as it is.
    #[default]
    None,
    /// Anything from zero to the wait (AWS: "full jitter").
    Full,
    /// Half the wait, and anything up to the other half (AWS: "equal jitter").
    Equal,
    /// Anything from the first wait to three times the last one, whatever the growth (AWS: "decorrelated jitter").
    Decorrelated,
    /// The wait, up to this share more or less (resilience4j's `randomizationFactor`); taken as within 0 to 1.
    Factor(f64),
}

impl Backoff {
    /// The same wait every time.
    pub fn constant(wait: Duration) -> Backoff {
        Backoff { initial: wait, growth: Growth::Constant, max: Duration::MAX, jitter: Jitter::None }
    }

    /// `initial`, and `increment` more each time.
    pub fn linear(initial: Duration, increment: Duration) -> Backoff {
        Backoff { growth: Growth::Linear { increment }, ..Backoff::constant(initial) }
    }

    /// `initial`, and `multiplier` times as much each time. A multiplier that is no number or below 1 is taken as 1.
    pub fn exponential(initial: Duration, multiplier: f64) -> Backoff {
        // `max` gives the other one for what is no number.
        let multiplier = multiplier.max(1.0);
        Backoff { growth: Growth::Exponential { multiplier }, ..Backoff::constant(initial) }
    }

    /// No wait is longer than `max`, with or without jitter.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Backoff {
        self.max = max;
        self
    }

    /// Spreads the waits.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Backoff {
        self.jitter = jitter;
        self
    }

    /// The wait before retry number `retry`, counted from 1, without jitter.
    pub fn nominal(&self, retry: u32) -> Duration {
        let steps = retry.saturating_sub(1);
        let wait = match self.growth {
            Growth::Constant => self.initial,
            Growth::Linear { increment } => self.initial.saturating_add(increment.saturating_mul(steps)),
            Growth::Exponential { multiplier } => scaled(self.initial, multiplier.powf(f64::from(steps))),
        };
        wait.min(self.max)
    }

    /// The wait before retry number `retry`, counted from 1, after a wait of `previous` (zero before the first), with
    /// `random` from 0 to 1.
    pub fn wait(&self, retry: u32, previous: Duration, random: f64) -> Duration {
        let nominal = self.nominal(retry);
        let random = share(random);
        let wait = match self.jitter {
            Jitter::None => nominal,
            Jitter::Full => scaled(nominal, random),
            Jitter::Equal => scaled(nominal, 0.5 + random / 2.0),
            Jitter::Decorrelated => {
                let upper = previous.max(self.initial).saturating_mul(3);
                self.initial.saturating_add(scaled(upper.saturating_sub(self.initial), random))
            }
            Jitter::Factor(factor) => {
                let factor = share(factor);
                scaled(nominal, 1.0 - factor + 2.0 * factor * random)
            }
        };
        wait.min(self.max)
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::constant(Duration::from_millis(500))
    }
}

/// A number within 0 to 1; 0 for what is none.
fn share(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(0.0, 1.0) }
}

/// `duration × by`, as far as durations reach.
fn scaled(duration: Duration, by: f64) -> Duration {
    if duration.is_zero() {
        // Nothing, even infinitely often.
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * by).unwrap_or(Duration::MAX)
}
