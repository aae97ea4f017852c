//! The run ledger in its tables.

use cronlet_object::ledger::{ContainerExit, Decision, Entry, Reason, Run};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::limits::{LEDGER_MESSAGE_BYTES_MAX, LEDGER_RUN_CONTAINERS_MAX};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn decision(cronjob: &str, at: Timestamp, reason: Reason) -> Decision {
    Decision {
        at,
        namespace: "default".into(),
        cronjob: cronjob.into(),
        cronjob_uid: "cronjob-uid".into(),
        scheduled: Some(at - SignedDuration::from_secs(1)),
        reason,
        message: "because".into(),
        job: (reason == Reason::Started).then(|| format!("{cronjob}-1")),
    }
}

fn run(job: &str, created: Timestamp) -> Run {
    Run {
        job_uid: format!("{job}-uid"),
        namespace: "default".into(),
        job: job.into(),
        cronjob: Some("nightly".into()),
        scheduled: Some(created),
        created,
        finished: None,
        outcome: None,
        containers: Vec::new(),
    }
}

fn exit(pod: &str) -> ContainerExit {
    ContainerExit {
        pod: pod.into(),
        container: "main".into(),
        exit_code: 137,
        reason: "OOMKilled".into(),
        restarts: 2,
        started: Some(time("2026-03-01T02:00:01.250Z")),
        finished: None,
    }
}

fn record(disk: &mut SqliteDisk, entries: impl IntoIterator<Item = Entry>) {
    let state = State::new(Loaded::default());
    let mut batch = state.batch();
    let ledger = entries.into_iter().collect();
    batch.apply(Transaction { ledger, ..Transaction::default() }).unwrap();
    disk.write(&batch).unwrap();
}

fn count(disk: &SqliteDisk, table: &str) -> usize {
    disk.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn decisions_are_read_back_newest_first() {
    let mut disk = SqliteDisk::in_memory().unwrap();
    let at = time("2026-03-01T02:00:00.123Z");
    let all: Vec<_> = [
        Reason::Started,
        Reason::ForbiddenByActiveJob,
        Reason::DeadlineMissed,
        Reason::AlreadyStarted,
        Reason::InvalidSchedule,
        Reason::UnknownTimeZone,
        Reason::CreateFailed,
    ]
    .map(|reason| decision("nightly", at, reason))
    .into();
    record(&mut disk, all.iter().cloned().map(Entry::Decision));
    record(&mut disk, [Entry::Decision(decision("other", at, Reason::Started))]);

    let newest_first: Vec<_> = all.into_iter().rev().collect();
    assert_eq!(disk.decisions("default", "nightly", 100).unwrap(), newest_first);
    assert_eq!(disk.decisions("default", "nightly", 2).unwrap(), newest_first[..2]);
    assert_eq!(disk.decisions("elsewhere", "nightly", 2).unwrap(), []);
}

#[test]
fn a_run_is_one_row_that_moves_on() {
    let mut disk = SqliteDisk::in_memory().unwrap();
    let first = run("nightly-1", time("2026-03-01T02:00:00Z"));
    let second = run("nightly-2", time("2026-03-02T02:00:00Z"));
    let by_hand = Run { cronjob: None, scheduled: None, ..run("by-hand", time("2026-03-03T00:00:00Z")) };
    record(&mut disk, [first.clone(), second.clone(), by_hand].map(Entry::Run));
    let finished = Run {
        finished: Some(time("2026-03-01T02:05:00.5Z")),
        outcome: Some("BackoffLimitExceeded".into()),
        containers: vec![exit("nightly-1-abcde"), exit("nightly-1-fghij")],
        ..first
    };
    record(&mut disk, [Entry::Run(finished.clone())]);
    assert_eq!(disk.runs("default", "nightly", 10).unwrap(), [second, finished]);
    assert_eq!(count(&disk, "runs"), 3);
}

#[test]
fn times_sort_as_text_and_are_dates_to_sqlite() {
    let mut disk = SqliteDisk::in_memory().unwrap();
    for (job, created) in
        [("b", "2026-03-01T02:00:00.5Z"), ("a", "2026-03-01T02:00:00Z"), ("c", "2026-03-01T02:00:01Z")]
    {
        record(&mut disk, [Entry::Run(run(job, time(created)))]);
    }
    let names: Vec<_> = disk.runs("default", "nightly", 10).unwrap().into_iter().map(|run| run.job).collect();
    assert_eq!(names, ["c", "b", "a"]);
    let sql = "SELECT strftime('%Y-%m-%d %H:%M', created) FROM runs WHERE job = 'a'";
    let text: String = disk.connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "2026-03-01 02:00");
}

#[test]
fn long_entries_are_cut() {
    let mut disk = SqliteDisk::in_memory().unwrap();
    let at = time("2026-03-01T02:00:00Z");
    let long = Decision {
        message: "ü".repeat(LEDGER_MESSAGE_BYTES_MAX),
        ..decision("nightly", at, Reason::Started)
    };
    let wide = Run { containers: vec![exit("pod"); LEDGER_RUN_CONTAINERS_MAX + 1], ..run("nightly-1", at) };
    record(&mut disk, [Entry::Decision(long), Entry::Run(wide)]);
    let decisions = disk.decisions("default", "nightly", 1).unwrap();
    assert_eq!(decisions[0].message, "ü".repeat(LEDGER_MESSAGE_BYTES_MAX / 2));
    assert_eq!(disk.runs("default", "nightly", 1).unwrap()[0].containers.len(), LEDGER_RUN_CONTAINERS_MAX);
}

#[test]
fn the_oldest_entries_go_when_there_are_too_many() {
    let mut disk = SqliteDisk::in_memory().unwrap();
    let at = time("2026-03-01T02:00:00Z");
    record(&mut disk, (0..10).map(|i| Entry::Run(run(&format!("nightly-{i}"), at))));
    ledger::prune_table(&disk.connection, "runs", "created", 4).unwrap();
    let names: Vec<_> = disk.runs("default", "nightly", 10).unwrap().into_iter().map(|run| run.job).collect();
    assert_eq!(names, ["nightly-9", "nightly-8", "nightly-7", "nightly-6"]);
}

#[test]
fn writing_prunes_what_is_too_old() {
    let mut disk = SqliteDisk::in_memory().unwrap();
    let now = time("2026-06-30T00:00:00Z");
    let days_ago = |days: i64| now - SignedDuration::from_hours(24 * days);
    let old = [days_ago(91), days_ago(90), days_ago(89)].map(|at| decision("nightly", at, Reason::Started));
    record(&mut disk, old.map(Entry::Decision));
    record(&mut disk, [Entry::Run(run("old", days_ago(91))), Entry::Run(run("new", now))]);
    assert_eq!((count(&disk, "decisions"), count(&disk, "runs")), (3, 2));

    let recent = (0..LEDGER_PRUNE_INTERVAL_ENTRIES).map(|_| decision("nightly", now, Reason::DeadlineMissed));
    record(&mut disk, recent.map(Entry::Decision));
    assert_eq!((count(&disk, "decisions"), count(&disk, "runs")), (LEDGER_PRUNE_INTERVAL_ENTRIES + 2, 1));
    assert_eq!(disk.unpruned, 0);
}
