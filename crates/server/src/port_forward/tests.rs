use std::sync::Mutex;

use cronlet_object::{Draft, api::Pod};
use tokio::{
    io::{DuplexStream, duplex, split},
    sync::mpsc,
    task::JoinHandle,
};

use super::*;
use crate::spdy::{
    Frame,
    testing::{Peer, connection},
};

/// A client of a pod, what is asked for, and the other sides of the connections that are made to ports other than 1.
fn forwarding() -> (Peer, mpsc::UnboundedReceiver<(u16, DuplexStream)>, JoinHandle<()>) {
    let (connection, peer) = connection();
    let (connected, connections) = mpsc::unbounded_channel();
    let connected = Mutex::new(connected);
    let connect: PodConnect = Arc::new(move |request: ConnectRequest| {
        if request.port == 1 {
            return Err("connection refused".to_owned());
        }
        let (ours, theirs) = duplex(64);
        connected.lock().unwrap().send((request.port, theirs)).unwrap();
        let (read, write) = split(ours);
        Ok(PodConnection { read: Box::pin(read), write: Box::pin(write) })
    });
    let mut pod = Pod::default();
    (pod.metadata.name, pod.metadata.namespace) = (Some("p".into()), Some("ns".into()));
    let forwarder = Forwarder { pod: Arc::new(Draft::of(&pod).seal(1)), connect };
    (peer, connections, tokio::spawn(forwarder.serve(connection)))
}

async fn open(peer: &mut Peer, stream: u32, kind: &str, port: &str, request: Option<&str>) {
    let mut headers = vec![("streamType", kind), ("port", port)];
    headers.extend(request.map(|request| ("requestID", request)));
    peer.open(stream, &headers, kind == "error").await;
}

#[tokio::test]
async fn a_pair_of_streams_is_a_connection() {
    let (mut peer, mut connections, serving) = forwarding();
    // Of two requests whose streams come in any order.
    open(&mut peer, 1, "error", "80", Some("0")).await;
    open(&mut peer, 3, "data", "81", Some("1")).await;
    open(&mut peer, 5, "error", "81", Some("1")).await;
    let (port, mut second) = connections.recv().await.unwrap();
    assert_eq!(port, 81);
    open(&mut peer, 7, "data", "80", Some("0")).await;
    let (port, mut first) = connections.recv().await.unwrap();
    assert_eq!(port, 80);
    peer.send(7, b"ask", true).await;
    let mut asked = String::new();
    first.read_to_string(&mut asked).await.unwrap();
    assert_eq!(asked, "ask");
    // It has nothing more to send, and hears the answer.
    first.write_all(b"answer").await.unwrap();
    drop(first);
    assert_eq!(peer.text(7).await, "answer");
    assert_eq!(peer.text(1).await, "");
    // Who lets go of a stream lets go of the connection.
    peer.write(&crate::spdy::reset(3, CANCEL)).await;
    assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(peer.text(5).await, "");
    drop(peer);
    serving.await.unwrap();
}

#[tokio::test]
async fn why_there_is_no_connection_is_told() {
    let (mut peer, _connections, _serving) = forwarding();
    open(&mut peer, 1, "error", "1", None).await;
    open(&mut peer, 3, "data", "1", None).await;
    let Some(Frame::Data { stream: 1, bytes, .. }) = peer.next().await else { panic!() };
    assert_eq!(bytes, "error forwarding port 1 to pod ns/p: connection refused");
    assert_eq!(peer.next().await, Some(Frame::Reset { stream: 3 }));
    assert_eq!(peer.text(1).await, "");
    open(&mut peer, 5, "error", "x", None).await;
    open(&mut peer, 7, "data", "x", None).await;
    let Some(Frame::Data { stream: 5, bytes, .. }) = peer.next().await else { panic!() };
    assert_eq!(bytes, "error forwarding port x to pod ns/p: its port is none");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_pair_is_let_go_of() {
    let (mut peer, _connections, _serving) = forwarding();
    open(&mut peer, 1, "nonsense", "80", None).await;
    assert_eq!(peer.next().await, Some(Frame::Reset { stream: 1 }));
    open(&mut peer, 3, "error", "80", Some("0")).await;
    open(&mut peer, 5, "error", "80", Some("0")).await;
    assert_eq!(peer.next().await, Some(Frame::Reset { stream: 5 }));
    // The other one does not come.
    assert_eq!(peer.next().await, Some(Frame::Reset { stream: 3 }));
}
