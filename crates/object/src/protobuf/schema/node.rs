// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Runtime classes.

use super::Kind::{Message, Quantity, Text};
use super::{Fields, field, list, map, meta, pod};

pub(super) static RUNTIME_CLASS: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "handler", Text),
    field(3, "overhead", Message(&OVERHEAD)),
    field(4, "scheduling", Message(&SCHEDULING)),
]);

pub(super) static OVERHEAD: Fields = Fields(&[map(1, "podFixed", Quantity)]);

pub(super) static SCHEDULING: Fields =
    Fields(&[map(1, "nodeSelector", Text), list(2, "tolerations", Message(&pod::TOLERATION))]);
