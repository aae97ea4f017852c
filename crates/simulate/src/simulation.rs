//! A server in miniature: what the node's loop, the store's writer and the kubelet do, one small step at a time.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use cronlet_controller::{Controller, Plan, Queue, Settings, View, Work, affected, all, claim::class};
use cronlet_object::{
    ApiError, Change, Clock as _, Draft, Ids, Key, Kind, Snapshot, Transaction, Write, api, ledger,
};
use cronlet_store::{Disk as _, Refusal, State};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Call, Node, SimulatedClock, SimulatedDisk,
    limits::{CLIENT_TRIES_MAX, COMMITS_IN_FLIGHT_MAX, REFUSED_RETRY_SECONDS},
    node::Behave,
};

/// How a controller is asked: [`Controller::reconcile`], or a broken variant of it that the checks must catch.
pub type Decide = fn(Controller, &View<'_>, &Key, &mut Ids) -> Plan;

/// Name of the node.
const NODE: &str = "simulated";

/// Of the source of identifiers for the storage classes alone.
const CLASS_SEED: u64 = u64::MAX;

/// One step of a simulation.
#[derive(Debug)]
pub enum Step {
    /// A controller looked at something; what it wants is on its way to the disk.
    Looked(Work),
    /// A group of transactions has become durable, and some may have been refused.
    Committed(Commit),
    /// Something happened on the node or with the server.
    Happened,
    /// Nothing is left to do at this time; the next step lets time pass.
    AtRest,
    /// Time has passed up to the limit.
    Reached,
}

/// Transactions that became durable together.
#[derive(Debug)]
pub struct Commit {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// The objects before.
    pub before: Snapshot,
    /// Each transaction that was not refused.
    pub committed: Vec<Committed>,
}

/// One transaction that became durable.
#[derive(Debug)]
pub struct Committed {
    /// Whose it is.
    pub origin: Origin,
    /// The objects when it was decided. Others may have been committed since.
    pub seen: Snapshot,
    /// What it did.
    pub changes: Arc<[Change]>,
    /// What it added to the ledger.
    pub ledger: Vec<ledger::Entry>,
}

/// Who submitted a transaction.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A plan of a controller.
    Controller(Work),
    /// A report of the node, on the pod with this UID.
    Node(Arc<str>),
    /// A request.
    Client(Call),
}

/// What becomes of a batch that is being written when the server dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not synced.
    Lost,
    /// It was synced, but nobody was told.
    Kept,
}

struct Submission {
    origin: Origin,
    seen: Snapshot,
    transaction: Transaction,
    tries: u32,
}

/// A server, its disk, its node and its clock.
pub struct Simulation {
    clock: SimulatedClock,
    settings: Settings,
    decide: Decide,
    state: State,
    disk: SimulatedDisk,
    ids: Ids,
    queue: Queue,
    node: Node,
    waiting: VecDeque<Submission>,
    /// The batch that is being written, and when it will be.
    writing: Option<(SignedDuration, Vec<Submission>)>,
    /// When what the disk refused is tried again.
    retry_at: SignedDuration,
    /// When the server comes back, while it is down.
    back_at: Option<SignedDuration>,
    /// Longest time that a write to the disk takes.
    latency_max: SignedDuration,
    /// Chooses what happens first among what can happen, and how long the disk takes; absent where the order is fixed.
    chance: Option<fastrand::Rng>,
    rest_told: bool,
}

impl Simulation {
    /// A server that was just set up: the namespace `default` and a node.
    pub fn new(start: Timestamp, settings: Settings, seed: u64, behave: Behave) -> Self {
        let settings = Settings { node_name: Some(NODE.to_owned()), ..settings };
        let mut simulation = Simulation {
            clock: SimulatedClock::new(start),
            settings,
            decide: Controller::reconcile,
            state: State::new(cronlet_store::Loaded::default()),
            disk: SimulatedDisk::default(),
            ids: Ids::seeded(seed),
            queue: Queue::default(),
            node: Node::new(behave),
            waiting: VecDeque::new(),
            writing: None,
            retry_at: SignedDuration::MIN,
            back_at: None,
            latency_max: SignedDuration::ZERO,
            chance: None,
            rest_told: false,
        };
        simulation.set_up();
        simulation
    }

    fn set_up(&mut self) {
        let mut namespace = api::Namespace::default();
        namespace.metadata.name = Some("default".into());
        namespace.metadata.uid = Some(self.ids.uid());
        namespace.spec.get_or_insert_default().finalizers = Some(vec!["kubernetes".into()]);
        let mut node = api::Node::default();
        node.metadata.name = Some(NODE.into());
        node.metadata.uid = Some(self.ids.uid());
        let mut writes = vec![Write::Create(Draft::of(&namespace)), Write::Create(Draft::of(&node))];
        // From a source of its own, so that what is drawn for all else does not depend on it.
        let classes = class::first(&Snapshot::default(), self.clock.now(), &mut Ids::seeded(CLASS_SEED));
        writes.extend(classes.expect("the node's storage class is valid"));
        let mut batch = self.state.batch();
        let set_up = batch.apply(Transaction { writes, ..Transaction::default() });
        set_up.expect("an empty store takes a namespace and a node");
        self.disk.write(&batch).expect("an empty disk has room");
        self.state.publish(&batch);
        self.look_at_everything();
    }

    /// Asks the controllers through `decide`.
    pub fn set_decide(&mut self, decide: Decide) {
        self.decide = decide;
    }

    /// Lets chance order what can happen at the same time, and the disk take up to `latency_max` for a write.
    pub fn set_chance(&mut self, seed: u64, latency_max: SignedDuration) {
        self.chance = Some(fastrand::Rng::with_seed(seed));
        self.latency_max = latency_max;
    }

    /// Lets the disk take up to this long from now on.
    pub fn set_latency(&mut self, latency_max: SignedDuration) {
        self.latency_max = latency_max;
    }

    /// The wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long the simulation has gone on.
    pub fn elapsed(&self) -> SignedDuration {
        self.clock.elapsed()
    }

    /// Everything that the server shows.
    pub fn snapshot(&self) -> &Snapshot {
        self.state.snapshot()
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node, to be given other behaviours.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// What the ledger says.
    pub fn ledger(&self) -> &[ledger::Entry] {
        &self.disk.entries
    }

    /// The disk.
    pub fn disk_mut(&mut self) -> &mut SimulatedDisk {
        &mut self.disk
    }

    /// What the controllers know of the node.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the server runs.
    pub fn is_up(&self) -> bool {
        self.back_at.is_none()
    }

    /// Sends a request, which is decided now and on its way to the disk then.
    ///
    /// # Errors
    /// As the API answers them. A server that is down answers nothing, and forgets.
    pub fn call(&mut self, call: Call) -> Result<(), ApiError> {
        if !self.is_up() {
            return Ok(());
        }
        let transaction = call.transaction(self.state.snapshot(), self.clock.now(), &mut self.ids)?;
        if !transaction.is_empty() {
            self.submit(Origin::Client(call), transaction);
        }
        Ok(())
    }

    /// Sets the wall clock forward, or back by a negative amount.
    pub fn step_clock(&mut self, by: SignedDuration) {
        self.clock.step(by);
        self.rest_told = false;
    }

    /// The machine restarts: the server is down for a time, and no container survives.
    pub fn restart_machine(&mut self, down: SignedDuration, fate: Fate) -> Option<Commit> {
        let kept = self.crash(down, fate);
        self.node.restart(&self.clock, self.back_at.unwrap_or(self.clock.elapsed()));
        kept
    }

    /// The server dies at once, and is back after a time. Returns what became durable nevertheless.
    pub fn crash(&mut self, down: SignedDuration, fate: Fate) -> Option<Commit> {
        let back_at = self.clock.elapsed().saturating_add(down);
        self.back_at = Some(self.back_at.map_or(back_at, |at| at.max(back_at)));
        self.rest_told = false;
        self.waiting.clear();
        self.node.lose_reports();
        self.queue = Queue::default();
        let (_, submissions) = self.writing.take()?;
        if fate == Fate::Lost || self.disk.full {
            return None;
        }
        let before = self.state.snapshot().clone();
        let mut batch = self.state.batch();
        let mut committed = Vec::new();
        for Submission { origin, seen, transaction, .. } in submissions {
            let ledger = transaction.ledger.clone();
            if let Ok(done) = batch.apply(transaction) {
                committed.push(Committed { origin, seen, changes: done.changes, ledger });
            }
        }
        self.disk.write(&batch).expect("the disk has room");
        Some(Commit { at: self.clock.now(), before, committed })
    }

    fn come_back(&mut self) {
        self.back_at = None;
        let loaded = self.disk.load().expect("a simulated disk can be read");
        self.state = State::new(loaded);
        self.look_at_everything();
        self.node.resync(self.state.snapshot(), &self.clock);
    }

    fn look_at_everything(&mut self) {
        for work in all(self.state.snapshot()) {
            self.queue.push(work);
        }
    }

    fn submit(&mut self, origin: Origin, transaction: Transaction) {
        self.submit_again(origin, transaction, 1);
    }

    fn submit_again(&mut self, origin: Origin, transaction: Transaction, tries: u32) {
        self.rest_told = false;
        let seen = self.state.snapshot().clone();
        self.waiting.push_back(Submission { origin, seen, transaction, tries });
    }

    /// Does one thing that can be done now; if there is none, says so, and lets time pass with the next call, up to
    /// `limit`.
    pub fn step(&mut self, limit: SignedDuration) -> Step {
        loop {
            let node_due = self.node.run(&self.clock);
            let moves = self.moves();
            if let Some(first) = self.choose(&moves) {
                self.rest_told = false;
                if let Some(step) = self.perform(first) {
                    return step;
                }
                continue;
            }
            if self.is_idle() && !self.rest_told {
                self.rest_told = true;
                return Step::AtRest;
            }
            match self.next_due(node_due).filter(|due| *due <= limit) {
                None => {
                    self.clock.advance_to(limit);
                    return Step::Reached;
                }
                Some(due) => self.clock.advance_to(due),
            }
        }
    }

    /// Whether the server runs, nothing is on its way, and nothing waits for the disk to have room.
    fn is_idle(&self) -> bool {
        let waits_for_room = self.disk.full || self.retry_at >= self.clock.elapsed();
        self.is_up()
            && !waits_for_room
            && self.waiting.is_empty()
            && self.writing.is_none()
            && !self.node.has_news()
    }

    /// What can be done now, in the order in which it is done unless chance has a say.
    fn moves(&mut self) -> BTreeSet<Move> {
        let mut moves = BTreeSet::new();
        let elapsed = self.clock.elapsed();
        if let Some(back_at) = self.back_at {
            if back_at <= elapsed {
                moves.insert(Move::ComeBack);
            }
            return moves;
        }
        self.queue.fire(self.clock.now());
        if self.queue.is_ready() && self.queue.in_flight() < COMMITS_IN_FLIGHT_MAX {
            moves.insert(Move::Look);
        }
        if self.retry_at <= elapsed && self.node.has_news() {
            moves.insert(Move::Report);
        }
        match &self.writing {
            Some((due, _)) if *due <= elapsed => drop(moves.insert(Move::Written)),
            None if !self.waiting.is_empty() => drop(moves.insert(Move::Write)),
            _ => {}
        }
        moves
    }

    fn choose(&mut self, moves: &BTreeSet<Move>) -> Option<Move> {
        match &mut self.chance {
            Some(chance) if moves.len() > 1 => moves.iter().nth(chance.usize(..moves.len())).copied(),
            _ => moves.first().copied(),
        }
    }

    fn perform(&mut self, chosen: Move) -> Option<Step> {
        match chosen {
            Move::ComeBack => {
                self.come_back();
                Some(Step::Happened)
            }
            Move::Look => self.queue.pop().map(|work| {
                self.reconcile(work.clone());
                Step::Looked(work)
            }),
            Move::Report => {
                let (uid, transaction) = self.node.report(self.state.snapshot())?;
                self.submit(Origin::Node(uid), transaction);
                Some(Step::Happened)
            }
            Move::Write => {
                let longest = self.latency_max.as_millis();
                let takes = match &mut self.chance {
                    Some(chance) if longest > 0 => chance.i64(0..=i64::try_from(longest).unwrap_or(i64::MAX)),
                    _ => 0,
                };
                let due = self.clock.elapsed().saturating_add(SignedDuration::from_millis(takes));
                self.writing = Some((due, self.waiting.drain(..).collect()));
                None
            }
            Move::Written => self.written(),
        }
    }

    /// When something will be due, if nothing happens before.
    fn next_due(&self, node_due: Option<SignedDuration>) -> Option<SignedDuration> {
        let server = match self.back_at {
            Some(back_at) => Some(back_at),
            None => {
                let timer = self.queue.next_timer().map(|at| self.clock.elapsed_at(at));
                let retry = Some(self.retry_at).filter(|at| *at > self.clock.elapsed());
                let written = self.writing.as_ref().map(|(due, _)| *due);
                timer.into_iter().chain(written).chain(retry).min()
            }
        };
        server.into_iter().chain(node_due).min()
    }

    fn reconcile(&mut self, work: Work) {
        let snapshot = self.state.snapshot();
        let view = View { snapshot, now: self.clock.now(), settings: &self.settings };
        let plan = (self.decide)(work.0, &view, &work.1, &mut self.ids);
        self.queue.set_timer(&work, plan.wake_at);
        if plan.transaction.is_empty() {
            return;
        }
        self.queue.start(work.clone());
        self.submit(Origin::Controller(work), plan.transaction);
    }

    /// The batch is on the disk, or refused by it.
    fn written(&mut self) -> Option<Step> {
        let (_, submissions) = self.writing.take()?;
        let before = self.state.snapshot().clone();
        let mut batch = self.state.batch();
        let mut committed = Vec::new();
        let mut answers = Vec::new();
        for Submission { origin, seen, transaction, tries } in submissions {
            let ledger = transaction.ledger.clone();
            let answer = batch.apply(transaction).map(|done| {
                committed.push(Committed { origin: origin.clone(), seen, changes: done.changes, ledger });
            });
            answers.push((origin, tries, answer));
        }
        if let Err(error) = self.disk.write(&batch) {
            committed.clear();
            for (.., answer) in &mut answers {
                *answer = Err(Refusal::Disk(error.clone()));
            }
        } else {
            self.state.publish(&batch);
            for change in batch.changes() {
                self.follow(change);
            }
        }
        for (origin, tries, answer) in answers {
            self.answer(origin, tries, answer.err().as_ref());
        }
        Some(Step::Committed(Commit { at: self.clock.now(), before, committed }))
    }

    fn follow(&mut self, change: &Change) {
        for work in affected(change, self.state.snapshot()) {
            self.queue.push(work);
        }
        if change.object().kind() == Kind::Pod {
            match &change.new {
                Some(pod) => self.node.sync(pod, &self.clock),
                None => self.node.forget(&change.object().meta().uid),
            }
        }
    }

    fn answer(&mut self, origin: Origin, tries: u32, refusal: Option<&Refusal>) {
        let is_disk = matches!(refusal, Some(Refusal::Disk(_)));
        if is_disk {
            let pause = SignedDuration::from_secs(REFUSED_RETRY_SECONDS);
            self.retry_at = self.clock.elapsed().saturating_add(pause);
        }
        match origin {
            Origin::Controller(work) => {
                self.queue.finish(&work, refusal.is_some() && !is_disk);
                if is_disk {
                    let later = SignedDuration::from_secs(REFUSED_RETRY_SECONDS);
                    self.queue.set_timer(&work, self.clock.now().checked_add(later).ok());
                }
            }
            Origin::Node(uid) => match refusal {
                None => self.node.told(&uid, self.state.snapshot()),
                Some(_) => self.node.refused(&uid),
            },
            Origin::Client(call) if refusal.is_some() && !is_disk && tries < CLIENT_TRIES_MAX => {
                let decided = call.transaction(self.state.snapshot(), self.clock.now(), &mut self.ids);
                if let Ok(transaction) = decided
                    && !transaction.is_empty()
                {
                    self.submit_again(Origin::Client(call), transaction, tries + 1);
                }
            }
            Origin::Client(_) => {}
        }
    }
}

/// Something that can be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    ComeBack,
    Look,
    Report,
    Write,
    Written,
}
