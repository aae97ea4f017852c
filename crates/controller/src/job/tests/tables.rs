//! Upstream's unit tables.

mod counting;
mod bookkeeping;
mod pass;
