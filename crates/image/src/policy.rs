//! Whether to pull an image, and how long to wait after a pull that failed.

use std::time::Duration;

use crate::limits::{BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS_MIN};

/// A container's `imagePullPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Pull before every start; layers that are here are not transferred again.
    Always,
    /// Pull what is not here.
    IfNotPresent,
    /// Use what is here.
    Never,
}

impl PullPolicy {
    /// Reads the value of the field. Admission has refused all others.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "Always" => Some(Self::Always),
            "IfNotPresent" => Some(Self::IfNotPresent),
            "Never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// What to do about an image before a container starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start with the stored image.
    UseStored,
    /// Pull, then start.
    Pull,
    /// Do not start: reason `ErrImageNeverPull`.
    Refuse,
}

/// Decides as the kubelet does (`pkg/kubelet/images/image_manager.go`).
#[must_use]
pub fn decide(policy: PullPolicy, is_stored: bool) -> Decision {
    match (policy, is_stored) {
        (PullPolicy::Always, _) | (PullPolicy::IfNotPresent, false) => Decision::Pull,
        (PullPolicy::IfNotPresent | PullPolicy::Never, true) => Decision::UseStored,
        (PullPolicy::Never, false) => Decision::Refuse,
    }
}

/// Pulls of one image for one pod that failed: 10 s to wait after the first, doubling to 300 s. In between the
/// container waits with reason `ImagePullBackOff`. Times are measured from any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    last: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failure {
    at: Duration,
    delay: Duration,
}

const MIN: Duration = Duration::from_secs(BACK_OFF_SECONDS_MIN);
const MAX: Duration = Duration::from_secs(BACK_OFF_SECONDS_MAX);

impl BackOff {
    /// Notes a pull that failed. After twice the longest delay without a failure the count starts anew
    /// (`client-go/util/flowcontrol/backoff.go`).
    pub fn failed(&mut self, now: Duration) {
        let delay = match self.last {
            Some(last) if now.saturating_sub(last.at) <= MAX * 2 => (last.delay * 2).min(MAX),
            _ => MIN,
        };
        self.last = Some(Failure { at: now, delay });
    }

    /// The moment before which no pull is tried, or none if one can be tried at once.
    #[must_use]
    pub fn blocked_until(&self, now: Duration) -> Option<Duration> {
        let until = self.last.map(|last| last.at + last.delay)?;
        (now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides_with_what_is_stored() {
        for (policy, stored, decision) in [
            ("Always", true, Decision::Pull),
            ("Always", false, Decision::Pull),
            ("IfNotPresent", true, Decision::UseStored),
            ("IfNotPresent", false, Decision::Pull),
            ("Never", true, Decision::UseStored),
            ("Never", false, Decision::Refuse),
        ] {
            assert_eq!(decide(PullPolicy::read(policy).unwrap(), stored), decision, "{policy} {stored}");
        }
        assert_eq!(PullPolicy::read("always"), None);
    }

    #[test]
    fn delays_double_from_ten_seconds_to_five_minutes() {
        let mut back_off = BackOff::default();
        let mut now = Duration::ZERO;
        let mut delays = Vec::new();
        for _ in 0..7 {
            back_off.failed(now);
            let until = back_off.blocked_until(now).unwrap();
            delays.push((until - now).as_secs());
            assert_eq!(back_off.blocked_until(until), None);
            now = until;
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_failure_long_after_the_last_counts_as_the_first() {
        let mut back_off = BackOff::default();
        back_off.failed(Duration::ZERO);
        back_off.failed(Duration::from_secs(10));
        back_off.failed(Duration::from_secs(611));
        assert_eq!(back_off.blocked_until(Duration::from_secs(611)), Some(Duration::from_secs(621)));
    }
}
