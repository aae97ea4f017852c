mod after;
mod context;
mod models;
mod ticker;
mod timer;

use std::{future::Future, pin::pin, time::Duration};

/// The value of a future that is ready now.
async fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
