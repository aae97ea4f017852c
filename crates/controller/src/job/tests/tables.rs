//! Upstream's unit tables.

mod bookkeeping;
mod counting;
mod pass;
