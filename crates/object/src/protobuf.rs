//! Request bodies in Kubernetes' protobuf encoding, turned into the JSON that the same client would have
//! sent.
//!
//! Go clients send protobuf for built-in kinds unless told otherwise, and none falls back to JSON when
//! refused. Answers may be JSON, so nothing is ever encoded here.

use serde_json::Value;
use thiserror::Error;

use crate::limits::PROTOBUF_BYTES_MAX;

mod decode;
mod schema;
mod wire;

/// The media type of these bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: [u8; 4] = *b"k8s\0";

/// A body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtobufError {
    /// The body does not begin as it must. The message is upstream's.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoPrefix,
    /// The body is too long.
    #[error("the protobuf body is longer than {PROTOBUF_BYTES_MAX} bytes")]
    TooLong,
    /// The envelope says that the object is compressed or not protobuf.
    #[error("the protobuf body has the encoding {0:?}, which is not supported")]
    Encoding(String),
    /// The kind is none whose encoding is known here.
    #[error("no kind {kind:?} is known for version {api_version:?} in protobuf bodies: send JSON instead")]
    Kind {
        /// The `apiVersion` in the envelope.
        api_version: String,
        /// The `kind` in the envelope.
        kind: String,
    },
    /// The bytes of a field are not what the encoding allows.
    #[error("the protobuf body is malformed at {}: {fault}", place(.path))]
    Malformed {
        /// The field, as in JSON; empty for the envelope.
        path: String,
        /// What is wrong.
        fault: &'static str,
    },
}

fn place(path: &str) -> &str {
    if path.is_empty() { "the envelope" } else { path }
}

/// Reads a body into the JSON form of the object in it, with `apiVersion` and `kind` from the envelope.
///
/// Fields that the kind does not have here are passed over, as the encoding intends. Scalars without a
/// value of their own, such as an empty `imagePullPolicy`, are left out, as Go leaves them out of JSON; a
/// zero that was set on purpose, such as `parallelism: 0`, stays.
///
/// # Errors
/// A body that is no such envelope, of an unknown kind, or malformed.
pub fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    if body.len() > PROTOBUF_BYTES_MAX {
        return Err(ProtobufError::TooLong);
    }
    let envelope = body.strip_prefix(&MAGIC).ok_or(ProtobufError::NoPrefix)?;
    decode::object(envelope)
}

#[cfg(test)]
mod tests;
