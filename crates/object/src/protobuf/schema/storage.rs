// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Storage classes.

use super::Kind::{Bool, Message, Text};
use super::{Fields, core, field, list, map, meta};

pub(super) static STORAGE_CLASS: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "provisioner", Text),
    map(3, "parameters", Text),
    field(4, "reclaimPolicy", Text),
    list(5, "mountOptions", Text),
    field(6, "allowVolumeExpansion", Bool),
    field(7, "volumeBindingMode", Text),
    list(8, "allowedTopologies", Message(&core::TOPOLOGY_SELECTOR_TERM)),
]);
