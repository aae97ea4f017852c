//! The loop of a shim: does what the lifecycle decides, writes down what happens, and waits for more.

mod attached;
mod care;

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    rc::Rc,
    time::Duration,
};

use jiff::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::Mode,
    io::Errno,
    process::{Signal, geteuid, getpid, set_child_subreaper, setsid, umask},
};

use self::care::Care;
use super::{
    ShimError,
    attach::Attached,
    changes,
    control::{Command, Control},
    external,
    launch::{Failure, Settings},
    live::{self, Kept, Live},
    pause::Pause,
    storage::Gauge,
};
use crate::{
    clock,
    journal::{Event, Exit, ExitKind, Record, StopCause, Usage, Writer},
    lifecycle::{self, Action},
    limits,
    mounts::{self, Refused},
    network::link::Plug,
    processes,
    sandbox::{self, cgroup::Cgroup},
    spec::{Handler, Pod, Processes},
    state::State,
    sys::{self, Children, Ended},
};

/// How long to wait before a journal that could not be written is tried again.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// What the kubelet says of a container whose end nobody saw.
const LOST: &str =
    "The container could not be located when the pod was deleted.  The container used to be Running";

/// A pod and all that runs of it.
#[derive(Debug)]
pub(super) struct Supervisor<'a> {
    dir: &'a Path,
    /// As it is now. Whoever changes anything else meanwhile has a share of their own.
    pod: Rc<Pod>,
    state: State,
    journal: &'a mut Writer,
    /// By position of the container.
    live: Vec<Option<Live>>,
    care: Care,
    gauge: Option<Gauge>,
    attached: Attached,
    /// What the kernel keeps for containers that have ended, until that is written down.
    spent: Vec<Kept>,
    control: Control,
    signals: OwnedFd,
    settings: Settings,
    /// Whether the volumes in memory are mounted, or there are none.
    memory_ready: bool,
    /// Whether there was a child when it was last looked for one that had ended.
    has_children: bool,
    buffer: Vec<u8>,
}

/// Something that the loop waits for.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Commands,
    Output { container: usize, output: usize },
    Call { pid: i32 },
    Input { container: usize },
    Client { id: u64 },
}

impl<'a> Supervisor<'a> {
    /// Takes a pod over, in whatever state its journal says it is.
    pub(super) fn new(
        dir: &'a Path,
        pod: Pod,
        journal: &'a mut Writer,
        records: &[Record],
    ) -> Result<Self, ShimError> {
        let system = |step| move |source: io::Error| ShimError::System { step, source };
        // A process that leads its session already cannot make one, and need not.
        let _ = setsid();
        set_child_subreaper(Some(getpid())).map_err(|error| system("become a subreaper")(error.into()))?;
        umask(Mode::from_raw_mode(0o022));
        if pod.handler == Handler::Oci {
            let plug = Plug::of(&pod).map_err(ShimError::Network)?;
            sandbox::share(&pod).map_err(system("share namespaces with its containers"))?;
            plug.map_or(Ok(()), Plug::connect).map_err(ShimError::Network)?;
        }
        let mut supervisor = Supervisor {
            dir,
            state: State::replay(&pod, records),
            journal,
            live: pod.containers.iter().map(|_| None).collect(),
            care: Care::of(&pod),
            gauge: (!pod.storage.is_empty()).then(|| Gauge::new(clock::now())),
            attached: Attached::default(),
            spent: Vec::new(),
            control: Control::open().map_err(system("take commands"))?,
            signals: sys::take_signals().map_err(system("take signals"))?,
            settings: Settings { oom_score: lower_oom_score(), pause: None },
            memory_ready: pod.memory_volumes.is_empty(),
            pod: Rc::new(pod),
            has_children: false,
            buffer: vec![0; limits::OUTPUT_READ_BYTES],
        };
        supervisor.take_over();
        Ok(supervisor)
    }

    /// Runs the pod to its end.
    pub(super) fn run(mut self) -> Result<(), ShimError> {
        // Whoever started the shim may have said beforehand that there is nothing to be started any more.
        self.obey();
        loop {
            let wake_at = self.decide();
            let written = self.journal.flush();
            self.spent.clear();
            if written.is_ok() {
                self.attached.tell_ends();
                if self.state.finished.is_some() {
                    self.attached.drain();
                    return Ok(());
                }
            }
            let timeout = self.timeout(wake_at, written.is_err());
            let ready = self
                .wait(timeout)
                .map_err(|error| ShimError::System { step: "wait", source: error.into() })?;
            for source in ready {
                self.handle(source);
            }
            self.expire_calls();
            self.measure();
            self.clear_leftovers();
        }
    }

    fn record(&mut self, event: Event) {
        let record = self.journal.push(clock::now(), event);
        self.state.apply(&record);
    }

    /// Ends what a predecessor left: without a shim, nobody reads what it writes or sees how it ends.
    fn take_over(&mut self) {
        processes::kill_left(&self.state);
        external::clear(&self.pod, self.dir);
        if self.state.finished.is_none() {
            let (pid, boot_id) = (getpid().as_raw_pid(), processes::boot_id());
            self.record(Event::Opened { version: env!("CARGO_PKG_VERSION").to_owned(), pid, boot_id });
        }
        let lost: Vec<_> =
            self.state.containers.iter().filter(|container| container.is_running()).cloned().collect();
        for container in lost {
            let Some(attempt) = container.current else { continue };
            let message = LOST.to_owned();
            let (kind, usage) = (ExitKind::Lost, Usage::default());
            let exit = Exit { code: 137, signal: None, kind, message, usage };
            self.record(Event::Exited { container: container.name, attempt: attempt.number, exit });
        }
    }

    /// Does what is to be done until there is nothing more; when time alone will bring something.
    fn decide(&mut self) -> Option<Timestamp> {
        loop {
            let before = self.journal.len();
            let decision = lifecycle::decide(&self.pod, &self.state, clock::now());
            for action in decision.actions {
                self.act(action);
            }
            self.probe();
            if self.journal.len() == before {
                let measure_at = self.gauge.as_ref().and_then(Gauge::next_at);
                return [decision.wake_at, self.next_care(), measure_at].into_iter().flatten().min();
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(position) => self.start(position),
            Action::Terminate { container, until, hook } => {
                self.record(Event::Killing { container: self.name(container), until, firm: false });
                self.terminate(container, hook);
            }
            Action::CallPreStop(container) => self.call_pre_stop(container),
            Action::Kill(container) => {
                if !self.give_up_pre_stop(container) {
                    self.signal(container, Signal::KILL);
                }
            }
            Action::Stop { cause, until, at_once } => {
                self.record(Event::Stopping { cause, until, at_once });
            }
            Action::Finish => {
                self.settings.pause.take().into_iter().for_each(Pause::stop);
                self.record(Event::Finished);
            }
        }
    }

    fn name(&self, position: usize) -> String {
        self.pod.containers[position].name.clone()
    }

    /// A container with an image is told as its image wants it, and only its first process is; what runs on the host is
    /// told as a whole.
    fn ask_to_end(&self, position: usize) {
        let container = &self.pod.containers[position];
        match &self.live[position] {
            Some(live) if container.root.is_some() && live.leftovers_until().is_none() => {
                let signal = container.stop_signal.unwrap_or(Signal::TERM.as_raw());
                processes::signal_by_number(live.process.pid, signal);
            }
            _ => self.signal(position, Signal::TERM),
        }
    }

    fn signal(&self, position: usize, signal: Signal) {
        if let Some(live) = &self.live[position] {
            // Once its process has ended, its process ID may be another's.
            if live.leftovers_until().is_none() {
                processes::signal_group(live.process.pid, signal);
            }
        }
    }

    fn start(&mut self, position: usize) {
        let attempt = self.state.containers[position].next_attempt();
        let container = self.name(position);
        // The next attempt's have the same names.
        self.spent.clear();
        let started = self.mount_memory().and_then(|()| self.share_processes()).and_then(|()| {
            Live::start(&self.pod, &self.pod.containers[position], attempt, self.dir, &self.settings)
        });
        match started {
            Ok(mut live) => {
                let (pid, ticks) = (live.process.pid, live.process.ticks);
                let unlimited = live.take_unlimited();
                self.live[position] = Some(live);
                self.has_children = true;
                self.record(Event::Started { container: container.clone(), attempt, pid, ticks });
                if let Some(message) = unlimited {
                    self.record(Event::Unlimited { container, attempt, message });
                }
                self.begin_care(position);
            }
            Err(Failure::Refused(Refused { volume, message })) => {
                let count =
                    self.state.containers[position].refusal.as_ref().map_or(0, |refusal| refusal.count);
                let delay = lifecycle::mount_delay(count + 1);
                let retry_at = clock::now().saturating_add(delay).unwrap_or(Timestamp::MAX);
                self.record(Event::Refused { container, volume, message, retry_at });
            }
            Err(Failure::NotStarted(message)) => {
                let (kind, usage) = (ExitKind::StartError, Usage::default());
                let exit = Exit { code: 128, signal: None, kind, message, usage };
                self.record(Event::Exited { container, attempt, exit });
            }
        }
    }

    /// Mounts the pod's volumes in memory, once and for all containers.
    fn mount_memory(&mut self) -> Result<(), Failure> {
        if !self.memory_ready {
            mounts::mount_memory(&self.pod.memory_volumes).map_err(Failure::Refused)?;
            self.memory_ready = true;
        }
        Ok(())
    }

    /// Makes the process namespace of the pod, if its containers share one and it is not there.
    fn share_processes(&mut self) -> Result<(), Failure> {
        if self.pod.sandbox.processes == Processes::Pod && self.settings.pause.is_none() {
            let pause = Pause::start().map_err(|error| {
                let message = format!("cannot make the pod's process namespace: {error}");
                Failure::Refused(Refused { volume: String::new(), message })
            })?;
            self.settings.pause = Some(pause);
            self.has_children = true;
        }
        Ok(())
    }

    fn timeout(&self, wake_at: Option<Timestamp>, retry: bool) -> Option<Duration> {
        let leftovers = self.live.iter().flatten().filter_map(Live::leftovers_until).min();
        let at = [wake_at, leftovers].into_iter().flatten().min();
        let wait = at.map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or(Duration::ZERO));
        let looks = leftovers.is_some() && self.settings.pause.is_some();
        let wait_max = if looks { limits::LEFTOVERS_LOOK } else { limits::WAIT_MAX };
        let wait = wait.map(|wait| wait.min(wait_max));
        if retry { Some(wait.map_or(JOURNAL_RETRY, |wait| wait.min(JOURNAL_RETRY))) } else { wait }
    }

    fn wait(&self, timeout: Option<Duration>) -> rustix::io::Result<Vec<Source>> {
        let (readable, writable) = (PollFlags::IN, PollFlags::OUT);
        let mut sources = vec![
            (Source::Signals, self.signals.as_fd(), readable),
            (Source::Commands, self.control.fd(), readable),
        ];
        for (container, live) in self.live.iter().enumerate() {
            let pipes = live.iter().flat_map(Live::pipes);
            sources.extend(
                pipes.map(|(output, fd)| (Source::Output { container, output }, fd.as_fd(), readable)),
            );
            let input = live.iter().filter_map(Live::waiting_input);
            sources.extend(input.map(|fd| (Source::Input { container }, fd.as_fd(), writable)));
        }
        sources.extend(self.care.outputs().map(|(pid, fd)| (Source::Call { pid }, fd.as_fd(), readable)));
        let takes_input = |container: usize| self.live[container].as_ref().is_none_or(Live::takes_input);
        let clients = self.attached.interests(takes_input);
        sources.extend(clients.map(|(id, fd, flags)| (Source::Client { id }, fd.as_fd(), flags)));
        let poll_fds = sources.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags));
        let mut poll_fds: Vec<_> = poll_fds.collect();
        let timeout = timeout.map(|wait| Timespec::try_from(wait).expect("waits are short"));
        match poll(&mut poll_fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let ready = sources.iter().zip(&poll_fds).filter(|(_, poll_fd)| !poll_fd.revents().is_empty());
        Ok(ready.map(|((source, ..), _)| *source).collect())
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Signals => self.take_signals(),
            Source::Commands => self.obey(),
            Source::Output { container, output } => {
                if let Some(live) = &mut self.live[container] {
                    let attached = &mut self.attached;
                    let hear = &mut |stream, bytes: &[u8]| attached.hear(container, stream, bytes);
                    live.copy_output(output, &mut self.buffer, hear);
                }
            }
            Source::Call { pid } => self.care.listen(pid, &mut self.buffer),
            Source::Input { container } => self.live[container].iter_mut().for_each(Live::flush_input),
            Source::Client { id } => self.attend(id),
        }
    }

    fn obey(&mut self) {
        for command in self.control.commands() {
            match command {
                Command::Stop { grace_seconds } => self.stop(grace_seconds),
                Command::Deadline(at) => self.state.deadline = Some(at),
                Command::Evict { message } => self.evict(message),
                Command::Respecify => self.respecify(),
                Command::Attach { container, socket, stdin } => self.attach(&container, &socket, stdin),
            }
        }
    }

    /// Takes over what containers are from now on.
    fn respecify(&mut self) {
        let mut pod = Pod::clone(&self.pod);
        for container in changes::find(self.dir) {
            if pod.containers.iter().any(|known| known.name == container.name && *known != container) {
                pod.respecify(&container);
                self.record(Event::Respecified(Box::new(container)));
            }
        }
        self.pod = Rc::new(pod);
    }

    /// Notes that the pod is to end, unless it is to end earlier anyway.
    fn stop(&mut self, grace_seconds: i64) {
        let until = lifecycle::grace_end(clock::now(), grace_seconds);
        if self.state.stop.is_none_or(|stop| until < stop.until) {
            let at_once = grace_seconds <= 0;
            self.record(Event::Stopping { cause: StopCause::Request, until, at_once });
        }
    }

    /// Has it measured what the pod keeps on the disk, if it is time and the pod is to go on.
    fn measure(&mut self) {
        let Some(gauge) = &mut self.gauge else { return };
        if self.state.stop.is_some() || self.state.finished.is_some() {
            gauge.stop();
        } else if gauge.begin(&self.pod.storage, clock::now()) {
            self.has_children = true;
        }
    }

    /// Takes in that a child has ended which is no container's; whether it measured the pod, which is evicted if it
    /// keeps too much.
    fn measured(&mut self, pid: i32) -> bool {
        let Some(gauge) = self.gauge.as_mut().filter(|gauge| gauge.process() == Some(pid)) else {
            return false;
        };
        let exceeded = gauge.finish(clock::now());
        let pod = self.pod.clone();
        if let Some(bound) = exceeded.and_then(|position| pod.storage.get(position)) {
            self.evict(bound.message.clone());
        }
        true
    }

    /// Ends the pod at once. One that is to end anyway is not evicted, but does not take its time any more.
    fn evict(&mut self, message: String) {
        if self.state.stop.is_some() {
            return self.stop(0);
        }
        let until = lifecycle::grace_end(clock::now(), 0);
        self.record(Event::Evicted { message, until });
    }

    fn take_signals(&mut self) {
        while let Some(signal) = sys::read_signal(self.signals.as_fd()) {
            if signal == libc::SIGTERM || signal == libc::SIGINT {
                self.stop(self.pod.grace_seconds);
            }
        }
        // One signal may stand for the end of several children. What calls have to say counts after that: those of a
        // container that has ended say nothing any more.
        let mut others = Vec::new();
        while let Ok(Children::Ended(pid)) = self.look_for_children() {
            others.extend(self.reap(pid).map(|ended| (pid, ended)));
        }
        for (pid, ended) in others {
            // Killed from outside, with all that was in its namespace. The next container gets another one.
            self.settings.pause.take_if(|pause| pause.pid == pid);
            if !self.measured(pid) {
                self.call_ended(pid, &ended);
            }
        }
    }

    fn look_for_children(&mut self) -> io::Result<Children> {
        let children = sys::peek_children()?;
        self.has_children = children != Children::None;
        Ok(children)
    }

    /// Takes the result of a child that has ended; hands it on if it was no container.
    fn reap(&mut self, pid: i32) -> Option<Ended> {
        let is_it = |live: &&mut Live| live.process.pid == pid && live.leftovers_until().is_none();
        let mut all = self.live.iter_mut().enumerate();
        let found = all.find_map(|(position, live)| Some((position, live.as_mut().filter(is_it)?)));
        let Some((position, live)) = found else { return sys::reap(pid).ok() };
        // As long as the process is not reaped, its process group can be no other.
        live::kill(live.process);
        if let Ok(ended) = sys::reap(pid) {
            live.end(ended, clock::now());
            self.care.end(position);
        }
        None
    }

    /// Ends what containers left behind whose process has ended, and writes those containers' end down.
    fn clear_leftovers(&mut self) {
        let now = clock::now();
        for position in 0..self.live.len() {
            let Some(until) = self.live[position].as_ref().and_then(Live::leftovers_until) else { continue };
            if self.has_children && now < until {
                let running = self.live.iter().flatten().filter(|live| live.leftovers_until().is_none());
                let keep = running.map(|live| live.process.pid).chain(self.care.processes());
                let keep: Vec<i32> = keep.chain(self.gauge.as_ref().and_then(Gauge::process)).collect();
                let pause = self.settings.pause.as_ref().map(|pause| pause.pid);
                let keep: Vec<i32> = keep.into_iter().chain(pause).collect();
                if processes::kill_strays(&keep, pause) {
                    continue;
                }
            }
            if let Some(live) = self.live[position].take() {
                self.finish(position, live);
            }
        }
    }

    fn finish(&mut self, position: usize, live: Live) {
        let pod = self.pod.clone();
        let (container, attempt) = (&pod.containers[position], live.attempt);
        if live.cgroup().is_some_and(Cgroup::was_crowded) {
            self.record(Event::Crowded { container: container.name.clone(), attempt });
        }
        let attached = &mut self.attached;
        let hear = &mut |stream, bytes: &[u8]| attached.hear(position, stream, bytes);
        let (exit, kept) = live.finish(&pod, container, &mut self.buffer, hear);
        self.attached.end(position);
        self.spent.push(kept);
        self.record(Event::Exited { container: container.name.clone(), attempt, exit });
    }
}

/// Makes the kernel choose this process last when memory runs out; the score that it had. Only root may.
fn lower_oom_score() -> Option<String> {
    const PATH: &str = "/proc/self/oom_score_adj";
    if !geteuid().is_root() {
        return None;
    }
    let score = fs::read_to_string(PATH).ok()?;
    // Some sandboxes deny it even to root; then the shim is chosen like any other process.
    fs::write(PATH, "-999").ok()?;
    Some(score.trim_end().to_owned())
}
