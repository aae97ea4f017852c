//! What is to be done about a pod next: a function of its specification, what has become of it, and the time.
//!
//! The rules are the kubelet's: init containers one by one, sidecars from their place in that order to the end,
//! restarts by `restartPolicy` with growing delays, and an end in which regular containers go first and sidecars
//! follow in reverse order, all within one grace period.

use jiff::{SignedDuration, Timestamp};

use crate::{
    journal::StopCause,
    limits,
    spec::{self, Pod, RestartPolicy, Role},
    state::{Condemned, Container, State},
};

/// Something to do. Containers are named by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a container.
    Start(usize),
    /// Ask a container to end, and remember until when it may take.
    Terminate {
        /// The container.
        container: usize,
        /// When it is to be killed.
        until: Timestamp,
    },
    /// Kill a container. Asked for until its end is known.
    Kill(usize),
    /// Remember that the pod as a whole is to end.
    Stop {
        /// Why.
        cause: StopCause,
        /// When it is forced to.
        until: Timestamp,
    },
    /// Remember that the pod has finished.
    Finish,
}

/// What to do now, and when to ask again even if nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// In order.
    pub actions: Vec<Action>,
    /// When time alone changes the answer.
    pub wake_at: Option<Timestamp>,
}

/// Decides what to do about a pod.
pub fn decide(spec: &Pod, state: &State, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    if state.finished.is_some() {
        return decision;
    }
    let pod = View { spec, state, now };
    if let Some(stop) = state.stop {
        pod.wind_down(stop.until, &mut decision);
    } else if spec.deadline.is_some_and(|deadline| deadline <= now) {
        let until = grace_end(now, spec.grace_seconds);
        decision.actions.push(Action::Stop { cause: StopCause::Deadline, until });
    } else {
        decision.wake_at = spec.deadline;
        pod.advance(&mut decision);
    }
    decision
}

/// When a container that has ended may be started again; nothing if it will not be.
pub fn restart_at(spec: &Pod, state: &State, position: usize) -> Option<Timestamp> {
    if state.stop.is_some() || state.finished.is_some() {
        return None;
    }
    let pod = View { spec, state, now: Timestamp::MIN };
    let (_, role, container) = pod.containers().nth(position)?;
    container.exit()?;
    match pod.need(role, container) {
        Need::StartAt(at) if !pod.is_over() => Some(at),
        _ => None,
    }
}

/// When a grace period that begins now is over: never in less than the kubelet's minimum.
pub fn grace_end(now: Timestamp, grace_seconds: i64) -> Timestamp {
    let grace = SignedDuration::from_secs(grace_seconds.max(limits::GRACE_SECONDS_MIN));
    now.saturating_add(grace).unwrap_or(Timestamp::MAX)
}

/// How long to wait before volumes are mounted again that could not be mounted `count` times in a row.
pub fn mount_delay(count: u32) -> SignedDuration {
    let doubled = limits::MOUNT_DELAY_FIRST_MILLIS.checked_shl(count.saturating_sub(1).min(32));
    let millis = doubled.unwrap_or(i64::MAX).clamp(0, limits::MOUNT_DELAY_MAX_MILLIS);
    SignedDuration::from_millis(millis)
}

#[derive(Clone, Copy)]
struct View<'a> {
    spec: &'a Pod,
    state: &'a State,
    now: Timestamp,
}

/// What a container needs to go on with the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: it runs.
    Runs,
    /// Nothing: it has ended and stays so.
    Done {
        /// Whether its exit code was 0.
        succeeded: bool,
    },
    /// To be started at once.
    Start,
    /// To be started then.
    StartAt(Timestamp),
}

impl Decision {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Takes a need on; whether the container may be running from now on.
    fn meet(&mut self, container: usize, need: Need) -> bool {
        match need {
            Need::Runs => return true,
            Need::Start => self.actions.push(Action::Start(container)),
            Need::StartAt(at) => self.wake(at),
            Need::Done { .. } => {}
        }
        false
    }
}

impl<'a> View<'a> {
    fn containers(self) -> impl DoubleEndedIterator<Item = (usize, Role, &'a Container)> {
        let roles = self.spec.containers.iter().map(|c| c.role);
        let known = self.state.containers.iter().enumerate();
        known.zip(roles).map(|((position, container), role)| (position, role, container))
    }

    fn regular(self) -> impl Iterator<Item = (usize, Need, &'a Container)> {
        let regular = self.containers().filter(|(_, role, _)| *role == Role::Regular);
        regular.map(move |(position, role, container)| (position, self.need(role, container), container))
    }

    /// Whether a regular container was ever started: then no init container runs again.
    fn is_initialized(self) -> bool {
        self.regular().any(|(_, _, container)| container.current.is_some())
    }

    /// Whether nothing is left to do but to end what still runs: all regular containers are done, or one that must
    /// succeed before them has failed for good.
    fn is_over(self) -> bool {
        if self.is_initialized() {
            return self.regular().all(|(_, need, _)| matches!(need, Need::Done { .. }));
        }
        let mut init = self.containers().filter(|(_, role, _)| *role == Role::Init);
        init.any(|(_, role, container)| self.need(role, container) == Need::Done { succeeded: false })
    }

    /// Moves a pod on that is not asked to end.
    fn advance(self, decision: &mut Decision) {
        if self.is_over() {
            return self.wind_down(self.wind_down_end(), decision);
        }
        self.end_condemned(decision);
        let initialized = self.is_initialized();
        let latest = self.state.containers.iter().rposition(|container| container.current.is_some());
        for (position, role, container) in self.containers().filter(|(_, role, _)| *role != Role::Regular) {
            if role == Role::Init && initialized {
                continue;
            }
            let need = self.need(role, container);
            let runs = decision.meet(position, need);
            let passed = match role {
                Role::Init => need == Need::Done { succeeded: true },
                // It had come up before what follows it was started, and that does not wait for it again.
                _ => latest > Some(position) || runs && container.is_started(self.spec_of(position)),
            };
            if !passed && !initialized {
                return;
            }
        }
        for (position, need, container) in self.regular() {
            decision.meet(position, need);
            // The kubelet starts them one after the other, each with its hook. One that waits holds nobody up.
            let is_starting = need == Need::Start && self.spec_of(position).post_start.is_some();
            if is_starting || container.is_being_hooked(self.spec_of(position)) {
                return;
            }
        }
    }

    fn spec_of(self, position: usize) -> &'a spec::Container {
        &self.spec.containers[position]
    }

    /// Ends the containers whose hook or probe has failed.
    fn end_condemned(self, decision: &mut Decision) {
        for (position, _, container) in self.containers().filter(|(_, _, container)| container.is_running()) {
            let Some(why) = container.condemned() else { continue };
            let own = match why {
                Condemned::PostStart => None,
                Condemned::Probe(kind) => {
                    self.spec_of(position).probe(kind).and_then(|probe| probe.grace_seconds)
                }
            };
            let until = grace_end(self.now, own.unwrap_or(self.spec.grace_seconds));
            self.end(position, container, until, decision);
        }
    }

    fn need(self, role: Role, container: &Container) -> Need {
        if container.is_running() {
            return Need::Runs;
        }
        if let Some(refusal) = &container.refusal {
            return self.start_at(refusal.retry_at);
        }
        let Some((_, exit)) = container.exit() else { return Need::Start };
        let policy = if role == Role::Sidecar { RestartPolicy::Always } else { self.spec.restart_policy };
        // Unless it ended by itself at the same time.
        let failed_probe =
            container.killing.is_some() && matches!(container.condemned(), Some(Condemned::Probe(_)));
        let again = match (role, policy) {
            // Whatever exit code it makes of it.
            (_, RestartPolicy::Always | RestartPolicy::OnFailure) if failed_probe => true,
            (Role::Init, RestartPolicy::Always | RestartPolicy::OnFailure) => exit.code != 0,
            (_, RestartPolicy::Always) => true,
            (_, RestartPolicy::OnFailure) => exit.code != 0,
            (_, RestartPolicy::Never) => false,
        };
        match container.restart_at() {
            Some(at) if again => self.start_at(at),
            _ => Need::Done { succeeded: exit.code == 0 },
        }
    }

    fn start_at(self, at: Timestamp) -> Need {
        if at <= self.now { Need::Start } else { Need::StartAt(at) }
    }

    /// The end of the grace period of a pod whose work is over: it began when the first container was asked to end.
    fn wind_down_end(self) -> Timestamp {
        let asked = self.state.containers.iter().filter(|container| container.condemned().is_none());
        let begun = asked.filter_map(|container| container.killing).map(|killing| killing.until).min();
        begun.unwrap_or_else(|| grace_end(self.now, self.spec.grace_seconds))
    }

    /// Ends whatever runs: sidecars last, in reverse order, one by one.
    fn wind_down(self, until: Timestamp, decision: &mut Decision) {
        let running = || self.containers().filter(|(_, _, container)| container.is_running());
        let others: Vec<_> = running().filter(|(_, role, _)| *role != Role::Sidecar).collect();
        if others.is_empty() {
            match running().next_back() {
                Some((position, _, container)) => {
                    let least =
                        container.killing.map_or_else(|| grace_end(self.now, 0), |killing| killing.until);
                    self.end(position, container, until.max(least), decision);
                }
                None => decision.actions.push(Action::Finish),
            }
        }
        for (position, _, container) in others {
            self.end(position, container, until, decision);
        }
    }

    fn end(self, position: usize, container: &Container, until: Timestamp, decision: &mut Decision) {
        let Some(killing) = container.killing else {
            return decision.actions.push(Action::Terminate { container: position, until });
        };
        let at = if killing.firm { killing.until } else { killing.until.min(until) };
        if at <= self.now {
            decision.actions.push(Action::Kill(position));
        } else {
            decision.wake(at);
        }
    }
}

#[cfg(test)]
mod tests;
