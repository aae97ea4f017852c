//! One piece of work in a trace.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Tracer;
use crate::{WallClock, clock, limits::SPAN_ATTRIBUTES_MAX, sync, task::TraceParent};

/// A piece of work that has begun. It ends when it is told to, or dropped.
///
/// ```
/// use cronlet_sdk::otlp::{Span, Tracer};
///
/// let span: Span = Tracer::off().span("fetch", None);
/// span.set("http.request.method", "GET");
/// // For whoever goes on with the trace: a header, or the environment of a command.
/// let parent = span.context().to_string();
/// assert!(parent.starts_with("00-"));
/// ```
pub struct Span {
    tracer: Tracer,
    /// As its children see it.
    context: TraceParent,
    parent_id: Option<u64>,
    name: String,
    began: (Timestamp, Instant),
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    attributes: Vec<(String, String)>,
    failure: Option<String>,
    has_ended: bool,
}

/// What is told of a span that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) context: TraceParent,
    pub(super) parent_id: Option<u64>,
    pub(super) name: String,
    pub(super) began: Timestamp,
    pub(super) took: Duration,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) failure: Option<String>,
}

impl Span {
    pub(super) fn begin(tracer: Tracer, name: &str, parent: Option<TraceParent>) -> Span {
        let sampled = tracer.is_on() && parent.is_none_or(|parent| parent.sampled);
        let trace_id = parent.map_or_else(|| fastrand::u128(1..), |parent| parent.trace_id);
        let context = TraceParent { trace_id, parent_id: fastrand::u64(1..), sampled };
        let began = (WallClock::system().now(), clock::now());
        let parent_id = parent.map(|parent| parent.parent_id);
        Span { tracer, context, parent_id, name: name.to_owned(), began, said: Mutex::default() }
    }

    /// A piece of this piece, which begins now.
    pub fn child(&self, name: &str) -> Span {
        Span::begin(self.tracer.clone(), name, Some(self.context))
    }

    /// Says something about it; what was said of the same name before is replaced. At most [`SPAN_ATTRIBUTES_MAX`]; more
    /// are left out.
    pub fn set(&self, name: &str, value: impl fmt::Display) {
        if !self.is_recorded() {
            return;
        }
        let mut said = self.lock();
        said.attributes.retain(|(known, _)| known != name);
        if said.attributes.len() < SPAN_ATTRIBUTES_MAX {
            said.attributes.push((name.to_owned(), value.to_string()));
        }
    }

    /// Says that it has failed, and why.
    pub fn fail(&self, why: impl fmt::Display) {
        self.lock().failure = Some(why.to_string());
    }

    /// What names it to those who go on with its trace.
    pub fn context(&self) -> TraceParent {
        self.context
    }

    /// Whether it will be sent.
    pub fn is_recorded(&self) -> bool {
        self.context.sampled
    }

    /// Ends it now, unless it has ended.
    pub fn end(&self) {
        let mut said = self.lock();
        if std::mem::replace(&mut said.has_ended, true) || !self.is_recorded() {
            return;
        }
        let (attributes, failure) = (std::mem::take(&mut said.attributes), said.failure.take());
        drop(said);
        self.tracer.keep(Ended {
            context: self.context,
            parent_id: self.parent_id,
            name: self.name.clone(),
            began: self.began.0,
            took: self.began.1.elapsed(),
            attributes,
            failure,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        sync::lock(&self.said)
    }
}

impl Ended {
    /// When it ended, whatever became of the wall clock meanwhile.
    pub(super) fn ended(&self) -> Timestamp {
        let took = SignedDuration::try_from(self.took).unwrap_or(SignedDuration::MAX);
        self.began.saturating_add(took).unwrap_or(Timestamp::MAX)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("name", &self.name)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
