//! Prometheus' text format, version 0.0.4.

use std::{collections::BTreeMap, fmt::Write as _};

use super::registry::{Buckets, Family, Kind, Labels};

/// The names a metric may have: letters, digits, `_` and `:`, no digit first.
pub(super) fn metric_name(name: &str) -> String {
    sanitize(name, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// The names a label may have: as a metric's, without `:`.
pub(super) fn label_name(name: &str) -> String {
    sanitize(name, |c| c.is_ascii_alphanumeric() || c == '_')
}

fn sanitize(name: &str, allowed: impl Fn(char) -> bool) -> String {
    let clean = |c| if allowed(c) { c } else { '_' };
    let leading = if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() { "_" } else { "" };
    leading.chars().chain(name.chars().map(clean)).collect()
}

pub(super) fn expose(families: &BTreeMap<String, Family>) -> String {
    let mut text = String::new();
    for (name, family) in families {
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let kind = match family.kind {
            Kind::Counter(_) => "counter",
            Kind::Histogram { .. } => "histogram",
        };
        // Writing to a string does not fail.
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        match &family.kind {
            Kind::Counter(series) => {
                for (labels, value) in series {
                    line(&mut text, name, labels, None, value);
                }
            }
            Kind::Histogram { bounds, series } => {
                for (labels, buckets) in series {
                    histogram(&mut text, name, labels, bounds, buckets);
                }
            }
        }
    }
    text
}

fn histogram(text: &mut String, name: &str, labels: &Labels, bounds: &[f64], buckets: &Buckets) {
    let mut total = 0_u64;
    let bucket = format!("{name}_bucket");
    let bounds = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&buckets.counts) {
        total += count;
        line(text, &bucket, labels, Some(&bound), &total);
    }
    line(text, &format!("{name}_sum"), labels, None, &buckets.sum);
    line(text, &format!("{name}_count"), labels, None, &total);
}

fn line(text: &mut String, name: &str, labels: &Labels, bound: Option<&str>, value: &dyn std::fmt::Display) {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut pairs: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
    pairs.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
    let _infallible = writeln!(text, "{name}{pairs} {value}");
}
