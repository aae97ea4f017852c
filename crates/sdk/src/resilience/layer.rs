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
pub trait Layer<T, E>: Send + Sync {
    /// Makes the call, or several, or none, as the guard sees fit.
    fn guard(&self, operation: &impl Operation<T, E>) -> impl Future<Output = Result<T, Failure<E>>> + Send;
}

/// One guard around another.
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
