//! Every limit of the store, with its unit.

/// Largest object, in bytes of its JSON text. The default request limit of etcd: what is accepted here fits into a
/// cluster as well.
pub const OBJECT_BYTES_MAX: usize = 1_572_864;

/// Most transactions that wait for the writer; one more is refused as overload.
pub const QUEUE_TRANSACTIONS_MAX: usize = 4_096;
/// Most bytes of transactions that wait for the writer. A single larger transaction still passes when nothing waits.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Most queries of the ledger that wait for the writer thread, which answers them between commits.
pub const QUEUE_QUERIES_MAX: usize = 64;

/// Most transactions that are committed with one sync: bounds how long the first of them waits for the last.
pub const BATCH_TRANSACTIONS_MAX: usize = 512;
/// Most bytes of transactions that are committed with one sync.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// Most changes kept for watchers, per kind. A watcher that falls further behind must list anew.
pub const WATCH_HISTORY_CHANGES_MAX: usize = 4_096;
/// Most bytes of superseded and removed objects kept for watchers, per kind.
pub const WATCH_HISTORY_BYTES_MAX: usize = 8 << 20;
/// What a kept change costs beyond the text of its object, in bytes: metadata, keys, list entries. An estimate.
pub const WATCH_HISTORY_CHANGE_BYTES: usize = 512;

/// Most runs the ledger keeps; the oldest go first.
pub const LEDGER_RUNS_MAX: u32 = 100_000;
/// Most decisions the ledger keeps; the oldest go first.
pub const LEDGER_DECISIONS_MAX: u32 = 200_000;
/// Age beyond which ledger entries go, in days before the newest entry.
pub const LEDGER_AGE_DAYS_MAX: i64 = 90;
/// Ledger entries written between two rounds of pruning.
pub const LEDGER_PRUNE_INTERVAL_ENTRIES: usize = 256;
/// Most entries of one table that a round of pruning removes: bounds what it adds to a commit, and the loss if a wrong
/// clock makes everything look old. More than the interval, so that pruning keeps up.
pub const LEDGER_PRUNE_ROWS_MAX: u32 = 1_024;
/// Longest message of a decision, in bytes; the rest is cut off.
pub const LEDGER_MESSAGE_BYTES_MAX: usize = 4_096;
/// Most container exits kept of one run; those beyond are left out.
pub const LEDGER_RUN_CONTAINERS_MAX: usize = 1_024;
/// Most rows one query of the ledger returns.
pub const LEDGER_QUERY_ROWS_MAX: usize = 10_000;

/// SQLite's page cache, in KiB, taken as it is needed. All objects are in memory anyway: it is for the pages that a
/// herd of CronJobs writes to again and again.
pub const SQLITE_CACHE_KIB: u32 = 8_192;
/// Pages of the write-ahead log after which it is copied into the database file (4 KiB each) by the commit that gets
/// there, which takes that much longer. Mostly it does not come to this: see [`SQLITE_REST_ROWS_MIN`].
pub const SQLITE_CHECKPOINT_PAGES: u32 = 8_192;
/// Rows written since the log was last copied into the database file, above which a pause is used for that. Fewer are
/// left for later, so that a node with little to do does not wake the disk for them.
pub const SQLITE_REST_ROWS_MIN: usize = 512;
/// How long nothing must arrive for the writer, in milliseconds, before it calls that a pause.
pub const REST_MS: u64 = 1_000;
/// Size to which the write-ahead log is cut back after a burst, in bytes.
pub const SQLITE_WAL_BYTES_MAX: u32 = 64 << 20;
/// Room on the file system below which a failure to open the database is put down to it, in bytes: twice the index of a
/// write-ahead log.
pub const SQLITE_OPEN_BYTES_MIN: u64 = 64 << 10;
/// How long a commit waits for another program's lock on the database, in milliseconds.
pub const SQLITE_LOCK_WAIT_MS_MAX: u64 = 2_000;

const _: () = assert!(LEDGER_PRUNE_ROWS_MAX as usize > LEDGER_PRUNE_INTERVAL_ENTRIES);
const _: () = assert!(BATCH_BYTES_MAX <= QUEUE_BYTES_MAX && BATCH_TRANSACTIONS_MAX <= QUEUE_TRANSACTIONS_MAX);
const _: () = assert!(OBJECT_BYTES_MAX < BATCH_BYTES_MAX && OBJECT_BYTES_MAX < WATCH_HISTORY_BYTES_MAX);
