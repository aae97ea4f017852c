use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Registry, Requests, push, serve};
use crate::{limits::SERIES_MAX, time::Context};

#[test]
fn the_text_is_what_prometheus_reads() {
    let registry = Registry::new();
    let sizes = registry.histogram("size", "Sizes.", &[10.0, 1.0, f64::NAN]);
    for size in [0.5, 1.0, 3.0, 99.0, f64::NAN] {
        sizes.observe(&[], size);
    }
    registry.counter("1 bad-name", "With a\nbreak.").add(&[("a-b", "say \"hi\"\n")], 2);
    let expected = concat!(
        "# HELP _1_bad_name With a\\nbreak.\n# TYPE _1_bad_name counter\n",
        "_1_bad_name{a_b=\"say \\\"hi\\\"\\n\"} 2\n",
        "# HELP size Sizes.\n# TYPE size histogram\n",
        "size_bucket{le=\"1\"} 2\nsize_bucket{le=\"10\"} 3\nsize_bucket{le=\"+Inf\"} 4\n",
        "size_sum 103.5\nsize_count 4\n",
    );
    assert_eq!(registry.text(), expected);
}

#[test]
fn labels_without_end_do_not_take_memory_without_end() {
    let registry = Registry::new();
    let counter = registry.counter("seen_total", "");
    for user in 0..SERIES_MAX + 50 {
        counter.add(&[("user", &user.to_string())], 1);
    }
    assert!(registry.text().contains("seen_total{user=\"other\"} 50\n"));
}

async fn request(address: std::net::SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_scrape_is_answered_until_the_context_ends() -> io::Result<()> {
    let (registry, context) = (Registry::new(), Context::background());
    Requests::new(&registry).record(404, Duration::from_millis(7));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve(listener, registry, context.clone()));
    let answer = request(address, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\nhttp_requests_total{code=\"404\"} 1\n"), "{answer}");
    assert!(answer.contains("\nrequest_duration_seconds_bucket{le=\"0.01\"} 1\n"), "{answer}");
    assert!(request(address, "GET / HTTP/1.1\r\n\r\n").await?.starts_with("HTTP/1.1 404"));
    assert!(request(address, "POST /metrics HTTP/1.1\r\n\r\n").await?.starts_with("HTTP/1.1 405"));
    context.cancel();
    assert!(serving.await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_push_tells_the_gateway_the_job_and_believes_its_answer() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let gateway = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in ["HTTP/1.1 202 Accepted\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
            let (mut stream, _) = listener.accept().await?;
            let mut seen = vec![0; 4096];
            let length = stream.read(&mut seen).await?;
            heads.push(String::from_utf8_lossy(&seen[..length]).into_owned());
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok::<_, io::Error>(heads)
    });
    let registry = Registry::new();
    push(&address, "nightly/report", &registry).await?;
    let refused = push(&address, "nightly", &registry).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("400 Bad Request")));
    let heads = gateway.await.map_err(io::Error::other)??;
    assert!(heads[0].starts_with("PUT /metrics/job/nightly%2Freport HTTP/1.1\r\n"), "{heads:?}");
    Ok(())
}
