//! Calls that may fail: retry, circuit breaker, bulkhead, rate limit, adaptive concurrency, timeout, fallback, hedge.
//!
//! Each piece works alone and is a [`Layer`]; [`Policy`] puts them together in the one order that the types allow:
//!
//! ```text
//! deadline ▸ fallback ▸ retry ▸ hedge ▸ circuit breaker ▸ rate limit ▸ timeout ▸ bulkhead or adaptive ▸ the call
//! ```
//!
//! Everything from the breaker inwards is asked anew for each attempt; a timeout is that of one attempt, a deadline
//! that of all of them. Names and defaults are resilience4j's where it has them. Decisions are made by plain structs
//! that are handed the time (`Core` in the names); what waits is a thin shell around them.
//!
//! Cancel safety: dropping the future of any call gives back what it held (a probe of the breaker, a place in the
//! bulkhead); a rate limiter's turn stays spent.

mod adaptive;
mod backoff;
mod breaker;
mod budget;
mod bulkhead;
mod failure;
mod fallback;
mod hedge;
mod layer;
mod policy;
mod rate;
mod retry;
mod shared;
mod timeout;
#[cfg(feature = "tower")]
mod tower;

pub use adaptive::{AdaptiveLimiter, Aimd, Bbr, Gradient2, LimitAlgorithm, Sample};
pub use backoff::{Backoff, Jitter};
pub use breaker::{
    Admission, BreakerConfig, BreakerCore, BreakerState, CallOutcome, CircuitBreaker, Ticket, Window,
};
pub use budget::RetryBudget;
pub use bulkhead::Bulkhead;
pub use failure::Failure;
pub use fallback::Fallback;
pub use hedge::Hedge;
pub use layer::{Layer, Operation, Stack};
pub use policy::{NoLayer, Policy, Precedes, stage};
pub use rate::{FixedWindow, Gcra, RateCore, RateLimiter};
pub use retry::{GiveUp, Retry, RetryCore, RetryLimits};
pub use shared::SharedState;
pub use timeout::Timeout;
#[cfg(feature = "tower")]
pub use tower::{PolicyLayer, PolicyService};

#[cfg(test)]
mod tests;
