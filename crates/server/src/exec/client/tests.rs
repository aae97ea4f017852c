use super::*;
use crate::spdy::{
    Frame,
    testing::{Peer, connection},
};

const WANTED: Wanted = Wanted { stdin: true, stdout: true, stderr: true, tty: true };

/// A client that speaks this version, with the number of its stream for each kind in order.
async fn client(kinds: &[&str], version: u8) -> (Sender, Receiver, Peer) {
    let (connection, mut peer) = connection();
    for (kind, number) in kinds.iter().zip((1..).step_by(2)) {
        peer.open(number, &[("streamtype", kind)], false).await;
    }
    let (sender, receiver) = over_spdy(connection, WANTED, version).await.unwrap();
    (sender, receiver, peer)
}

const ALL: [&str; 5] = ["error", "stdin", "stdout", "stderr", "resize"];

#[tokio::test]
async fn each_stream_has_its_use() {
    let (mut sender, mut receiver, mut peer) = client(&ALL, 4).await;
    peer.send(9, br#"{"Width":80,"Hei"#, false).await;
    peer.send(9, b"ght\":24}\n", false).await;
    assert!(matches!(receiver.next().await, Some(Said::Size(80, 24))));
    peer.send(3, b"in", true).await;
    assert!(matches!(receiver.next().await, Some(Said::Input(bytes)) if bytes == "in"));
    assert!(matches!(receiver.next().await, Some(Said::EndOfInput)));
    sender.send(Channel::Stdout, b"out").await.unwrap();
    sender.send(Channel::Stderr, b"err").await.unwrap();
    assert_eq!(peer.next().await, Some(Frame::Data { stream: 5, bytes: "out".into(), fin: false }));
    assert_eq!(peer.next().await, Some(Frame::Data { stream: 7, bytes: "err".into(), fin: false }));
    let finishing =
        tokio::spawn(async move { sender.finish(&serde_json::json!({ "status": "Success" })).await });
    assert_eq!((peer.text(5).await, peer.text(7).await), (String::new(), String::new()));
    assert_eq!(peer.text(1).await, r#"{"status":"Success"}"#);
    assert_eq!(peer.next().await, Some(Frame::GoAway));
    drop(peer);
    assert!(receiver.next().await.is_none());
    finishing.await.unwrap();
}

#[tokio::test]
async fn the_oldest_hear_why_it_failed_and_have_no_sizes() {
    let (sender, _receiver, mut peer) = client(&ALL[..4], 1).await;
    tokio::spawn(
        async move { sender.finish(&serde_json::json!({ "status": "Failure", "message": "no" })).await },
    );
    peer.text(5).await;
    peer.text(7).await;
    assert_eq!(peer.text(1).await, "no");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_open_its_streams_is_not_waited_for() {
    let (connection, mut peer) = connection();
    peer.open(1, &[("streamtype", "error")], false).await;
    assert!(over_spdy(connection, WANTED, 4).await.is_none());
}
