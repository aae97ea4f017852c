// @generated from Kubernetes' protobuf definitions (field numbers and JSON names).
//! Leases.

use super::Kind::{Int, Message, MicroTime, Text};
use super::{Fields, field, meta};

pub(super) static LEASE: Fields =
    Fields(&[field(1, "metadata", Message(&meta::OBJECT_META)), field(2, "spec", Message(&LEASE_SPEC))]);

pub(super) static LEASE_SPEC: Fields = Fields(&[
    field(1, "holderIdentity", Text),
    field(2, "leaseDurationSeconds", Int),
    field(3, "acquireTime", MicroTime),
    field(4, "renewTime", MicroTime),
    field(5, "leaseTransitions", Int),
    field(6, "strategy", Text),
    field(7, "preferredHolder", Text),
]);
