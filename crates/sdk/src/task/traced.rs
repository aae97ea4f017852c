//! The span of a task's whole run, where that feature is on; nothing otherwise.

use super::{Environment, EnvironmentFault};

#[cfg(feature = "otlp")]
pub(super) use on::Traced;

#[cfg(not(feature = "otlp"))]
#[derive(Debug)]
pub(super) struct Traced;

#[cfg(not(feature = "otlp"))]
impl Traced {
    pub(super) fn begin(_: &Environment) -> Result<Traced, EnvironmentFault> {
        Ok(Traced)
    }

    #[expect(clippy::unused_async, reason = "there is something to wait for with the feature")]
    pub(super) async fn end(self, _: u8, _: Option<&str>) -> Option<String> {
        None
    }
}

#[cfg(feature = "otlp")]
mod on {
    use std::sync::Arc;

    use super::{Environment, EnvironmentFault};
    use crate::otlp::{Span, Tracer};

    #[derive(Debug)]
    pub(crate) struct Traced {
        tracer: Tracer,
        pub(crate) span: Arc<Span>,
    }

    impl Traced {
        /// A span that begins now, in the trace that the environment names.
        pub(crate) fn begin(environment: &Environment) -> Result<Traced, EnvironmentFault> {
            let tracer = Tracer::from_environment(|name| std::env::var(name).ok())?;
            let span = tracer.span("run", environment.trace_parent);
            span.set("cronlet.attempt", environment.attempt);
            if let Some(scheduled) = environment.scheduled_time {
                span.set("cronlet.scheduled_time", scheduled);
            }
            if let Some(index) = environment.completion_index {
                span.set("cronlet.completion_index", index);
            }
            Ok(Traced { tracer, span: Arc::new(span) })
        }

        /// Ends the span and sends all there are; why that could not be done.
        pub(crate) async fn end(self, code: u8, failure: Option<&str>) -> Option<String> {
            self.span.set("process.exit.code", code);
            if let Some(why) = failure {
                self.span.fail(why);
            }
            self.span.end();
            let error = self.tracer.flush().await.err()?;
            Some(format!("the spans of this run are lost: {error}"))
        }
    }
}
