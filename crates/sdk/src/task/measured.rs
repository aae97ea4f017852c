//! What is counted of a task's run, where that feature is on; nothing otherwise.

#[cfg(feature = "metrics")]
pub(super) use on::Measured;

#[cfg(not(feature = "metrics"))]
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {}

#[cfg(not(feature = "metrics"))]
impl Measured {
    #[expect(clippy::unused_async, reason = "there is something to wait for with the feature")]
    pub(super) async fn end(&self, _: &str, _: u32, _: std::time::Duration) -> Option<String> {
        None
    }
}

#[cfg(feature = "metrics")]
mod on {
    use std::time::Duration;

    use crate::metrics::{Registry, Runs, push};

    #[derive(Debug, Clone, Default)]
    pub(crate) struct Measured {
        pub(crate) registry: Option<Registry>,
        /// A Pushgateway, and the name of the job.
        pub(crate) push: Option<(String, String)>,
    }

    impl Measured {
        /// Counts the run and pushes all there is; why that could not be done.
        pub(crate) async fn end(&self, outcome: &str, attempt: u32, took: Duration) -> Option<String> {
            let registry = self.registry.as_ref()?;
            Runs::new(registry).record(outcome, attempt, took);
            let (address, job) = self.push.as_ref()?;
            let error = push(address, job, registry).await.err()?;
            Some(format!("the metrics of this run are lost: {error}"))
        }
    }
}
