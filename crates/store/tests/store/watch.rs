//! Watches: order, separation by kind, expiry, and futures that are dropped.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use cronlet_object::{Kind, Write};
use cronlet_store::{Expired, limits::WATCH_HISTORY_CHANGES_MAX};

use crate::objects::*;

#[tokio::test]
async fn changes_arrive_in_order_and_a_removal_has_its_own_revision() {
    let store = store_with_namespace().await;
    let mut watch = store.watch(Kind::ConfigMap, store.snapshot().revision()).unwrap();
    store.commit(create(config("a", "1"))).await.unwrap();
    store.commit(update(config("a", "2"), 3)).await.unwrap();
    store.commit(delete("a", 4)).await.unwrap();

    let created = watch.next().await.unwrap();
    assert_eq!((created.revision, created.old.is_none(), created.object().revision()), (3, true, 3));
    let updated = watch.next().await.unwrap();
    assert_eq!((updated.revision, updated.old.as_ref().map(|old| old.revision())), (4, Some(3)));
    let removed = watch.next().await.unwrap();
    assert_eq!((removed.revision, removed.new.is_none(), removed.object().revision()), (5, true, 4));
    assert!(watch.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_watch_sees_only_its_kind_and_only_what_comes_after() {
    let store = store_with_namespace().await;
    store.commit(create(config("a", "1"))).await.unwrap();
    store.commit(create(secret("s"))).await.unwrap();
    store.commit(create(config("b", "1"))).await.unwrap();
    let mut configs = store.watch(Kind::ConfigMap, 3).unwrap();
    let mut secrets = store.watch(Kind::Secret, 2).unwrap();
    assert_eq!(configs.next().await.unwrap().revision, 5);
    assert_eq!(secrets.next().await.unwrap().revision, 4);
    assert!(configs.try_next().unwrap().is_none());
    assert!(secrets.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_waiting_watch_is_woken_and_loses_nothing_when_its_future_is_dropped() {
    let store = store_with_namespace().await;
    let mut watch = store.watch(Kind::ConfigMap, 2).unwrap();
    for round in 0..3 {
        // Polled, found waiting, and dropped; then a change comes before the next poll.
        let waiting = pin!(watch.next()).poll_once();
        assert!(waiting.is_pending());
        store.commit(create(config(&format!("dropped-{round}"), "1"))).await.unwrap();
        assert_eq!(watch.next().await.unwrap().object().name(), format!("dropped-{round}"));
    }
    let waiting = tokio::spawn(async move { watch.next().await.unwrap().object().name().to_owned() });
    store.commit(create(config("awaited", "1"))).await.unwrap();
    assert_eq!(waiting.await.unwrap(), "awaited");
}

/// Polls a future once.
trait PollOnce: Future {
    fn poll_once(self) -> Poll<Self::Output>;
}

impl<F: Future> PollOnce for std::pin::Pin<&mut F> {
    fn poll_once(self) -> Poll<F::Output> {
        self.poll(&mut Context::from_waker(Waker::noop()))
    }
}

#[tokio::test]
async fn a_watch_that_falls_behind_expires_and_others_do_not() {
    let store = store_with_namespace().await;
    let mut slow = store.watch(Kind::ConfigMap, 2).unwrap();
    let other_kind = store.watch(Kind::Secret, 2).unwrap();
    let drafts = (0..WATCH_HISTORY_CHANGES_MAX).map(|i| Write::Create(config(&format!("c-{i}"), "1")));
    store.commit(transaction(drafts.collect())).await.unwrap();
    assert_eq!(slow.next().await.unwrap().revision, 3);
    // One more: the change that the slow one saw gives way. A second: one it has not seen.
    store.commit(create(config("more-1", "1"))).await.unwrap();
    assert_eq!(slow.revision(), 3);
    store.commit(create(config("more-2", "1"))).await.unwrap();
    assert_eq!(slow.next().await.unwrap_err(), Expired { oldest: 4 });
    assert_eq!(slow.try_next().unwrap_err(), Expired { oldest: 4 });
    assert_eq!(slow.revision(), 3);

    assert_eq!(store.watch(Kind::ConfigMap, 3).err(), Some(Expired { oldest: 4 }));
    let mut from_oldest = store.watch(Kind::ConfigMap, 4).unwrap();
    assert_eq!(from_oldest.next().await.unwrap().revision, 5);
    assert_eq!(other_kind.revision(), store.snapshot().revision());
}

#[tokio::test]
async fn progress_covers_what_other_kinds_did_but_not_what_is_still_to_be_seen() {
    let store = store_with_namespace().await;
    let mut watch = store.watch(Kind::ConfigMap, 2).unwrap();
    assert_eq!(watch.revision(), 2);
    store.commit(create(secret("s"))).await.unwrap();
    assert_eq!(watch.revision(), 3);
    store.commit(create(config("a", "1"))).await.unwrap();
    store.commit(create(secret("t"))).await.unwrap();
    assert_eq!(watch.revision(), 2);
    watch.next().await.unwrap();
    assert_eq!(watch.revision(), 5);
}

#[tokio::test]
async fn a_watch_from_the_future_is_silent_until_then() {
    let store = store_with_namespace().await;
    let mut watch = store.watch(Kind::ConfigMap, 4).unwrap();
    store.commit(create(config("a", "1"))).await.unwrap();
    store.commit(create(config("b", "1"))).await.unwrap();
    assert!(watch.try_next().unwrap().is_none());
    store.commit(create(config("c", "1"))).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, 5);
}

#[tokio::test]
async fn a_change_that_is_seen_is_in_the_snapshot() {
    let store = store_with_namespace().await;
    let mut watch = store.watch(Kind::ConfigMap, 2).unwrap();
    let reader = store.clone();
    let seen = tokio::spawn(async move {
        for _ in 0..200 {
            let change = watch.next().await.unwrap();
            assert!(reader.snapshot().revision() >= change.revision);
            assert!(reader.snapshot().get(change.object().key()).is_some());
        }
    });
    for i in 0..200 {
        store.commit(create(config(&format!("c-{i}"), "1"))).await.unwrap();
    }
    seen.await.unwrap();
}
