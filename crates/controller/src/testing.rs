//! What the tests of several controllers share: a store in memory that refuses what the real one refuses.

use std::sync::Arc;

use cronlet_object::{
    Change, Draft, Ids, Key, Kind, Object, Resource, Snapshot, Transaction, Write,
    api::{Event, Namespace, StorageClass, Time},
    ledger,
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{Controller, Plan, Settings, View, affected};

/// A moment, as RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Objects, the time, and a driver of controllers over them.
pub(crate) struct World {
    pub snapshot: Snapshot,
    pub now: Timestamp,
    pub settings: Settings,
    pub ledger: Vec<ledger::Entry>,
    ids: Ids,
}

impl World {
    /// A world with the namespace `default` in it.
    pub fn new(now: &str) -> Self {
        let settings = Settings {
            node_name: Some("here".into()),
            time_zone: TimeZone::UTC,
            cluster_ca: None,
            volumes_dir: "/data/volumes".into(),
        };
        let mut world = World {
            snapshot: Snapshot::default(),
            now: at(now),
            settings,
            ledger: Vec::new(),
            ids: Ids::seeded(7),
        };
        world.namespace("default");
        world
    }

    pub fn namespace(&mut self, name: &str) {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        namespace.metadata.uid = Some(format!("uid-of-{name}"));
        namespace.spec.get_or_insert_default().finalizers = Some(vec!["kubernetes".into()]);
        self.put(&namespace);
    }

    /// Adds a storage class of this node's volumes, with `fields` besides.
    pub fn class(&mut self, name: &str, fields: &serde_json::Value) -> Key {
        let mut class = serde_json::json!({
            "metadata": {"name": name}, "provisioner": "cronlet.dev/directory", "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            class[field] = value.clone();
        }
        self.put_json::<StorageClass>(class)
    }

    /// Adds the class of claims that name none.
    pub fn default_class(&mut self) -> Key {
        let annotations = serde_json::json!({"storageclass.kubernetes.io/is-default-class": "true"});
        self.class(
            "standard",
            &serde_json::json!({"metadata": {"name": "standard", "annotations": annotations}}),
        )
    }

    /// Adds or replaces an object as it is.
    pub fn put<T: Resource>(&mut self, object: &T) -> Key {
        self.insert(Draft::of(object))
    }

    fn insert(&mut self, draft: Draft) -> Key {
        let key = draft.key().clone();
        self.snapshot.insert(Arc::new(draft.seal(self.snapshot.revision() + 1)));
        key
    }

    /// Adds an object given as JSON; `namespace` and `uid` are filled in where they are missing.
    pub fn put_json<T: Resource>(&mut self, json: serde_json::Value) -> Key {
        let mut object: T = serde_json::from_value(json).unwrap();
        let namespaced = T::OBJECT_KIND.descriptor().namespaced;
        let metadata = object.metadata_mut();
        if namespaced {
            metadata.namespace.get_or_insert_with(|| "default".into());
        }
        let name = metadata.name.clone().unwrap();
        metadata.uid.get_or_insert_with(|| format!("uid-of-{name}"));
        metadata.creation_timestamp.get_or_insert(Time(self.now));
        self.put(&object)
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.snapshot.get(key)
    }

    pub fn decode<T: Resource>(&self, key: &Key) -> T {
        self.get(key).unwrap_or_else(|| panic!("{key} is gone")).decode()
    }

    pub fn names(&self, kind: Kind) -> Vec<String> {
        self.snapshot.list(kind).map(|object| object.name().to_owned()).collect()
    }

    /// `type reason` of all events in the order in which they were last told, with their counts.
    pub fn events(&self) -> Vec<(String, i32)> {
        let mut events: Vec<_> = self.snapshot.list(Kind::Event).collect();
        events.sort_by_key(|event| event.revision());
        let describe = |event: Event| {
            (format!("{} {}", event.type_.unwrap(), event.reason.unwrap()), event.count.unwrap())
        };
        events.into_iter().map(|event| describe(event.decode())).collect()
    }

    /// Asks a controller without committing its answer.
    pub fn plan(&mut self, controller: Controller, key: &Key) -> Plan {
        let view = View { snapshot: &self.snapshot, now: self.now, settings: &self.settings };
        controller.reconcile(&view, key, &mut self.ids)
    }

    /// Asks a controller, commits its answer, and returns when it wants to look again.
    pub fn reconcile(&mut self, controller: Controller, key: &Key) -> Option<Timestamp> {
        let plan = self.plan(controller, key);
        self.commit(plan.transaction);
        plan.wake_at
    }

    /// Commits a transaction as the store would, and returns what it changed.
    pub fn commit(&mut self, transaction: Transaction) -> Vec<Change> {
        let revision_of = |world: &Self, key: &Key| world.get(key).map(|object| object.revision());
        for read in &transaction.require {
            assert_eq!(revision_of(self, &read.key), Some(read.revision), "{} was read", read.key);
        }
        self.ledger.extend(transaction.ledger);
        transaction.writes.into_iter().map(|write| self.apply(write)).collect()
    }

    fn apply(&mut self, write: Write) -> Change {
        let key = write.key().clone();
        let old = self.get(&key).cloned();
        let found = old.as_ref().map(|object| object.revision());
        match write {
            Write::Create(draft) => {
                assert_eq!(found, None, "{key} exists");
                let namespace = &key.namespace;
                assert!(namespace.is_empty() || self.snapshot.namespace_is_open(namespace), "{key}");
                self.insert(draft);
            }
            Write::Update { draft, expect } => {
                assert_eq!(found, Some(expect), "{key} was changed");
                self.insert(draft);
            }
            Write::Delete { expect, .. } => {
                assert_eq!(found, Some(expect), "{key} was changed");
                self.snapshot.remove(&key, self.snapshot.revision() + 1);
            }
        }
        Change { revision: self.snapshot.revision(), old, new: self.get(&key).cloned() }
    }

    /// Removes an object and lets all that follows from it happen.
    pub fn remove(&mut self, key: &Key) {
        let expect = self.get(key).expect("it exists").revision();
        let transaction = Transaction {
            writes: vec![Write::Delete { key: key.clone(), expect }],
            ..Transaction::default()
        };
        let changes = self.commit(transaction);
        self.settle(&changes);
    }

    /// Lets the controllers answer to changes, and to each other, until nothing is left to do now.
    pub fn settle(&mut self, changes: &[Change]) {
        let mut queue = std::collections::BTreeSet::new();
        for change in changes {
            queue.extend(affected(change, &self.snapshot));
        }
        for _ in 0..10_000 {
            let Some((controller, key)) = queue.pop_first() else { return };
            let plan = self.plan(controller, &key);
            if plan.wake_at.is_some_and(|time| time <= self.now) {
                queue.insert((controller, key));
            }
            for change in self.commit(plan.transaction) {
                queue.extend(affected(&change, &self.snapshot));
            }
        }
        panic!("the controllers do not come to rest: {queue:?}");
    }

    /// Settles as if everything had just been found.
    pub fn settle_all(&mut self) {
        let found = self.snapshot.iter().map(|object| Change {
            revision: object.revision(),
            old: None,
            new: Some(object.clone()),
        });
        let changes: Vec<Change> = found.collect();
        self.settle(&changes);
    }
}
