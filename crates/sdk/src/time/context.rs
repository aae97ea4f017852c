//! Cancellation that goes down a tree, with causes and deadlines: Go's `context`.

use std::{
    error::Error,
    fmt,
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{clock, sync};

/// Children that are gone are forgotten whenever the list has doubled, and is longer than this.
const CHILDREN_KEPT_MIN: usize = 16;

/// Why a context has ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use cronlet_sdk::time::{Cancelled, Context};
///
/// let context = Context::background();
/// context.cancel_because(Cancelled::because("the disk is full"));
/// let why: Cancelled = context.done().await;
/// assert!(context.is_done());
/// assert!(why.to_string().ends_with("the disk is full"));
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cancelled {
    /// [`Context::cancel`] was called, on it or on an ancestor.
    Cancelled,
    /// Its deadline, or that of an ancestor, has passed.
    DeadlineExceeded,
    /// It or an ancestor was cancelled for this reason.
    Because(Arc<dyn Error + Send + Sync>),
}

impl Cancelled {
    /// A reason in words.
    pub fn because(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Cancelled {
        Cancelled::Because(Arc::from(cause.into()))
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cancelled::Cancelled => f.write_str("cancelled"),
            Cancelled::DeadlineExceeded => f.write_str("deadline exceeded"),
            Cancelled::Because(cause) => write!(f, "cancelled: {cause}"),
        }
    }
}

impl Error for Cancelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Cancelled::Because(cause) => Some(cause.as_ref()),
            Cancelled::Cancelled | Cancelled::DeadlineExceeded => None,
        }
    }
}

/// Tells work to end: a handle, cheap to clone, on a node in a tree.
///
/// Cancelling a node cancels all below it, never what is above. The first cause stays. A deadline needs no task and no
/// timer until somebody waits for it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use cronlet_sdk::time::{Cancelled, Context};
///
/// let request = Context::background().with_timeout(Duration::from_secs(1));
/// let query = request.child();
/// let never = std::future::pending::<()>();
/// assert!(matches!(query.run(never).await, Err(Cancelled::DeadlineExceeded)));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Context {
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    /// The earliest deadline up to the root, and what passing it means.
    deadline: Option<(Instant, Cancelled)>,
    state: Mutex<State>,
    ended: Notify,
    /// Kept so that the root still reaches this node when nobody else holds those between.
    parent: Option<Arc<Node>>,
}

#[derive(Debug, Default)]
struct State {
    cause: Option<Cancelled>,
    children: Vec<Weak<Node>>,
    prune_at: usize,
}

impl Context {
    /// A root: never cancelled unless through itself, without a deadline.
    pub fn background() -> Context {
        Context { node: Arc::new(Node::new(None, None)) }
    }

    /// A node below this one, which can be cancelled alone.
    #[must_use]
    pub fn child(&self) -> Context {
        self.below(self.node.deadline.clone())
    }

    /// A node below this one that ends `duration` from now, if nothing ends it before.
    #[must_use]
    pub fn with_timeout(&self, duration: Duration) -> Context {
        self.with_deadline(clock::later(duration))
    }

    /// A node below this one that ends at `deadline`, if nothing ends it before. A later deadline than this node's
    /// changes nothing.
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Context {
        self.with_deadline_cause(deadline, Cancelled::DeadlineExceeded)
    }

    /// As [`with_deadline`](Context::with_deadline), with a cause of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use cronlet_sdk::time::{Cancelled, Context};
    ///
    /// let now = tokio::time::Instant::now();
    /// let shift = Context::background().with_deadline(now + Duration::from_secs(8 * 3600));
    /// let lunch = Cancelled::because("lunch");
    /// let morning = shift.with_deadline_cause(now + Duration::from_secs(4 * 3600), lunch);
    /// assert_eq!(morning.done().await.to_string(), "cancelled: lunch");
    /// assert!(shift.error().is_none());
    /// shift.cancel();
    /// assert!(matches!(shift.error(), Some(Cancelled::Cancelled)));
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline_cause(&self, deadline: Instant, cause: Cancelled) -> Context {
        match &self.node.deadline {
            Some((earlier, _)) if *earlier <= deadline => self.child(),
            _ => self.below(Some((deadline, cause))),
        }
    }

    /// Ends this node and all below it. Without effect if it has ended.
    pub fn cancel(&self) {
        self.end(&Cancelled::Cancelled);
    }

    /// As [`cancel`](Context::cancel), for a reason that everybody below is told.
    pub fn cancel_because(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        self.end(&Cancelled::because(cause));
    }

    /// Why this context has ended; `None` while it has not.
    pub fn error(&self) -> Option<Cancelled> {
        if let Some(cause) = &self.node.lock().cause {
            return Some(cause.clone());
        }
        let (deadline, cause) = self.node.deadline.as_ref()?;
        if clock::now() < *deadline {
            return None;
        }
        self.node.end(cause);
        self.node.lock().cause.clone()
    }

    /// Whether this context has ended.
    pub fn is_done(&self) -> bool {
        self.error().is_some()
    }

    /// The instant at which this context ends at the latest, of its own or an ancestor's.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline.as_ref().map(|(deadline, _)| *deadline)
    }

    /// Waits until this context ends, and says why.
    ///
    /// Cancel safe: waiting changes nothing.
    pub async fn done(&self) -> Cancelled {
        loop {
            // Made before the look at the state: it hears of every end from here on, even before it is polled.
            let ended = self.node.ended.notified();
            if let Some(cause) = self.error() {
                return cause;
            }
            match self.deadline() {
                None => ended.await,
                Some(deadline) => tokio::select! {
                    () = ended => {}
                    () = clock::sleep_until(deadline) => {}
                },
            }
        }
    }

    /// Runs `work` until this context ends. Work that is ready in the same moment is not thrown away.
    ///
    /// # Errors
    /// Why the context ended; `work` is dropped.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Cancelled> {
        tokio::select! {
            biased;
            result = work => Ok(result),
            cause = self.done() => Err(cause),
        }
    }

    fn end(&self, cause: &Cancelled) {
        // A deadline that has passed comes first, and is found by looking.
        if self.error().is_none() {
            self.node.end(cause);
        }
    }

    #[cfg(test)]
    pub(super) fn children(&self) -> usize {
        self.node.lock().children.len()
    }

    fn below(&self, deadline: Option<(Instant, Cancelled)>) -> Context {
        let child = Arc::new(Node::new(deadline, Some(self.node.clone())));
        let ended = self.error();
        let mut state = self.node.lock();
        // Under the lock: either the child is seen by whoever ends the parent, or the parent's end is seen here.
        if let Some(cause) = state.cause.clone().or(ended) {
            child.lock().cause = Some(cause);
        } else {
            state.adopt(&child);
        }
        drop(state);
        Context { node: child }
    }
}

impl Node {
    fn new(deadline: Option<(Instant, Cancelled)>, parent: Option<Arc<Node>>) -> Node {
        Node { deadline, state: Mutex::default(), ended: Notify::new(), parent }
    }

    /// Ends this node and those below, parents first. A loop, so that the depth of the tree costs no stack.
    fn end(&self, cause: &Cancelled) {
        let now = clock::now();
        let mut below = self.end_alone(cause, now);
        while let Some(node) = below.pop() {
            if let Some(node) = node.upgrade() {
                below.append(&mut node.end_alone(cause, now));
            }
        }
    }

    /// A deadline that has passed came before this cause, even if nobody had looked.
    fn end_alone(&self, cause: &Cancelled, now: Instant) -> Vec<Weak<Node>> {
        let cause = self.deadline.as_ref().filter(|(at, _)| *at <= now).map_or(cause, |(_, passed)| passed);
        let mut state = self.lock();
        if state.cause.is_some() {
            return Vec::new();
        }
        state.cause = Some(cause.clone());
        let children = mem::take(&mut state.children);
        drop(state);
        self.ended.notify_waiters();
        children
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }
}

impl State {
    fn adopt(&mut self, child: &Arc<Node>) {
        if self.children.len() >= self.prune_at.max(CHILDREN_KEPT_MIN) {
            self.children.retain(|node| node.strong_count() > 0);
            self.prune_at = self.children.len() * 2;
        }
        self.children.push(Arc::downgrade(child));
    }
}

impl Drop for Node {
    /// Takes a chain of parents apart in a loop: the drop of a deep one would otherwise use up the stack.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            parent = node.parent.take();
        }
    }
}
