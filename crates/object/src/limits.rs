//! The bounds of this crate, each with its unit in its name.

/// How deep maps and lists may nest in a JSON document, and in any object: the bound of the JSON reader.
pub const DOCUMENT_DEPTH_MAX: usize = 127;

/// How many duplicate or unknown fields of one document are named; more help nobody.
pub const FIELD_PROBLEMS_MAX: usize = 100;

/// How long the name of who owns fields of an object may be, in bytes (upstream's bound).
pub const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// How many operations a JSON patch may have (upstream's bound).
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;

/// How many bytes of an event's message are kept (upstream's bound for the notes of the newer events API).
pub const EVENT_MESSAGE_BYTES_MAX: usize = 1024;

/// How many bytes of an object's name begin the names of its events: with a dot and 32 digits, a DNS subdomain.
pub const EVENT_NAME_BASE_BYTES_MAX: usize = 253 - 33;

/// How much the copy operations of one JSON patch may copy in all, in bytes (upstream's bound).
pub const JSON_PATCH_COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// How long a text of manifests may be, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How deep maps and lists may nest in a YAML document: its reader needs far more stack for each level than JSON's.
pub const MANIFEST_DEPTH_MAX: usize = 40;

/// How many maps, lists and scalars one YAML document may have, repetitions by aliases counted.
pub const MANIFEST_NODES_MAX: usize = 250_000;

/// How many nodes the aliases of one YAML document may repeat: enough for any honest use, too few for a bomb.
pub const MANIFEST_REPEATED_NODES_MAX: usize = 20_000;

/// How many combinations of verb, group, resource and name the rules may have that somebody gives who does not have all:
/// each is held against each of their own.
pub const RULE_COMBINATIONS_MAX: usize = 10_000;

/// How long a protobuf body may be, in bytes (upstream's bound for any request).
pub const PROTOBUF_BYTES_MAX: usize = 3 * 1024 * 1024;
