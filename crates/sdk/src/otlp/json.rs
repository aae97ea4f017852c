//! Spans as OTLP has them in JSON: protobuf's mapping, but for identifiers, which are in hexadecimal.

use std::fmt::Write as _;

use super::span::Ended;

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &[(String, String)], spans: &[Ended]) -> String {
    let spans: Vec<String> = spans.iter().map(span).collect();
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":{}}},"scopeSpans":[{{"scope":{{"name":"cronlet-sdk","version":{}}},"spans":[{}]}}]}}]}}"#,
        attributes(resource),
        text(env!("CARGO_PKG_VERSION")),
        spans.join(",")
    )
}

fn span(span: &Ended) -> String {
    let parent = span.parent_id.map(|id| format!(r#""parentSpanId":"{id:016x}","#)).unwrap_or_default();
    let status = match &span.failure {
        Some(why) => format!(r#"{{"code":{ERROR},"message":{}}}"#, text(why)),
        None => "{}".to_owned(),
    };
    format!(
        r#"{{"traceId":"{:032x}","spanId":"{:016x}",{parent}"name":{},"kind":{INTERNAL},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":{},"status":{status}}}"#,
        span.context.trace_id,
        span.context.parent_id,
        text(&span.name),
        span.began.as_nanosecond().max(0),
        span.ended().as_nanosecond().max(0),
        attributes(&span.attributes),
    )
}

fn attributes(pairs: &[(String, String)]) -> String {
    let one = |(name, value): &(String, String)| {
        format!(r#"{{"key":{},"value":{{"stringValue":{}}}}}"#, text(name), text(value))
    };
    format!("[{}]", pairs.iter().map(one).collect::<Vec<_>>().join(","))
}

/// A string.
fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            // Writing to a string does not fail.
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
