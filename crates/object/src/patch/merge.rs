//! JSON merge patch (RFC 7386).

use serde_json::Value;

/// `target` with `patch` merged into it: null deletes, objects merge, all else replaces.
pub(super) fn apply(target: &Value, patch: &Value) -> Value {
    let mut result = target.clone();
    json_patch::merge(&mut result, patch);
    result
}
