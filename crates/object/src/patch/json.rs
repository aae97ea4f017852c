//! JSON patch (RFC 6902), within bounds that the crate which does the work does not have.

use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;

use super::PatchError;
use crate::limits::{DOCUMENT_DEPTH_MAX, JSON_PATCH_COPIED_BYTES_MAX};

/// `target` after all the operations in the list `patch`.
pub(super) fn apply(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let mut result = target.clone();
    let mut copied_bytes = 0;
    for (index, operation) in patch.as_array().into_iter().flatten().enumerate() {
        let failed = |cause: String| PatchError::Operation { index, cause };
        let operation = PatchOperation::deserialize(operation).map_err(|error| failed(error.to_string()))?;
        check_bounds(&result, &operation, index, &mut copied_bytes)?;
        let one = std::slice::from_ref(&operation);
        json_patch::patch_unsafe(&mut result, one).map_err(|error| failed(error.kind.to_string()))?;
    }
    Ok(result)
}

/// Refuses what would let a small patch grow into a large or deep object: copies of copies, and values put
/// below values put before.
fn check_bounds(
    document: &Value,
    operation: &PatchOperation,
    index: usize,
    copied_bytes: &mut usize,
) -> Result<(), PatchError> {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Move(r#move) => (&r#move.path, document.pointer(r#move.from.as_str())),
        PatchOperation::Copy(copy) => (&copy.path, document.pointer(copy.from.as_str())),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    // A source that does not exist makes the operation itself fail.
    let Some(value) = value else { return Ok(()) };
    if path.as_str().matches('/').count() + depth(value) > DOCUMENT_DEPTH_MAX {
        return Err(PatchError::TooDeep(index));
    }
    if let PatchOperation::Copy(_) = operation {
        *copied_bytes += value.to_string().len();
        if *copied_bytes > JSON_PATCH_COPIED_BYTES_MAX {
            return Err(PatchError::CopiesTooMuch);
        }
    }
    Ok(())
}

/// How many lists and maps are nested in `value`, itself included.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
