//! What is to be done about a pod next: a function of its specification, what has become of it, and the time.
//!
//! The rules are the kubelet's: init containers one by one, sidecars from their place in that order to the end,
//! restarts by `restartPolicy` with growing delays, and an end in which regular containers go first and sidecars
//! follow in reverse order, all within one grace period.

use jiff::{SignedDuration, Timestamp};

use crate::{
    journal::StopCause,
    limits,
    spec::{self, Pod, Restart, RestartPolicy, Role},
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
        /// Whether its `preStop` hook is called before, if it has one.
        hook: bool,
    },
    /// Call the `preStop` hook of a container whose turn to end has not come. Asked for until the hook is done.
    CallPreStop(usize),
    /// Kill a container. Asked for until its end is known.
    Kill(usize),
    /// Remember that the pod as a whole is to end.
    Stop {
        /// Why.
        cause: StopCause,
        /// When it is forced to.
        until: Timestamp,
        /// Whether there is no time for hooks.
        at_once: bool,
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
        pod.wind_down((stop.until, !stop.at_once), &mut decision);
        return decision;
    }
    let deadline = [spec.deadline, state.deadline].into_iter().flatten().min();
    if deadline.is_some_and(|deadline| deadline <= now) {
        let until = grace_end(now, spec.grace_seconds);
        let at_once = spec.grace_seconds <= 0;
        decision.actions.push(Action::Stop { cause: StopCause::Deadline, until, at_once });
    } else {
        decision.wake_at = deadline;
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
    let container = state.containers.get(position)?;
    container.exit()?;
    match pod.need(position, container) {
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

    fn terminates(&self, position: usize) -> bool {
        let is_it =
            |action: &Action| matches!(action, Action::Terminate { container, .. } if *container == position);
        self.actions.iter().any(is_it)
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
        regular.map(move |(position, _, container)| (position, self.need(position, container), container))
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
        init.any(|(position, _, container)| self.need(position, container) == Need::Done { succeeded: false })
    }

    /// Moves a pod on that is not asked to end.
    fn advance(self, decision: &mut Decision) {
        if self.is_over() {
            return self.wind_down((self.wind_down_end(), self.spec.grace_seconds > 0), decision);
        }
        self.end_condemned(decision);
        let initialized = self.is_initialized();
        let latest = self.state.containers.iter().rposition(|container| container.current.is_some());
        for (position, role, container) in self.containers().filter(|(_, role, _)| *role != Role::Regular) {
            if role == Role::Init && initialized {
                continue;
            }
            let need = self.need(position, container);
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

    /// Ends the containers whose hook or probe has failed, or whose image was changed.
    fn end_condemned(self, decision: &mut Decision) {
        for (position, role, container) in
            self.containers().filter(|(_, _, container)| container.is_running())
        {
            let Some(why) = container.condemned() else { continue };
            let own = match why {
                // It runs to its end.
                Condemned::Changed if role == Role::Init => continue,
                Condemned::PostStart | Condemned::Changed => None,
                Condemned::Probe(kind) => {
                    self.spec_of(position).probe(kind).and_then(|probe| probe.grace_seconds)
                }
            };
            let grace_seconds = own.unwrap_or(self.spec.grace_seconds);
            let until = grace_end(self.now, grace_seconds);
            self.end(position, container, (until, grace_seconds > 0), decision);
        }
    }

    fn need(self, position: usize, container: &Container) -> Need {
        let role = self.spec.containers[position].role;
        if container.is_running() {
            return Need::Runs;
        }
        if let Some(refusal) = &container.refusal {
            return self.start_at(refusal.retry_at);
        }
        let Some((_, exit)) = container.exit() else { return Need::Start };
        // Unless it ended by itself at the same time.
        let failed_probe =
            container.killing.is_some() && matches!(container.condemned(), Some(Condemned::Probe(_)));
        let own = self.spec.containers[position].restart.as_ref();
        let policy = self.spec.restart_policy;
        let again = match role {
            Role::Sidecar => true,
            // It is done, whatever would be with other codes.
            Role::Init if exit.code == 0 => false,
            _ if container.killing.is_some() && container.condemned() == Some(Condemned::Changed) => true,
            // Whatever exit code it makes of it.
            _ if failed_probe => own.map_or(policy != RestartPolicy::Never, Restart::may_allow),
            _ => own.map_or_else(|| policy.allows(exit.code), |own| own.allows(exit.code)),
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

    /// Ends whatever runs: sidecars last, in reverse order, one by one. Hooks are called all at once, if they are.
    fn wind_down(self, (until, hooks): (Timestamp, bool), decision: &mut Decision) {
        let running = || self.containers().filter(|(_, _, container)| container.is_running());
        let others: Vec<_> = running().filter(|(_, role, _)| *role != Role::Sidecar).collect();
        if others.is_empty() {
            match running().next_back() {
                Some((position, _, container)) => {
                    let least =
                        container.killing.map_or_else(|| grace_end(self.now, 0), |killing| killing.until);
                    self.end(position, container, (until.max(least), hooks), decision);
                }
                None => decision.actions.push(Action::Finish),
            }
        }
        for (position, _, container) in others {
            self.end(position, container, (until, hooks), decision);
        }
        for (position, _, container) in running().filter(|(_, role, _)| hooks && *role == Role::Sidecar) {
            let is_asked = container.killing.is_some() || decision.terminates(position);
            if !is_asked && container.pre_stop_is_due(self.spec_of(position)) {
                decision.actions.push(Action::CallPreStop(position));
            }
        }
    }

    fn end(
        self,
        position: usize,
        container: &Container,
        (until, hooks): (Timestamp, bool),
        decision: &mut Decision,
    ) {
        let Some(killing) = container.killing else {
            let hook = hooks && container.pre_stop_is_due(self.spec_of(position));
            return decision.actions.push(Action::Terminate { container: position, until, hook });
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
