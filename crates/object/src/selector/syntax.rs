//! What keys and values of labels may look like, and upstream's words for those that do not.

const NAME_MAX_BYTES: usize = 63;
const VALUE_MAX_BYTES: usize = 63;
const SUBDOMAIN_MAX_BYTES: usize = 253;

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', \
    '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
    '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
    used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Why `key` cannot be the key of a label or annotation: `name` or `prefix.example.com/name`
/// (upstream `IsQualifiedName`). Empty when it can.
#[must_use]
pub fn qualified_name_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            errors.extend(dns_subdomain_errors(prefix).iter().map(|error| format!("prefix part {error}")));
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_MAX_BYTES {
        errors.push(format!("name part must be no more than {NAME_MAX_BYTES} bytes"));
    }
    if !is_name(name) {
        errors.push(format!("name part {NAME_RULE}"));
    }
    errors
}

/// Why `value` cannot be the value of a label (upstream `IsValidLabelValue`). Empty when it can.
#[must_use]
pub fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > VALUE_MAX_BYTES {
        errors.push(format!("must be no more than {VALUE_MAX_BYTES} bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        errors.push(VALUE_RULE.to_owned());
    }
    errors
}

/// Why `name` is no lowercase RFC 1123 subdomain (upstream `IsDNS1123Subdomain`). Empty when it is one.
#[must_use]
pub fn dns_subdomain_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(format!("must be no more than {SUBDOMAIN_MAX_BYTES} bytes"));
    }
    let is_lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !name.split('.').all(|label| consists_of(label, is_lower, |b| b == b'-')) {
        errors.push(SUBDOMAIN_RULE.to_owned());
    }
    errors
}

fn is_name(text: &str) -> bool {
    consists_of(text, |b| b.is_ascii_alphanumeric(), |b| b"-_.".contains(&b))
}

/// Whether `text` is not empty, has only `outer` at both ends and only `outer` or `inner` between.
fn consists_of(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let ends = text.bytes().next().zip(text.bytes().next_back());
    ends.is_some_and(|(first, last)| outer(first) && outer(last))
        && text.bytes().all(|b| outer(b) || inner(b))
}
