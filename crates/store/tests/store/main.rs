//! The store through its public interface.

mod concurrency;
mod crash;
mod model;
mod objects;
mod watch;
