//! Strict reading of request bodies: JSON into a value, a value into a typed object, every oddity reported.

use thiserror::Error;

mod base64;
mod decode;
mod go_type;
mod read;
mod syntax;
mod trail;

pub use decode::{Decoded, TypeError, decode, decode_typed};
pub use read::{Document, read_json};
pub(crate) use trail::Trail;

/// Text that is not JSON. The message is the one of Go's decoder, which kubectl's users know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SyntaxError(String);

#[cfg(test)]
mod tests;
