//! Connections: accepted, secured, served with HTTP/1.1 or HTTP/2, and ended in good order.

use std::{future::Future, pin::pin, sync::Arc};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use crate::{
    api::Api,
    audit::Peer,
    authn::Identity,
    limits::{
        ACCEPT_RETRY_INTERVAL, CONNECTION_PING_INTERVAL, CONNECTION_PING_TIME_MAX, CONNECTION_STREAMS_MAX,
        CONNECTIONS_MAX, HANDSHAKE_TIME_MAX, REQUEST_HEADERS_BYTES_MAX, REQUEST_HEADERS_MAX,
        REQUEST_HEADERS_TIME_MAX, SHUTDOWN_TIME_MAX,
    },
};

/// Serves an API until `shutdown` is ready. Then no connection is accepted any more, watches and followed logs end,
/// and requests in flight are given [`SHUTDOWN_TIME_MAX`] to finish.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    api: Api,
    shutdown: impl Future<Output = ()>,
) {
    let acceptor = Acceptor { tls: TlsAcceptor::from(tls), http: Arc::new(http()), router: api.router() };
    let closing = api.shared().closing();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut retry = interval(ACCEPT_RETRY_INTERVAL);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let connection = acceptor.clone().connection(socket, Peer(peer), closing.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                retry.tick().await;
            }
        }
    }
    drop(listener);
    api.close();
    let finished =
        timeout(SHUTDOWN_TIME_MAX, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(connections = connections.len(), "requests are cut off: they took too long to finish");
        connections.shutdown().await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Acceptor {
    tls: TlsAcceptor,
    http: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEADERS_TIME_MAX)
        .max_buf_size(REQUEST_HEADERS_BYTES_MAX as usize)
        .max_headers(REQUEST_HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(CONNECTION_PING_INTERVAL)
        .keep_alive_timeout(CONNECTION_PING_TIME_MAX)
        .max_concurrent_streams(CONNECTION_STREAMS_MAX)
        .max_header_list_size(REQUEST_HEADERS_BYTES_MAX);
    builder
}

impl Acceptor {
    /// Serves one connection to its end.
    async fn connection(self, socket: TcpStream, peer: Peer, mut closing: watch::Receiver<bool>) {
        // Answers are small and awaited: they should not wait for more to send.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
        let handshake = tokio::select! {
            handshake = timeout(HANDSHAKE_TIME_MAX, self.tls.accept(socket)) => handshake,
            () = closed(&mut closing) => return,
        };
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => return tracing::debug!("the TLS handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let identity = certificate.map(Identity::of_certificate).unwrap_or_default();
        let router = self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(identity.clone());
            request.extensions_mut().insert(peer);
            router.clone().call(request.map(Body::new))
        });
        let mut connection = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = closed(&mut closing) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "the connection ended early");
        }
    }
}

/// Waits until the server is about to stop.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    drop(closing.wait_for(|closing| *closing).await);
}
