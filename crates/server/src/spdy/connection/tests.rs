use super::{
    super::{CANCEL, reset, testing::connection},
    *,
};

#[tokio::test]
async fn streams_carry_what_is_sent_both_ways() {
    let (mut connection, mut peer) = connection();
    peer.open(1, &[("streamType", "data")], false).await;
    peer.send(1, b"hello", false).await;
    peer.send(1, b"", true).await;
    let mut stream = connection.accept().await.unwrap();
    assert_eq!((stream.id, stream.headers.get("streamtype")), (1, Some("data")));
    assert_eq!(stream.next().await, Some(Input::Data("hello".into())));
    assert_eq!(stream.next().await, Some(Input::End));
    let writer = stream.writer();
    writer.send(&[b'x'; 3 * SPDY_PIECE_BYTES_MAX]).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(peer.text(1).await.len(), 3 * SPDY_PIECE_BYTES_MAX);
    peer.ping(7).await;
    assert_eq!(peer.next().await, Some(Frame::Ping { id: 7 }));
    peer.write(&reset(1, CANCEL)).await;
    assert_eq!(stream.next().await, None);
    let closing = tokio::spawn(connection.close());
    assert_eq!(peer.next().await, Some(Frame::GoAway));
    assert_eq!(peer.next().await, None);
    drop(peer);
    closing.await.unwrap();
}

#[tokio::test]
async fn a_number_cannot_be_used_again_nor_be_even() {
    let (mut connection, mut peer) = connection();
    for stream in [3, 3, 1, 4] {
        peer.open(stream, &[], true).await;
    }
    assert_eq!(connection.accept().await.unwrap().next().await, Some(Input::End));
    for stream in [3, 1, 4] {
        assert_eq!(peer.next().await, Some(Frame::Reset { stream }));
    }
}

#[tokio::test]
async fn there_are_only_so_many_streams_until_some_are_let_go_of() {
    let (mut connection, mut peer) = connection();
    let mut streams = Vec::new();
    let mut number = 1;
    for _ in 0..SPDY_STREAMS_MAX {
        peer.open(number, &[], false).await;
        streams.push(connection.accept().await.unwrap());
        number += 2;
    }
    peer.open(number, &[], false).await;
    assert_eq!(peer.next().await, Some(Frame::Reset { stream: number }));
    streams.pop();
    peer.open(number + 2, &[], false).await;
    assert_eq!(connection.accept().await.unwrap().id, number + 2);
}

#[tokio::test]
async fn what_is_no_spdy_ends_the_connection() {
    let (mut connection, mut peer) = connection();
    peer.open(1, &[], false).await;
    let mut stream = connection.accept().await.unwrap();
    peer.write(b"\x80\x02no spdy at all").await;
    assert_eq!(stream.next().await, None);
    assert!(connection.accept().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_happens_ends() {
    let (mut connection, _peer) = connection();
    assert!(connection.accept().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn activity_puts_the_end_off() {
    let activity = Activity::default();
    let mut ceases = std::pin::pin!(activity.ceases());
    let mut almost = interval(STREAM_IDLE_TIME_MAX - STREAM_IDLE_TIME_MAX / 16);
    for _ in 0..3 {
        almost.tick().await;
        activity.note();
        assert!(timeout(STREAM_IDLE_TIME_MAX - STREAM_IDLE_TIME_MAX / 16, &mut ceases).await.is_err());
    }
    ceases.await;
}
