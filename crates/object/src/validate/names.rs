//! What names may look like: of objects, containers, ports, environment variables, keys of a ConfigMap.

pub(crate) use crate::selector::{dns_subdomain_errors, label_value_errors, qualified_name_errors};
use crate::{FieldErrors, Path};

const LABEL_BYTES_MAX: usize = 63;
const PORT_NAME_CHARS_MAX: usize = 15;
const CONFIG_KEY_CHARS_MAX: usize = 253;

/// What a kind asks of the names of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// A lowercase RFC 1123 subdomain.
    Subdomain,
    /// A lowercase RFC 1123 label.
    Label,
    /// Anything that can stand in a request path.
    PathSegment,
    /// An RFC 1035 label, as Services have it.
    ServiceLabel,
}

impl NameRule {
    /// Why `name` is refused; empty when it is not.
    pub(crate) fn errors(self, name: &str) -> Vec<String> {
        match self {
            NameRule::Subdomain => dns_subdomain_errors(name),
            NameRule::Label => dns_label_errors(name),
            NameRule::PathSegment => path_segment_errors(name),
            NameRule::ServiceLabel => service_label_errors(name),
        }
    }

    /// Why names cannot be generated from `base`. A hyphen at its end is no fault: a suffix will follow.
    pub(crate) fn base_errors(self, base: &str) -> Vec<String> {
        match base.strip_suffix('-') {
            Some(rest) if base.len() > 1 => {
                self.errors(&format!("{}a", &rest[..rest.len() - last_char_bytes(rest)]))
            }
            _ => self.errors(base),
        }
    }
}

fn last_char_bytes(text: &str) -> usize {
    text.chars().next_back().map_or(0, char::len_utf8)
}

/// Adds `errors`, each a fault of `value`, to those of the object.
pub(crate) fn report(
    texts: Vec<String>,
    value: &str,
    field: impl FnOnce() -> Path,
    errors: &mut FieldErrors,
) {
    if texts.is_empty() {
        return;
    }
    let field = field();
    for text in texts {
        errors.invalid(&field, value, text);
    }
}

/// The message of a pattern that does not match.
pub(crate) fn pattern_rule(rule: &str, pattern: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{rule} (regex used for validation is '{pattern}')");
    }
    let quoted: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{pattern}')", quoted.join(" or "))
}

/// Why `name` is no lowercase RFC 1123 label (upstream `IsDNS1123Label`).
pub(crate) fn dns_label_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_BYTES_MAX {
        errors.push(format!("must be no more than {LABEL_BYTES_MAX} bytes"));
    }
    if is_dns_label(name) {
        return errors;
    }
    if name.split('.').all(is_dns_label) {
        errors.push("must not contain dots".to_owned());
    } else {
        errors.push(pattern_rule(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
             must start and end with an alphanumeric character",
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "123-abc"],
        ));
    }
    errors
}

fn is_dns_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Why `name` is no RFC 1035 label (upstream `IsDNS1035Label`).
fn service_label_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_BYTES_MAX {
        errors.push(format!("must be no more than {LABEL_BYTES_MAX} bytes"));
    }
    if !is_dns_label(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
        errors.push(pattern_rule(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errors
}

fn path_segment_errors(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].into_iter().filter(|s| name.contains(s)).map(|s| format!("may not contain '{s}'")).collect()
}

/// Why `name` cannot name a port (upstream `IsValidPortName`).
pub(crate) fn port_name_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > PORT_NAME_CHARS_MAX {
        errors.push(format!("must be no more than {PORT_NAME_CHARS_MAX} characters"));
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".into());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".into());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".into());
    }
    errors
}

/// Why `name` cannot name an environment variable (upstream `IsRelaxedEnvVarName`, the rule since 1.34).
pub(crate) fn env_name_errors(name: &str) -> Vec<String> {
    let allowed = |b: u8| (b' '..=b'~').contains(&b) && b != b'=';
    if !name.is_empty() && name.bytes().all(allowed) {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .into(),
    ]
}

/// Why `key` cannot be a key of a ConfigMap or Secret (upstream `IsConfigMapKey`).
pub(crate) fn config_key_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > CONFIG_KEY_CHARS_MAX {
        errors.push(format!("must be no more than {CONFIG_KEY_CHARS_MAX} characters"));
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        errors.push(pattern_rule(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match key {
        "." | ".." => errors.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => errors.push("must not start with '..'".into()),
        _ => {}
    }
    errors
}

/// Why `value` is no path with a domain before it, such as `acme.io/foo` (upstream `IsDomainPrefixedPath`).
pub(crate) fn domain_prefixed_path(value: &str, field: &Path, errors: &mut FieldErrors) {
    if value.is_empty() {
        errors.required(field, "");
        return;
    }
    match value.split_once('/') {
        Some((host, path)) if !host.is_empty() && !path.is_empty() => {
            report(dns_subdomain_errors(host), host, || field.clone(), errors);
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
            if !path.bytes().all(allowed) {
                errors.invalid(
                    field,
                    path,
                    pattern_rule("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]),
                );
            }
        }
        _ => errors.invalid(field, value, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
}

/// The text must be an IP address (upstream `IsValidIP`).
pub(crate) fn ip_address(value: &str, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if value.parse::<core::net::IpAddr>().is_err() {
        errors.invalid(&field(), value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_generated_names_may_end_in_a_hyphen() {
        assert_eq!(NameRule::Subdomain.base_errors("job-"), Vec::<String>::new());
        assert_eq!(NameRule::Subdomain.base_errors("Job-").len(), 1);
        assert_eq!(NameRule::Label.base_errors("a.b-"), ["must not contain dots"]);
    }

    #[test]
    fn every_fault_of_a_port_name_is_told() {
        assert_eq!(port_name_errors("http-80").len(), 0);
        assert_eq!(port_name_errors("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(port_name_errors("-a--b-").len(), 2);
        assert_eq!(port_name_errors("HTTP").len(), 2);
    }

    #[test]
    fn config_keys_may_not_leave_their_directory() {
        assert_eq!(config_key_errors("..data"), ["must not start with '..'"]);
        assert_eq!(config_key_errors(".."), ["must not be '..'"]);
        assert_eq!(config_key_errors(".env"), Vec::<String>::new());
    }
}
