// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Events of the group `events.k8s.io`.

use super::Kind::{Int, Message, MicroTime, Text, Time};
use super::{Fields, core, field, meta, optional};

pub(super) static EVENT: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "eventTime", MicroTime),
    field(3, "series", Message(&EVENT_SERIES)),
    optional(4, "reportingController", Text),
    optional(5, "reportingInstance", Text),
    optional(6, "action", Text),
    optional(7, "reason", Text),
    field(8, "regarding", Message(&core::OBJECT_REFERENCE)),
    field(9, "related", Message(&core::OBJECT_REFERENCE)),
    optional(10, "note", Text),
    optional(11, "type", Text),
    field(12, "deprecatedSource", Message(&core::EVENT_SOURCE)),
    field(13, "deprecatedFirstTimestamp", Time),
    field(14, "deprecatedLastTimestamp", Time),
    optional(15, "deprecatedCount", Int),
]);

pub(super) static EVENT_SERIES: Fields =
    Fields(&[field(1, "count", Int), field(2, "lastObservedTime", MicroTime)]);
