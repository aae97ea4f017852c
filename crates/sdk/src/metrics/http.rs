//! Just enough HTTP: answers scrapes, and pushes to a Pushgateway.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::Registry;
use crate::{
    http::{PATIENCE, head_line, send},
    limits::{REQUEST_BYTES_MAX, SCRAPES_MAX},
    time::{Context, after},
};

/// How long no connection is accepted after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Answers `GET /metrics` on `listener` until `context` ends.
///
/// ```no_run
/// use cronlet_sdk::{metrics::{Registry, serve}, time::Context};
///
/// # async fn example() -> std::io::Result<()> {
/// let registry = Registry::new();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9100").await?;
/// tokio::spawn(serve(listener, registry.clone(), Context::background()));
/// # Ok(()) }
/// ```
pub async fn serve(listener: TcpListener, registry: Registry, context: Context) {
    let places = Arc::new(Semaphore::new(SCRAPES_MAX));
    // The semaphore is never closed, so that there always is a place in the end.
    while let Ok(Ok(place)) = context.run(places.clone().acquire_owned()).await {
        let Ok(accepted) = context.run(listener.accept()).await else { return };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: that passes.
            let _ended = context.run(after(ACCEPT_PAUSE)).await;
            continue;
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                // A peer that went away is no concern of ours.
                _gone = answer(stream, &registry) => {}
                _ = after(PATIENCE) => {}
            }
        });
    }
}

async fn answer(mut stream: TcpStream, registry: &Registry) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let request = head(reader).await?;
    let mut words = request.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", registry.text()),
        ("GET" | "HEAD", _) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    writer.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        writer.write_all(body.as_bytes()).await?;
    }
    writer.shutdown().await
}

/// Replaces the metrics of `job` at a Pushgateway on `address` (`host:port`). For tasks that end before a scrape.
///
/// # Errors
/// If there is no answer within 10 s, or the answer is not a success.
///
/// ```no_run
/// use cronlet_sdk::metrics::{Registry, push};
///
/// # async fn example() -> std::io::Result<()> {
/// let registry = Registry::new();
/// registry.counter("orders_total", "Orders read.").add(&[], 17);
/// push("pushgateway:9091", "nightly-report", &registry).await?;
/// # Ok(()) }
/// ```
pub async fn push(address: &str, job: &str, registry: &Registry) -> io::Result<()> {
    let request = format!("PUT /metrics/job/{}", path_segment(job));
    send(address, &request, "Content-Type: text/plain; version=0.0.4\r\n", &registry.text()).await
}

/// The first line of a request, after all of its head was read.
async fn head(reader: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut lines = BufReader::new(reader.take(REQUEST_BYTES_MAX as u64));
    let first = head_line(&mut lines).await?;
    while !head_line(&mut lines).await?.trim_end().is_empty() {}
    Ok(first)
}

/// Percent-encodes what could end a segment of a path.
fn path_segment(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
