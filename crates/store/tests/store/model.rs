//! Random transactions, against a map that does the same in the plainest way, with restarts in between.

use std::collections::BTreeMap;

use cronlet_object::{Key, Kind, Snapshot, Transaction, Unchanged, Write};
use cronlet_store::{DataDir, Refusal, SqliteDisk, Store};
use proptest::prelude::*;

use crate::objects::*;

/// What is expected of the store.
#[derive(Clone, Default)]
struct Model {
    revision: u64,
    /// Name → value and revision.
    objects: BTreeMap<String, (String, u64)>,
}

/// A write whose object is one of few names, and whose expected revision is right most of the time.
#[derive(Clone, Debug)]
enum Act {
    Create { name: u8, value: u8 },
    Update { name: u8, value: u8, stale: bool },
    Delete { name: u8, stale: bool },
}

#[derive(Clone, Debug)]
enum Step {
    Commit { acts: Vec<Act>, require: Option<(u8, bool)> },
    Reopen,
}

impl Model {
    fn revision_of(&self, name: &str, stale: bool) -> u64 {
        self.objects.get(name).map_or(1, |(_, revision)| revision - u64::from(stale))
    }

    /// The write to submit, and the same on the model.
    fn act(&mut self, act: &Act) -> (Write, Result<(), Refusal>) {
        let name = |name: &u8| format!("object-{name}");
        match act {
            Act::Create { name: n, value } => {
                let (name, value) = (name(n), value.to_string());
                (Write::Create(config(&name, &value)), self.create(name, value))
            }
            Act::Update { name: n, value, stale } => {
                let (name, value) = (name(n), value.to_string());
                let expect = self.revision_of(&name, *stale);
                let write = Write::Update { draft: config(&name, &value), expect };
                (write, self.expect(&name, expect).map(|()| self.put(name, value)))
            }
            Act::Delete { name: n, stale } => {
                let name = name(n);
                let expect = self.revision_of(&name, *stale);
                let outcome = self.expect(&name, expect);
                if outcome.is_ok() {
                    self.revision += 1;
                    self.objects.remove(&name);
                }
                (Write::Delete { key: key(&name), expect }, outcome)
            }
        }
    }

    fn create(&mut self, name: String, value: String) -> Result<(), Refusal> {
        if self.objects.contains_key(&name) {
            return Err(Refusal::Exists { key: key(&name) });
        }
        self.put(name, value);
        Ok(())
    }

    fn put(&mut self, name: String, value: String) {
        self.revision += 1;
        self.objects.insert(name, (value, self.revision));
    }

    fn expect(&self, name: &str, expect: u64) -> Result<(), Refusal> {
        match self.objects.get(name) {
            None => Err(Refusal::NotFound { key: key(name) }),
            Some((_, revision)) if *revision != expect => Err(Refusal::Conflict { key: key(name) }),
            Some(_) => Ok(()),
        }
    }

    /// The transaction to submit and how it must end; the model moves on if it must succeed.
    fn commit(&mut self, acts: &[Act], require: Option<(u8, bool)>) -> (Transaction, Result<u64, Refusal>) {
        let mut next = self.clone();
        let required = require.map(|(name, stale)| {
            let name = format!("object-{name}");
            Unchanged { key: key(&name), revision: self.revision_of(&name, stale) }
        });
        let mut outcome = match &required {
            Some(Unchanged { key, revision })
                if self.objects.get(&*key.name).is_none_or(|(_, at)| at != revision) =>
            {
                Err(Refusal::Conflict { key: key.clone() })
            }
            _ => Ok(()),
        };
        let mut writes = Vec::new();
        for act in acts {
            let (write, result) = next.act(act);
            writes.push(write);
            outcome = outcome.and(result);
        }
        if outcome.is_ok() {
            *self = next;
        }
        let transaction = Transaction { require: required.into_iter().collect(), writes, ledger: Vec::new() };
        (transaction, outcome.map(|()| self.revision))
    }

    fn assert_same(&self, snapshot: &Snapshot) {
        let stored: BTreeMap<_, _> = snapshot
            .list(Kind::ConfigMap)
            .map(|object| (object.name().to_owned(), read(snapshot, object.name()).unwrap()))
            .collect();
        assert_eq!((snapshot.revision(), stored), (self.revision, self.objects.clone()));
    }
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0_u8..6;
    prop_oneof![
        (name.clone(), any::<u8>()).prop_map(|(name, value)| Act::Create { name, value }),
        (name.clone(), any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(name, value, stale)| Act::Update {
            name,
            value,
            stale
        }),
        (name, prop::bool::weighted(0.1)).prop_map(|(name, stale)| Act::Delete { name, stale }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let require = prop::option::weighted(0.3, (0_u8..6, prop::bool::weighted(0.2)));
    prop_oneof![
        15 => (prop::collection::vec(act(), 0..4), require)
            .prop_map(|(acts, require)| Step::Commit { acts, require }),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_map_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let dir = DataDir::lock(dir.path()).unwrap();
            Store::open(Box::new(SqliteDisk::open(&dir).unwrap())).unwrap()
        };
        let mut store = open();
        runtime.block_on(store.commit(create(namespace("default")))).unwrap();
        let mut model = Model { revision: 2, ..Model::default() };
        for step in steps {
            match step {
                Step::Commit { acts, require } => {
                    let (transaction, expected) = model.commit(&acts, require);
                    let outcome = runtime.block_on(store.commit(transaction));
                    prop_assert_eq!(outcome.map(|committed| committed.revision), expected);
                }
                Step::Reopen => {
                    drop(store);
                    store = open();
                }
            }
            model.assert_same(&store.snapshot());
        }
        prop_assert!(store.snapshot().get(&Key::new(Kind::Namespace, "", "default")).is_some());
    }
}
