//! Upstream's unit tables.

mod counting;
mod helpers;
mod pass;
