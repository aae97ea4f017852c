//! Where spans go and who sends them, as OpenTelemetry's variables say.

use crate::task::EnvironmentFault;

/// The port of OTLP over HTTP.
const PORT: u16 = 4318;
/// Where a collector takes spans.
const TRACES: &str = "/v1/traces";

/// What is said about a collector.
pub(super) struct Configuration {
    /// `host:port`.
    pub(super) address: String,
    /// The path.
    pub(super) target: String,
    /// Whole lines.
    pub(super) headers: String,
    /// What describes the sender; `service.name` is among it.
    pub(super) resource: Vec<(String, String)>,
}

/// Reads the variables; nothing if no spans are wanted.
pub(super) fn read(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Configuration>, EnvironmentFault> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    if given("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "");
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", TRACES);
    let Some((name, suffix, url)) =
        [traces, all].into_iter().find_map(|(name, suffix)| Some((name, suffix, given(name)?)))
    else {
        return Ok(None);
    };
    let fault =
        |variable, value: &str, expected| EnvironmentFault { variable, value: value.to_owned(), expected };
    let expected =
        "an address such as http://localhost:4318 (there is no TLS here; a collector nearby passes spans on)";
    let (address, target) = endpoint(&url, suffix).ok_or_else(|| fault(name, &url, expected))?;
    let headers = match given("OTEL_EXPORTER_OTLP_HEADERS") {
        None => String::new(),
        // What they hold is nobody's business.
        Some(list) => headers(&list).ok_or_else(|| {
            fault("OTEL_EXPORTER_OTLP_HEADERS", "…", "a list such as name=value,name=value, percent-encoded")
        })?,
    };
    let mut resource = match given("OTEL_RESOURCE_ATTRIBUTES") {
        None => Vec::new(),
        Some(list) => pairs(&list).ok_or_else(|| {
            fault("OTEL_RESOURCE_ATTRIBUTES", &list, "a list such as name=value,name=value, percent-encoded")
        })?,
    };
    let named = given("OTEL_SERVICE_NAME");
    if named.is_some() || resource.iter().all(|(name, _)| name != "service.name") {
        resource.retain(|(name, _)| name != "service.name");
        let name = named.unwrap_or_else(|| "unknown_service".to_owned());
        resource.push(("service.name".to_owned(), name));
    }
    Ok(Some(Configuration { address, target, headers, resource }))
}

/// The address and the path of an `http://` URL.
fn endpoint(url: &str, suffix: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || !plain(url) || authority.contains('@') {
        return None;
    }
    // The colons of an IPv6 address are in brackets.
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
    let address = match port {
        Some(port) => port.parse::<u16>().ok().map(|_| authority.to_owned())?,
        None => format!("{authority}:{PORT}"),
    };
    let target = format!("{}{suffix}", path.trim_end_matches('/'));
    Some((address, if target.is_empty() { "/".to_owned() } else { target }))
}

fn headers(list: &str) -> Option<String> {
    let line = |(name, value): (String, String)| {
        let token = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        // What would end the line would begin a header of its own.
        (token && !value.contains(char::is_control)).then(|| format!("{name}: {value}\r\n"))
    };
    pairs(list)?.into_iter().map(line).collect()
}

/// `name=value,name=value`, with values percent-encoded.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.trim().to_owned(), decoded(value.trim())?))
    };
    list.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
