//! Locks, and the points at which threads may take turns: that is where a model of them interleaves them in tests.

#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. One whose holder panicked is as good as any: what it guards is changed in one step.
#[cfg(not(test))]
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before an atomic is touched that threads share.
#[cfg(not(test))]
pub(crate) fn point() {}

#[cfg(test)]
pub(crate) use modelled::{check, lock, point};

/// The same under shuttle, which runs the threads of a model one at a time, in many orders. The locks are the real ones.
#[cfg(test)]
mod modelled {
    use std::{
        cell::Cell,
        sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    };

    use shuttle::{Config, Runner, scheduler::RandomScheduler, thread};

    /// How many orders of a model are tried.
    const ORDERS: usize = 2_000;
    /// The stack of a model's thread, in bytes.
    const STACK_BYTES: usize = 256 * 1024;

    thread_local! {
        static IS_MODEL: Cell<bool> = const { Cell::new(false) };
    }

    pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        while IS_MODEL.get() {
            thread::yield_now();
            match mutex.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn point() {
        if IS_MODEL.get() {
            thread::yield_now();
        }
    }

    /// Runs a model in many orders of its threads. A failure prints how to repeat its order.
    pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
        // Timers and tasks of tokio's can be made in a model; none ever fires or runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        IS_MODEL.set(true);
        Runner::new(RandomScheduler::new(ORDERS), config).run(model);
        IS_MODEL.set(false);
    }
}
