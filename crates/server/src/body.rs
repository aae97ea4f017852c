//! Request bodies: read with bounds, decoded from JSON, YAML or protobuf, and checked against what the path says.

use bytes::Bytes;
use cronlet_object::{
    ApiError, Kind, Typed,
    document::{Decoded, Document, decode, decode_typed, read_json},
    manifest, protobuf,
};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    limits::{REQUEST_BODY_BYTES_MAX, REQUEST_BODY_DISCARDED_BYTES_MAX, REQUEST_BODY_TIME_MAX},
    query::FieldValidation,
};

/// How much of a body that is not understood an error message shows, in bytes.
const SUMMARY_BYTES: usize = 30;
/// Where Kubernetes' own scheme of kinds is declared: part of a message that clients may know.
const SCHEME: &str = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";

/// The format of a body that holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON; also if the client does not say.
    Json,
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf envelope.
    Protobuf,
}

/// A body as it was sent.
#[derive(Clone, Debug)]
pub struct Body {
    /// The format its `Content-Type` announces.
    pub format: Format,
    /// The bytes.
    pub bytes: Bytes,
}

/// An object from a request body, and what its sender should be told about it.
#[derive(Debug)]
pub struct Received {
    /// The object.
    pub object: Typed,
    /// Fields that are unknown or occur twice.
    pub warnings: Vec<String>,
}

/// The media type of a request body, without parameters; empty if not given.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads a body whole.
///
/// # Errors
/// 413 if it is larger than allowed; 400 if it ends early or does not come at all.
pub async fn read(mut body: axum::body::Body) -> Result<Bytes, ApiError> {
    let whole = async {
        let collected = Limited::new(&mut body, REQUEST_BODY_BYTES_MAX).collect().await;
        if collected.as_ref().is_err_and(|error| error.is::<LengthLimitError>()) {
            discard(&mut body).await;
        }
        collected
    };
    match tokio::time::timeout(REQUEST_BODY_TIME_MAX, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::too_large(format!(
            "Request entity too large: limit is {REQUEST_BODY_BYTES_MAX} bytes"
        ))),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("the request body could not be read: {error}"))),
        Err(_) => Err(ApiError::bad_request(format!(
            "the request body did not arrive within {} seconds",
            REQUEST_BODY_TIME_MAX.as_secs()
        ))),
    }
}

/// Takes in what is still on its way, within bounds: a client that is cut off while it sends does not see the answer.
async fn discard(body: &mut axum::body::Body) {
    let mut bytes = 0;
    while bytes < REQUEST_BODY_DISCARDED_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match media_type(headers).as_str() {
            "" | "application/json" => Ok(Format::Json),
            "application/yaml" => Ok(Format::Yaml),
            protobuf::MEDIA_TYPE => Ok(Format::Protobuf),
            _ => Err(ApiError::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json, application/yaml, application/vnd.kubernetes.protobuf",
            )),
        }
    }
}

impl Body {
    /// Reads a body that holds an object.
    ///
    /// # Errors
    /// 415 for a media type that is not understood; else as [`read`].
    pub async fn receive(headers: &HeaderMap, body: axum::body::Body) -> Result<Self, ApiError> {
        let format = Format::of(headers)?;
        Ok(Body { format, bytes: read(body).await? })
    }

    /// Reads a body that may be left out.
    ///
    /// # Errors
    /// As [`Body::receive`]; what an empty body claims to be does not matter.
    pub async fn receive_any(headers: &HeaderMap, body: axum::body::Body) -> Result<Option<Self>, ApiError> {
        let bytes = read(body).await?;
        if bytes.is_empty() { Ok(None) } else { Ok(Some(Body { format: Format::of(headers)?, bytes })) }
    }

    /// The object of a kind that the body holds.
    ///
    /// # Errors
    /// 400 if it is not such an object, or under strict validation has unknown or duplicate fields.
    pub fn object(&self, kind: Kind, validation: FieldValidation) -> Result<Received, ApiError> {
        let d = kind.descriptor();
        let expected = Expected { group: d.group, version: d.version, kind: d.kind };
        let mut document = self.document(&expected)?;
        expected.claim(&mut document.value, &self.bytes)?;
        let Decoded { object, unknown } =
            decode_typed(kind, &document.value).map_err(|error| expected.refuse(&error.to_string()))?;
        let warnings = match validation {
            FieldValidation::Ignore => Vec::new(),
            _ => oddities(&document.duplicates, &unknown),
        };
        if validation == FieldValidation::Strict && !warnings.is_empty() {
            return Err(expected.refuse(&format!("strict decoding error: {}", warnings.join(", "))));
        }
        Ok(Received { object, warnings })
    }

    /// An object of a kind that is never stored. Unknown fields are passed over.
    ///
    /// # Errors
    /// 400 if it is not such an object.
    pub fn decode_other<T: DeserializeOwned>(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<T, ApiError> {
        let expected = Expected { group, version, kind };
        let mut document = self.document(&expected)?;
        expected.claim(&mut document.value, &self.bytes)?;
        let decoded: Decoded<T> =
            decode(&document.value).map_err(|error| expected.refuse(&error.to_string()))?;
        Ok(decoded.object)
    }

    /// The options of a deletion. Clients send them under various versions.
    ///
    /// # Errors
    /// 400 if the body holds something else.
    pub fn delete_options(&self) -> Result<DeleteOptions, ApiError> {
        let expected = Expected { group: "", version: "v1", kind: "DeleteOptions" };
        let document = self.document(&expected)?;
        let decoded: Decoded<DeleteOptions> =
            decode(&document.value).map_err(|error| expected.refuse(&error.to_string()))?;
        match decoded.object.kind.as_deref() {
            None | Some("" | "DeleteOptions") => Ok(decoded.object),
            Some(kind) => {
                Err(expected.mismatch(decoded.object.api_version.as_deref().unwrap_or_default(), kind))
            }
        }
    }

    /// The body as a JSON value, if it is well-formed.
    fn document(&self, expected: &Expected<'_>) -> Result<Document, ApiError> {
        match self.format {
            Format::Json => read_json(&self.bytes)
                .map_err(|error| expected.unrecognized(&format!("json parse error: {error}"), &self.bytes)),
            Format::Yaml => manifest::read_yaml(&self.bytes)
                .map_err(|error| expected.unrecognized(&format!("yaml parse error: {error}"), &self.bytes)),
            Format::Protobuf => protobuf::decode(&self.bytes)
                .map(|value| Document { value, duplicates: Vec::new() })
                .map_err(|error| expected.unrecognized(&error.to_string(), &self.bytes)),
        }
    }
}

/// A configuration to be applied.
#[derive(Debug)]
pub struct Configuration {
    /// The configuration as it was sent.
    pub value: Value,
    /// Fields that occur twice.
    pub warnings: Vec<String>,
}

/// Reads a configuration of an object of a kind, which is YAML or JSON.
///
/// # Errors
/// 400 if it is not, or does not say what it is, or has fields that the kind does not have; under strict validation also if
/// fields occur twice.
pub fn configuration(
    bytes: &[u8],
    kind: Kind,
    validation: FieldValidation,
) -> Result<Configuration, ApiError> {
    let d = kind.descriptor();
    let expected = Expected { group: d.group, version: d.version, kind: d.kind };
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let json = if is_json { read_json(bytes).ok() } else { None };
    let read = json.map_or_else(|| manifest::read_yaml(bytes), Ok);
    let document = read.map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    let (mut value, duplicates) = (document.value, document.duplicates);
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, named) = (text("apiVersion"), text("kind"));
    if api_version.is_empty() || named.is_empty() {
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        return Err(ApiError::bad_request(format!("invalid object type: {group}/{version}, Kind={named}")));
    }
    expected.claim(&mut value, bytes)?;
    let refuse = |why: &str| {
        let place = |field: &str| value.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let name = place("name").unwrap_or_default();
        let of = place("namespace").map_or(name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let why = format!("failed to create typed patch object ({of}; {api_version}, Kind={named}): {why}");
        ApiError::bad_request(why)
    };
    let decoded = decode_typed(kind, &value).map_err(|error| refuse(&error.to_string()))?;
    if !decoded.unknown.is_empty() {
        let unknown = decoded.unknown.iter().map(|path| format!(".{path}: field not declared in schema"));
        return Err(refuse(&unknown.collect::<Vec<_>>().join("\n")));
    }
    let warnings = match validation {
        FieldValidation::Ignore => Vec::new(),
        _ => oddities(&duplicates, &[]),
    };
    if validation == FieldValidation::Strict && !warnings.is_empty() {
        return Err(expected.refuse(&format!("strict decoding error: {}", warnings.join(", "))));
    }
    Ok(Configuration { value, warnings })
}

/// What is odd about a document, in words.
pub fn oddities(duplicates: &[String], unknown: &[String]) -> Vec<String> {
    let duplicates = duplicates.iter().map(|path| format!("duplicate field {path:?}"));
    duplicates.chain(unknown.iter().map(|path| format!("unknown field {path:?}"))).collect()
}

/// What the path says the body is.
struct Expected<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

impl Expected<'_> {
    fn api_version(&self) -> String {
        crate::discovery::group_version_text(self.group, self.version)
    }

    fn refuse(&self, why: &str) -> ApiError {
        let (kind, version) = (self.kind, self.version);
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    }

    fn unrecognized(&self, why: &str, body: &[u8]) -> ApiError {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; {why} ({})",
            self.kind,
            summary(body)
        ))
    }

    /// Checks that a value is of the expected kind. A value that does not say is taken to be.
    fn claim(&self, value: &mut Value, body: &[u8]) -> Result<(), ApiError> {
        let Value::Object(map) = value else {
            let found = match value {
                Value::Null => return Err(self.unrecognized("json parse error: unexpected null", body)),
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                _ => "array",
            };
            let why = format!(
                "json parse error: json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string; \
                 Kind string }}"
            );
            return Err(self.unrecognized(&why, body));
        };
        let text = |name: &str| match map.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(self.unrecognized(&format!("json parse error: {name} is not a string"), body)),
        };
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        let expected_version = self.api_version();
        let found_version = if api_version.is_empty() { &expected_version } else { &api_version };
        let found_kind = if kind.is_empty() { self.kind } else { &kind };
        if *found_version != expected_version || found_kind != self.kind {
            return Err(self.mismatch(found_version, found_kind));
        }
        map.insert("apiVersion".to_owned(), json!(expected_version));
        map.insert("kind".to_owned(), json!(self.kind));
        Ok(())
    }

    fn mismatch(&self, api_version: &str, kind: &str) -> ApiError {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let why = if Kind::from_manifest(api_version, kind).is_some() {
            let package = if self.group.is_empty() { "core" } else { self.group };
            format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", self.kind)
        } else {
            format!("no kind {kind:?} is registered for version {api_version:?} in scheme {SCHEME:?}")
        };
        ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: {why}",
            self.kind
        ))
    }
}

/// The beginning of a body that is not understood: as it is if it looks like JSON, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    let shown = &body[..body.len().min(SUMMARY_BYTES)];
    let text = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > SUMMARY_BYTES { format!("{text} ...") } else { text }
}

#[cfg(test)]
mod tests;
