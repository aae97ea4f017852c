//! The store as the rest of the program holds it: state, queue and writer thread joined.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, RwLock, RwLockReadGuard},
    thread::{self, JoinHandle, ThreadId},
};

use cronlet_object::{Change, Kind, Snapshot, Transaction, ledger};
use tokio::sync::{oneshot, watch};

use crate::{
    Batch, Committed, Disk, DiskError, Expired, OpenError, Refusal, State, Watch,
    queue::{Queue, Submission},
    writer::Writer,
};

/// Called after each batch of commits; see [`Store::on_commit`].
pub type Subscriber = Box<dyn Fn(&Snapshot, &[Change]) + Send + Sync>;

/// A handle of the store; clones are handles of the same store. When the last one is dropped, what was accepted is
/// committed and the disk is closed.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    thread: Arc<WriterThread>,
}

impl Store {
    /// Reads what the disk holds and starts to serve it.
    ///
    /// # Errors
    /// If the content cannot be read, or the system grants no thread.
    pub fn open(mut disk: Box<dyn Disk>) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new(State::new(disk.load()?)));
        let writer = Writer { shared: shared.clone(), disk, stopped: false };
        let builder = thread::Builder::new().name("store".into());
        let handle = builder.spawn(move || writer.run()).map_err(OpenError::Thread)?;
        let id = handle.thread().id();
        let thread = Arc::new(WriterThread { shared: shared.clone(), id, handle: Mutex::new(Some(handle)) });
        Ok(Store { shared, thread })
    }

    /// Everything that is committed. Never waits for a commit in progress.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.state().snapshot().clone()
    }

    /// Submits a transaction. `done` gets the outcome when the transaction is durable and visible, on the writer
    /// thread, which it must not hold up; or at once on this thread if the transaction is not even accepted. It is
    /// dropped without a call only if the writer thread panics.
    pub fn submit(
        &self,
        transaction: Transaction,
        done: impl FnOnce(Result<Committed, Refusal>) + Send + 'static,
    ) {
        self.shared.queue.submit(Submission::new(transaction, Box::new(done)));
    }

    /// Commits a transaction: when this returns, it is durable and visible. Dropping the future does not take an
    /// accepted transaction back.
    ///
    /// # Errors
    /// If the transaction was refused; see [`Refusal`].
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, Refusal> {
        let (answer, outcome) = oneshot::channel();
        // Nobody listens any more if the future was dropped.
        self.submit(transaction, move |result| drop(answer.send(result)));
        outcome.await.unwrap_or(Err(Refusal::Stopped))
    }

    /// Has `f` called after each batch of commits, in order, with the state and the changes since the last call. It
    /// runs on the writer thread, which it must not hold up, and must not keep a [`Store`]: it would keep itself alive.
    pub fn on_commit(&self, f: Subscriber) {
        self.shared.subscribers.lock().expect("subscribers do not panic").push(f);
    }

    /// Follows the changes of a kind after a revision, which is usually that of a snapshot. A later revision than the
    /// store's own is allowed: the changes up to it are then passed over.
    ///
    /// # Errors
    /// If changes after that revision have been forgotten.
    pub fn watch(&self, kind: Kind, after: u64) -> Result<Watch, Expired> {
        Watch::new(self.shared.clone(), kind, after)
    }

    /// The latest `limit` runs of a CronJob that the ledger knows, newest first.
    ///
    /// # Errors
    /// [`Refusal::Disk`], [`Refusal::Overloaded`] or [`Refusal::Stopped`].
    pub async fn runs(
        &self,
        namespace: &str,
        cronjob: &str,
        limit: usize,
    ) -> Result<Vec<ledger::Run>, Refusal> {
        let (namespace, cronjob) = (namespace.to_owned(), cronjob.to_owned());
        self.query(move |disk| disk.runs(&namespace, &cronjob, limit)).await
    }

    /// The latest `limit` decisions about a CronJob's ticks that the ledger knows, newest first.
    ///
    /// # Errors
    /// [`Refusal::Disk`], [`Refusal::Overloaded`] or [`Refusal::Stopped`].
    pub async fn decisions(
        &self,
        namespace: &str,
        cronjob: &str,
        limit: usize,
    ) -> Result<Vec<ledger::Decision>, Refusal> {
        let (namespace, cronjob) = (namespace.to_owned(), cronjob.to_owned());
        self.query(move |disk| disk.decisions(&namespace, &cronjob, limit)).await
    }

    async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Disk) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, outcome) = oneshot::channel();
        self.shared.queue.query(Box::new(move |disk| drop(answer.send(read(disk)))))?;
        outcome.await.map_err(|_| Refusal::Stopped)?.map_err(Refusal::Disk)
    }

    /// Why the last attempt to write to the disk failed; `None` once one has succeeded. While there is a failure that
    /// is not [harmless](DiskError::is_harmless), every transaction is refused with [`Refusal::Stopped`].
    pub fn failure(&self) -> Option<DiskError> {
        self.shared.failure.lock().expect("nothing panics while it holds the failure").clone()
    }

    /// Commits what was accepted, accepts nothing more, and closes the disk. Reading goes on from memory. Blocks for
    /// that long, except on the writer thread itself.
    pub fn close(&self) {
        self.thread.stop();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("revision", &self.shared.state().snapshot().revision())
            .finish_non_exhaustive()
    }
}

/// What the handles, the watches and the writer thread have in common.
pub(crate) struct Shared {
    /// Only the writer thread writes, and only for the moment of publication.
    state: RwLock<State>,
    /// Tells the watchers of a kind that there is a change; one for each of [`Kind::ALL`], in its order.
    wakes: Vec<watch::Sender<()>>,
    pub(crate) queue: Queue,
    subscribers: Mutex<Vec<Subscriber>>,
    failure: Mutex<Option<DiskError>>,
}

impl Shared {
    fn new(state: State) -> Self {
        Shared {
            state: RwLock::new(state),
            wakes: Kind::ALL.iter().map(|_| watch::Sender::new(())).collect(),
            queue: Queue::default(),
            subscribers: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("publication does not panic")
    }

    pub(crate) fn wake(&self, kind: Kind) -> &watch::Sender<()> {
        &self.wakes[kind as usize]
    }

    /// Makes a durable batch visible to snapshots and watchers in one step, then tells everyone.
    pub(crate) fn publish(&self, batch: &Batch) {
        let superseded = self.state.write().expect("publication does not panic").publish(batch);
        drop(superseded);
        if batch.changes().is_empty() {
            return;
        }
        for (kind, wake) in Kind::ALL.iter().zip(&self.wakes) {
            if batch.changes().iter().any(|change| change.object().kind() == *kind) {
                wake.send_replace(());
            }
        }
        for subscriber in self.subscribers.lock().expect("subscribers do not panic").iter() {
            subscriber(batch.snapshot(), batch.changes());
        }
    }

    pub(crate) fn set_failure(&self, error: DiskError) {
        *self.failure.lock().expect("nothing panics while it holds the failure") = Some(error);
    }

    pub(crate) fn take_failure(&self) -> Option<DiskError> {
        mem::take(&mut *self.failure.lock().expect("nothing panics while it holds the failure"))
    }
}

/// Ends the writer thread with the last handle.
struct WriterThread {
    shared: Arc<Shared>,
    id: ThreadId,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl WriterThread {
    fn stop(&self) {
        self.shared.queue.close();
        // A callback may drop the last handle; the thread cannot wait for itself.
        if thread::current().id() == self.id {
            return;
        }
        // Held while joining: a second caller, too, returns only when the disk is closed.
        let mut handle = self.handle.lock().expect("nothing panics while it holds the handle");
        if let Some(handle) = handle.take() {
            // A panic of the thread was reported when it happened.
            let _panicked = handle.join();
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.stop();
    }
}
