//! What has become of a pod: the sum of its journal.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::{
    journal::{Event, Exit, Hook, Record, Said, StopCause},
    limits,
    spec::{self, ProbeKind},
};

/// A pod, as its journal tells.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The containers in the order of the pod's specification.
    pub containers: Vec<Container>,
    /// That the pod as a whole is to end, and how.
    pub stop: Option<Stop>,
    /// Why it was evicted, if it was.
    pub eviction: Option<String>,
    /// The deadline that was set or made shorter while it ran. Not in the journal: whoever watches tells it again.
    pub deadline: Option<Timestamp>,
    /// When the last process of the pod had ended and none was to be started any more.
    pub finished: Option<Timestamp>,
    /// The boot of the machine that the latest shim ran in.
    pub boot_id: String,
    /// Why the latest shim gave up, if it did.
    pub gave_up: Option<String>,
}

/// A container, as the journal tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Name, unique within the pod.
    pub name: String,
    /// The latest attempt to run it.
    pub current: Option<Attempt>,
    /// The attempt before that one.
    pub previous: Option<Attempt>,
    /// Why it was last not started, until it is.
    pub refusal: Option<Refusal>,
    /// When it is forced to end, if it was asked to.
    pub killing: Option<Killing>,
    /// How long it waits when it crashes again.
    backoff: Option<Backoff>,
}

/// One attempt to run a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// How often the container had been started before.
    pub number: u32,
    /// Its process; absent if its program could not be executed.
    pub process: Option<Process>,
    /// When its process started, or failed to.
    pub started: Timestamp,
    /// How and when it ended.
    pub exit: Option<(Timestamp, Exit)>,
    /// How it does.
    pub health: Health,
}

/// How one attempt does besides running: what its hooks and probes said, and what it lacks. Of each probe, what it said last often enough to be believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Whether `postStart` succeeded.
    pub post_start: Option<bool>,
    /// Whether `preStop` succeeded.
    pub pre_stop: Option<bool>,
    /// The startup probe.
    pub startup: Option<bool>,
    /// The liveness probe.
    pub liveness: Option<bool>,
    /// The readiness probe.
    pub readiness: Option<bool>,
    /// What did not succeed and was written down, over all probes.
    pub complaints: u32,
    /// The latest of these.
    pub complaint: Option<(ProbeKind, Said)>,
    /// Why it is not held to its limits.
    pub unlimited: Option<String>,
    /// Whether its pod had as many processes as it may.
    pub crowded: bool,
    /// Whether its image was changed since it started.
    pub changed: bool,
}

/// Why a container is ended although its pod goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condemned {
    /// `postStart` failed.
    PostStart,
    /// This probe, startup or liveness, failed.
    Probe(ProbeKind),
    /// Its image was changed.
    Changed,
}

/// That a container was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killing {
    /// When it is forced to.
    pub until: Timestamp,
    /// Whether nothing makes that earlier any more.
    pub firm: bool,
}

/// A process, named beyond doubt within one boot of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process ID.
    pub pid: i32,
    /// When the kernel says it started, in clock ticks since the boot.
    pub ticks: u64,
}

/// That a container could not be started as asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The volume that could not be mounted, if it was one.
    pub volume: String,
    /// Why not.
    pub message: String,
    /// When it is tried again.
    pub retry_at: Timestamp,
    /// How often it was refused in a row.
    pub count: u32,
}

/// That a pod as a whole is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Why it was first asked to.
    pub cause: StopCause,
    /// When it is forced to.
    pub until: Timestamp,
    /// Whether there is no time for hooks.
    pub at_once: bool,
}

/// The delay before a container that crashed is started again.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Backoff {
    delay: SignedDuration,
    updated: Timestamp,
}

impl State {
    /// A pod to which nothing has happened yet.
    pub fn new(spec: &spec::Pod) -> Self {
        let container = |c: &spec::Container| Container { name: c.name.clone(), ..Container::default() };
        State {
            containers: spec.containers.iter().map(container).collect(),
            stop: None,
            eviction: None,
            deadline: None,
            finished: None,
            boot_id: String::new(),
            gave_up: None,
        }
    }

    /// Adds what happened next. Records of containers that the pod does not have are ignored.
    pub fn apply(&mut self, record: &Record) {
        let time = record.time;
        match &record.event {
            Event::Specified(_) => {}
            Event::Respecified(container) => self.change(&container.name, Container::respecify),
            Event::Opened { boot_id, .. } => {
                self.boot_id.clone_from(boot_id);
                self.gave_up = None;
            }
            Event::GaveUp { message } => self.gave_up = Some(message.clone()),
            Event::Started { container, attempt, pid, ticks } => {
                let process = Process { pid: *pid, ticks: *ticks };
                self.change(container, |c| c.begin(*attempt, Some(process), time));
            }
            Event::Refused { container, volume, message, retry_at } => self.change(container, |c| {
                let count = c.refusal.as_ref().map_or(0, |r| r.count) + 1;
                let (volume, message) = (volume.clone(), message.clone());
                c.refusal = Some(Refusal { volume, message, retry_at: *retry_at, count });
            }),
            Event::Killing { container, until, firm } => {
                self.change(container, |c| c.killing = Some(Killing { until: *until, firm: *firm }));
            }
            Event::Unlimited { container, attempt, message } => {
                self.attend(container, *attempt, |health| health.unlimited = Some(message.clone()));
            }
            Event::Crowded { container, attempt } => {
                self.attend(container, *attempt, |health| health.crowded = true);
            }
            Event::Hooked { container, attempt, hook, failure } => {
                self.attend(container, *attempt, |health| health.hooked(*hook, failure.is_none()));
            }
            Event::Probed { container, attempt, probe, said, settled } => {
                self.attend(container, *attempt, |health| health.probed(*probe, said, *settled));
            }
            Event::Exited { container, attempt, exit } => {
                self.change(container, |c| c.end(*attempt, time, exit.clone()));
            }
            Event::Stopping { cause, until, at_once } => self.stop(*cause, *until, *at_once),
            Event::Evicted { message, until } => {
                if self.stop.is_none() {
                    self.eviction = Some(message.clone());
                }
                self.stop(StopCause::Evicted, *until, true);
            }
            Event::Finished => self.finished = Some(time),
        }
    }

    /// The first cause counts, and the earliest end.
    fn stop(&mut self, cause: StopCause, until: Timestamp, at_once: bool) {
        match &mut self.stop {
            Some(stop) => {
                stop.until = stop.until.min(until);
                stop.at_once |= at_once;
            }
            None => self.stop = Some(Stop { cause, until, at_once }),
        }
    }

    /// The sum of a whole journal.
    pub fn replay<'a>(spec: &spec::Pod, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut state = State::new(spec);
        records.into_iter().for_each(|record| state.apply(record));
        state
    }

    /// The container of a name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    fn attend(&mut self, name: &str, number: u32, change: impl FnOnce(&mut Health)) {
        self.change(name, |container| {
            if let Some(attempt) = container.current.as_mut().filter(|attempt| attempt.number == number) {
                change(&mut attempt.health);
            }
        });
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.iter_mut().find(|c| c.name == name) {
            change(container);
        }
    }
}

impl Health {
    fn hooked(&mut self, hook: Hook, succeeded: bool) {
        match hook {
            Hook::PostStart => self.post_start = Some(succeeded),
            Hook::PreStop => self.pre_stop = Some(succeeded),
        }
    }

    fn probed(&mut self, probe: ProbeKind, said: &Said, settled: bool) {
        let succeeded = *said == Said::Success;
        if !succeeded {
            self.complaints += 1;
            self.complaint = Some((probe, said.clone()));
        }
        if settled {
            let result = match probe {
                ProbeKind::Startup => &mut self.startup,
                ProbeKind::Liveness => &mut self.liveness,
                ProbeKind::Readiness => &mut self.readiness,
            };
            *result = Some(succeeded);
        }
    }

    /// Why the container is ended, if it is for what was said.
    pub fn condemned(&self) -> Option<Condemned> {
        let failed = |result| result == Some(false);
        if self.changed {
            Some(Condemned::Changed)
        } else if failed(self.post_start) {
            Some(Condemned::PostStart)
        } else if failed(self.startup) {
            Some(Condemned::Probe(ProbeKind::Startup))
        } else {
            failed(self.liveness).then_some(Condemned::Probe(ProbeKind::Liveness))
        }
    }
}

impl Container {
    fn begin(&mut self, number: u32, process: Option<Process>, time: Timestamp) {
        if let Some(delay) = self.next_delay() {
            self.backoff = Some(Backoff { delay, updated: time });
        }
        self.previous = self.current.take();
        self.current =
            Some(Attempt { number, process, started: time, exit: None, health: Health::default() });
        self.refusal = None;
        self.killing = None;
    }

    /// Its image was changed: how the old one fared does not count for the new one.
    fn respecify(&mut self) {
        self.backoff = None;
        if let Some(attempt) = self.current.as_mut().filter(|attempt| attempt.exit.is_none()) {
            attempt.health.changed = true;
        }
    }

    fn end(&mut self, number: u32, time: Timestamp, exit: Exit) {
        if self.current.as_ref().is_none_or(|attempt| attempt.number != number) {
            // Its program could not be executed, so it ends without having begun.
            self.begin(number, None, time);
        }
        let current = self.current.as_mut().expect("an attempt was begun above");
        current.exit = Some((time, exit));
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.current.as_ref().is_some_and(|attempt| attempt.exit.is_none())
    }

    /// Why its latest attempt is ended, or was, if its pod was not.
    pub fn condemned(&self) -> Option<Condemned> {
        self.current.as_ref().and_then(|attempt| attempt.health.condemned())
    }

    /// Whether it runs and its `postStart` hook is not done.
    pub fn is_being_hooked(&self, spec: &spec::Container) -> bool {
        self.running().is_some_and(|health| spec.post_start.is_some() && health.post_start.is_none())
    }

    /// Whether it runs and has a `preStop` hook of which nothing was heard.
    pub fn pre_stop_is_due(&self, spec: &spec::Container) -> bool {
        self.running().is_some_and(|health| spec.pre_stop.is_some() && health.pre_stop.is_none())
    }

    /// Whether it runs and has come up: its hook and its startup probe have succeeded, if it has them.
    pub fn is_started(&self, spec: &spec::Container) -> bool {
        let has = |kind| spec.probe(kind).is_some();
        self.running().is_some_and(|health| {
            (spec.post_start.is_none() || health.post_start == Some(true))
                && (!has(ProbeKind::Startup) || health.startup == Some(true))
        })
    }

    /// Whether it has come up and its readiness probe succeeds, if it has one.
    pub fn is_ready(&self, spec: &spec::Container) -> bool {
        let needs_probe = spec.probe(ProbeKind::Readiness).is_some();
        self.is_started(spec)
            && self.running().is_some_and(|health| !needs_probe || health.readiness == Some(true))
    }

    fn running(&self) -> Option<&Health> {
        self.current.as_ref().filter(|attempt| attempt.exit.is_none()).map(|attempt| &attempt.health)
    }

    /// When and how it last ended; nothing while it runs.
    pub fn exit(&self) -> Option<&(Timestamp, Exit)> {
        self.current.as_ref().and_then(|attempt| attempt.exit.as_ref())
    }

    /// The number of its next attempt: how often it has been started.
    pub fn next_attempt(&self) -> u32 {
        self.current.as_ref().map_or(0, |attempt| attempt.number + 1)
    }

    /// How long it waits after its last end before it may be restarted: not at all the first time.
    pub fn restart_delay(&self) -> SignedDuration {
        match (self.backoff, self.exit()) {
            (Some(backoff), Some((ended, _))) if !backoff.is_forgotten(*ended) => backoff.delay,
            _ => SignedDuration::ZERO,
        }
    }

    /// When it may be restarted; nothing if it has not ended.
    pub fn restart_at(&self) -> Option<Timestamp> {
        self.exit().map(|(ended, _)| ended.saturating_add(self.restart_delay()).unwrap_or(Timestamp::MAX))
    }

    /// The delay after its next end, if it is restarted now; nothing if this is its first start.
    ///
    /// The first restart is immediate, then 10 s, 20 s and so on up to 300 s after the container's last end. Ten
    /// minutes after the last restart all is forgotten (the kubelet's `doBackOff`).
    fn next_delay(&self) -> Option<SignedDuration> {
        let (ended, _) = self.exit()?;
        let first = SignedDuration::from_secs(limits::RESTART_DELAY_FIRST_SECONDS);
        let longest = SignedDuration::from_secs(limits::RESTART_DELAY_MAX_SECONDS);
        Some(match self.backoff {
            Some(backoff) if !backoff.is_forgotten(*ended) => (backoff.delay * 2).min(longest),
            _ => first,
        })
    }
}

impl Backoff {
    fn is_forgotten(&self, ended: Timestamp) -> bool {
        ended.duration_since(self.updated)
            > SignedDuration::from_secs(limits::RESTART_DELAY_FORGOTTEN_SECONDS)
    }
}

/// The ID of one attempt to run a container: 64 hexadecimal digits, as log shippers expect. The same for everyone who
/// knows what it names.
pub fn container_id(pod_uid: &str, container: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{pod_uid}/{container}/{attempt}"));
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("four bits"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("four bits"));
        text
    })
}

#[cfg(test)]
mod tests;
