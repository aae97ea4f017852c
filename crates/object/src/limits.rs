//! The bounds of this crate, each with its unit in its name.

/// How deep maps and lists may nest in a document; the JSON reader's own bound, for the other readers to share.
pub const DOCUMENT_DEPTH_MAX: usize = 128;

/// How many duplicate or unknown fields of one document are named; more help nobody.
pub const FIELD_PROBLEMS_MAX: usize = 100;

/// How many operations a JSON patch may have (upstream's bound).
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
