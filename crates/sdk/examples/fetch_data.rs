//! Up to 3 attempts on time-outs only, 100 ms before the second and 200 ms before the third.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use cronlet_sdk::resilience::{Backoff, BreakerConfig, CircuitBreaker, Failure, Policy, Retry};
use tokio::{io::AsyncReadExt, net::TcpStream};

async fn fetch_data(address: &str) -> io::Result<String> {
    let mut data = String::new();
    TcpStream::connect(address).await?.read_to_string(&mut data).await?;
    Ok(data)
}

#[tokio::main]
async fn main() {
    let backoff = Backoff::exponential(Duration::from_millis(100), 2.0);
    let may_retry =
        |error: &io::Error| matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ConnectionRefused);
    let policy = Policy::new()
        .fallback(|failure: Failure<io::Error>| async move { Ok(format!("from the cache, as {failure}")) })
        .retry(Retry::new(backoff).max_attempts(3).retry_if_error(may_retry))
        .breaker(CircuitBreaker::new("data", BreakerConfig::default()))
        .timeout(Duration::from_secs(2));
    let data = policy.call(|| fetch_data("127.0.0.1:9")).await;
    println!("{data:?}");
}
