//! The objects and transactions that the tests write.

use cronlet_object::{
    Draft, Key, Kind, Snapshot, Transaction, Write,
    api::{ConfigMap, Namespace, Secret},
};
use cronlet_store::{SqliteDisk, Store};

/// A store in memory.
pub fn store() -> Store {
    Store::open(Box::new(SqliteDisk::in_memory().unwrap())).unwrap()
}

/// A store in memory with namespace `default` at revision 2.
pub async fn store_with_namespace() -> Store {
    let store = store();
    assert_eq!(store.commit(create(namespace("default"))).await.unwrap().revision, 2);
    store
}

pub fn namespace(name: &str) -> Draft {
    let mut object = Namespace::default();
    object.metadata.name = Some(name.into());
    Draft::of(&object)
}

pub fn config(name: &str, value: &str) -> Draft {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("default".into());
    object.metadata.name = Some(name.into());
    object.data = Some([("value".to_owned(), value.to_owned())].into());
    Draft::of(&object)
}

pub fn secret(name: &str) -> Draft {
    let mut object = Secret::default();
    object.metadata.namespace = Some("default".into());
    object.metadata.name = Some(name.into());
    Draft::of(&object)
}

pub fn key(name: &str) -> Key {
    Key::new(Kind::ConfigMap, "default", name)
}

/// The value of a config map, and its revision.
pub fn read(snapshot: &Snapshot, name: &str) -> Option<(String, u64)> {
    let object = snapshot.get(&key(name))?;
    let value = object.decode::<ConfigMap>().data?.remove("value")?;
    Some((value, object.revision()))
}

pub fn create(draft: Draft) -> Transaction {
    transaction(vec![Write::Create(draft)])
}

pub fn update(draft: Draft, expect: u64) -> Transaction {
    transaction(vec![Write::Update { draft, expect }])
}

pub fn delete(name: &str, expect: u64) -> Transaction {
    transaction(vec![Write::Delete { key: key(name), expect }])
}

pub fn transaction(writes: Vec<Write>) -> Transaction {
    Transaction { writes, ..Transaction::default() }
}
