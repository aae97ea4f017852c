//! What all guards have in common, and how one is put around another.

use std::future::Future;

use super::Failure;

/// An operation that can be called again and again, with `Ok(T)` or a [`Failure`] of `E`.
///
/// Implemented for every `Fn() -> impl Future<Output = Result<T, Failure<E>>>`.
pub trait Operation<T, E>: Sync {
    /// One call.
    fn call(&self) -> impl Future<Output = Result<T, Failure<E>>> + Send;
}

impl<T, E, F, Fut> Operation<T, E> for F
where
    F: Fn() -> Fut + Sync,
    Fut: Future<Output = Result<T, Failure<E>>> + Send,
{
    fn call(&self) -> impl Future<Output = Result<T, Failure<E>>> + Send {
        self()
    }
}

/// A guard around calls that give `T` or fail with `E`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use cronlet_sdk::resilience::{Failure, Layer, Operation, Timeout};
///
/// /// Says how each call ended.
/// struct Loud;
///
/// impl<T: Send, E: Send> Layer<T, E> for Loud {
///     async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
///         let result = operation.call().await;
///         println!("{}", if result.is_ok() { "well" } else { "not well" });
///         result
///     }
/// }
///
/// let result: Result<u32, Failure<()>> = Loud.guard(&async || Ok(7)).await;
/// assert_eq!(result, Ok(7));
/// // The guards of this crate are layers, too.
/// let result: Result<u32, Failure<()>> = Timeout::default().guard(&async || Ok(7)).await;
/// assert_eq!(result, Ok(7));
/// # }
/// ```
pub trait Layer<T, E>: Send + Sync {
    /// Makes the call, or several, or none, as the guard sees fit.
    fn guard(&self, operation: &impl Operation<T, E>) -> impl Future<Output = Result<T, Failure<E>>> + Send;
}

/// One guard around another.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::resilience::{NoLayer, Policy, Stack, Timeout, stage};
///
/// let policy: Policy<stage::Deadline, Stack<NoLayer, Timeout>> = Policy::new().deadline(Duration::from_secs(30));
/// # drop(policy);
/// ```
#[derive(Debug, Clone)]
pub struct Stack<Outer, Inner> {
    pub(super) outer: Outer,
    pub(super) inner: Inner,
}

impl<T, E, Outer, Inner> Layer<T, E> for Stack<Outer, Inner>
where
    T: Send,
    E: Send,
    Outer: Layer<T, E>,
    Inner: Layer<T, E>,
{
    async fn guard(&self, operation: &impl Operation<T, E>) -> Result<T, Failure<E>> {
        self.outer.guard(&Inside { inner: &self.inner, operation }).await
    }
}

/// An operation behind a guard is an operation.
struct Inside<'a, Inner, O> {
    inner: &'a Inner,
    operation: &'a O,
}

impl<T, E, Inner, O> Operation<T, E> for Inside<'_, Inner, O>
where
    T: Send,
    E: Send,
    Inner: Layer<T, E>,
    O: Operation<T, E>,
{
    fn call(&self) -> impl Future<Output = Result<T, Failure<E>>> + Send {
        self.inner.guard(self.operation)
    }
}
