use std::io;

use proptest::prelude::*;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use super::{Tracer, configuration, json};
use crate::limits::{SPAN_ATTRIBUTES_MAX, SPANS_MAX};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What a program with these variables does.
fn tracer(variables: &[(&str, &str)]) -> Tracer {
    let find =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Tracer::from_environment(find).unwrap()
}

/// Takes one request and answers with a status: its head, and the body as JSON.
async fn collect(listener: &TcpListener, status: &str) -> io::Result<(String, Value)> {
    let (stream, _) = listener.accept().await?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await?;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await?;
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
    Ok((head, serde_json::from_slice(&body)?))
}

async fn listen() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

#[tokio::test]
async fn spans_arrive_in_the_trace_of_the_environment() -> io::Result<()> {
    let (listener, url) = listen().await?;
    let tracer = tracer(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20x, team=a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,k8s.job.name=report"),
        ("OTEL_SERVICE_NAME", "nightly \"report\""),
    ]);
    let run = tracer.span("run", PARENT.parse().ok());
    let load = run.child("load");
    load.set("rows", 1);
    load.set("rows", 1000);
    drop(load);
    run.fail("disk\nfull");
    run.end();
    run.end();
    let (sent, collected) = tokio::join!(tracer.flush(), collect(&listener, "200 OK"));
    sent?;
    let (head, body) = collected?;
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    for line in ["Content-Type: application/json\r\n", "Authorization: Basic x\r\n", "team: a\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    let resource = &body["resourceSpans"][0];
    let attribute = |attributes: &Value, name: &str| {
        let found = attributes.as_array().and_then(|list| list.iter().find(|one| one["key"] == name));
        found.map(|one| one["value"]["stringValue"].clone())
    };
    let said = &resource["resource"]["attributes"];
    assert_eq!(attribute(said, "service.name"), Some("nightly \"report\"".into()));
    assert_eq!(attribute(said, "k8s.job.name"), Some("report".into()));
    let [load, run] = resource["scopeSpans"][0]["spans"].as_array().unwrap().as_slice() else {
        panic!("{resource:#}")
    };
    for span in [load, run] {
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        let nanoseconds = |name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
        assert!(nanoseconds("startTimeUnixNano") <= nanoseconds("endTimeUnixNano"));
    }
    assert_eq!((&run["name"], &run["parentSpanId"]), (&"run".into(), &"00f067aa0ba902b7".into()));
    assert_eq!((&load["name"], &load["parentSpanId"]), (&"load".into(), &run["spanId"]));
    assert_eq!(attribute(&load["attributes"], "rows"), Some("1000".into()));
    assert_eq!(run["status"], serde_json::json!({ "code": 2, "message": "disk\nfull" }));
    assert_eq!(load["status"], serde_json::json!({}));
    Ok(())
}

#[tokio::test]
async fn what_nobody_wants_is_not_recorded_and_the_trace_goes_on() {
    for variables in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_SDK_DISABLED", "TRUE")],
    ] {
        let tracer = tracer(variables);
        let span = tracer.span("run", PARENT.parse().ok());
        assert!(span.context().to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(!span.is_recorded());
        drop(span);
        assert!(tracer.flush().await.is_ok(), "{variables:?}");
    }
    // The parent was not sampled.
    let tracer = tracer(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    let parent = PARENT.replace("-01", "-00").parse().ok();
    drop(tracer.span("run", parent).child("load"));
    assert!(tracer.flush().await.is_ok());
    drop(tracer.span("run", None));
    assert!(tracer.flush().await.is_err(), "there is no collector");
}

#[tokio::test]
async fn what_a_collector_does_not_take_is_sent_again() -> io::Result<()> {
    let (listener, url) = listen().await?;
    let tracer = tracer(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("{url}/own/path"))]);
    drop(tracer.span("first", None));
    let (sent, collected) = tokio::join!(tracer.flush(), collect(&listener, "503 Service Unavailable"));
    assert!(sent.is_err_and(|error| error.to_string().contains("503")));
    assert!(collected?.0.starts_with("POST /own/path HTTP/1.1\r\n"));
    drop(tracer.span("second", None));
    let (sent, collected) = tokio::join!(tracer.flush(), collect(&listener, "202 Accepted"));
    sent?;
    let body = collected?.1;
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second"]);
    Ok(())
}

#[tokio::test]
async fn a_flush_that_is_dropped_keeps_its_spans() -> io::Result<()> {
    let (listener, url) = listen().await?;
    let tracer = tracer(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    drop(tracer.span("first", None));
    tokio::select! {
        _ = tracer.flush() => panic!("nobody has answered"),
        accepted = listener.accept() => drop(accepted?),
    }
    let (sent, collected) = tokio::join!(tracer.flush(), collect(&listener, "200 OK"));
    sent?;
    assert_eq!(collected?.1["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "first");
    Ok(())
}

#[test]
fn there_is_a_bound_on_what_waits_and_on_what_is_said() {
    let tracer = tracer(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    let run = tracer.span("run", None);
    for number in 0..SPAN_ATTRIBUTES_MAX + 5 {
        run.set(&number.to_string(), "");
    }
    run.end();
    for _ in 0..SPANS_MAX + 5 {
        drop(run.child("child"));
    }
    let ended = tracer.shared.as_ref().unwrap().ended.lock().unwrap();
    assert_eq!((ended.len(), ended[0].attributes.len()), (SPANS_MAX, SPAN_ATTRIBUTES_MAX));
}

#[test]
fn an_endpoint_is_read_or_refused_with_a_remedy() {
    let read = |url: &str| {
        let find = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.to_owned());
        configuration::read(find)
            .map(|found| found.map(|found| format!("{} {}", found.address, found.target)))
    };
    for (url, expected) in [
        ("http://localhost:4318", "localhost:4318 /v1/traces"),
        ("http://collector", "collector:4318 /v1/traces"),
        ("http://collector/", "collector:4318 /v1/traces"),
        ("http://[::1]:80/base/", "[::1]:80 /base/v1/traces"),
        ("http://[::1]", "[::1]:4318 /v1/traces"),
    ] {
        assert_eq!(read(url).unwrap().as_deref(), Some(expected), "{url}");
    }
    for url in [
        "https://collector",
        "collector:4318",
        "http://",
        "http://a b",
        "http://user:password@a",
        "http://a:x",
    ] {
        let fault = read(url).err().unwrap_or_else(|| panic!("{url}"));
        assert!(fault.to_string().contains("http://localhost:4318"), "{fault}");
    }
}

#[test]
fn headers_cannot_begin_others_and_are_told_to_nobody() {
    for list in ["a=b%0D%0AX: y", "a b=c", "=x", "nothing", "a=%zz"] {
        let find = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://a".to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some(list.to_owned()),
            _ => None,
        };
        let fault = Tracer::from_environment(find).unwrap_err();
        assert_eq!((fault.variable, fault.value.as_str()), ("OTEL_EXPORTER_OTLP_HEADERS", "…"), "{list}");
    }
    let secret =
        tracer(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), ("OTEL_EXPORTER_OTLP_HEADERS", "token=hush")]);
    assert!(!format!("{secret:?}").contains("hush"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_said_is_json(name in any::<String>(), value in any::<String>()) {
        let body = json::request(&[(name.clone(), value.clone())], &[]);
        let body: Value = serde_json::from_str(&body).unwrap();
        let said = &body["resourceSpans"][0]["resource"]["attributes"][0];
        prop_assert_eq!(said["key"].as_str(), Some(name.as_str()));
        prop_assert_eq!(said["value"]["stringValue"].as_str(), Some(value.as_str()));
    }
}
