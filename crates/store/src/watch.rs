//! Following the changes of one kind.

use std::sync::Arc;

use cronlet_object::{Change, Kind};
use tokio::sync::watch;

use crate::{Expired, store::Shared};

/// Follows the changes of one kind. It is only a position in the shared history: a watcher that reads slowly costs
/// nothing, and in the end finds its position forgotten.
pub struct Watch {
    shared: Arc<Shared>,
    kind: Kind,
    position: u64,
    wake: watch::Receiver<()>,
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>, kind: Kind, after: u64) -> Result<Self, Expired> {
        let wake = shared.wake(kind).subscribe();
        shared.state().history(kind).check(after)?;
        Ok(Watch { shared, kind, position: after, wake })
    }

    /// The next change, once there is one. Nothing is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// If changes were forgotten that this watcher has not seen.
    pub async fn next(&mut self) -> Result<Arc<Change>, Expired> {
        loop {
            if let Some(change) = self.try_next()? {
                return Ok(change);
            }
            // Whatever is published from here on is seen: the channel remembers that it was woken.
            self.wake.changed().await.expect("the sender lives in what this watch holds");
        }
    }

    /// The next change, if there is one already.
    ///
    /// # Errors
    /// If changes were forgotten that this watcher has not seen.
    pub fn try_next(&mut self) -> Result<Option<Arc<Change>>, Expired> {
        let change = self.shared.state().history(self.kind).after(self.position)?.cloned();
        if let Some(change) = &change {
            self.position = change.revision;
        }
        Ok(change)
    }

    /// The revision up to which everything was handed out: what a bookmark may say. It advances with the whole store
    /// while this kind is quiet.
    pub fn revision(&self) -> u64 {
        self.shared.state().progress(self.kind, self.position)
    }
}
