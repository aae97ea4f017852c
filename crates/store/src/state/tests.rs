use cronlet_object::{
    api::{ConfigMap, Namespace, OwnerReference, Time},
    ledger::{Decision, Entry, Reason},
};
use jiff::Timestamp;

use super::*;

fn namespace(name: &str) -> Draft {
    let mut object = Namespace::default();
    object.metadata.name = Some(name.into());
    Draft::of(&object)
}

fn config(namespace: &str, name: &str, value: &str) -> Draft {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some(namespace.into());
    object.metadata.name = Some(name.into());
    object.data = Some([("value".to_owned(), value.to_owned())].into());
    Draft::of(&object)
}

fn key(name: &str) -> Key {
    Key::new(Kind::ConfigMap, "default", name)
}

fn create(draft: Draft) -> Write {
    Write::Create(draft)
}

fn update(draft: Draft, expect: u64) -> Write {
    Write::Update { draft, expect }
}

fn delete(key: Key, expect: u64) -> Write {
    Write::Delete { key, expect }
}

fn transaction(writes: impl IntoIterator<Item = Write>) -> Transaction {
    Transaction { writes: writes.into_iter().collect(), ..Transaction::default() }
}

/// Commits one transaction to a state.
fn commit(state: &mut State, transaction: Transaction) -> Result<Committed, Refusal> {
    let mut batch = state.batch();
    let outcome = batch.apply(transaction);
    state.publish(&batch);
    outcome
}

fn write(state: &mut State, write: Write) -> Result<u64, Refusal> {
    commit(state, transaction([write])).map(|committed| committed.revision)
}

/// A state with namespace `default` at revision 2.
fn state() -> State {
    let mut state = State::new(Loaded::default());
    assert_eq!(write(&mut state, create(namespace("default"))), Ok(2));
    state
}

fn value(snapshot: &Snapshot, name: &str) -> Option<String> {
    let data = snapshot.decode::<ConfigMap>("default", name)?.data?;
    data.get("value").cloned()
}

#[test]
fn every_write_has_its_own_revision_and_writes_it_into_the_object() {
    let mut state = state();
    let writes = [create(config("default", "a", "1")), create(config("default", "b", "1"))];
    let committed = commit(&mut state, transaction(writes)).unwrap();
    assert_eq!(committed.revision, 4);
    assert_eq!(committed.changes.iter().map(|change| change.revision).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(state.snapshot().get(&key("a")).unwrap().value()["metadata"]["resourceVersion"], "3");
    assert_eq!(state.snapshot().revision(), 4);
}

#[test]
fn a_removal_has_a_revision_and_keeps_the_last_state() {
    let mut state = state();
    write(&mut state, create(config("default", "a", "1"))).unwrap();
    let committed = commit(&mut state, transaction([delete(key("a"), 3)])).unwrap();
    let change = &committed.changes[0];
    assert_eq!((change.revision, committed.revision, state.snapshot().revision()), (4, 4, 4));
    assert!(change.new.is_none());
    assert_eq!(change.object().revision(), 3);
    assert_eq!(value(state.snapshot(), "a"), None);
    assert_eq!(write(&mut state, create(config("default", "a", "2"))), Ok(5));
}

#[test]
fn a_write_must_find_what_it_expects() {
    let mut state = state();
    assert_eq!(
        write(&mut state, update(config("default", "a", "1"), 2)),
        Err(Refusal::NotFound { key: key("a") })
    );
    assert_eq!(write(&mut state, delete(key("a"), 2)), Err(Refusal::NotFound { key: key("a") }));
    assert_eq!(write(&mut state, create(config("default", "a", "1"))), Ok(3));
    assert_eq!(
        write(&mut state, create(config("default", "a", "2"))),
        Err(Refusal::Exists { key: key("a") })
    );
    assert_eq!(
        write(&mut state, update(config("default", "a", "2"), 2)),
        Err(Refusal::Conflict { key: key("a") })
    );
    assert_eq!(write(&mut state, update(config("default", "a", "2"), 3)), Ok(4));
    assert_eq!(write(&mut state, delete(key("a"), 3)), Err(Refusal::Conflict { key: key("a") }));
    assert_eq!(value(state.snapshot(), "a").as_deref(), Some("2"));
}

#[test]
fn what_a_transaction_requires_must_be_unchanged() {
    let mut state = state();
    write(&mut state, create(config("default", "a", "1"))).unwrap();
    let requiring = |revision, name: &str| Transaction {
        require: vec![Unchanged { key: key("a"), revision }],
        ..transaction([create(config("default", name, "1"))])
    };
    assert_eq!(commit(&mut state, requiring(3, "b")).unwrap().revision, 4);
    write(&mut state, update(config("default", "a", "2"), 3)).unwrap();
    let refusal = Err(Refusal::Conflict { key: key("a") });
    assert_eq!(commit(&mut state, requiring(3, "c")).map(|c| c.revision), refusal);
    write(&mut state, delete(key("a"), 5)).unwrap();
    assert_eq!(commit(&mut state, requiring(5, "c")).map(|c| c.revision), refusal);
    assert_eq!(value(state.snapshot(), "c"), None);
}

#[test]
fn later_writes_of_a_transaction_see_the_earlier_ones() {
    let mut state = State::new(Loaded::default());
    let committed = commit(
        &mut state,
        transaction([
            create(namespace("default")),
            create(config("default", "a", "1")),
            update(config("default", "a", "2"), 3),
            delete(key("a"), 4),
            create(config("default", "a", "3")),
        ]),
    );
    assert_eq!(committed.unwrap().revision, 6);
    assert_eq!(value(state.snapshot(), "a").as_deref(), Some("3"));
}

#[test]
fn a_refused_transaction_changes_nothing() {
    let mut state = state();
    let decision = Decision {
        at: Timestamp::UNIX_EPOCH,
        namespace: "default".into(),
        cronjob: "nightly".into(),
        cronjob_uid: "u".into(),
        scheduled: None,
        reason: Reason::Started,
        message: String::new(),
        job: None,
    };
    let mut batch = state.batch();
    batch.apply(transaction([create(config("default", "kept", "1"))])).unwrap();
    let refused = Transaction {
        ledger: vec![Entry::Decision(decision)],
        ..transaction([create(config("default", "a", "1")), create(config("default", "kept", "2"))])
    };
    assert_eq!(batch.apply(refused).unwrap_err(), Refusal::Exists { key: key("kept") });
    assert_eq!((batch.revision(), batch.changes().len(), batch.ledger().len()), (3, 1, 0));
    // The revision that the refused write would have had goes to the next one.
    assert_eq!(batch.apply(transaction([create(config("default", "b", "1"))])).unwrap().revision, 4);
    state.publish(&batch);
    assert_eq!(value(state.snapshot(), "a"), None);
    assert_eq!(value(state.snapshot(), "kept").as_deref(), Some("1"));
}

#[test]
fn every_kind_of_write_of_a_refused_transaction_is_undone() {
    let owned = |name: &str, owner: &str| {
        let mut object: ConfigMap = config("default", name, "1").unsealed().decode();
        let reference = OwnerReference { uid: owner.into(), ..OwnerReference::default() };
        object.metadata.owner_references = Some(vec![reference]);
        Draft::of(&object)
    };
    let mut state = state();
    write(&mut state, create(owned("a", "one"))).unwrap();
    write(&mut state, create(owned("b", "one"))).unwrap();
    let mut batch = state.batch();
    let told = |batch: &Batch| {
        let objects: Vec<_> = batch.snapshot().iter().map(|o| (o.key().clone(), o.revision())).collect();
        let owned = ["one", "two"].map(|owner| batch.snapshot().dependents(owner).count());
        (objects, owned, batch.revision(), batch.changes().len())
    };
    let before = told(&batch);
    let refused = transaction([
        update(owned("a", "two"), 3),
        delete(key("a"), 5),
        create(owned("a", "two")),
        delete(key("b"), 4),
        create(owned("c", "two")),
        delete(key("none"), 1),
    ]);
    assert_eq!(batch.apply(refused).unwrap_err(), Refusal::NotFound { key: key("none") });
    assert_eq!(told(&batch), before);
    assert_eq!(before.1, [2, 0]);
}

#[test]
fn transactions_of_a_batch_see_the_earlier_ones_and_nobody_else_does() {
    let state = state();
    let mut batch = state.batch();
    batch.apply(transaction([create(config("default", "a", "1"))])).unwrap();
    batch.apply(transaction([update(config("default", "a", "2"), 3)])).unwrap();
    assert_eq!(value(batch.snapshot(), "a").as_deref(), Some("2"));
    assert_eq!(value(state.snapshot(), "a"), None);
    assert_eq!(state.history(Kind::ConfigMap).after(2).unwrap().map(|c| c.revision), None);
}

#[test]
fn nothing_is_created_in_a_missing_or_terminating_namespace() {
    let mut state = State::new(Loaded::default());
    let missing = Err(Refusal::NamespaceMissing { namespace: "default".into() });
    assert_eq!(write(&mut state, create(config("default", "a", "1"))), missing);
    write(&mut state, create(namespace("default"))).unwrap();
    write(&mut state, create(config("default", "a", "1"))).unwrap();

    let mut terminating = Namespace::default();
    terminating.metadata.name = Some("default".into());
    terminating.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    write(&mut state, update(Draft::of(&terminating), 2)).unwrap();
    assert_eq!(
        write(&mut state, create(config("default", "b", "1"))),
        Err(Refusal::NamespaceTerminating { namespace: "default".into(), key: key("b") })
    );
    // What is there can still be changed and removed: deletion of the namespace depends on it.
    assert_eq!(write(&mut state, update(config("default", "a", "2"), 3)), Ok(5));
    assert_eq!(write(&mut state, delete(key("a"), 5)), Ok(6));
}

#[test]
fn too_large_an_object_is_refused() {
    let mut state = state();
    let draft = config("default", "a", &"x".repeat(OBJECT_BYTES_MAX));
    let bytes = draft.bytes();
    assert_eq!(write(&mut state, create(draft)), Err(Refusal::TooLarge { key: key("a"), bytes }));
}

#[test]
fn a_ledger_entry_alone_takes_no_revision() {
    let state = state();
    let mut batch = state.batch();
    assert!(batch.is_empty());
    let run = ledger::Run {
        job_uid: "u".into(),
        namespace: "default".into(),
        job: "nightly-1".into(),
        cronjob: None,
        scheduled: None,
        created: Timestamp::UNIX_EPOCH,
        finished: None,
        outcome: None,
        containers: Vec::new(),
    };
    let committed =
        batch.apply(Transaction { ledger: vec![Entry::Run(run)], ..Transaction::default() }).unwrap();
    assert_eq!((committed.revision, committed.changes.len()), (2, 0));
    assert!(!batch.is_empty());
}

#[test]
fn a_loaded_state_goes_on_from_the_last_revision_even_if_its_object_is_gone() {
    let object = Arc::new(namespace("default").seal(7));
    let mut state = State::new(Loaded { revision: 9, objects: vec![object] });
    assert_eq!(state.snapshot().revision(), 9);
    assert_eq!(state.history(Kind::ConfigMap).check(8), Err(Expired { oldest: 9 }));
    assert_eq!(write(&mut state, create(config("default", "a", "1"))), Ok(10));
}

#[test]
fn histories_are_separate_and_progress_counts_what_was_handed_out() {
    let mut state = state();
    write(&mut state, create(config("default", "a", "1"))).unwrap();
    let after =
        |state: &State, kind, revision| state.history(kind).after(revision).unwrap().map(|c| c.revision);
    assert_eq!(after(&state, Kind::ConfigMap, 1), Some(3));
    assert_eq!(after(&state, Kind::Namespace, 1), Some(2));
    assert_eq!(after(&state, Kind::Namespace, 2), None);
    // A watcher of namespaces has nothing to wait for; one of config maps must first see revision 3.
    assert_eq!(state.progress(Kind::Namespace, 2), 3);
    assert_eq!(state.progress(Kind::ConfigMap, 2), 2);
    assert_eq!(state.progress(Kind::ConfigMap, 3), 3);
    assert_eq!(state.progress(Kind::ConfigMap, 8), 8);
}
