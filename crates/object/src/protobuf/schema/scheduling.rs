// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Priority classes.

use super::Kind::{Bool, Int, Message, Text};
use super::{Fields, field, meta, optional};

pub(super) static PRIORITY_CLASS: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "value", Int),
    optional(3, "globalDefault", Bool),
    optional(4, "description", Text),
    field(5, "preemptionPolicy", Text),
]);
