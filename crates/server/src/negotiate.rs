//! Which form of an answer a client accepts.
//!
//! Answers are always JSON: every client that prefers protobuf lists JSON as well. What is negotiated is the shape.

use cronlet_object::ApiError;
use http::{HeaderMap, header::ACCEPT};

/// The shape of an answer that holds objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The objects themselves.
    Plain,
    /// A `Table` of this version of `meta.k8s.io`.
    Table(MetaVersion),
    /// `PartialObjectMetadata`, or a list of it, of this version of `meta.k8s.io`.
    Metadata(MetaVersion),
}

/// A version of the group `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`
    V1,
    /// `v1beta1`
    V1Beta1,
}

impl MetaVersion {
    /// The `apiVersion` of objects of this version.
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The shape of a discovery document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryForm {
    /// One document for each group and version.
    Legacy,
    /// One `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
    V2,
    /// One `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2beta1`.
    V2Beta1,
}

/// One entry of an `Accept` header.
struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q").and_then(|(_, q)| q.parse().ok());
        parameters.retain(|(name, _)| *name != "q");
        Clause { media_type, parameters, quality: quality.unwrap_or(1.0) }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn is_json(&self) -> bool {
        matches!(self.media_type, "application/json" | "application/*" | "*/*")
    }
}

fn object_clause(clause: &Clause<'_>) -> Option<Form> {
    if !clause.is_json() {
        return None;
    }
    let Some(shape) = clause.get("as") else { return Some(Form::Plain) };
    if clause.get("g") != Some("meta.k8s.io") {
        return None;
    }
    let version = match clause.get("v")? {
        "v1" => MetaVersion::V1,
        "v1beta1" => MetaVersion::V1Beta1,
        _ => return None,
    };
    match shape {
        "Table" => Some(Form::Table(version)),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Form::Metadata(version)),
        _ => None,
    }
}

fn discovery_clause(clause: &Clause<'_>) -> Option<DiscoveryForm> {
    if !clause.is_json() {
        return None;
    }
    let Some(shape) = clause.get("as") else { return Some(DiscoveryForm::Legacy) };
    if shape != "APIGroupDiscoveryList" || clause.get("g") != Some("apidiscovery.k8s.io") {
        return None;
    }
    match clause.get("v")? {
        "v2" => Some(DiscoveryForm::V2),
        "v2beta1" => Some(DiscoveryForm::V2Beta1),
        _ => None,
    }
}

/// The first form that the client accepts, by quality and then in the client's order.
fn choose<T>(headers: &HeaderMap, form: impl Fn(&Clause<'_>) -> Option<T>) -> Option<T> {
    let values: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut clauses: Vec<Clause<'_>> = values
        .iter()
        .flat_map(|value| value.split(','))
        .filter(|text| !text.trim().is_empty())
        .map(Clause::parse)
        .collect();
    if clauses.is_empty() {
        clauses.push(Clause::parse("*/*"));
    }
    clauses.retain(|clause| clause.quality > 0.0);
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses.iter().find_map(form)
}

fn not_acceptable() -> ApiError {
    ApiError::not_acceptable(
        "406: Not Acceptable: only the following media types are accepted: application/json, \
         application/json;as=Table;v=v1;g=meta.k8s.io, application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    )
}

/// The form in which the client wants objects.
///
/// # Errors
/// 406 if it accepts none that can be produced.
pub fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    choose(headers, object_clause).ok_or_else(not_acceptable)
}

/// The form in which the client wants discovery documents.
///
/// # Errors
/// 406 if it accepts none that can be produced.
pub fn discovery_form(headers: &HeaderMap) -> Result<DiscoveryForm, ApiError> {
    choose(headers, discovery_clause).ok_or_else(not_acceptable)
}

#[cfg(test)]
mod tests;
