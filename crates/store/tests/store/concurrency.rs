//! Many writers at once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, mpsc},
};

use cronlet_object::{Kind, Write};
use cronlet_store::{DataDir, Refusal, SqliteDisk, Store, limits::QUEUE_TRANSACTIONS_MAX};

use crate::objects::*;

const TASKS: usize = 48;
const INCREMENTS: usize = 12;

/// Adds one to a counter that everyone adds to, and creates an object in the same transaction. Returns its revision.
async fn increment(store: &Store, created: &str) -> u64 {
    loop {
        let (value, expect) = read(&store.snapshot(), "counter").unwrap();
        let next = (value.parse::<usize>().unwrap() + 1).to_string();
        let writes = vec![
            Write::Update { draft: config("counter", &next), expect },
            Write::Create(config(created, &next)),
        ];
        match store.commit(transaction(writes)).await {
            Ok(committed) => return committed.revision,
            Err(refusal) => assert_eq!(refusal, Refusal::Conflict { key: key("counter") }),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_is_lost_and_everyone_sees_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        || Store::open(Box::new(SqliteDisk::open(&DataDir::lock(dir.path()).unwrap()).unwrap())).unwrap();
    let store = open();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let subscriber = seen.clone();
    store.on_commit(Box::new(move |snapshot, changes| {
        assert_eq!(changes.last().unwrap().revision, snapshot.revision());
        subscriber.lock().unwrap().extend(changes.iter().map(|change| change.revision));
    }));
    store.commit(create(namespace("default"))).await.unwrap();
    store.commit(create(config("counter", "0"))).await.unwrap();
    let mut watch = store.watch(Kind::ConfigMap, 3).unwrap();

    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for i in 0..INCREMENTS {
                    revisions.push(increment(&store, &format!("by-{task}-{i}")).await);
                }
                revisions
            })
        })
        .collect();
    let mut revisions = BTreeSet::new();
    for task in tasks {
        revisions.extend(task.await.unwrap());
    }

    let total = TASKS * INCREMENTS;
    assert_eq!(revisions.len(), total);
    assert_eq!(read(&store.snapshot(), "counter").unwrap().0, total.to_string());
    let last = 3 + 2 * total as u64;
    assert_eq!(store.snapshot().revision(), last);
    assert_eq!(*seen.lock().unwrap(), (2..=last).collect::<Vec<_>>());
    for revision in 4..=last {
        assert_eq!(watch.next().await.unwrap().revision, revision);
    }

    let before: Vec<_> = store.snapshot().iter().map(|object| object.json().to_owned()).collect();
    drop((store, watch));
    let after: Vec<_> = open().snapshot().iter().map(|object| object.json().to_owned()).collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_keeps_what_it_accepted() {
    let store = store_with_namespace().await;
    // The writer is held in a callback until the queue is full.
    let (entered, wait_entered) = mpsc::channel();
    let (release, wait_release) = mpsc::channel();
    store.submit(create(config("held", "1")), move |_| {
        entered.send(()).unwrap();
        wait_release.recv().unwrap();
    });
    wait_entered.recv().unwrap();
    let (answer, answers) = mpsc::channel();
    let submit = |name: String| {
        let answer = answer.clone();
        store.submit(create(config(&name, "1")), move |outcome| answer.send(outcome.err()).unwrap());
    };
    (0..QUEUE_TRANSACTIONS_MAX).for_each(|i| submit(format!("queued-{i}")));
    assert!(answers.try_recv().is_err());
    submit("too-much".into());
    assert_eq!(answers.try_recv(), Ok(Some(Refusal::Overloaded)));
    release.send(()).unwrap();
    for _ in 0..QUEUE_TRANSACTIONS_MAX {
        assert_eq!(answers.recv(), Ok(None));
    }
    assert_eq!(store.snapshot().len(), QUEUE_TRANSACTIONS_MAX + 2);
}

#[tokio::test]
async fn a_refused_transaction_does_not_touch_its_neighbours() {
    let store = store_with_namespace().await;
    let (held, released) = mpsc::channel::<()>();
    // All of these meet in one batch, because the writer is held meanwhile.
    store.submit(create(config("first", "1")), move |_| assert!(released.recv().is_err()));
    let (answer, answers) = mpsc::channel();
    for name in ["a", "a", "b"] {
        let answer = answer.clone();
        store.submit(create(config(name, "1")), move |outcome| {
            answer.send(outcome.map(|committed| committed.revision)).unwrap();
        });
    }
    drop(held);
    let outcomes: Vec<_> = (0..3).map(|_| answers.recv().unwrap()).collect();
    assert_eq!(outcomes, [Ok(4), Err(Refusal::Exists { key: key("a") }), Ok(5)]);
}

#[tokio::test]
async fn closing_commits_what_was_accepted_and_reading_goes_on() {
    let store = store_with_namespace().await;
    let (answer, answers) = mpsc::channel();
    for i in 0..100 {
        let answer = answer.clone();
        store.submit(create(config(&format!("c-{i}"), "1")), move |outcome| {
            answer.send(outcome.is_ok()).unwrap();
        });
    }
    store.close();
    assert_eq!(answers.try_iter().filter(|ok| *ok).count(), 100);
    assert_eq!(store.commit(create(config("late", "1"))).await.unwrap_err(), Refusal::Stopped);
    assert_eq!(store.runs("default", "nightly", 1).await.unwrap_err(), Refusal::Stopped);
    assert_eq!(store.snapshot().len(), 101);
    store.close();
}

#[test]
fn the_last_handle_may_be_dropped_by_a_callback() {
    let store = store();
    let (answer, answers) = mpsc::channel();
    let last = store.clone();
    // Keeps the writer busy until this thread has given up its handle.
    let (gone, wait_gone) = mpsc::channel::<()>();
    store.submit(create(namespace("default")), move |outcome| {
        assert!(wait_gone.recv().is_err());
        drop(last);
        answer.send(outcome.is_ok()).unwrap();
    });
    drop(store);
    drop(gone);
    assert_eq!(answers.recv(), Ok(true));
}

#[test]
fn the_store_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    fn sent<T: Send>() {}
    shared::<Store>();
    sent::<cronlet_store::Watch>();
}
