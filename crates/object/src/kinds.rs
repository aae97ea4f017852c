//! What sets the kinds apart when they are written, selected and printed: one file each, behind one trait.

pub(crate) mod config_map;
pub(crate) mod cronjob;
pub(crate) mod event;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod limit_range;
pub(crate) mod namespace;
pub(crate) mod node;
pub(crate) mod persistent_volume;
pub(crate) mod persistent_volume_claim;
pub(crate) mod pod;
pub(crate) mod pod_template;
pub(crate) mod priority_class;
pub(crate) mod role;
pub(crate) mod role_binding;
pub(crate) mod runtime_class;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod service_account;
pub(crate) mod storage_class;

use jiff::Timestamp;

use crate::{
    ApiError, FieldErrors, Kind, Object, Resource,
    table::{Column, Row},
    validate::names::NameRule,
};

/// The rules of a kind. The pipeline that applies them is [`crate::admit`].
pub(crate) trait Rules: Resource + PartialEq {
    /// What names of objects must look like.
    const NAME: NameRule;
    /// Whether a replacement may leave out `metadata.resourceVersion` and so win over whatever is stored.
    const UNCONDITIONAL_UPDATE: bool = true;
    /// Fields that field selectors may ask for, besides name and namespace.
    const FIELDS: &[&str] = &[];
    /// The columns of a table.
    const COLUMNS: &[Column];

    /// Fills in what the client left out.
    fn set_defaults(&mut self) {}

    /// Sets what the server decides about a new object, and clears what only the server may set.
    fn prepare_create(&mut self) {}

    /// Takes over from `old` what a write of the object itself leaves alone.
    fn prepare_update(&mut self, _old: &Self) {}

    /// Takes over from `old` what a write of the status leaves alone.
    fn prepare_status_update(&mut self, _old: &Self) {}

    /// Completes an object whose fields have been found valid.
    fn finish(&mut self) {}

    /// Whether the specification is another one; `metadata.generation` counts these changes.
    fn spec_differs(&self, _old: &Self) -> bool {
        false
    }

    /// The mistakes of a new object, apart from its metadata.
    fn validate(&self, errors: &mut FieldErrors);

    /// The mistakes of a replacement for `old`, apart from its metadata.
    fn validate_update(&self, old: &Self, errors: &mut FieldErrors);

    /// The mistakes of a new status, apart from the metadata.
    fn validate_status_update(&self, _old: &Self, _errors: &mut FieldErrors) {}

    /// What a client should be told although the write is accepted. `old` is absent for a new object.
    fn warnings(&self, _old: Option<&Self>) -> Vec<String> {
        Vec::new()
    }

    /// The value of one of [`Self::FIELDS`]; absent counts as empty.
    fn field(&self, _label: &str) -> Option<String> {
        None
    }

    /// The cells of the object in a table, one for each column.
    fn row(&self, now: Timestamp) -> Row;
}

/// Checks that a field selector for `kind` may use `field`.
///
/// # Errors
/// 400, in the words upstream has for the kind.
pub fn check_field_label(kind: Kind, field: &str) -> Result<(), ApiError> {
    let own = with_kind!(kind, T => T::FIELDS);
    let namespaced = kind.descriptor().namespaced;
    if field == "metadata.name" || (field == "metadata.namespace" && namespaced) || own.contains(&field) {
        return Ok(());
    }
    Err(ApiError::bad_request(match kind {
        Kind::Job => format!("field label {field:?} not supported for Job"),
        _ if own.is_empty() => {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
        _ => format!("field label not supported: {field}"),
    }))
}

/// The value that field selectors compare for `field`; empty if the object does not have it.
///
/// # Errors
/// As [`check_field_label`].
pub fn field_label(object: &Object, field: &str) -> Result<String, ApiError> {
    check_field_label(object.kind(), field)?;
    Ok(match field {
        "metadata.name" => object.name().to_owned(),
        "metadata.namespace" => object.namespace().to_owned(),
        _ => with_kind!(object.kind(), T => object.decode::<T>().field(field)).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Draft,
        api::{Job, JobStatus, Pod, PodSpec},
    };

    #[test]
    fn unknown_fields_are_refused_in_the_words_of_the_kind() {
        let refusal = |kind, field| check_field_label(kind, field).unwrap_err().message().to_owned();
        assert_eq!(refusal(Kind::Job, "spec.foo"), "field label \"spec.foo\" not supported for Job");
        assert_eq!(refusal(Kind::Pod, "spec.foo"), "field label not supported: spec.foo");
        assert_eq!(
            refusal(Kind::CronJob, "spec.suspend"),
            "\"spec.suspend\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert!(check_field_label(Kind::Node, "metadata.namespace").is_err());
    }

    #[test]
    fn fields_are_read_from_metadata_spec_and_status() {
        let mut job = Job::default();
        job.metadata.name = Some("j".into());
        job.metadata.namespace = Some("ns".into());
        job.status = Some(JobStatus { succeeded: Some(3), ..Default::default() });
        let object = Draft::of(&job).seal(1);
        let field = |label| field_label(&object, label).unwrap();
        assert_eq!(
            [field("metadata.name"), field("metadata.namespace"), field("status.successful")],
            ["j", "ns", "3"]
        );

        let spec = PodSpec { node_name: Some("n1".into()), ..Default::default() };
        let mut pod = Pod { spec: Some(spec), ..Default::default() };
        pod.metadata.name = Some("p".into());
        let pod = Draft::of(&pod).seal(1);
        assert_eq!(field_label(&pod, "spec.nodeName").unwrap(), "n1");
        assert_eq!(field_label(&pod, "status.phase").unwrap(), "");
    }

    #[test]
    fn every_listed_field_has_a_value_or_is_empty_and_every_row_fills_its_columns() {
        for &kind in Kind::ALL {
            with_kind!(kind, T => {
                let object = T::default();
                T::FIELDS.iter().for_each(|label| drop(object.field(label)));
                assert_eq!(object.row(Timestamp::UNIX_EPOCH).cells.len(), T::COLUMNS.len(), "{kind}");
            });
        }
    }
}
