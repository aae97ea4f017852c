//! Calls over the network: HTTP, TCP and gRPC's health protocol. They run in a process of their own, on a runtime that
//! ends with it.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn,
    header::{
        ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, TE, USER_AGENT,
    },
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    journal::Said,
    limits,
    spec::{Call, HttpGet},
};

/// Who asks, as the kubelet names itself.
const AGENT: &str = concat!("kube-probe/", "1.36");

/// Puts a question over the network.
pub(super) fn ask(call: &Call, timeout: Option<Duration>) -> Said {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Said::Unknown(format!("cannot make a runtime: {error}")),
    };
    runtime.block_on(async {
        let limit = timeout.unwrap_or(Duration::MAX);
        match tokio::time::timeout(limit, put(call)).await {
            Ok(said) => said,
            Err(_) => Said::Failure(too_late(call, limit)),
        }
    })
}

async fn put(call: &Call) -> Said {
    let heard = match call {
        Call::HttpGet(get) => http(get).await,
        Call::TcpSocket { host, port } => connect(host, *port).await.map(drop),
        Call::Grpc { host, port, service } => grpc(host, *port, service).await,
        Call::Exec { .. } | Call::Sleep { .. } | Call::Impossible { .. } => return Said::Success,
    };
    match heard {
        Ok(()) => Said::Success,
        Err(text) => Said::Failure(text),
    }
}

/// What is said of an answer that did not come in time, in Go's words where those have any.
fn too_late(call: &Call, limit: Duration) -> String {
    let seconds = limit.as_secs();
    match call {
        Call::HttpGet(get) => format!(
            "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            url(get)
        ),
        Call::Grpc { host, port, .. } => {
            format!("timeout: failed to connect service {:?} within {seconds}s", address(host, *port))
        }
        Call::TcpSocket { host, port } => format!("dial tcp {}: i/o timeout", address(host, *port)),
        _ => format!("no answer within {seconds}s"),
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
            _ => error.to_string(),
        };
        format!("dial tcp {}: {why}", address(host, port))
    })
}

fn url(get: &HttpGet) -> String {
    format!("{}://{}{}", if get.tls { "https" } else { "http" }, address(&get.host, get.port), get.path)
}

async fn http(get: &HttpGet) -> Result<(), String> {
    let mut get = get.clone();
    for _ in 0..=limits::CALL_REDIRECTS_MAX {
        let response = get_once(&get).await.map_err(|why| format!("Get \"{}\": {why}", url(&get)))?;
        let status = response.status();
        let next = status.is_redirection().then(|| redirected(&get, response.headers())).flatten();
        match next {
            Some(next) => get = next,
            None if get.any_status || status.is_success() || status.is_redirection() => return Ok(()),
            None => return Err(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
        }
    }
    Err(format!("Get \"{}\": stopped after {} redirects", url(&get), limits::CALL_REDIRECTS_MAX))
}

/// Where an answer sends its reader, if that is on the same host: to others the kubelet does not go.
fn redirected(get: &HttpGet, headers: &HeaderMap) -> Option<HttpGet> {
    let target: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let path = target.path_and_query()?.as_str();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let Some(host) = target.host() else { return Some(HttpGet { path, ..get.clone() }) };
    let tls = target.scheme_str() == Some("https");
    let port = target.port_u16().unwrap_or(if tls { 443 } else { 80 });
    (host.trim_matches(['[', ']']) == get.host).then(|| HttpGet { tls, port, path, ..get.clone() })
}

async fn get_once(get: &HttpGet) -> Result<Response<Incoming>, String> {
    let stream = connect(&get.host, get.port).await?;
    if !get.tls {
        return send(get, stream).await;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(rustls::crypto::ring::default_provider())))
        .with_no_client_auth();
    let name = ServerName::try_from(get.host.clone()).map_err(|error| error.to_string())?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    send(get, stream.map_err(|error| error.to_string())?).await
}

async fn send<S>(get: &HttpGet, stream: S) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::get(get.path.as_str()).body(Full::<Bytes>::default());
    if let Ok(request) = &mut request {
        fill(request.headers_mut(), get)?;
    }
    sender.send_request(request.map_err(|error| error.to_string())?).await.map_err(|error| error.to_string())
}

/// The header fields of a request: the usual ones, unless the probe has its own.
fn fill(headers: &mut HeaderMap, get: &HttpGet) -> Result<(), String> {
    for (name, value) in &get.headers {
        let parsed = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = parsed else { return Err(format!("invalid header field {name:?}")) };
        // There must be only one of these.
        if name == HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    let host = HeaderValue::from_str(&address(&get.host, get.port)).map_err(|error| error.to_string())?;
    headers.entry(HOST).or_insert(host);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(())
}

/// Takes any certificate, as the kubelet does: a container's own says nothing.
#[derive(Debug)]
struct Unverified(CryptoProvider);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Asks a service for its health.
async fn grpc(host: &str, port: u16, service: &str) -> Result<(), String> {
    let stream = connect(host, port).await?;
    let address = address(host, port);
    let failed = |error: hyper::Error| format!("error: health rpc failed: {error}");
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(connection);
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Full::new(question(service)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(format!(
            "error: health rpc failed: unexpected HTTP status code {}",
            response.status().as_u16()
        ));
    }
    let early = response.headers().clone();
    let answer = response.into_body().collect().await.map_err(failed)?;
    let trailers = answer.trailers().cloned().unwrap_or(early);
    verdict(&trailers, &answer.to_bytes())
}

/// A message of gRPC: not compressed, its length, and the request with the service's name in its first field.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(0x80 | u8::try_from(length & 0x7f).unwrap_or(0));
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or(0));
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&message);
    frame.into()
}

/// What an answer says: the call's own status, then that of the service.
fn verdict(trailers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let field = |name| trailers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match field("grpc-status") {
        None | Some("0") => {}
        Some("12") => {
            return Err(format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                field("grpc-message").unwrap_or_default()
            ));
        }
        Some(_) => {
            return Err(format!("error: health rpc failed: {}", field("grpc-message").unwrap_or_default()));
        }
    }
    // The first field of the answer is its status; without it, that is 0.
    let status = match body.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    };
    match status {
        1 => Ok(()),
        other => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
            let name = name.get(usize::from(other)).copied().unwrap_or("UNKNOWN");
            Err(format!("service unhealthy (responded with {name:?})"))
        }
    }
}

#[cfg(test)]
mod tests;
