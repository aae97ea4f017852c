// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Evictions.

use super::Kind::Message;
use super::{Fields, field, meta};

pub(super) static EVICTION: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "deleteOptions", Message(&meta::DELETE_OPTIONS)),
]);
