//! PersistentVolumeClaims.

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::PersistentVolumeClaim,
    claim::{class_of, requested},
    table::{self, Column, Row},
    validate::{
        equal, immutable,
        labels::validate_selector,
        names::{NameRule, dns_subdomain_errors, report},
        resources::validate_storage,
    },
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PersistentVolumeClaimStatus};

const ACCESS_MODES: [(&str, &str); 4] = [
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOnce", "RWO"),
    ("ReadWriteOncePod", "RWOP"),
];
/// The order in which the table lists access modes.
const SHOWN_MODES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
const PENDING: &str = "Pending";
const BOUND: &str = "Bound";

impl Rules for PersistentVolumeClaim {
    const NAME: NameRule = NameRule::Subdomain;
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Status"),
        Column::text("Volume"),
        Column::text("Capacity"),
        Column::text("Access Modes"),
        Column::text("StorageClass"),
        Column::text("VolumeAttributesClass"),
        Column::text("Age"),
        Column::wide("VolumeMode"),
    ];

    fn set_defaults(&mut self) {
        let mode = &mut self.spec.get_or_insert_default().volume_mode;
        mode.get_or_insert_with(|| "Filesystem".to_owned());
        let phase = &mut self.status.get_or_insert_default().phase;
        phase.get_or_insert_with(|| PENDING.to_owned());
    }

    fn prepare_create(&mut self) {
        self.status =
            Some(PersistentVolumeClaimStatus { phase: Some(PENDING.to_owned()), ..Default::default() });
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let absent = PersistentVolumeClaimSpec::default();
        validate_spec(self.spec.as_ref().unwrap_or(&absent), &Path::root("spec"), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
        let absent = PersistentVolumeClaimSpec::default();
        let (new, old_spec) = (self.spec.as_ref().unwrap_or(&absent), old.spec.as_ref().unwrap_or(&absent));
        let mut allowed = old_spec.clone();
        if old_spec.volume_name.as_deref().unwrap_or_default().is_empty() {
            allowed.volume_name.clone_from(&new.volume_name);
        }
        if old_spec.storage_class_name.is_none() {
            allowed.storage_class_name.clone_from(&new.storage_class_name);
        }
        if self.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(BOUND) {
            allowed.resources.clone_from(&new.resources);
            allowed.volume_attributes_class_name.clone_from(&new.volume_attributes_class_name);
        }
        if !equal(new, &allowed) {
            errors.forbidden(
                &Path::root("spec"),
                "spec is immutable after creation except resources.requests and volumeAttributesClassName \
                 for bound claims",
            );
        }
        if requested(self) < requested(old) {
            let field = Path::root("spec").child("resources").child("requests").child("storage");
            errors.forbidden(&field, "field can not be less than previous value");
        }
        immutable(&new.volume_mode, &old_spec.volume_mode, || Path::root("volumeMode"), errors);
    }

    fn row(&self, now: Timestamp) -> Row {
        let absent = PersistentVolumeClaimSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&absent);
        let status = self.status.as_ref();
        let phase = match self.metadata.deletion_timestamp {
            Some(_) => "Terminating",
            None => status.and_then(|status| status.phase.as_deref()).unwrap_or_default(),
        };
        let volume = spec.volume_name.as_deref().unwrap_or_default();
        let bound = status.filter(|_| !volume.is_empty());
        let capacity = bound.and_then(|status| status.capacity.as_ref()?.get("storage"));
        let class = class_of(&self.metadata, spec.storage_class_name.as_ref()).unwrap_or_default();
        Row::of([
            table::name(&self.metadata),
            phase.into(),
            volume.into(),
            capacity.map_or("", |amount| amount.0.as_str()).into(),
            bound
                .map(|status| short_modes(status.access_modes.as_deref().unwrap_or_default()))
                .unwrap_or_default()
                .into(),
            class.into(),
            table::text_or(spec.volume_attributes_class_name.as_deref(), "<unset>"),
            table::age_of(&self.metadata, now),
            spec.volume_mode.as_deref().unwrap_or("<unset>").into(),
        ])
    }
}

/// Access modes as tables show them.
pub(super) fn short_modes(modes: &[String]) -> String {
    let given = SHOWN_MODES.iter().filter(|mode| modes.iter().any(|given| given == *mode));
    let short = given.filter_map(|mode| ACCESS_MODES.iter().find(|(name, _)| name == mode));
    short.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The specification of a claim, whether of a PersistentVolumeClaim itself or of a pod's ephemeral volume.
pub(crate) fn validate_spec(spec: &PersistentVolumeClaimSpec, field: &Path, errors: &mut FieldErrors) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.required(&field.child("accessModes"), "at least 1 access mode is required");
    }
    if let Some(selector) = &spec.selector {
        validate_selector(selector, &field.child("selector"), errors);
    }
    validate_modes(modes, &field.child("accessModes"), errors);
    let storage = || field.child("resources").key("storage");
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    match requests.and_then(|requests| requests.get("storage")) {
        None => errors.required(&storage(), ""),
        Some(amount) => validate_storage(amount, &storage(), errors),
    }
    let classes = [
        ("storageClassName", &spec.storage_class_name),
        ("volumeAttributesClassName", &spec.volume_attributes_class_name),
    ];
    for (name, class) in classes {
        if let Some(class) = class.as_deref().filter(|class| !class.is_empty()) {
            report(dns_subdomain_errors(class), class, || field.child(name), errors);
        }
    }
    if let Some(mode) = spec.volume_mode.as_deref().filter(|mode| !["Block", "Filesystem"].contains(mode)) {
        errors.not_supported(&field.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
}

/// Access modes: known ones, of which one tolerates no other.
pub(super) fn validate_modes(modes: &[String], field: &Path, errors: &mut FieldErrors) {
    let known = |mode: &str| ACCESS_MODES.iter().any(|(name, _)| *name == mode);
    for mode in modes.iter().filter(|mode| !known(mode)) {
        errors.not_supported(field, mode, &ACCESS_MODES.map(|(name, _)| name));
    }
    let (exclusive, shared) =
        modes.iter().filter(|mode| known(mode)).partition::<Vec<_>, _>(|mode| *mode == "ReadWriteOncePod");
    if !exclusive.is_empty() && !shared.is_empty() {
        errors.forbidden(field, "may not use ReadWriteOncePod with other access modes");
    }
}
