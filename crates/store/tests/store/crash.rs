//! Disks that fail: what was acknowledged is kept, what was refused is not there, and nothing is half done.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
};

use cronlet_object::{Kind, Object, Write, ledger};
use cronlet_store::{Batch, Disk, DiskError, Loaded, Refusal, Store};
use proptest::prelude::*;

use crate::objects::*;

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Written,
    /// Refused for lack of room.
    Full,
    /// The sync failed, and the write is lost.
    FailedAndLost,
    /// The sync failed, and the write is on the disk all the same.
    FailedAndKept,
}

/// What is on the platter: survives the store.
#[derive(Default)]
struct Platter {
    revision: u64,
    objects: BTreeMap<String, Arc<Object>>,
    /// The fate of the next write; afterwards all are written.
    next: Option<Fate>,
    writes: usize,
}

/// A disk in memory whose writes meet a given fate.
#[derive(Clone, Default)]
struct FaultyDisk(Arc<Mutex<Platter>>);

impl FaultyDisk {
    fn open(&self) -> Store {
        Store::open(Box::new(self.clone())).unwrap()
    }

    fn next(&self, fate: Fate) {
        self.0.lock().unwrap().next = Some(fate);
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }
}

fn full() -> DiskError {
    DiskError::Full { path: "platter".into() }
}

fn failed() -> DiskError {
    DiskError::Io { path: "platter".into(), cause: "input/output error".into() }
}

impl Disk for FaultyDisk {
    fn load(&mut self) -> Result<Loaded, DiskError> {
        let platter = self.0.lock().unwrap();
        Ok(Loaded { revision: platter.revision, objects: platter.objects.values().cloned().collect() })
    }

    fn write(&mut self, batch: &Batch) -> Result<(), DiskError> {
        let mut platter = self.0.lock().unwrap();
        platter.writes += 1;
        let fate = platter.next.take().unwrap_or(Fate::Written);
        if matches!(fate, Fate::Written | Fate::FailedAndKept) {
            platter.revision = batch.revision();
            for change in batch.changes() {
                let key = change.object().key().to_string();
                match &change.new {
                    Some(new) => drop(platter.objects.insert(key, new.clone())),
                    None => drop(platter.objects.remove(&key)),
                }
            }
        }
        match fate {
            Fate::Written => Ok(()),
            Fate::Full => Err(full()),
            Fate::FailedAndLost | Fate::FailedAndKept => Err(failed()),
        }
    }

    fn runs(&mut self, _: &str, _: &str, _: usize) -> Result<Vec<ledger::Run>, DiskError> {
        Ok(Vec::new())
    }

    fn decisions(&mut self, _: &str, _: &str, _: usize) -> Result<Vec<ledger::Decision>, DiskError> {
        Err(failed())
    }
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_writing_resumes_by_itself() {
    let disk = FaultyDisk::default();
    let store = disk.open();
    store.commit(create(namespace("default"))).await.unwrap();
    let mut watch = store.watch(Kind::ConfigMap, 2).unwrap();
    disk.next(Fate::Full);
    let writes = vec![Write::Create(config("a", "1")), Write::Create(config("b", "1"))];
    assert_eq!(store.commit(transaction(writes.clone())).await.unwrap_err(), Refusal::Disk(full()));
    assert_eq!(store.failure(), Some(full()));
    assert_eq!((store.snapshot().revision(), store.snapshot().len()), (2, 1));
    assert!(watch.try_next().unwrap().is_none());

    let committed = store.commit(transaction(writes)).await.unwrap();
    assert_eq!((committed.revision, store.failure()), (4, None));
    assert_eq!(watch.next().await.unwrap().revision, 3);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_any_more_and_reading_goes_on() {
    for (fate, kept) in [(Fate::FailedAndLost, false), (Fate::FailedAndKept, true)] {
        let disk = FaultyDisk::default();
        let store = disk.open();
        store.commit(create(namespace("default"))).await.unwrap();
        disk.next(fate);
        assert_eq!(store.commit(create(config("a", "1"))).await.unwrap_err(), Refusal::Stopped);
        let writes = disk.writes();
        assert_eq!(store.commit(create(config("b", "1"))).await.unwrap_err(), Refusal::Stopped);
        assert_eq!(disk.writes(), writes);
        assert_eq!(store.failure(), Some(failed()));
        assert_eq!(store.snapshot().len(), 1);

        drop(store);
        let snapshot = disk.open().snapshot();
        assert_eq!(read(&snapshot, "a").is_some(), kept);
        assert_eq!(read(&snapshot, "b"), None);
    }
}

#[tokio::test]
async fn a_refusal_that_rests_on_a_failed_write_is_not_given() {
    let disk = FaultyDisk::default();
    let store = disk.open();
    let (entered, wait_entered) = mpsc::channel();
    let (held, released) = mpsc::channel::<()>();
    store.submit(create(namespace("default")), move |_| {
        entered.send(()).unwrap();
        assert!(released.recv().is_err());
    });
    wait_entered.recv().unwrap();
    let (answer, answers) = mpsc::channel();
    for _ in 0..2 {
        let answer = answer.clone();
        store.submit(create(config("a", "1")), move |outcome| answer.send(outcome.unwrap_err()).unwrap());
    }
    disk.next(Fate::Full);
    drop(held);
    // The second would be refused as existing, if the first had been written.
    assert_eq!([answers.recv(), answers.recv()], [Ok(Refusal::Disk(full())), Ok(Refusal::Disk(full()))]);
}

#[tokio::test]
async fn a_query_that_fails_says_so_and_stops_nothing() {
    let disk = FaultyDisk::default();
    let store = disk.open();
    assert_eq!(store.decisions("default", "nightly", 1).await.unwrap_err(), Refusal::Disk(failed()));
    assert_eq!(store.runs("default", "nightly", 1).await.unwrap(), []);
    store.commit(create(namespace("default"))).await.unwrap();
}

#[tokio::test]
async fn a_subscriber_that_panics_ends_the_store_with_an_answer_to_everyone() {
    let store = store();
    store.on_commit(Box::new(|_, _| panic!("a subscriber of the test panics")));
    assert_eq!(store.commit(create(namespace("default"))).await.unwrap_err(), Refusal::Stopped);
    assert_eq!(store.commit(create(namespace("other"))).await.unwrap_err(), Refusal::Stopped);
    assert_eq!(store.runs("default", "nightly", 1).await.unwrap_err(), Refusal::Stopped);
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Written),
        2 => Just(Fate::Full),
        1 => Just(Fate::FailedAndLost),
        1 => Just(Fate::FailedAndKept),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What was acknowledged is kept, what was refused is absent, and nothing is half done. Each step writes a pair of
    /// objects that must always agree; the store restarts whenever it has stopped.
    #[test]
    fn the_store_is_the_truth(fates in prop::collection::vec(fate(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let disk = FaultyDisk::default();
        let mut store = disk.open();
        runtime.block_on(store.commit(create(namespace("default")))).unwrap();
        let mut latest_revision = 2;
        let mut acknowledged = None;
        for (step, fate) in fates.into_iter().enumerate() {
            let value = step.to_string();
            let writes = ["left", "right"].map(|name| match read(&store.snapshot(), name) {
                Some((_, expect)) => Write::Update { draft: config(name, &value), expect },
                None => Write::Create(config(name, &value)),
            });
            disk.next(fate);
            match runtime.block_on(store.commit(transaction(writes.into()))) {
                Ok(committed) => {
                    prop_assert_eq!(fate, Fate::Written);
                    prop_assert!(committed.revision > latest_revision);
                    latest_revision = committed.revision;
                    acknowledged = Some(value);
                }
                Err(Refusal::Disk(_)) => prop_assert_eq!(fate, Fate::Full),
                Err(refusal) => {
                    prop_assert_eq!(refusal, Refusal::Stopped);
                    drop(store);
                    store = disk.open();
                    if fate == Fate::FailedAndKept {
                        acknowledged = Some(value);
                        latest_revision += 2;
                    }
                }
            }
            let snapshot = store.snapshot();
            let [left, right] = ["left", "right"].map(|name| read(&snapshot, name).map(|(value, _)| value));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&left, &acknowledged);
            prop_assert_eq!(snapshot.revision(), latest_revision);
        }
    }
}
