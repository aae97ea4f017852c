//! Kubernetes objects as data: what they are, what may be written, and how they change.
//!
//! Everything here is a function of its arguments: no clock, no I/O, no randomness. An object is kept as its JSON
//! text ([`Object`]) beside the few metadata that everything asks for; whoever needs more decodes it into the typed
//! form ([`Typed`]). A [`Snapshot`] is the state of the whole store as a value; a [`Transaction`] is a change of it.

// First, so that its macros are in scope below.
#[macro_use]
mod kind;

pub mod admit;
pub mod age;
pub mod api;
pub mod claim;
pub mod clock;
pub mod deletion;
pub mod document;
mod error;
pub mod event;
mod field;
mod ids;
mod key;
pub mod kinds;
pub mod ledger;
pub mod limits;
pub mod managed;
pub mod manifest;
mod object;
pub mod patch;
pub mod policy;
pub mod protobuf;
pub mod quantity;
pub mod rbac;
pub mod selector;
mod snapshot;
pub mod table;
mod transaction;
mod validate;

pub use clock::Clock;
pub use error::ApiError;
pub use field::{ErrorType, FieldError, FieldErrors, Path};
pub use ids::Ids;
pub use key::Key;
pub use kind::{Descriptor, Kind, Resource, Typed};
pub use object::{DamagedObject, Draft, Labels, Meta, Object, Owner};
pub use snapshot::Snapshot;
pub use transaction::{Change, Transaction, Unchanged, Write};
