//! Events.

use jiff::Timestamp;
use serde_json::Value;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::Event,
    table::{self, Column, Row},
    validate::names::{NameRule, qualified_name_errors, report},
};

/// Longest text of the fields that identify an event, in characters.
const TEXT_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 1024;

impl Rules for Event {
    const NAME: NameRule = NameRule::PathSegment;
    const FIELDS: &[&str] = &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ];
    const COLUMNS: &[Column] = &[
        Column::text("Last Seen"),
        Column::text("Type"),
        Column::text("Reason"),
        Column::text("Object"),
        Column::wide("Subobject"),
        Column::wide("Source"),
        Column::text("Message"),
        Column::wide("First Seen"),
        Column::wide("Count"),
        Column::wide("Name").naming(),
    ];

    fn validate(&self, errors: &mut FieldErrors) {
        let involved = self.involved_object.namespace.as_deref().unwrap_or_default();
        let own = self.metadata.namespace.as_deref().unwrap_or_default();
        let (namespace_fits, is_new) = match self.event_time {
            None => {
                (if involved.is_empty() { matches!(own, "" | "default") } else { own == involved }, false)
            }
            Some(_) => (!involved.is_empty() || matches!(own, "default" | "kube-system"), true),
        };
        if !namespace_fits {
            let field = Path::root("involvedObject").child("namespace");
            errors.invalid(&field, involved, "does not match event.namespace");
        }
        if is_new {
            validate_new(self, errors);
        }
    }

    fn validate_update(&self, _old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
    }

    fn field(&self, label: &str) -> Option<String> {
        let object = &self.involved_object;
        let value = match label {
            "involvedObject.kind" => &object.kind,
            "involvedObject.namespace" => &object.namespace,
            "involvedObject.name" => &object.name,
            "involvedObject.uid" => &object.uid,
            "involvedObject.apiVersion" => &object.api_version,
            "involvedObject.resourceVersion" => &object.resource_version,
            "involvedObject.fieldPath" => &object.field_path,
            "reason" => &self.reason,
            "reportingComponent" => &self.reporting_component,
            "source" => return component(self).map(str::to_owned),
            _ => &self.type_,
        };
        value.clone()
    }

    fn row(&self, now: Timestamp) -> Row {
        let text = |value: &Option<String>| Value::from(value.as_deref().unwrap_or_default());
        let first_seen = match &self.first_timestamp {
            Some(time) => table::since(Some(time), now),
            None => table::since_micro(self.event_time.as_ref(), now),
        };
        let series = self.series.as_ref();
        let last_seen =
            match (series.and_then(|series| series.last_observed_time.as_ref()), &self.last_timestamp) {
                (Some(time), _) => table::since_micro(Some(time), now),
                (None, Some(time)) => table::since(Some(time), now),
                (None, None) => first_seen.clone(),
            };
        let count = series.and_then(|series| series.count).or(self.count).unwrap_or_default();
        let object = &self.involved_object;
        let kind = object.kind.as_deref().unwrap_or_default().to_lowercase();
        Row::of([
            last_seen.into(),
            text(&self.type_),
            text(&self.reason),
            format!("{kind}/{}", object.name.as_deref().unwrap_or_default()).into(),
            text(&object.field_path),
            source(self).into(),
            self.message.as_deref().unwrap_or_default().trim().into(),
            first_seen.into(),
            // An event that is not counted has happened once.
            count.max(1).into(),
            table::name(&self.metadata),
        ])
    }
}

fn component(event: &Event) -> Option<&str> {
    let component = event.source.as_ref().and_then(|source| source.component.as_deref());
    component.filter(|name| !name.is_empty()).or(event.reporting_component.as_deref())
}

fn source(event: &Event) -> String {
    let host =
        event.source.as_ref().and_then(|source| source.host.as_deref()).filter(|host| !host.is_empty());
    let host = host.or(event.reporting_instance.as_deref()).filter(|host| !host.is_empty());
    let parts = [component(event).filter(|name| !name.is_empty()), host];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What is asked of events that have an `eventTime`, as newer clients write them.
fn validate_new(event: &Event, errors: &mut FieldErrors) {
    let texts = [
        ("reportingComponent", &event.reporting_component),
        ("reportingInstance", &event.reporting_instance),
        ("action", &event.action),
        ("reason", &event.reason),
    ];
    for (name, value) in texts {
        let value = value.as_deref().unwrap_or_default();
        if value.is_empty() {
            errors.required(&Path::root(name), "");
        } else if name == "reportingComponent" {
            report(qualified_name_errors(value), value, || Path::root(name), errors);
        } else if value.chars().count() > TEXT_MAX {
            errors.invalid(&Path::root(name), "", format!("can have at most {TEXT_MAX} characters"));
        }
    }
    if event.message.as_ref().is_some_and(|message| message.len() > MESSAGE_BYTES_MAX) {
        let detail = format!("can have at most {MESSAGE_BYTES_MAX} bytes");
        errors.invalid(&Path::root("message"), "", detail);
    }
}
