use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread::{self, JoinHandle},
};

use super::*;

const SECOND: Option<Duration> = Some(Duration::from_secs(30));

/// Reads a request and answers with a text.
fn answer(stream: &mut (impl io::Read + io::Write), text: &str) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        request.push(byte[0]);
    }
    stream.write_all(text.as_bytes()).unwrap();
    stream.flush().unwrap();
    String::from_utf8(request).unwrap()
}

/// The same as [`serve`], over TLS, with a certificate that nobody has a reason to believe: for another name, and signed by
/// itself.
fn serve_tls(answers: Vec<String>) -> (u16, JoinHandle<Vec<String>>) {
    let made = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let accepted = answers.iter().map(|text| {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            answer(&mut rustls::StreamOwned::new(connection, listener.accept().unwrap().0), text)
        });
        accepted.collect()
    };
    (port, thread::spawn(serve))
}

/// A server that answers each connection with the next text; ends with the requests that it read.
fn serve(answers: Vec<String>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let accepted = answers.iter().map(|text| answer(&mut listener.accept().unwrap().0, text));
        accepted.collect()
    };
    (port, thread::spawn(serve))
}

fn status(code: u16, fields: &str) -> String {
    format!("HTTP/1.1 {code} x\r\nContent-Length: 0\r\n{fields}\r\n")
}

fn get(port: u16, path: &str) -> HttpGet {
    let (host, headers) = ("127.0.0.1".to_owned(), Vec::new());
    HttpGet { tls: false, host, port, path: path.to_owned(), headers, any_status: false }
}

fn failure(text: &str) -> Said {
    Said::Failure(text.to_owned())
}

#[test]
fn a_status_from_200_to_399_is_success() {
    for (code, succeeds) in [(200, true), (204, true), (302, true), (399, true), (400, false), (503, false)] {
        let (port, server) = serve(vec![status(code, "")]);
        let expected = if succeeds {
            Said::Success
        } else {
            failure(&format!("HTTP probe failed with statuscode: {code}"))
        };
        assert_eq!(ask(&Call::HttpGet(get(port, "/")), SECOND), expected);
        server.join().unwrap();
    }
}

#[test]
fn to_a_hook_every_answer_is_success() {
    let (port, server) = serve(vec![status(500, "")]);
    assert_eq!(ask(&Call::HttpGet(HttpGet { any_status: true, ..get(port, "/") }), SECOND), Said::Success);
    server.join().unwrap();
}

#[test]
fn the_request_is_as_the_kubelet_makes_it() {
    let (port, server) = serve(vec![status(200, "")]);
    let headers = vec![("X-A".to_owned(), "1".to_owned()), ("Host".to_owned(), "named".to_owned())];
    assert_eq!(
        ask(&Call::HttpGet(HttpGet { headers, ..get(port, "/healthz?full=1") }), SECOND),
        Said::Success
    );
    let request = server.join().unwrap().remove(0).to_ascii_lowercase();
    let (line, fields) = request.split_once("\r\n").unwrap();
    assert_eq!(line, "get /healthz?full=1 http/1.1");
    for field in ["x-a: 1", "host: named", "user-agent: kube-probe/1.36", "accept: */*", "connection: close"]
    {
        assert!(fields.lines().any(|line| line == field), "{field} in {fields}");
    }
}

#[test]
fn redirections_are_followed_on_the_same_host() {
    let (port, server) = serve(vec![status(302, "Location: /there\r\n"), status(500, "")]);
    assert_eq!(
        ask(&Call::HttpGet(get(port, "/")), SECOND),
        failure("HTTP probe failed with statuscode: 500")
    );
    assert!(server.join().unwrap()[1].starts_with("GET /there "));

    let (port, server) = serve(vec![status(301, "Location: http://elsewhere.example/\r\n")]);
    assert_eq!(ask(&Call::HttpGet(get(port, "/")), SECOND), Said::Success);
    server.join().unwrap();
}

#[test]
fn certificates_are_not_verified() {
    let (port, server) = serve_tls(vec![status(200, ""), status(503, "")]);
    let call = Call::HttpGet(HttpGet { tls: true, ..get(port, "/healthz") });
    assert_eq!(ask(&call, SECOND), Said::Success);
    assert_eq!(ask(&call, SECOND), failure("HTTP probe failed with statuscode: 503"));
    assert!(server.join().unwrap().iter().all(|request| request.starts_with("GET /healthz ")));

    let (secure, server) = serve_tls(vec![status(200, "")]);
    let (port, first) = serve(vec![status(302, &format!("Location: https://127.0.0.1:{secure}/\r\n"))]);
    assert_eq!(ask(&Call::HttpGet(get(port, "/")), SECOND), Said::Success);
    assert_eq!((first.join().unwrap().len(), server.join().unwrap().len()), (1, 1));
}

#[test]
fn who_does_not_speak_tls_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(status(400, "").as_bytes()).unwrap();
    });
    let said = ask(&Call::HttpGet(HttpGet { tls: true, ..get(port, "/") }), SECOND);
    server.join().unwrap();
    let Said::Failure(text) = said else { panic!("{said:?}") };
    assert!(text.starts_with(&format!("Get \"https://127.0.0.1:{port}/\": ")), "{text}");
}

#[test]
fn nobody_there_is_a_failure() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let host = "127.0.0.1".to_owned();
    assert_eq!(ask(&Call::TcpSocket { host: host.clone(), port }, SECOND), failure(&refused));
    let http = format!("Get \"http://127.0.0.1:{port}/\": {refused}");
    assert_eq!(ask(&Call::HttpGet(get(port, "/")), SECOND), failure(&http));
    let grpc = Call::Grpc { host, port, service: String::new() };
    assert_eq!(ask(&grpc, SECOND), failure(&refused));
}

#[test]
fn a_connection_is_enough_for_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(ask(&Call::TcpSocket { host: "127.0.0.1".to_owned(), port }, SECOND), Said::Success);
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_as_long_as_it_may_take() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let said = ask(&Call::HttpGet(get(port, "/")), Some(Duration::from_millis(10)));
    let text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(said, failure(&format!("Get \"http://127.0.0.1:{port}/\": {text}")));
}

/// A gRPC server that says what its health is; tells what it was asked about.
fn serve_health(answer: &'static [u8], code: &'static str) -> (u16, JoinHandle<Bytes>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            let (stream, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                    sender.send(request.into_body().collect().await.unwrap().to_bytes()).unwrap();
                    let trailers = async move {
                        Some(Ok(HeaderMap::from_iter([(
                            HeaderName::from_static("grpc-status"),
                            HeaderValue::from_static(code),
                        )])))
                    };
                    let body = Full::new(Bytes::from_static(answer)).with_trailers(trailers);
                    Ok::<_, std::convert::Infallible>(Response::new(body))
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // The client ends the connection as it likes.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            receiver.recv().await.unwrap()
        })
    };
    (port, thread::spawn(serve))
}

#[test]
fn a_service_says_how_it_is() {
    let unhealthy = "service unhealthy (responded with \"NOT_SERVING\")";
    let unknown = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ";
    for (answer, code, expected) in [
        (&[0, 0, 0, 0, 2, 8, 1][..], "0", Said::Success),
        (&[0, 0, 0, 0, 2, 8, 2], "0", failure(unhealthy)),
        (&[0, 0, 0, 0, 0], "0", failure("service unhealthy (responded with \"UNKNOWN\")")),
        (&[], "12", failure(unknown)),
    ] {
        let (port, server) = serve_health(answer, code);
        let call = Call::Grpc { host: "127.0.0.1".to_owned(), port, service: "readiness".to_owned() };
        assert_eq!(ask(&call, SECOND), expected);
        assert_eq!(server.join().unwrap(), Bytes::from_static(b"\0\0\0\0\x0b\x0a\x09readiness"));
    }
}

#[test]
fn a_long_name_of_a_service_keeps_its_length() {
    let question = question(&"x".repeat(300));
    assert_eq!(question[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]);
}

proptest::proptest! {
    /// Whatever a container answers, something is made of it.
    #[test]
    fn no_answer_is_too_strange(
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        code in "[ -~]{0,8}",
        location in "[ -~]{0,64}",
    ) {
        let headers = |name: HeaderName, value: &str| {
            HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
        };
        let _any = verdict(&headers(HeaderName::from_static("grpc-status"), &code), &body);
        if let Some(next) = redirected(&get(80, "/"), &headers(LOCATION, &location)) {
            assert_eq!(next.host, "127.0.0.1");
            assert!(next.path.starts_with('/'));
        }
    }
}
