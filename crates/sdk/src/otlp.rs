//! Spans of a task, in the trace that its environment names, sent to an OpenTelemetry collector when the task ends.
//!
//! OTLP over HTTP in JSON, for programs that want no more than a few spans; whoever has a tracing library already hands
//! it [`TraceParent`] instead. The environment says where to, by OpenTelemetry's own variables:
//!
//! | variable | what it says |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | where spans go; nothing is recorded without it and the next |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the same, without `/v1/traces` at the end |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | headers that go with them: `name=value,…`, percent-encoded |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who sends them |
//! | `OTEL_SDK_DISABLED` | nothing is recorded if it is `true` |
//!
//! There is no TLS here: a collector on this machine or beside this pod passes spans on.

mod configuration;
mod json;
mod span;

use std::{
    fmt, io,
    sync::{Arc, Mutex},
};

use crate::{
    http,
    limits::SPANS_MAX,
    sync,
    task::{EnvironmentFault, TraceParent},
};
use configuration::Configuration;
use span::Ended;
pub use span::Span;

/// Makes spans, keeps those that have ended, and sends them. Clones share all that.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use cronlet_sdk::otlp::Tracer;
///
/// let tracer = Tracer::from_environment(|name| std::env::var(name).ok()).unwrap();
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
/// let run = tracer.span("run", parent);
/// let load = run.child("load");
/// load.set("rows", 1000);
/// load.end();
/// run.fail("the disk is full");
/// run.end();
/// assert!(tracer.flush().await.is_ok(), "sent, or nothing recorded as nobody wants it");
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Tracer {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    configuration: Configuration,
    ended: Mutex<Vec<Ended>>,
}

impl Tracer {
    /// Records nothing, and hands its parents on.
    ///
    /// ```
    /// let span = cronlet_sdk::otlp::Tracer::off().span("run", None);
    /// assert!(!span.is_recorded());
    /// ```
    pub fn off() -> Tracer {
        Tracer::default()
    }

    /// Does what the environment says, read through `variable`.
    ///
    /// # Errors
    /// If a variable asks for what cannot be.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Tracer, EnvironmentFault> {
        let configuration = configuration::read(&variable)?;
        let shared = |configuration| Arc::new(Shared { configuration, ended: Mutex::default() });
        Ok(Tracer { shared: configuration.map(shared) })
    }

    /// A span that begins now, below `parent` or in a trace of its own. As W3C asks, what is below a parent that was not
    /// recorded is not recorded either.
    pub fn span(&self, name: &str, parent: Option<TraceParent>) -> Span {
        Span::begin(self.clone(), name, parent)
    }

    /// Sends the spans that have ended; those that cannot be sent are kept for the next time. At most [`SPANS_MAX`] are
    /// kept, the oldest ones.
    ///
    /// Cancel safe: spans on their way when this is dropped are kept, and may arrive twice.
    ///
    /// # Errors
    /// If the collector does not take them within 10 s.
    pub async fn flush(&self) -> io::Result<()> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let spans = std::mem::take(&mut *sync::lock(&shared.ended));
        if spans.is_empty() {
            return Ok(());
        }
        let mut unsent = Unsent { shared, spans };
        let Configuration { address, target, headers, resource } = &shared.configuration;
        let body = json::request(resource, &unsent.spans);
        let headers = format!("Content-Type: application/json\r\n{headers}");
        http::send(address, &format!("POST {target}"), &headers, &body).await?;
        unsent.spans.clear();
        Ok(())
    }

    fn keep(&self, span: Ended) {
        if let Some(shared) = &self.shared {
            let mut ended = sync::lock(&shared.ended);
            if ended.len() < SPANS_MAX {
                ended.push(span);
            }
        }
    }

    fn is_on(&self) -> bool {
        self.shared.is_some()
    }
}

/// Spans on their way, which go back if they do not arrive.
struct Unsent<'a> {
    shared: &'a Shared,
    spans: Vec<Ended>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if self.spans.is_empty() {
            return;
        }
        let mut ended = sync::lock(&self.shared.ended);
        let later = std::mem::replace(&mut *ended, std::mem::take(&mut self.spans));
        ended.extend(later);
        ended.truncate(SPANS_MAX);
    }
}

impl fmt::Debug for Tracer {
    /// Without the headers, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.shared.as_ref().map(|shared| &shared.configuration.address);
        f.debug_struct("Tracer").field("address", &address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
