// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Reviews of access and requests for tokens.

use super::Kind::{Bool, Int, Message, Text, TextList, Time};
use super::{Fields, field, list, map, meta, optional};

pub(super) static BOUND_OBJECT_REFERENCE: Fields = Fields(&[
    optional(1, "kind", Text),
    optional(2, "apiVersion", Text),
    optional(3, "name", Text),
    optional(4, "uid", Text),
]);

pub(super) static FIELD_SELECTOR_ATTRIBUTES: Fields = Fields(&[
    optional(1, "rawSelector", Text),
    list(2, "requirements", Message(&meta::FIELD_SELECTOR_REQUIREMENT)),
]);

pub(super) static LABEL_SELECTOR_ATTRIBUTES: Fields = Fields(&[
    optional(1, "rawSelector", Text),
    list(2, "requirements", Message(&meta::LABEL_SELECTOR_REQUIREMENT)),
]);

pub(super) static NON_RESOURCE_ATTRIBUTES: Fields =
    Fields(&[optional(1, "path", Text), optional(2, "verb", Text)]);

pub(super) static NON_RESOURCE_RULE: Fields =
    Fields(&[list(1, "verbs", Text), list(2, "nonResourceURLs", Text)]);

pub(super) static RESOURCE_ATTRIBUTES: Fields = Fields(&[
    optional(1, "namespace", Text),
    optional(2, "verb", Text),
    optional(3, "group", Text),
    optional(4, "version", Text),
    optional(5, "resource", Text),
    optional(6, "subresource", Text),
    optional(7, "name", Text),
    field(8, "fieldSelector", Message(&FIELD_SELECTOR_ATTRIBUTES)),
    field(9, "labelSelector", Message(&LABEL_SELECTOR_ATTRIBUTES)),
]);

pub(super) static RESOURCE_RULE: Fields = Fields(&[
    list(1, "verbs", Text),
    list(2, "apiGroups", Text),
    list(3, "resources", Text),
    list(4, "resourceNames", Text),
]);

pub(super) static SELF_SUBJECT_ACCESS_REVIEW: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&SELF_SUBJECT_ACCESS_REVIEW_SPEC)),
    field(3, "status", Message(&SUBJECT_ACCESS_REVIEW_STATUS)),
]);

pub(super) static SELF_SUBJECT_ACCESS_REVIEW_SPEC: Fields = Fields(&[
    field(1, "resourceAttributes", Message(&RESOURCE_ATTRIBUTES)),
    field(2, "nonResourceAttributes", Message(&NON_RESOURCE_ATTRIBUTES)),
]);

pub(super) static SELF_SUBJECT_REVIEW: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "status", Message(&SELF_SUBJECT_REVIEW_STATUS)),
]);

pub(super) static SELF_SUBJECT_REVIEW_STATUS: Fields = Fields(&[field(1, "userInfo", Message(&USER_INFO))]);

pub(super) static SELF_SUBJECT_RULES_REVIEW: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&SELF_SUBJECT_RULES_REVIEW_SPEC)),
    field(3, "status", Message(&SUBJECT_RULES_REVIEW_STATUS)),
]);

pub(super) static SELF_SUBJECT_RULES_REVIEW_SPEC: Fields = Fields(&[optional(1, "namespace", Text)]);

pub(super) static SUBJECT_ACCESS_REVIEW: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&SUBJECT_ACCESS_REVIEW_SPEC)),
    field(3, "status", Message(&SUBJECT_ACCESS_REVIEW_STATUS)),
]);

pub(super) static SUBJECT_ACCESS_REVIEW_SPEC: Fields = Fields(&[
    field(1, "resourceAttributes", Message(&RESOURCE_ATTRIBUTES)),
    field(2, "nonResourceAttributes", Message(&NON_RESOURCE_ATTRIBUTES)),
    optional(3, "user", Text),
    list(4, "groups", Text),
    map(5, "extra", TextList),
    optional(6, "uid", Text),
]);

pub(super) static SUBJECT_ACCESS_REVIEW_STATUS: Fields = Fields(&[
    field(1, "allowed", Bool),
    optional(2, "reason", Text),
    optional(3, "evaluationError", Text),
    optional(4, "denied", Bool),
]);

pub(super) static SUBJECT_RULES_REVIEW_STATUS: Fields = Fields(&[
    list(1, "resourceRules", Message(&RESOURCE_RULE)),
    list(2, "nonResourceRules", Message(&NON_RESOURCE_RULE)),
    field(3, "incomplete", Bool),
    optional(4, "evaluationError", Text),
]);

pub(super) static TOKEN_REQUEST: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&TOKEN_REQUEST_SPEC)),
    field(3, "status", Message(&TOKEN_REQUEST_STATUS)),
]);

pub(super) static TOKEN_REQUEST_SPEC: Fields = Fields(&[
    list(1, "audiences", Text),
    field(3, "boundObjectRef", Message(&BOUND_OBJECT_REFERENCE)),
    field(4, "expirationSeconds", Int),
]);

pub(super) static TOKEN_REQUEST_STATUS: Fields =
    Fields(&[field(1, "token", Text), field(2, "expirationTimestamp", Time)]);

pub(super) static TOKEN_REVIEW: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    field(2, "spec", Message(&TOKEN_REVIEW_SPEC)),
    field(3, "status", Message(&TOKEN_REVIEW_STATUS)),
]);

pub(super) static TOKEN_REVIEW_SPEC: Fields =
    Fields(&[optional(1, "token", Text), list(2, "audiences", Text)]);

pub(super) static TOKEN_REVIEW_STATUS: Fields = Fields(&[
    optional(1, "authenticated", Bool),
    field(2, "user", Message(&USER_INFO)),
    optional(3, "error", Text),
    list(4, "audiences", Text),
]);

pub(super) static USER_INFO: Fields = Fields(&[
    optional(1, "username", Text),
    optional(2, "uid", Text),
    list(3, "groups", Text),
    map(4, "extra", TextList),
]);
