//! A budget of retries that many calls share, so that retries cannot multiply an outage.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::sync;

/// A bucket of tokens: each retry takes some, what succeeds gives some back. Cheap to clone; clones share the bucket.
///
/// As in the AWS SDKs: 500 tokens, 5 for a retry; a retry that succeeds gives back what it took, a first attempt that
/// succeeds gives one.
///
/// ```
/// use cronlet_sdk::resilience::RetryBudget;
///
/// let budget = RetryBudget::new(10, 5);
/// assert!(budget.withdraw() && budget.withdraw());
/// assert!(!budget.withdraw(), "two retries were paid for");
/// budget.deposit(true);
/// assert_eq!(budget.tokens(), 5);
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget {
    tokens: Arc<AtomicU32>,
    capacity: u32,
    cost: u32,
}

impl RetryBudget {
    /// A full bucket of `capacity` tokens, of which each retry takes `cost`.
    pub fn new(capacity: u32, cost: u32) -> RetryBudget {
        RetryBudget { tokens: Arc::new(AtomicU32::new(capacity)), capacity, cost }
    }

    /// The tokens that are left.
    pub fn tokens(&self) -> u32 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Takes the tokens of one retry; false, and nothing taken, if there are not enough.
    pub fn withdraw(&self) -> bool {
        sync::point();
        let take = |tokens: u32| tokens.checked_sub(self.cost);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives tokens back after a success; `retried` if it was that of a retry.
    pub fn deposit(&self, retried: bool) {
        sync::point();
        let tokens = if retried { self.cost } else { 1 };
        let give = |held: u32| (held < self.capacity).then(|| held.saturating_add(tokens).min(self.capacity));
        // A full bucket stays as it is.
        let _full = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
    }
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget::new(500, 5)
    }
}
