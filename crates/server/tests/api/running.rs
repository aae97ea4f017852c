//! A server behind TLS on a loopback socket.

use std::sync::Arc;

use axum::body::Body;
use cronlet_server::{KeyedCertificate, Pki, serve, server_config, server_names};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::harness::Server;

pub struct Running {
    pub server: Server,
    pub pki: Pki,
    pub address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The time by which both ends of a TLS connection judge certificates.
#[allow(clippy::disallowed_methods, reason = "certificates are judged by the system's clock")]
fn system_time() -> Timestamp {
    Timestamp::now()
}

/// Certificates that are valid now.
pub fn certificates() -> Pki {
    Pki::ephemeral(&server_names("", "127.0.0.1".parse().unwrap()), system_time()).unwrap()
}

impl Running {
    pub async fn start() -> Self {
        let server = Server::start().await;
        let pki = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let tls = server_config(&pki).unwrap();
        let serving = serve(listener, tls, server.api.clone(), async { drop(stopped.await) });
        Running { server, pki, address, stop, task: tokio::spawn(serving) }
    }

    /// Stops the server and waits until every connection has ended.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    /// A secured connection that speaks one protocol.
    pub async fn secured(
        &self,
        identity: Option<&KeyedCertificate>,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authority.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
    }

    /// An HTTP/1.1 client; without an identity it has no certificate.
    pub async fn http1(&self, identity: Option<&KeyedCertificate>) -> conn::http1::SendRequest<Body> {
        let stream = self.secured(identity, "http/1.1").await.unwrap();
        let (client, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// An HTTP/2 client of the administrator.
    pub async fn http2(&self) -> conn::http2::SendRequest<Body> {
        let stream = self.secured(Some(&self.pki.admin), "h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (client, connection) =
            conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A GET as an HTTP/1.1 client sends it.
pub fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()
}

/// Sends an HTTP/1.1 request.
pub async fn send(
    client: &mut conn::http1::SendRequest<Body>,
    request: Request<Body>,
) -> hyper::Result<Response<Incoming>> {
    client.ready().await?;
    client.send_request(request).await
}
