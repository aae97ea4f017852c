//! PersistentVolumes.

use jiff::Timestamp;

use super::{
    Rules,
    persistent_volume_claim::{short_modes, validate_modes},
};
use crate::{
    FieldErrors, Path,
    api::PersistentVolume,
    claim::class_of,
    table::{self, Column, Row},
    validate::{
        equal, immutable,
        names::{NameRule, dns_subdomain_errors, report},
        one_of,
        resources::validate_storage,
        scheduling::validate_node_selector,
        volume_sources::validate_volume_source,
    },
};
use k8s_openapi::api::core::v1::{PersistentVolumeSpec, PersistentVolumeStatus};

const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
const PENDING: &str = "Pending";
const RECYCLE_WARNING: &str = "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, \
    the recommended approach is to use dynamic provisioning.";

impl Rules for PersistentVolume {
    const NAME: NameRule = NameRule::Subdomain;
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Capacity"),
        Column::text("Access Modes"),
        Column::text("Reclaim Policy"),
        Column::text("Status"),
        Column::text("Claim"),
        Column::text("StorageClass"),
        Column::text("VolumeAttributesClass"),
        Column::text("Reason"),
        Column::text("Age"),
        Column::wide("VolumeMode"),
    ];

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.persistent_volume_reclaim_policy.get_or_insert_with(|| "Retain".to_owned());
        spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        if let Some(host) = &mut spec.host_path {
            host.type_.get_or_insert_default();
        }
        let phase = &mut self.status.get_or_insert_default().phase;
        phase.get_or_insert_with(|| PENDING.to_owned());
    }

    fn prepare_create(&mut self) {
        self.status = Some(PersistentVolumeStatus { phase: Some(PENDING.to_owned()), ..Default::default() });
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let absent = PersistentVolumeSpec::default();
        validate_spec(self.spec.as_ref().unwrap_or(&absent), &Path::root("spec"), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
        let absent = PersistentVolumeSpec::default();
        let (new, old) = (self.spec.as_ref().unwrap_or(&absent), old.spec.as_ref().unwrap_or(&absent));
        if !equal(&source_of(new), &source_of(old)) {
            let field = Path::root("spec").child("persistentvolumesource");
            errors.forbidden(&field, "spec.persistentvolumesource is immutable after creation");
        }
        immutable(&new.volume_mode, &old.volume_mode, || Path::root("volumeMode"), errors);
        if old.node_affinity.is_some() {
            immutable(&new.node_affinity, &old.node_affinity, || Path::root("nodeAffinity"), errors);
        }
    }

    fn warnings(&self, _old: Option<&Self>) -> Vec<String> {
        let policy = self.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if policy == Some("Recycle") { vec![RECYCLE_WARNING.to_owned()] } else { Vec::new() }
    }

    fn row(&self, now: Timestamp) -> Row {
        let absent = PersistentVolumeSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&absent);
        let status = self.status.as_ref();
        let phase = match self.metadata.deletion_timestamp {
            Some(_) => "Terminating",
            None => status.and_then(|status| status.phase.as_deref()).unwrap_or_default(),
        };
        let claim = spec.claim_ref.as_ref().map(|claim| {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{}/{}", part(&claim.namespace), part(&claim.name))
        });
        let capacity = spec.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
        let class = class_of(&self.metadata, spec.storage_class_name.as_ref()).unwrap_or_default();
        Row::of([
            table::name(&self.metadata),
            capacity.map_or("", |amount| amount.0.as_str()).into(),
            short_modes(spec.access_modes.as_deref().unwrap_or_default()).into(),
            spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default().into(),
            phase.into(),
            claim.unwrap_or_default().into(),
            class.into(),
            table::text_or(spec.volume_attributes_class_name.as_deref(), "<unset>"),
            status.and_then(|status| status.reason.as_deref()).unwrap_or_default().into(),
            table::age_of(&self.metadata, now),
            spec.volume_mode.as_deref().unwrap_or("<unset>").into(),
        ])
    }
}

/// What a volume is, without what is said of it.
fn source_of(spec: &PersistentVolumeSpec) -> PersistentVolumeSpec {
    PersistentVolumeSpec {
        access_modes: None,
        capacity: None,
        claim_ref: None,
        mount_options: None,
        node_affinity: None,
        persistent_volume_reclaim_policy: None,
        storage_class_name: None,
        volume_attributes_class_name: None,
        volume_mode: None,
        ..spec.clone()
    }
}

fn validate_spec(spec: &PersistentVolumeSpec, field: &Path, errors: &mut FieldErrors) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.required(&field.child("accessModes"), "");
    }
    validate_modes(modes, &field.child("accessModes"), errors);
    validate_capacity(spec, &field.child("capacity"), errors);
    let policy = spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default();
    if !policy.is_empty() {
        one_of(policy, &RECLAIM_POLICIES, || field.child("persistentVolumeReclaimPolicy"), errors);
    }
    if let Some(required) = spec.node_affinity.as_ref().map(|affinity| affinity.required.as_ref()) {
        let field = field.child("nodeAffinity").child("required");
        match required {
            Some(required) => validate_node_selector(required, &field, errors),
            None => errors.required(&field, "must specify required node constraints"),
        }
    }
    validate_volume_source(spec, field, errors);
    if policy == "Recycle"
        && spec.host_path.as_ref().is_some_and(|host| host.path.trim_end_matches('/').is_empty())
    {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.forbidden(&field.child("persistentVolumeReclaimPolicy"), detail);
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
    if let Some(mode) = spec.volume_mode.as_deref() {
        one_of(mode, &VOLUME_MODES, || field.child("volumeMode"), errors);
    }
}

fn validate_capacity(spec: &PersistentVolumeSpec, field: &Path, errors: &mut FieldErrors) {
    let Some(capacity) = spec.capacity.as_ref().filter(|capacity| !capacity.is_empty()) else {
        return errors.required(field, "");
    };
    if !capacity.contains_key("storage") || capacity.len() > 1 {
        errors.not_supported(field, capacity, &["storage"]);
    }
    for (resource, amount) in capacity {
        validate_storage(amount, &field.key(resource), errors);
    }
}
