//! The controllers' world without a machine: a virtual clock, a fake node, faults.
//!
//! * [`Simulation`] is a server in miniature: the real controllers, the real store logic on a [`SimulatedDisk`], and
//!   a [`Node`] whose containers take given times and exit codes. It moves one small step at a time, so that a crash
//!   can be put between any two.
//! * [`Checks`] watches every step and holds what must hold, whatever happens.
//! * [`Course`] is one run with everything that happens in it, drawn from a seed; what it breaks is told with the seed
//!   and the shortest course that breaks it as well.
//! * [`Decisions`] are the starts of one CronJob over years, by what the controller decides alone.
//! * [`script`] runs scenario files: commands and what comes of them, as text.
//!
//! Nothing here reads a clock or the world: the same inputs give the same run.

mod checks;
mod client;
mod course;
mod decisions;
mod disk;
pub mod limits;
mod node;
pub mod script;
mod simulation;
mod time;

pub use checks::{Checks, Violation};
pub use client::Call;
pub use course::{Act, Course, Failure, Fault, Outcome};
pub use decisions::{Decisions, Start};
pub use disk::SimulatedDisk;
pub use node::{Attempt, Behaviour, Node, PodIdentity};
pub use simulation::{Commit, Committed, Decide, Fate, Origin, Simulation, Step};
pub use time::SimulatedClock;
