// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Roles and their bindings.

use super::Kind::{Message, Text};
use super::{Fields, field, list, meta, optional};

pub(super) static AGGREGATION_RULE: Fields =
    Fields(&[list(1, "clusterRoleSelectors", Message(&meta::LABEL_SELECTOR))]);

pub(super) static CLUSTER_ROLE: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    list(2, "rules", Message(&POLICY_RULE)),
    field(3, "aggregationRule", Message(&AGGREGATION_RULE)),
]);

/// RoleBindings have the same fields.
pub(super) static CLUSTER_ROLE_BINDING: Fields = Fields(&[
    field(1, "metadata", Message(&meta::OBJECT_META)),
    list(2, "subjects", Message(&SUBJECT)),
    field(3, "roleRef", Message(&ROLE_REF)),
]);

pub(super) static POLICY_RULE: Fields = Fields(&[
    list(1, "verbs", Text),
    list(2, "apiGroups", Text),
    list(3, "resources", Text),
    list(4, "resourceNames", Text),
    list(5, "nonResourceURLs", Text),
]);

pub(super) static ROLE: Fields =
    Fields(&[field(1, "metadata", Message(&meta::OBJECT_META)), list(2, "rules", Message(&POLICY_RULE))]);

pub(super) static ROLE_REF: Fields =
    Fields(&[field(1, "apiGroup", Text), field(2, "kind", Text), field(3, "name", Text)]);

pub(super) static SUBJECT: Fields = Fields(&[
    field(1, "kind", Text),
    optional(2, "apiGroup", Text),
    field(3, "name", Text),
    optional(4, "namespace", Text),
]);
