//! The one truth of a node: its objects with their revisions, watches over them, and the run ledger.
//!
//! Everything lives in memory as a [`Snapshot`], which readers take as a value and keep as long as they like. Writers
//! submit a [`Transaction`]; one thread checks it against memory, makes it durable together with whatever else was
//! waiting (group commit), and only then lets anyone see it.
//!
//! * [`State`] is the pure part: what a transaction does, and the watch history. No I/O, no threads.
//! * [`Disk`] is the durable part: [`SqliteDisk`], or a simulation whose crashes lose what was not synced.
//! * [`Store`] joins the two with a queue and a thread, and is what the rest of the program holds.
//!
//! The format on disk and what it guarantees: `docs/storage.md`.

mod data_dir;
mod disk;
mod history;
pub mod limits;
mod queue;
mod sqlite;
mod state;
mod store;
mod watch;
mod writer;

pub use cronlet_object::{Change, Snapshot, Transaction};

pub use data_dir::DataDir;
pub use disk::{Disk, DiskError, Loaded, OpenError};
pub use history::{Expired, History};
pub use sqlite::SqliteDisk;
pub use state::{Batch, Committed, Refusal, State};
pub use store::{Store, Subscriber};
pub use watch::Watch;
