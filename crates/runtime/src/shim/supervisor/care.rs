//! A shim's care for containers that run: calls their hooks and probes, and writes down what comes of it.

use std::{os::fd::OwnedFd, time::Duration};

use jiff::Timestamp;

use super::Supervisor;
use crate::{
    clock,
    journal::{Event, Hook, Said},
    lifecycle, limits,
    probes::{Condition, Prober},
    shim::call::{Calling, Place},
    spec::{Call, Pod, Probe, ProbeKind},
    sys::Ended,
};

/// What is called, and what is to be called.
#[derive(Debug)]
pub(super) struct Care {
    calls: Vec<UnderWay>,
    /// By position of the container, while it runs.
    probers: Vec<Option<Prober>>,
}

#[derive(Debug)]
struct UnderWay {
    container: usize,
    purpose: Purpose,
    calling: Calling,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Hook(Hook),
    Probe(ProbeKind),
}

impl Care {
    /// For a pod of which nothing runs yet.
    pub(super) fn of(pod: &Pod) -> Self {
        Care { calls: Vec::new(), probers: pod.containers.iter().map(|_| None).collect() }
    }

    /// What tells that a call has said something, with the process of the call.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (i32, &OwnedFd)> {
        self.calls.iter().filter_map(|call| Some((call.calling.pid, call.calling.fd()?)))
    }

    /// Takes in what a call said; once through the buffer, so that others get their turn.
    pub(super) fn listen(&mut self, pid: i32, buffer: &mut [u8]) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.calling.pid == pid) {
            call.calling.listen(buffer);
        }
    }

    /// The processes of all calls.
    pub(super) fn processes(&self) -> impl Iterator<Item = i32> {
        self.calls.iter().map(|call| call.calling.pid)
    }

    /// Forgets about a container that has ended. Its calls end with it, and nobody asks what came of them.
    pub(super) fn end(&mut self, container: usize) {
        self.probers[container] = None;
        self.calls.iter().filter(|call| call.container == container).for_each(|call| call.calling.kill());
        self.calls.retain(|call| call.container != container);
    }

    fn position(&self, container: usize, purpose: Purpose) -> Option<usize> {
        self.calls.iter().position(|call| call.container == container && call.purpose == purpose)
    }
}

impl Supervisor<'_> {
    /// Calls the hook of a container that has started, and begins to probe it.
    pub(super) fn begin_care(&mut self, position: usize) {
        let pod = self.pod.clone();
        let container = &pod.containers[position];
        self.care.probers[position] = Some(Prober::new(&container.probes, clock::now()));
        if let Some(call) = &container.post_start {
            self.call(position, Purpose::Hook(Hook::PostStart), call, hook_timeout(call));
        }
    }

    /// Makes the probes that are due.
    pub(super) fn probe(&mut self) {
        let now = clock::now();
        for position in 0..self.pod.containers.len() {
            let condition = self.condition(position);
            let Some(prober) = &mut self.care.probers[position] else { continue };
            for Probe { kind, call, timeout_seconds, .. } in prober.take_due(condition, now) {
                let timeout = Duration::from_secs(timeout_seconds.into());
                self.call(position, Purpose::Probe(kind), &call, Some(timeout));
            }
        }
    }

    /// When the next probe is due, or a call takes too long.
    pub(super) fn next_care(&self) -> Option<Timestamp> {
        let probers = self.care.probers.iter().enumerate();
        let probes =
            probers.filter_map(|(position, prober)| prober.as_ref()?.next_at(self.condition(position)));
        probes.chain(self.care.calls.iter().filter_map(|call| call.calling.until)).min()
    }

    fn condition(&self, position: usize) -> Condition {
        let (container, spec) = (&self.state.containers[position], &self.pod.containers[position]);
        Condition {
            started: container.is_started(spec),
            being_hooked: container.is_being_hooked(spec),
            ending: container.killing.is_some() || self.state.stop.is_some(),
        }
    }

    /// Ends the calls that have taken too long.
    pub(super) fn expire_calls(&mut self) {
        let now = clock::now();
        self.care.calls.iter_mut().for_each(|call| call.calling.expire(now));
    }

    /// Asks a container to end, after its hook if that is to be called or was.
    pub(super) fn terminate(&mut self, position: usize, hook: bool) {
        if hook {
            self.call_pre_stop(position);
        } else {
            self.ask_to_end(position);
        }
    }

    /// Calls the hook of a container that is to end, unless that is under way. The end of the grace period ends it, too.
    pub(super) fn call_pre_stop(&mut self, position: usize) {
        let purpose = Purpose::Hook(Hook::PreStop);
        let pod = self.pod.clone();
        if let (Some(call), None) =
            (&pod.containers[position].pre_stop, self.care.position(position, purpose))
        {
            self.call(position, purpose, call, hook_timeout(call));
        }
    }

    /// Asks a container to end whose hook has taken all the time that it was granted. Whether that is so.
    pub(super) fn give_up_pre_stop(&mut self, position: usize) -> bool {
        let purpose = Purpose::Hook(Hook::PreStop);
        let Some(call) = self.care.position(position, purpose) else { return false };
        self.care.calls.remove(call).calling.kill();
        let failure = "it did not end within the grace period".to_owned();
        self.answered(position, purpose, Said::Failure(failure));
        true
    }

    fn call(&mut self, position: usize, purpose: Purpose, call: &Call, timeout: Option<Duration>) {
        let pod = self.pod.clone();
        let (container, settings) = (&pod.containers[position], &self.settings);
        let Some(live) = self.live[position].as_ref().filter(|live| live.leftovers_until().is_none()) else {
            return;
        };
        let place = Place { container, live, settings };
        let started = Calling::start(call, timeout, &place, clock::now());
        // Also what has failed leaves a process that has to be reaped.
        self.has_children = true;
        match started {
            Ok(calling) => {
                self.care.calls.push(UnderWay { container: position, purpose, calling });
            }
            Err(why) => self.answered(position, purpose, Said::Unknown(why)),
        }
    }

    /// Takes in that a process which is no container's has ended: a call's, or one that nobody knows.
    pub(super) fn call_ended(&mut self, pid: i32, ended: &Ended) {
        let Some(index) = self.care.calls.iter().position(|call| call.calling.pid == pid) else { return };
        let UnderWay { container, purpose, calling } = self.care.calls.remove(index);
        let said = match calling.finish(ended, &mut self.buffer) {
            Said::Success => Said::Success,
            Said::Failure(text) => Said::Failure(shortened(text)),
            Said::Unknown(text) => Said::Unknown(shortened(text)),
        };
        self.answered(container, purpose, said);
    }

    fn answered(&mut self, position: usize, purpose: Purpose, said: Said) {
        let Some(attempt) = self.state.containers[position].current.as_ref().map(|attempt| attempt.number)
        else {
            return;
        };
        let container = self.name(position);
        match purpose {
            Purpose::Hook(hook) => {
                let failure = match said {
                    Said::Success => None,
                    Said::Failure(why) | Said::Unknown(why) => Some(why),
                };
                self.record(Event::Hooked { container, attempt, hook, failure });
                // Otherwise its turn has not come.
                if hook == Hook::PreStop && self.state.containers[position].killing.is_some() {
                    self.ask_to_end_after_hook(position);
                }
            }
            Purpose::Probe(probe) => {
                let prober = self.care.probers[position].as_mut();
                if let Some(telling) = prober.and_then(|prober| prober.hear(probe, &said, clock::now())) {
                    let settled = telling.settled;
                    self.record(Event::Probed { container, attempt, probe, said, settled });
                }
            }
        }
    }

    /// However long the hook took, the container gets the least time that the kubelet grants.
    fn ask_to_end_after_hook(&mut self, position: usize) {
        self.ask_to_end(position);
        let until = lifecycle::grace_end(clock::now(), 0);
        if self.state.containers[position].killing.is_some_and(|killing| killing.until < until) {
            self.record(Event::Killing { container: self.name(position), until, firm: true });
        }
    }
}

/// How long a hook may take: as long as it likes, unless nobody would notice that the other side is gone.
fn hook_timeout(call: &Call) -> Option<Duration> {
    let over_network = matches!(call, Call::HttpGet(_));
    over_network.then(|| Duration::from_secs(limits::HOOK_HTTP_SECONDS_MAX.into()))
}

/// The beginning of a complaint, which is all of it in most cases.
fn shortened(mut text: String) -> String {
    let end = text.floor_char_boundary(limits::COMPLAINT_BYTES_MAX);
    text.truncate(end);
    text
}
