//! A policy as a `tower::Layer`.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tower_service::Service;

use super::{Failure, Layer};

/// Puts a guard, usually a whole [`Policy`](super::Policy), around a tower service.
///
/// Services and requests are cloned for each attempt. The service is always ready: it is inside the guard that each
/// attempt waits for the inner service to become ready.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{Policy, PolicyLayer, PolicyService};
/// use tower_layer::Layer as _;
///
/// let layer = PolicyLayer::new(Policy::new().timeout(Duration::from_secs(2)));
/// let service = "any tower service";
/// let guarded: PolicyService<&str, _> = layer.layer(service);
/// # drop(guarded);
/// ```
#[derive(Debug)]
pub struct PolicyLayer<L> {
    guard: Arc<L>,
}

impl<L> PolicyLayer<L> {
    /// `guard` around every service this layer is given; all share its state.
    pub fn new(guard: L) -> PolicyLayer<L> {
        PolicyLayer { guard: Arc::new(guard) }
    }
}

impl<L> Clone for PolicyLayer<L> {
    fn clone(&self) -> PolicyLayer<L> {
        PolicyLayer { guard: self.guard.clone() }
    }
}

impl<S, L> tower_layer::Layer<S> for PolicyLayer<L> {
    type Service = PolicyService<S, L>;

    fn layer(&self, service: S) -> PolicyService<S, L> {
        PolicyService { service, guard: self.guard.clone() }
    }
}

/// A tower service under a guard.
#[derive(Debug)]
pub struct PolicyService<S, L> {
    service: S,
    guard: Arc<L>,
}

impl<S: Clone, L> Clone for PolicyService<S, L> {
    fn clone(&self) -> PolicyService<S, L> {
        PolicyService { service: self.service.clone(), guard: self.guard.clone() }
    }
}

impl<S, L, Request> Service<Request> for PolicyService<S, L>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    Request: Clone + Send + 'static,
    L: Layer<S::Response, S::Error> + 'static,
{
    type Response = S::Response;
    type Error = Failure<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure<S::Error>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let guard = self.guard.clone();
        // Services and requests need not be `Sync`; the lock makes the pair of them so.
        let template = Mutex::new((self.service.clone(), request));
        Box::pin(async move {
            let attempt = || {
                let (mut service, request) = template.lock().unwrap_or_else(PoisonError::into_inner).clone();
                async move {
                    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Failure::Call)?;
                    service.call(request).await.map_err(Failure::Call)
                }
            };
            guard.guard(&attempt).await
        })
    }
}
