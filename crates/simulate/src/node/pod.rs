//! One pod on the node, from its preparation to its end.

use cronlet_object::{Clock as _, Key, api};
use jiff::{SignedDuration, Timestamp};

use super::{Behaviour, key_of};
use crate::{
    SimulatedClock,
    limits::{RESTART_DELAY_SECONDS, RESTART_DELAY_SECONDS_MAX},
};

/// How one run of the containers ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exit {
    pub(super) code: i32,
    pub(super) reason: &'static str,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

/// Where a pod stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    /// Its containers are being made; for ever if nothing is due.
    Preparing(Option<SignedDuration>),
    /// Its containers run, until something is due.
    Running { since: Timestamp, until: Option<SignedDuration>, code: i32, reason: &'static str },
    /// Its containers have ended and wait to be started anew.
    Waiting(SignedDuration),
    /// It has ended; with an exit unless nothing of it ever ran.
    Ended(Option<Exit>),
}

/// A pod on the node. Its containers do all the same at the same time.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) key: Key,
    pub(super) behaviour: Behaviour,
    pub(super) stage: Stage,
    /// When the node took it in, by the wall clock.
    pub(super) since: Timestamp,
    /// How often its containers were restarted.
    pub(super) restarts: u32,
    /// How they ended the last time.
    pub(super) last: Option<Exit>,
    restarts_on_failure: bool,
    grace: SignedDuration,
    stopping: bool,
    news: bool,
}

impl Pod {
    pub(super) fn new(object: &api::Pod, behaviour: Behaviour, clock: &SimulatedClock) -> Self {
        let spec = object.spec.as_ref();
        let due = clock.elapsed().saturating_add(behaviour.starts_after);
        let grace = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        Pod {
            key: key_of(object),
            stage: Stage::Preparing(behaviour.never_starts.is_none().then_some(due)),
            behaviour,
            since: clock.now(),
            restarts: 0,
            last: None,
            restarts_on_failure: spec.and_then(|spec| spec.restart_policy.as_deref()) == Some("OnFailure"),
            grace: SignedDuration::from_secs(grace),
            stopping: false,
            news: true,
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.news
    }

    pub(super) fn settle(&mut self) {
        self.news = false;
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        match &self.stage {
            Stage::Ended(exit) => Some(exit.as_ref().map_or(137, |exit| exit.code)),
            _ => None,
        }
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.news = true;
    }

    /// Its deletion was asked for: what runs is told to end, and killed after the grace period.
    pub(super) fn stop(&mut self, clock: &SimulatedClock) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        self.news = true;
        match &mut self.stage {
            Stage::Preparing(_) | Stage::Waiting(_) => {
                let last = self.last.clone();
                self.enter(Stage::Ended(last));
            }
            Stage::Running { until, code, reason, .. } => {
                let killed = self.behaviour.stops_after > self.grace;
                let stops = clock.elapsed().saturating_add(self.behaviour.stops_after.min(self.grace));
                if until.is_none_or(|until| until > stops) {
                    *until = Some(stops);
                    *code = if killed { 137 } else { 143 };
                    *reason = "Error";
                }
            }
            Stage::Ended(_) => {}
        }
    }

    /// The machine goes down: what runs is lost, and nothing is started before it is up again.
    pub(super) fn lose(&mut self, clock: &SimulatedClock, up_at: SignedDuration) {
        match &mut self.stage {
            Stage::Preparing(Some(due)) | Stage::Waiting(due) => *due = up_at.max(*due),
            Stage::Preparing(None) | Stage::Ended(_) => {}
            Stage::Running { since, .. } => {
                let reason = "ContainerStatusUnknown";
                let lost = Exit { code: 137, reason, started: *since, finished: clock.now() };
                if self.restarts_on_failure && !self.stopping {
                    self.last = Some(lost);
                    self.enter(Stage::Waiting(up_at));
                } else {
                    self.enter(Stage::Ended(Some(lost)));
                }
            }
        }
    }

    /// When something is due, if anything is.
    pub(super) fn due(&self) -> Option<SignedDuration> {
        match self.stage {
            Stage::Preparing(due) | Stage::Running { until: due, .. } => due,
            Stage::Waiting(due) => Some(due),
            Stage::Ended(_) => None,
        }
    }

    /// Lets happen what is due now.
    pub(super) fn go_on(&mut self, clock: &SimulatedClock) {
        match self.stage.clone() {
            Stage::Preparing(_) => self.start(clock),
            Stage::Waiting(_) => {
                self.restarts += 1;
                self.start(clock);
            }
            Stage::Running { since, code, reason, .. } => {
                let exit = Exit { code, reason, started: since, finished: clock.now() };
                if code != 0 && self.restarts_on_failure && !self.stopping {
                    self.last = Some(exit);
                    let delay = SignedDuration::from_secs(restart_delay_seconds(self.restarts));
                    self.enter(Stage::Waiting(clock.elapsed().saturating_add(delay)));
                } else {
                    self.enter(Stage::Ended(Some(exit)));
                }
            }
            Stage::Ended(_) => {}
        }
    }

    fn start(&mut self, clock: &SimulatedClock) {
        let attempts = &self.behaviour.attempts;
        let attempt = &attempts[(self.restarts as usize).min(attempts.len() - 1)];
        let (code, reason) = match (attempt.out_of_memory, attempt.exit_code) {
            (true, _) => (137, "OOMKilled"),
            (false, 0) => (0, "Completed"),
            (false, code) => (code, "Error"),
        };
        let until = attempt.lasts.map(|lasts| clock.elapsed().saturating_add(lasts));
        self.enter(Stage::Running { since: clock.now(), until, code, reason });
    }
}

/// How long a container that crashed waits: not at all the first time, then 10 s, doubled up to 5 min, as the kubelet
/// has it.
fn restart_delay_seconds(restarts: u32) -> i64 {
    match restarts {
        0 => 0,
        _ => (RESTART_DELAY_SECONDS << (restarts - 1).min(10)).min(RESTART_DELAY_SECONDS_MAX),
    }
}
