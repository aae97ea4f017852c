mod adaptive;
mod breaker;
mod drops;
mod guards;
mod models;
mod policy;
mod rate;
mod retry;
mod shared;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Counts calls, and answers with the number of each, from 1.
#[derive(Default)]
struct Calls(AtomicU32);

impl Calls {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}
