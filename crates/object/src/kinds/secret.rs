//! Secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;

use super::{Rules, config_map::IMMUTABLE_SET};
use crate::{
    FieldErrors, Path,
    api::Secret,
    table::{self, Column, Row},
    validate::{
        equal, immutable,
        names::{NameRule, config_key_errors, report},
    },
};

/// Most bytes that all values may have together.
const DATA_BYTES_MAX: usize = 1024 * 1024;
const OPAQUE: &str = "Opaque";
const ACCOUNT_ANNOTATION: &str = "kubernetes.io/service-account.name";

impl Rules for Secret {
    const NAME: NameRule = NameRule::Subdomain;
    const FIELDS: &[&str] = &["type"];
    const COLUMNS: &[Column] =
        &[table::NAME, Column::text("Type"), Column::text("Data"), Column::text("Age")];

    fn set_defaults(&mut self) {
        if self.type_.as_deref().unwrap_or_default().is_empty() {
            self.type_ = Some(OPAQUE.to_owned());
        }
        // `stringData` is for writing only: its values go into `data`, over what is there.
        if let Some(texts) = self.string_data.take().filter(|texts| !texts.is_empty()) {
            let bytes = texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes())));
            self.data.get_or_insert_default().extend(bytes);
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            report(config_key_errors(key), key, || Path::root("data").key(key), errors);
            bytes += value.0.len();
        }
        if bytes > DATA_BYTES_MAX {
            errors.too_long(&Path::root("data"), DATA_BYTES_MAX);
        }
        validate_type(self, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        immutable(&self.type_, &old.type_, || Path::root("type"), errors);
        if old.immutable == Some(true) {
            if self.immutable != Some(true) {
                errors.forbidden(&Path::root("immutable"), IMMUTABLE_SET);
            }
            if !equal(&self.data, &old.data) {
                errors.forbidden(&Path::root("data"), IMMUTABLE_SET);
            }
        }
        self.validate(errors);
    }

    fn field(&self, _label: &str) -> Option<String> {
        self.type_.clone()
    }

    fn row(&self, now: Timestamp) -> Row {
        Row::of([
            table::name(&self.metadata),
            self.type_.as_deref().unwrap_or_default().into(),
            self.data.as_ref().map_or(0, BTreeMap::len).into(),
            table::age_of(&self.metadata, now),
        ])
    }
}

/// What the types that Kubernetes knows ask of the data.
fn validate_type(secret: &Secret, errors: &mut FieldErrors) {
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let at = |key: &str| Path::root("data").key(key);
    let mut require = |keys: &[&str]| keys.iter().for_each(|key| errors.required(&at(key), ""));
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let annotations = secret.metadata.annotations.as_ref();
            let account = annotations.and_then(|annotations| annotations.get(ACCOUNT_ANNOTATION));
            if account.is_none_or(String::is_empty) {
                let field = Path::root("metadata").child("annotations").key(ACCOUNT_ANNOTATION);
                errors.required(&field, "");
            }
        }
        "kubernetes.io/dockercfg" => validate_json(secret, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => validate_json(secret, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if value("username").is_none() && value("password").is_none() => {
            require(&["username", "password"]);
        }
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(|key| key.0.is_empty()) => {
            require(&["ssh-privatekey"]);
        }
        "kubernetes.io/tls" => {
            let missing: Vec<&str> =
                ["tls.crt", "tls.key"].into_iter().filter(|key| value(key).is_none()).collect();
            require(&missing);
        }
        _ => {}
    }
}

fn validate_json(secret: &Secret, key: &str, errors: &mut FieldErrors) {
    let field = Path::root("data").key(key);
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        None => errors.required(&field, ""),
        Some(bytes) => {
            if let Err(error) = serde_json::from_slice::<serde_json::Map<_, _>>(&bytes.0) {
                errors.invalid(&field, "<secret contents redacted>", error.to_string());
            }
        }
    }
}
