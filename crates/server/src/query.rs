//! The options of a request, read from its query string.

use cronlet_object::{ApiError, FieldErrors, Path, limits::FIELD_MANAGER_BYTES_MAX};
use http::{HeaderMap, header};
use serde_json::json;

/// The parameters of a query string in their order.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Splits and decodes a query string. Every text is one: what cannot be decoded is replaced.
    pub fn parse(text: &str) -> Self {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, if it is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A yes or no. As upstream reads it, only absence, `false` and `0` mean no.
    pub fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    /// A yes or no whose absence means something else.
    pub fn optional_flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !(value.eq_ignore_ascii_case("false") || value == "0"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 if it is none, in the words of Go's parser.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().map_err(|error: std::num::ParseIntError| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            ApiError::bad_request(format!("{name}: strconv.ParseInt: parsing {text:?}: {why}"))
        })?;
        Ok(Some(number))
    }

    /// A resource version; the empty one is none.
    ///
    /// # Errors
    /// 400 if it is not a number.
    pub fn revision(&self) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text("resourceVersion") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            ApiError::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing \
                 {text:?}: invalid syntax"
            ))
        })
    }
}

/// What to do about fields that the kind does not have, and about fields given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    /// Say nothing.
    Ignore,
    /// Accept, with a warning for each.
    Warn,
    /// Refuse.
    Strict,
}

/// The options of create, update and patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether to do everything but store the result.
    pub dry_run: bool,
    /// What to do about unknown and duplicate fields.
    pub field_validation: FieldValidation,
    /// Who writes, if the client says so; else empty.
    pub field_manager: String,
    /// Whether a server-side apply takes over what others own.
    pub force: bool,
}

impl WriteOptions {
    /// Reads the options of a server-side apply, which must say who applies.
    ///
    /// # Errors
    /// As [`WriteOptions::parse`].
    pub fn parse_apply(query: &Query) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        if query.text("fieldManager").is_none() {
            errors.required(&Path::root("fieldManager"), "is required for apply patch");
        }
        let options = Self::read(query, &mut errors);
        refuse("PatchOptions", &errors)?;
        Ok(options)
    }

    /// Who writes: as upstream has it, a client that does not say goes by the first word of its `User-Agent`.
    pub fn manager(&self, headers: &HeaderMap) -> String {
        if !self.field_manager.is_empty() {
            return self.field_manager.clone();
        }
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = agent.split('/').next().unwrap_or_default();
        let name: String = name.chars().take(FIELD_MANAGER_BYTES_MAX).collect();
        if name.is_empty() { "unknown".to_owned() } else { name }
    }

    /// Reads the options of a write. `name` is that of upstream's options, such as `CreateOptions`.
    ///
    /// # Errors
    /// 422 that lists every option that is not valid.
    pub fn parse(query: &Query, name: &str) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let options = Self::read(query, &mut errors);
        if name == "PatchOptions" && query.get("force").is_some() {
            errors.forbidden(&Path::root("force"), "may not be specified for non-apply patch");
        }
        refuse(name, &errors)?;
        Ok(options)
    }

    fn read(query: &Query, errors: &mut FieldErrors) -> Self {
        let dry_run = dry_run(query.all("dryRun"), errors);
        let field_validation = match query.get("fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(other) => {
                let field = Path::root("fieldValidation");
                errors.not_supported(&field, other, &["", "Ignore", "Strict", "Warn"]);
                FieldValidation::Warn
            }
        };
        let field_manager = query.get("fieldManager").unwrap_or_default();
        if field_manager.len() > FIELD_MANAGER_BYTES_MAX {
            errors.too_long(&Path::root("fieldManager"), FIELD_MANAGER_BYTES_MAX);
        }
        if field_manager.chars().any(char::is_control) {
            let field = Path::root("fieldManager");
            errors.invalid(&field, field_manager, "should only contain printable characters");
        }
        let field_manager = field_manager.to_owned();
        WriteOptions { dry_run, field_validation, field_manager, force: query.flag("force") }
    }
}

/// Whether the values of `dryRun` ask for a dry run; a value that is not valid is added to the errors.
fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut FieldErrors) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|value| *value != "All") {
        errors.not_supported(&Path::root("dryRun"), json!(values), &["All"]);
    }
    !values.is_empty()
}

/// 422 about options, if there are errors.
///
/// # Errors
/// If there are errors.
fn refuse(options: &str, errors: &FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid_named("meta.k8s.io", options, "", errors)) }
}

/// How the state of a list or the start of a watch relates to the resource version in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Exactly that version.
    Exact,
    /// That version or a later one.
    NotOlderThan,
}

/// The options of list and watch.
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// Most objects on one page; none for all.
    pub limit: Option<usize>,
    /// The token of the next page.
    pub continue_token: Option<String>,
    /// `resourceVersion`; none if absent.
    pub revision: Option<u64>,
    /// `resourceVersionMatch`
    pub revision_match: Option<Match>,
    /// `labelSelector` as it was given.
    pub label_selector: String,
    /// `fieldSelector` as it was given.
    pub field_selector: String,
    /// Whether to watch.
    pub watch: bool,
    /// Whether a watch may send bookmarks.
    pub bookmarks: bool,
    /// `sendInitialEvents` of a watch.
    pub initial_events: Option<bool>,
    /// How long a watch lasts, in seconds.
    pub timeout_seconds: Option<u64>,
}

impl ListOptions {
    /// Reads the options of a list or a watch.
    ///
    /// # Errors
    /// 400 for numbers that are none; 422 for options that do not go together.
    pub fn parse(query: &Query) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let match_field = Path::root("resourceVersionMatch");
        let watch = query.flag("watch");
        let revision_match = match query.text("resourceVersionMatch") {
            None => None,
            Some("Exact") if !watch => Some(Match::Exact),
            Some("NotOlderThan") => Some(Match::NotOlderThan),
            Some(other) => {
                let supported: &[&str] =
                    if watch { &["NotOlderThan"] } else { &["Exact", "NotOlderThan", ""] };
                errors.not_supported(&match_field, other, supported);
                None
            }
        };
        let options = ListOptions {
            limit: query.integer("limit")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0),
            continue_token: query.text("continue").map(str::to_owned),
            revision: query.revision()?,
            revision_match,
            label_selector: query.get("labelSelector").unwrap_or_default().to_owned(),
            field_selector: query.get("fieldSelector").unwrap_or_default().to_owned(),
            watch,
            bookmarks: query.flag("allowWatchBookmarks"),
            initial_events: query.optional_flag("sendInitialEvents"),
            timeout_seconds: query
                .integer("timeoutSeconds")?
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0),
        };
        if options.watch {
            options.check_watch(&match_field, &mut errors);
        } else {
            options.check_list(&match_field, &mut errors);
        }
        refuse("ListOptions", &errors)?;
        Ok(options)
    }

    fn check_list(&self, match_field: &Path, errors: &mut FieldErrors) {
        if self.initial_events.is_some() {
            errors.forbidden(&Path::root("sendInitialEvents"), "sendInitialEvents is forbidden for list");
        }
        let Some(revision_match) = self.revision_match else { return };
        if self.revision.is_none() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.forbidden(match_field, why);
        }
        if self.continue_token.is_some() {
            errors.forbidden(match_field, "resourceVersionMatch is forbidden when continue is provided");
        }
        if revision_match == Match::Exact && self.revision == Some(0) {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.forbidden(match_field, why);
        }
    }

    fn check_watch(&self, match_field: &Path, errors: &mut FieldErrors) {
        if self.initial_events.is_some() && self.revision_match != Some(Match::NotOlderThan) {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.forbidden(match_field, why);
        }
        if self.revision_match.is_some() && self.initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.forbidden(match_field, why);
        }
    }
}

#[cfg(test)]
mod tests;
