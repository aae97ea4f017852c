//! Which reconciler must look at which object, now or later: each pair at most once, urgent ones first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use cronlet_object::Key;
use jiff::Timestamp;

use crate::Controller;

/// One reconciler and the object it is to look at.
pub type Work = (Controller, Key);

/// The waiting work of the loop. Work that is being committed is held back until its outcome is known, so that one
/// pair never runs twice at once.
#[derive(Default)]
pub struct Queue {
    /// Ready work, by the controller's priority.
    ready: BTreeMap<Controller, VecDeque<Key>>,
    queued: HashSet<Work>,
    /// Work whose commit is under way, and whether it must run again afterwards.
    in_flight: HashMap<Work, bool>,
    /// Work for later, by time.
    timers: BTreeSet<(Timestamp, Work)>,
    /// The time each pair is set for.
    set_for: HashMap<Work, Timestamp>,
    /// When timers were fired last.
    fired: Timestamp,
}

impl Queue {
    /// Asks for a look as soon as possible.
    pub fn push(&mut self, work: Work) {
        if let Some(again) = self.in_flight.get_mut(&work) {
            *again = true;
        } else if self.queued.insert(work.clone()) {
            self.ready.entry(work.0).or_default().push_back(work.1);
        }
    }

    /// Sets the time of the next look, which replaces an earlier setting; `None` clears it.
    pub fn set_timer(&mut self, work: &Work, wake_at: Option<Timestamp>) {
        if let Some(old) = self.set_for.remove(work) {
            self.timers.remove(&(old, work.clone()));
        }
        if let Some(at) = wake_at {
            self.set_for.insert(work.clone(), at);
            self.timers.insert((at, work.clone()));
        }
    }

    /// Makes ready what was set for `now` or before. If the clock was set back, that is everything: some of the times
    /// were a delay from a time that has not come any more, and only a new look can tell which.
    pub fn fire(&mut self, now: Timestamp) {
        let is_back = now < std::mem::replace(&mut self.fired, now);
        while let Some((at, _)) = self.timers.first()
            && (is_back || *at <= now)
        {
            let Some((_, work)) = self.timers.pop_first() else { return };
            self.set_for.remove(&work);
            self.push(work);
        }
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes the most urgent ready work.
    pub fn pop(&mut self) -> Option<Work> {
        let mut first = self.ready.first_entry()?;
        let controller = *first.key();
        let key = first.get_mut().pop_front()?;
        if first.get().is_empty() {
            first.remove();
        }
        let work = (controller, key);
        self.queued.remove(&work);
        Some(work)
    }

    /// Holds this work back until [`Queue::finish`].
    pub fn start(&mut self, work: Work) {
        self.in_flight.insert(work, false);
    }

    /// Whether there is work to take.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many pieces of work are being committed.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Ends the hold. The work becomes ready again if it was asked for meanwhile, or if `again` says so.
    pub fn finish(&mut self, work: &Work, again: bool) {
        if let Some(asked) = self.in_flight.remove(work)
            && (asked || again)
        {
            self.push(work.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use cronlet_object::Kind;

    use super::*;

    fn work(controller: Controller, name: &str) -> Work {
        (controller, Key::new(Kind::Job, "default", name))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn urgent_controllers_go_first_and_nothing_is_queued_twice() {
        let mut queue = Queue::default();
        queue.push(work(Controller::Job, "a"));
        queue.push(work(Controller::CronJob, "b"));
        queue.push(work(Controller::Job, "a"));
        assert_eq!(queue.pop(), Some(work(Controller::CronJob, "b")));
        assert_eq!(queue.pop(), Some(work(Controller::Job, "a")));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn work_in_flight_waits_and_runs_again_once() {
        let mut queue = Queue::default();
        let a = work(Controller::Job, "a");
        queue.start(a.clone());
        queue.push(a.clone());
        queue.push(a.clone());
        assert_eq!(queue.pop(), None);
        queue.finish(&a, false);
        assert_eq!(queue.pop(), Some(a.clone()));
        assert_eq!(queue.pop(), None);
        queue.start(a.clone());
        queue.finish(&a, true);
        assert_eq!(queue.pop(), Some(a));
    }

    #[test]
    fn a_timer_can_be_moved_and_cleared() {
        let mut queue = Queue::default();
        let (a, b) = (work(Controller::Job, "a"), work(Controller::Job, "b"));
        queue.set_timer(&a, Some(at(10)));
        queue.set_timer(&b, Some(at(20)));
        queue.set_timer(&a, Some(at(30)));
        assert_eq!(queue.next_timer(), Some(at(20)));
        queue.fire(at(20));
        assert_eq!(queue.pop(), Some(b));
        queue.set_timer(&a, None);
        queue.fire(at(100));
        assert_eq!((queue.pop(), queue.next_timer()), (None, None));
    }

    #[test]
    fn a_clock_that_is_set_back_has_everything_looked_at() {
        let mut queue = Queue::default();
        let a = work(Controller::Job, "a");
        queue.fire(at(100));
        queue.set_timer(&a, Some(at(110)));
        queue.fire(at(101));
        assert_eq!(queue.pop(), None);
        queue.fire(at(50));
        assert_eq!((queue.pop(), queue.next_timer()), (Some(a), None));
    }
}
