// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! What all objects share: metadata, selectors, options of a deletion.

use super::Kind::{Bool, Int, Json, Message, Text, Time};
use super::{Fields, field, list, map, optional};

pub(super) static CONDITION: Fields = Fields(&[
    field(1, "type", Text),
    field(2, "status", Text),
    optional(3, "observedGeneration", Int),
    field(4, "lastTransitionTime", Time),
    field(5, "reason", Text),
    field(6, "message", Text),
]);

pub(super) static DELETE_OPTIONS: Fields = Fields(&[
    field(1, "gracePeriodSeconds", Int),
    field(2, "preconditions", Message(&PRECONDITIONS)),
    field(3, "orphanDependents", Bool),
    field(4, "propagationPolicy", Text),
    list(5, "dryRun", Text),
    field(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Bool),
]);

pub(super) static FIELD_SELECTOR_REQUIREMENT: Fields =
    Fields(&[field(1, "key", Text), field(2, "operator", Text), list(3, "values", Text)]);

pub(super) static LABEL_SELECTOR: Fields =
    Fields(&[map(1, "matchLabels", Text), list(2, "matchExpressions", Message(&LABEL_SELECTOR_REQUIREMENT))]);

pub(super) static LABEL_SELECTOR_REQUIREMENT: Fields =
    Fields(&[field(1, "key", Text), field(2, "operator", Text), list(3, "values", Text)]);

pub(super) static MANAGED_FIELDS_ENTRY: Fields = Fields(&[
    optional(1, "manager", Text),
    optional(2, "operation", Text),
    optional(3, "apiVersion", Text),
    field(4, "time", Time),
    optional(6, "fieldsType", Text),
    field(7, "fieldsV1", Json),
    optional(8, "subresource", Text),
]);

pub(super) static OBJECT_META: Fields = Fields(&[
    optional(1, "name", Text),
    optional(2, "generateName", Text),
    optional(3, "namespace", Text),
    optional(4, "selfLink", Text),
    optional(5, "uid", Text),
    optional(6, "resourceVersion", Text),
    optional(7, "generation", Int),
    field(8, "creationTimestamp", Time),
    field(9, "deletionTimestamp", Time),
    field(10, "deletionGracePeriodSeconds", Int),
    map(11, "labels", Text),
    map(12, "annotations", Text),
    list(13, "ownerReferences", Message(&OWNER_REFERENCE)),
    list(14, "finalizers", Text),
    list(17, "managedFields", Message(&MANAGED_FIELDS_ENTRY)),
]);

pub(super) static OWNER_REFERENCE: Fields = Fields(&[
    field(1, "kind", Text),
    field(3, "name", Text),
    field(4, "uid", Text),
    field(5, "apiVersion", Text),
    field(6, "controller", Bool),
    field(7, "blockOwnerDeletion", Bool),
]);

pub(super) static PRECONDITIONS: Fields = Fields(&[field(1, "uid", Text), field(2, "resourceVersion", Text)]);
