//! How many commits a second the store makes durable, by the number of writers at once.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use cronlet_object::{
    Draft, Transaction, Write,
    api::{ConfigMap, Namespace},
};
use cronlet_store::{DataDir, SqliteDisk, Store};
use tokio::{runtime::Runtime, task::JoinSet};

use super::{Row, median};
use crate::client::now;

/// How many writers commit at once.
const WRITERS: [usize; 3] = [1, 8, 64];
/// Objects in the store, each of [`OBJECT_BYTES`].
const OBJECTS: usize = 20_000;
const OBJECT_BYTES: usize = 1_024;
/// Commits of one round, divided among the writers.
const COMMITS: usize = 12_800;
const ROUNDS: usize = 5;
/// Objects created with one transaction before anything is measured.
const OBJECTS_PER_TRANSACTION: usize = 500;

/// Updates objects at random in a new store below `dir`, which must be on the disk that is to be measured. The rounds
/// of the numbers of writers take turns, so that all meet the same machine.
///
/// # Errors
/// If the store cannot be opened or refuses a commit.
pub fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let store = Store::open(Box::new(SqliteDisk::open(&DataDir::lock(dir)?)?))?;
    let runtime = Runtime::new()?;
    let payload = Arc::<str>::from(payload());
    let mut revisions = runtime.block_on(fill(&store, &payload))?;
    let mut rates = WRITERS.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (writers, rates) in WRITERS.iter().zip(&mut rates) {
            let begin = now();
            revisions = runtime.block_on(update(&store, &payload, *writers, revisions))?;
            rates.push(COMMITS as f64 / ((now() - begin) as f64 / 1e9));
        }
    }
    let rows = WRITERS.iter().zip(&mut rates).map(|(writers, rates)| {
        let figure = format!("durable commits of one {OBJECT_BYTES} B object, {writers} writers");
        Row::new("store", figure, median(rates), "commits/s")
    });
    Ok(rows.collect())
}

/// Text that makes an object as long as wanted, and that does not compress to nothing.
fn payload() -> String {
    let mut random = fastrand::Rng::with_seed(1);
    let rest = OBJECT_BYTES - object(0, "").bytes();
    (0..rest).map(|_| random.alphanumeric()).collect()
}

fn object(number: usize, payload: &str) -> Draft {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("default".into());
    object.metadata.name = Some(format!("object-{number:08}"));
    object.data = Some([("payload".to_owned(), payload.to_owned())].into());
    Draft::of(&object)
}

/// Creates the objects; returns the revision of each.
async fn fill(store: &Store, payload: &str) -> anyhow::Result<Vec<u64>> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("default".into());
    commit(store, vec![Write::Create(Draft::of(&namespace))]).await?;
    let mut revisions = Vec::with_capacity(OBJECTS);
    while revisions.len() < OBJECTS {
        let first = revisions.len();
        let numbers = first..OBJECTS.min(first + OBJECTS_PER_TRANSACTION);
        let writes = numbers.map(|number| Write::Create(object(number, payload))).collect();
        revisions.extend(commit(store, writes).await?);
    }
    Ok(revisions)
}

/// One round. Every writer has its own share of the objects, so none meets a conflict.
async fn update(
    store: &Store,
    payload: &Arc<str>,
    writers: usize,
    mut revisions: Vec<u64>,
) -> anyhow::Result<Vec<u64>> {
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let share: Vec<_> =
            (writer..OBJECTS).step_by(writers).map(|number| (number, revisions[number])).collect();
        tasks.spawn(write_share(store.clone(), payload.clone(), COMMITS / writers, share));
    }
    while let Some(share) = tasks.join_next().await {
        for (number, revision) in share?? {
            revisions[number] = revision;
        }
    }
    Ok(revisions)
}

async fn write_share(
    store: Store,
    payload: Arc<str>,
    commits: usize,
    mut share: Vec<(usize, u64)>,
) -> anyhow::Result<Vec<(usize, u64)>> {
    let mut random = fastrand::Rng::with_seed(share[0].0 as u64);
    for _ in 0..commits {
        let at = random.usize(..share.len());
        let (number, expect) = &mut share[at];
        let written =
            commit(&store, vec![Write::Update { draft: object(*number, &payload), expect: *expect }]).await?;
        *expect = written[0];
    }
    Ok(share)
}

/// Commits writes; returns the revision of each.
async fn commit(store: &Store, writes: Vec<Write>) -> anyhow::Result<Vec<u64>> {
    let committed = store.commit(Transaction { writes, ..Transaction::default() }).await;
    let committed = committed.context("a commit of the benchmark was refused")?;
    Ok(committed.changes.iter().map(|change| change.revision).collect())
}
