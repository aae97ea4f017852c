//! The thread that commits: the only one that changes the state, and the only one that uses the disk.

use std::{sync::Arc, thread};

use crate::{
    Batch, Committed, Disk, DiskError, Refusal,
    queue::{Done, Submission},
    store::Shared,
};

/// See the module.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Box<dyn Disk>,
    /// Set by an error after which the content of the disk is unknown. The thread then only refuses, but lives on: it
    /// owns the disk and thereby the lock on the data directory.
    pub(crate) stopped: bool,
}

impl Writer {
    /// Commits until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(work) = self.shared.queue.take() {
            if !work.submissions.is_empty() {
                self.commit(work.submissions);
            }
            for query in work.queries {
                query(self.disk.as_mut());
            }
            if !self.stopped && self.shared.queue.rests() {
                self.disk.rest();
            }
        }
    }

    fn commit(&mut self, submissions: Vec<Submission>) {
        if self.stopped {
            submissions.into_iter().for_each(|submission| (submission.done)(Err(Refusal::Stopped)));
            return;
        }
        let mut batch = self.shared.state().batch();
        let outcomes: Vec<_> = submissions
            .into_iter()
            .map(|Submission { transaction, done, .. }| (done, batch.apply(transaction)))
            .collect();
        let written = if batch.is_empty() { Ok(()) } else { self.disk.write(&batch) };
        match written {
            Ok(()) => self.complete(&batch, outcomes),
            // Refusals too may rest on writes that now never happen, so all get the same answer.
            Err(error) => {
                let refusal = self.fail(error);
                outcomes.into_iter().for_each(|(done, _)| done(Err(refusal.clone())));
            }
        }
    }

    fn complete(&self, batch: &Batch, outcomes: Vec<(Done, Result<Committed, Refusal>)>) {
        if !batch.is_empty() {
            if self.shared.take_failure().is_some() {
                tracing::info!("the disk takes writes again");
            }
            self.shared.publish(batch);
        }
        outcomes.into_iter().for_each(|(done, outcome)| done(outcome));
    }

    fn fail(&mut self, error: DiskError) -> Refusal {
        let harmless = error.is_harmless();
        if harmless {
            tracing::warn!("nothing was written: {error}");
        } else {
            tracing::error!("the store stops, its last write may or may not be kept: {error}");
        }
        self.stopped = !harmless;
        self.shared.set_failure(error.clone());
        if harmless { Refusal::Disk(error) } else { Refusal::Stopped }
    }
}

impl Drop for Writer {
    /// Whoever waits gets an answer, even if a subscriber or the disk panicked.
    fn drop(&mut self) {
        self.shared.queue.close();
        if thread::panicking() {
            tracing::error!("the store stops: its writer thread panicked");
        }
        while let Some(work) = self.shared.queue.take() {
            work.submissions.into_iter().for_each(|submission| (submission.done)(Err(Refusal::Stopped)));
        }
    }
}
