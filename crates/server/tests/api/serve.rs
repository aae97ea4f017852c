//! Connections: who is let in, which protocols are spoken, how they end.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    CONFIG_MAPS, config_map,
    running::{Running, certificates, get, send},
};

#[tokio::test]
async fn the_administrators_certificate_opens_the_api() {
    let running = Running::start().await;
    let mut http1 = running.http1(Some(&running.pki.admin)).await;
    for _ in 0..2 {
        let response = send(&mut http1, get(CONFIG_MAPS)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap();
    }
    let mut http2 = running.http2().await;
    let url = format!("https://localhost{CONFIG_MAPS}");
    let response = http2.send_request(Request::get(url).body("".into()).unwrap()).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
    running.stop().await;
}

#[tokio::test]
async fn without_a_certificate_only_health_is_told() {
    let running = Running::start().await;
    let mut client = running.http1(None).await;
    let ready = send(&mut client, get("/readyz")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(ready.into_body().collect().await.unwrap().to_bytes(), "ok");
    assert_eq!(send(&mut client, get(CONFIG_MAPS)).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    running.stop().await;
}

#[tokio::test]
async fn certificates_of_another_authority_are_refused() {
    let running = Running::start().await;
    let foreign = certificates();
    // With TLS 1.3 a client learns of the refusal when it first reads.
    let refused = match running.secured(Some(&foreign.admin), "http/1.1").await {
        Err(_) => true,
        Ok(mut stream) => stream.read_u8().await.is_err(),
    };
    assert!(refused);
    running.stop().await;
}

#[tokio::test]
async fn noise_and_silence_do_no_harm_and_hold_nothing_up() {
    let running = Running::start().await;
    let _silent = tokio::net::TcpStream::connect(running.address).await.unwrap();
    let mut plain = tokio::net::TcpStream::connect(running.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Either an alert or an end; never an answer.
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let mut client = running.http1(None).await;
    assert_eq!(send(&mut client, get("/livez")).await.unwrap().status(), StatusCode::OK);
    running.stop().await;
}

#[tokio::test]
async fn headers_are_bounded() {
    let running = Running::start().await;
    let mut client = running.http1(None).await;
    let mut request = get("/livez");
    request.headers_mut().insert("x-long", "x".repeat(200_000).parse().unwrap());
    let answer = send(&mut client, request).await;
    // The answer may be lost when the server closes before everything was sent.
    assert!(answer.is_err() || answer.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_while_it_is_sent() {
    let running = Running::start().await;
    let mut client = running.http2().await;
    let body = config_map("a", &"x".repeat(10 << 20)).to_string();
    let url = format!("https://localhost{CONFIG_MAPS}");
    let response = client.send_request(Request::post(url).body(body.into()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let status: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(status["reason"], "RequestEntityTooLarge");
    running.stop().await;
}

#[tokio::test]
async fn events_arrive_one_by_one_and_a_watch_ends_cleanly_when_the_server_stops() {
    let running = Running::start().await;
    let mut client = running.http1(Some(&running.pki.admin)).await;
    let response = send(&mut client, get(&format!("{CONFIG_MAPS}?watch=true"))).await.unwrap();
    let mut body = response.into_body();
    for name in ["a", "b"] {
        running.server.post(CONFIG_MAPS, &config_map(name, "")).await.expect(201);
        let frame = body.frame().await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(frame.data_ref().unwrap()).unwrap();
        assert_eq!(event["object"]["metadata"]["name"], name);
    }
    running.stop().await;
    assert!(body.frame().await.is_none(), "the stream has ended, and not by an error");
}
