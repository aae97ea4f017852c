//! Changing an object by a patch: JSON merge patch, JSON patch, strategic merge patch.
//!
//! Server-side apply is no patch in this sense: it needs to know who owns which field.

use serde_json::Value;
use thiserror::Error;

use crate::ApiError;
use crate::document::{SyntaxError, read_json};
use crate::limits::{JSON_PATCH_COPIED_BYTES_MAX, JSON_PATCH_OPERATIONS_MAX};

mod go_text;
mod json;
mod merge;
mod schema;
mod strategic;

pub use go_text::go_text;

/// The kind of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: lists are replaced, null deletes.
    Merge,
    /// Kubernetes' own: lists merge by key, directives delete and reorder. For built-in kinds only.
    Strategic,
}

impl PatchType {
    /// The type that a `Content-Type`, without its parameters, announces.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json-patch+json" => Some(PatchType::Json),
            "application/merge-patch+json" => Some(PatchType::Merge),
            "application/strategic-merge-patch+json" => Some(PatchType::Strategic),
            _ => None,
        }
    }
}

/// A patch that cannot be read or applied. The messages are upstream's where upstream shows one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The body is not JSON.
    #[error("error decoding patch: {0}")]
    Syntax(SyntaxError),
    /// The body is not of the JSON type that the patch must have.
    #[error("error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}")]
    Shape {
        /// The JSON type it has.
        found: &'static str,
        /// The Go type it must have.
        wanted: &'static str,
    },
    /// A JSON patch has too many operations.
    #[error(
        "The allowed maximum operations in a JSON patch is {max}, got {0}",
        max = JSON_PATCH_OPERATIONS_MAX
    )]
    TooManyOperations(usize),
    /// An operation of a JSON patch is malformed or does not fit the object.
    #[error("operation {index} of the patch failed: {cause}")]
    Operation {
        /// Its place in the list, from zero.
        index: usize,
        /// Why.
        cause: String,
    },
    /// The copy operations of a JSON patch copy too much.
    #[error(
        "the copy operations of the patch copy more than {max} bytes",
        max = JSON_PATCH_COPIED_BYTES_MAX
    )]
    CopiesTooMuch,
    /// An operation of a JSON patch would nest the object too deep.
    #[error("operation {0} of the patch nests the object too deep")]
    TooDeep(usize),
    /// A directive of a strategic merge patch is malformed, or contradicts the rest of the patch.
    #[error("invalid patch format of {0}")]
    DirectiveFormat(&'static str),
    /// An element of a list that merges by key lacks the key.
    #[error("map: {element} does not contain declared merge key: {key}")]
    MergeKey {
        /// The element as Go prints it.
        element: String,
        /// The key.
        key: &'static str,
    },
    /// A `$patch` directive has an unknown value.
    #[error("unknown patch type: {directive} in map: {map}")]
    Directive {
        /// The value.
        directive: String,
        /// The map it stands in, as Go prints it.
        map: String,
    },
    /// A list element has `$patch: merge`, which no version of Kubernetes has implemented.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    /// A list mixes elements of different types.
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    /// A list that merges contains a list.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// The elements of a list are in another order than `$setElementOrder` says.
    #[error("The order in patch list:\n{list}\n doesn't match $setElementOrder list:\n{order}\n")]
    ElementOrder {
        /// The list as Go prints it.
        list: String,
        /// The directive's list as Go prints it.
        order: String,
    },
}

/// The answers that upstream gives: most faults of a strategic merge patch count as the server's.
impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Syntax(_) | PatchError::Shape { .. } | PatchError::DirectiveFormat(_) => {
                ApiError::bad_request(error.to_string())
            }
            PatchError::TooManyOperations(_) => {
                ApiError::too_large(format!("Request entity too large: {error}"))
            }
            PatchError::Operation { .. }
            | PatchError::CopiesTooMuch
            | PatchError::TooDeep(_)
            | PatchError::ListOfLists => {
                ApiError::unprocessable("the server rejected our request due to an error in our request")
            }
            PatchError::MergeKey { .. }
            | PatchError::Directive { .. }
            | PatchError::MergeDirective
            | PatchError::MixedList(_)
            | PatchError::ElementOrder { .. } => ApiError::internal(error.to_string()),
        }
    }
}

/// A patch as read from a request, ready to be applied (again, should the object have changed meanwhile).
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    patch_type: PatchType,
    document: Value,
    duplicates: Vec<String>,
}

impl Patch {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// A body that is not JSON, is not a list (JSON patch) or an object (the others), or is too long a list.
    pub fn read(patch_type: PatchType, body: &[u8]) -> Result<Self, PatchError> {
        let read = read_json(body).map_err(PatchError::Syntax)?;
        let (fits, wanted) = match patch_type {
            PatchType::Json => (read.value.is_array(), "[]handlers.jsonPatchOp"),
            PatchType::Merge | PatchType::Strategic => (read.value.is_object(), "map[string]interface {}"),
        };
        if !fits {
            return Err(PatchError::Shape { found: json_type(&read.value), wanted });
        }
        match read.value.as_array() {
            Some(operations) if operations.len() > JSON_PATCH_OPERATIONS_MAX => {
                Err(PatchError::TooManyOperations(operations.len()))
            }
            _ => Ok(Patch { patch_type, document: read.value, duplicates: read.duplicates }),
        }
    }

    /// The patch itself, for what a caller wants to know of it: whether it names a `resourceVersion`, say.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The paths of the keys that occur more than once in the body.
    #[must_use]
    pub fn duplicates(&self) -> &[String] {
        &self.duplicates
    }

    /// `target` as the patch makes it. `kind` is the name of the target's built-in kind (`CronJob`), by
    /// which a strategic merge patch knows the keys of its lists; of a kind without such lists only the
    /// metadata have any.
    ///
    /// # Errors
    /// A patch that does not fit the target.
    pub fn apply(&self, target: &Value, kind: &str) -> Result<Value, PatchError> {
        match self.patch_type {
            PatchType::Json => json::apply(target, &self.document),
            PatchType::Merge => Ok(merge::apply(target, &self.document)),
            PatchType::Strategic => strategic::apply(target, &self.document, kind),
        }
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests;
