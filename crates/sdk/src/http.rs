//! Just enough of an HTTP client: one request, without TLS, of whose answer the status counts.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{limits::REQUEST_BYTES_MAX, time::after};

/// A peer that is slower than this is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `body` to `address` (`host:port`). `request` is the method and the target, `headers` are whole lines.
///
/// # Errors
/// If there is no answer within 10 s, or the answer is not a success.
pub(crate) async fn send(address: &str, request: &str, headers: &str, body: &str) -> io::Result<()> {
    let timed_out = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {address}"));
    tokio::select! {
        sent = exchange(address, request, headers, body) => sent,
        _ = after(PATIENCE) => Err(timed_out()),
    }
}

async fn exchange(address: &str, request: &str, headers: &str, body: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let status = head_line(&mut BufReader::new(stream.take(REQUEST_BYTES_MAX as u64))).await?;
    match status.split_whitespace().nth(1) {
        Some(code) if code.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!("{address} answered `{}`", status.trim_end()))),
    }
}

/// The next line of a head.
pub(crate) async fn head_line(lines: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
