//! Upstream's own tables and scenarios, and what they leave out.

mod behaviour;
mod given;
mod properties;
mod scenarios;
mod tables;
mod vectors;
