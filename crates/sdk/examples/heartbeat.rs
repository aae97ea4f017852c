//! A heartbeat every 500 ms until 3 s are over.

use std::time::Duration;

use cronlet_sdk::time::{Ticker, after};

#[tokio::main]
async fn main() {
    let mut ticker = Ticker::new(Duration::from_millis(500));
    let mut timeout = after(Duration::from_secs(3));
    loop {
        tokio::select! {
            _ = ticker.tick() => println!("heartbeat"),
            _ = &mut timeout => break println!("time is up"),
        }
    }
}
