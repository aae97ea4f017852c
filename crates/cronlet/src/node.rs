//! The one loop that moves everything: commits wake the controllers, their plans are committed, pods are handed to
//! the runtime, and its reports are committed like any other write.

mod pods;

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use cronlet_controller::{Queue, Settings, View, Work};
use cronlet_object::{Change, Clock, Ids, Kind};
use cronlet_runtime::{Report, Runtime};
use cronlet_store::{Committed, Refusal, Store};
use jiff::{SignedDuration, Timestamp};
use tracing::{debug, warn};

use self::pods::Pods;
use crate::{
    clock::Alarm,
    limits::{LOOP_COMMITS_IN_FLIGHT_MAX, REFUSED_RETRY_SECONDS},
};

/// What the loop is told. Everything that happens reaches it through one channel.
enum Input {
    /// Writes were committed, by whomever.
    Committed(Vec<Change>),
    /// The commit of a plan that was made at this revision was answered.
    Planned(Work, u64, Result<Committed, Refusal>),
    /// The runtime saw a pod change.
    Report(Box<Report>),
    /// The commit of a pod's report was answered.
    Reported(Arc<str>, Result<Committed, Refusal>),
    /// The set time has come, or the clock was stepped.
    Alarm,
    /// The node ends; pods are left as they are.
    Stop,
}

/// Where inputs are sent to the loop. The channel needs no bound of its own, and must have none, since the loop itself
/// may send: what can wait in it is bounded by the store's queue, by the commits in flight and by the number of pods.
#[derive(Clone)]
pub struct Inbox(Sender<Input>);

impl Inbox {
    /// The channel to a loop that is yet to be started.
    pub fn new() -> (Inbox, Outbox) {
        let (send, receive) = channel();
        (Inbox(send), Outbox(receive))
    }

    /// Tells the loop what the runtime saw.
    pub fn report(&self, report: Report) {
        self.send(Input::Report(Box::new(report)));
    }

    /// Asks the loop to end.
    pub fn stop(&self) {
        self.send(Input::Stop);
    }

    fn send(&self, input: Input) {
        // Only fails when the loop has ended, after which nothing needs to be told.
        drop(self.0.send(input));
    }
}

/// The loop's end of its channel.
pub struct Outbox(Receiver<Input>);

/// What a node is made of.
pub struct Parts {
    /// The store that is the truth.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the controllers must know.
    pub settings: Settings,
    /// Runs the pods; absent with `--runtime none`.
    pub runtime: Option<Arc<Runtime>>,
    /// Seeded from the operating system.
    pub ids: Ids,
    /// Called once if the loop cannot go on, with the reason.
    pub failed: Box<dyn FnOnce(String) + Send>,
}

/// Starts the loop on a thread of its own.
///
/// # Errors
/// If the kernel grants no thread or timer.
pub fn start(mut parts: Parts, inbox: Inbox, outbox: Outbox) -> io::Result<JoinHandle<()>> {
    let alarm = {
        let inbox = inbox.clone();
        Alarm::new(move || inbox.send(Input::Alarm))?
    };
    {
        let inbox = inbox.clone();
        parts.store.on_commit(Box::new(move |_, changes| inbox.send(Input::Committed(changes.to_vec()))));
    }
    let node_name = parts.settings.node_name.clone().unwrap_or_default();
    let ids = parts.ids.fork();
    let pods = Pods::new(parts.store.clone(), parts.runtime.clone(), inbox.clone(), node_name, ids);
    let mut node = Node { parts, inbox, alarm, queue: Queue::default(), pods };
    thread::Builder::new().name("node".into()).spawn(move || node.run(&outbox.0))
}

struct Node {
    parts: Parts,
    inbox: Inbox,
    alarm: Alarm,
    queue: Queue,
    pods: Pods,
}

impl Node {
    fn run(&mut self, inputs: &Receiver<Input>) {
        self.look_at_everything();
        loop {
            while let Ok(input) = inputs.try_recv() {
                if !self.take(input) {
                    return;
                }
            }
            let now = self.parts.clock.now();
            self.queue.fire(now);
            self.pods.fire(now);
            if self.queue.in_flight() < LOOP_COMMITS_IN_FLIGHT_MAX
                && let Some(work) = self.queue.pop()
            {
                self.reconcile(work, now);
                continue;
            }
            self.alarm.set(self.queue.next_timer().into_iter().chain(self.pods.next_timer()).min(), now);
            let Ok(input) = inputs.recv() else { return };
            if !self.take(input) {
                return;
            }
        }
    }

    /// At start, nobody knows what happened while the node was down: every object is looked at once.
    fn look_at_everything(&mut self) {
        let snapshot = self.parts.store.snapshot();
        for work in cronlet_controller::all(&snapshot) {
            self.queue.push(work);
        }
        for pod in snapshot.list(Kind::Pod) {
            self.pods.sync(pod, &snapshot);
        }
    }

    /// Takes one input in. Says whether the loop goes on.
    fn take(&mut self, input: Input) -> bool {
        match input {
            Input::Committed(changes) => self.committed(&changes),
            Input::Planned(_, _, Err(refusal @ Refusal::Stopped)) => return self.give_up(&refusal),
            Input::Planned(work, seen, result) => self.planned(&work, seen, result),
            Input::Report(report) => self.pods.report(*report, self.parts.clock.now()),
            Input::Reported(uid, result) => self.pods.reported(&uid, result, self.parts.clock.now()),
            Input::Alarm => {}
            Input::Stop => return false,
        }
        true
    }

    /// The store takes no writes any more: nothing that is decided could be kept.
    fn give_up(&mut self, refusal: &Refusal) -> bool {
        let reason =
            self.parts.store.failure().map_or_else(|| refusal.to_string(), |failure| failure.to_string());
        std::mem::replace(&mut self.parts.failed, Box::new(drop))(reason);
        false
    }

    fn committed(&mut self, changes: &[Change]) {
        let snapshot = self.parts.store.snapshot();
        for change in changes {
            for work in cronlet_controller::affected(change, &snapshot) {
                self.queue.push(work);
            }
            self.pods.committed(change, &snapshot);
        }
    }

    fn reconcile(&mut self, work: Work, now: Timestamp) {
        let snapshot = self.parts.store.snapshot();
        let view = View { snapshot: &snapshot, now, settings: &self.parts.settings };
        let plan = work.0.reconcile(&view, &work.1, &mut self.parts.ids);
        self.queue.set_timer(&work, plan.wake_at);
        if plan.transaction.is_empty() {
            return;
        }
        self.queue.start(work.clone());
        let (inbox, seen) = (self.inbox.clone(), snapshot.revision());
        self.parts
            .store
            .submit(plan.transaction, move |result| inbox.send(Input::Planned(work, seen, result)));
    }

    fn planned(&mut self, work: &Work, seen: u64, result: Result<Committed, Refusal>) {
        let Err(refusal) = result else { return self.queue.finish(work, false) };
        // Mostly the state moved on, and a new decision on it will do. If it did not, the disk or the queue is full
        // (or the decision was wrong), and trying again at once would only spin.
        let moved_on = self.parts.store.snapshot().revision() > seen;
        let again = moved_on && !matches!(refusal, Refusal::Disk { .. } | Refusal::Overloaded);
        self.queue.finish(work, again);
        if again {
            debug!(controller = ?work.0, key = %work.1, %refusal, "deciding again");
        } else {
            warn!(controller = ?work.0, key = %work.1, %refusal, "not committed; trying again later");
            let later = SignedDuration::from_secs(REFUSED_RETRY_SECONDS);
            self.queue.set_timer(work, self.parts.clock.now().checked_add(later).ok());
        }
    }
}
