//! Runs pods on this machine.
//!
//! Every pod has a process of its own, the [`shim`], which a [`fork_server`] makes: it starts the pod's containers and
//! sees them to their end, whether the server runs or not. What happened to the pod it writes to the
//! pod's [`journal`], whose sum is the pod's [`state`]; what is to be done next is a function of that state
//! ([`lifecycle`]). The server's side is the [`Runtime`]: it resolves pods into what a shim is told ([`spec`]), starts
//! shims or finds them again, and turns states into pod statuses.
//!
//! Only `sys.rs` has unsafe code.

mod attach;
mod clock;
mod connect;
mod events;
mod exec;
pub mod fork_server;
pub mod journal;
pub mod lifecycle;
pub mod limits;
pub mod logs;
mod mounts;
mod network;
mod pressure;
mod probes;
mod processes;
mod pulls;
pub mod resolve;
mod runtime;
mod sandbox;
mod shim;
pub mod spec;
pub mod state;
pub mod status;
mod sys;
mod text;
pub mod tokens;
mod usage;
pub mod users;
mod volumes;

pub use attach::{AttachError, AttachRequest, Attachment, End};
pub use connect::ConnectError;
pub use exec::{ExecError, ExecRequest, Execution, Exit, Terminal};
pub use network::{NetworkConfig, PodNetwork, Subnet, SubnetError};
pub use pressure::{DiskThreshold, ThresholdError};
pub use runtime::{
    Config, ImageConfig, Report, ReportedEvent, Reporter, Runtime, RuntimeError, layers_in_use,
};
pub use text::give_back_text;
pub use usage::{Usage, Used};
