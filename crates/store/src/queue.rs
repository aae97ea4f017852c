//! What waits for the writer thread: bounded, and handed over in batches.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard},
    time::Duration,
};

use cronlet_object::{Transaction, Write, ledger};

use crate::{
    Committed, Disk, Refusal,
    limits::{
        BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, QUEUE_BYTES_MAX, QUEUE_QUERIES_MAX, QUEUE_TRANSACTIONS_MAX,
        REST_MS,
    },
};

/// What an entry of the queue costs beyond its texts, in bytes. An estimate.
const ENTRY_BYTES: usize = 256;

/// Tells the submitter how its transaction ended.
pub(crate) type Done = Box<dyn FnOnce(Result<Committed, Refusal>) + Send>;
/// Reads from the disk and tells whoever asked.
pub(crate) type Query = Box<dyn FnOnce(&mut dyn Disk) + Send>;

/// A transaction that waits.
pub(crate) struct Submission {
    pub(crate) transaction: Transaction,
    pub(crate) done: Done,
    bytes: usize,
}

impl Submission {
    pub(crate) fn new(transaction: Transaction, done: Done) -> Self {
        Submission { bytes: bytes(&transaction), transaction, done }
    }
}

/// What the writer does next.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) submissions: Vec<Submission>,
    pub(crate) queries: VecDeque<Query>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    submissions: VecDeque<Submission>,
    /// Sum over `submissions`.
    bytes: usize,
    queries: VecDeque<Query>,
    closed: bool,
}

impl Queue {
    /// Adds a transaction, or answers at once that it is not accepted.
    pub(crate) fn submit(&self, submission: Submission) {
        let mut waiting = self.lock();
        let bytes = waiting.bytes + submission.bytes;
        let full = waiting.submissions.len() >= QUEUE_TRANSACTIONS_MAX || bytes > QUEUE_BYTES_MAX;
        let refusal = if waiting.closed {
            Refusal::Stopped
        } else if full && !waiting.submissions.is_empty() {
            Refusal::Overloaded
        } else {
            waiting.bytes = bytes;
            waiting.submissions.push_back(submission);
            self.arrived.notify_one();
            return;
        };
        drop(waiting);
        (submission.done)(Err(refusal));
    }

    /// Adds a query.
    pub(crate) fn query(&self, query: Query) -> Result<(), Refusal> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Refusal::Stopped);
        }
        if waiting.queries.len() >= QUEUE_QUERIES_MAX {
            return Err(Refusal::Overloaded);
        }
        waiting.queries.push_back(query);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until nothing has arrived for a while. Says whether it came to that.
    pub(crate) fn rests(&self) -> bool {
        let idle = |w: &mut Waiting| w.submissions.is_empty() && w.queries.is_empty() && !w.closed;
        let waited = self.arrived.wait_timeout_while(self.lock(), Duration::from_millis(REST_MS), idle);
        waited.expect("nothing panics while it holds the queue").1.timed_out()
    }

    /// Waits for work: all queries, and transactions up to the limits of a batch. `None` when the queue is closed and
    /// everything that was accepted has been taken.
    pub(crate) fn take(&self) -> Option<Work> {
        let waiting = self.lock();
        let mut waiting = self
            .arrived
            .wait_while(waiting, |w| w.submissions.is_empty() && w.queries.is_empty() && !w.closed)
            .expect("nothing panics while it holds the queue");
        if waiting.submissions.is_empty() && waiting.queries.is_empty() {
            return None;
        }
        let mut work = Work { queries: mem::take(&mut waiting.queries), ..Work::default() };
        let mut bytes = 0;
        while let Some(next) = waiting.submissions.front() {
            let room =
                work.submissions.len() < BATCH_TRANSACTIONS_MAX && bytes + next.bytes <= BATCH_BYTES_MAX;
            if !room && !work.submissions.is_empty() {
                break;
            }
            bytes += next.bytes;
            work.submissions.extend(waiting.submissions.pop_front());
        }
        waiting.bytes -= bytes;
        Some(work)
    }

    /// Accepts nothing more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds the queue")
    }
}

fn bytes(transaction: &Transaction) -> usize {
    let writes = transaction.writes.iter().map(|write| match write {
        Write::Create(draft) | Write::Update { draft, .. } => ENTRY_BYTES + draft.bytes(),
        Write::Delete { .. } => ENTRY_BYTES,
    });
    let ledger = transaction.ledger.iter().map(|entry| match entry {
        ledger::Entry::Decision(decision) => ENTRY_BYTES + decision.message.len(),
        ledger::Entry::Run(run) => ENTRY_BYTES * (1 + run.containers.len()),
    });
    writes.sum::<usize>() + ledger.sum::<usize>() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use cronlet_object::{Draft, api::ConfigMap};

    use super::*;

    /// Submits a transaction of about `payload` bytes; tells why it was not accepted.
    fn submit(queue: &Queue, payload: usize) -> Option<Refusal> {
        let data = Some([("payload".to_owned(), "x".repeat(payload))].into());
        let writes = vec![Write::Create(Draft::of(&ConfigMap { data, ..ConfigMap::default() }))];
        let (answer, answered) = mpsc::channel();
        let done = Box::new(move |outcome: Result<_, _>| answer.send(outcome.err()).unwrap());
        queue.submit(Submission::new(Transaction { writes, ..Transaction::default() }, done));
        answered.try_recv().ok().flatten()
    }

    #[test]
    fn the_number_of_waiting_transactions_is_bounded() {
        let queue = Queue::default();
        for _ in 0..QUEUE_TRANSACTIONS_MAX {
            assert_eq!(submit(&queue, 0), None);
        }
        assert_eq!(submit(&queue, 0), Some(Refusal::Overloaded));
        assert_eq!(queue.take().unwrap().submissions.len(), BATCH_TRANSACTIONS_MAX);
        assert_eq!(submit(&queue, 0), None);
    }

    #[test]
    fn the_bytes_of_waiting_transactions_are_bounded_but_for_a_single_one() {
        let queue = Queue::default();
        assert_eq!(submit(&queue, QUEUE_BYTES_MAX), None);
        assert_eq!(submit(&queue, 0), Some(Refusal::Overloaded));
        assert_eq!(queue.take().unwrap().submissions.len(), 1);
        assert_eq!(queue.lock().bytes, 0);
        assert_eq!(submit(&queue, 0), None);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes() {
        let queue = Queue::default();
        for _ in 0..3 {
            assert_eq!(submit(&queue, BATCH_BYTES_MAX / 2), None);
        }
        let sizes: Vec<_> = (0..3).map(|_| queue.take().unwrap().submissions.len()).collect();
        assert_eq!(sizes, [1, 1, 1]);
    }

    #[test]
    fn the_number_of_waiting_queries_is_bounded() {
        let queue = Queue::default();
        for _ in 0..QUEUE_QUERIES_MAX {
            assert_eq!(queue.query(Box::new(|_| ())), Ok(()));
        }
        assert_eq!(queue.query(Box::new(|_| ())), Err(Refusal::Overloaded));
        assert_eq!(queue.take().unwrap().queries.len(), QUEUE_QUERIES_MAX);
        assert_eq!(queue.query(Box::new(|_| ())), Ok(()));
    }

    #[test]
    fn what_was_accepted_before_closing_is_still_handed_over() {
        let queue = Queue::default();
        assert_eq!(submit(&queue, 0), None);
        queue.close();
        assert_eq!(submit(&queue, 0), Some(Refusal::Stopped));
        assert_eq!(queue.query(Box::new(|_| ())), Err(Refusal::Stopped));
        assert_eq!(queue.take().unwrap().submissions.len(), 1);
        assert!(queue.take().is_none());
    }
}
