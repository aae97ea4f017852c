//! The run ledger's tables. Times are RFC 3339 in UTC with milliseconds, so that SQLite's own date functions read them
//! and their order as text is their order in time.

use cronlet_object::ledger::{ContainerExit, Decision, Entry, Reason, Run};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, de::value::StrDeserializer};

use super::Fault;
use crate::limits::{
    LEDGER_AGE_DAYS_MAX, LEDGER_DECISIONS_MAX, LEDGER_MESSAGE_BYTES_MAX, LEDGER_PRUNE_ROWS_MAX,
    LEDGER_RUN_CONTAINERS_MAX, LEDGER_RUNS_MAX,
};

const INSERT_DECISION: &str =
    "INSERT INTO decisions (at, namespace, cronjob, cronjob_uid, scheduled, reason, message, job)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const UPSERT_RUN: &str =
    "INSERT INTO runs (job_uid, namespace, job, cronjob, scheduled, created, finished, outcome, containers)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     ON CONFLICT (job_uid) DO UPDATE SET
         namespace = ?2, job = ?3, cronjob = ?4, scheduled = ?5, created = ?6, finished = ?7, outcome = ?8,
         containers = ?9";
const SELECT_DECISIONS: &str = "SELECT at, namespace, cronjob, cronjob_uid, scheduled, reason, message, job
     FROM decisions WHERE namespace = ?1 AND cronjob = ?2 ORDER BY id DESC LIMIT ?3";
const SELECT_RUNS: &str =
    "SELECT job_uid, namespace, job, cronjob, scheduled, created, finished, outcome, containers
     FROM runs WHERE namespace = ?1 AND cronjob = ?2 ORDER BY created DESC, id DESC LIMIT ?3";

/// Writes an entry.
pub(super) fn write(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    match entry {
        Entry::Decision(decision) => write_decision(connection, decision),
        Entry::Run(run) => write_run(connection, run),
    }
}

fn write_decision(connection: &Connection, decision: &Decision) -> rusqlite::Result<()> {
    let message = &decision.message[..decision.message.floor_char_boundary(LEDGER_MESSAGE_BYTES_MAX)];
    connection.prepare_cached(INSERT_DECISION)?.execute(params![
        text(decision.at),
        decision.namespace,
        decision.cronjob,
        decision.cronjob_uid,
        decision.scheduled.map(text),
        decision.reason.as_str(),
        message,
        decision.job,
    ])?;
    Ok(())
}

fn write_run(connection: &Connection, run: &Run) -> rusqlite::Result<()> {
    let kept = &run.containers[..run.containers.len().min(LEDGER_RUN_CONTAINERS_MAX)];
    let containers = serde_json::to_string(kept).expect("container exits serialise to JSON");
    connection.prepare_cached(UPSERT_RUN)?.execute(params![
        run.job_uid,
        run.namespace,
        run.job,
        run.cronjob,
        run.scheduled.map(text),
        text(run.created),
        run.finished.map(text),
        run.outcome,
        containers,
    ])?;
    Ok(())
}

/// The latest decisions about a CronJob, newest first.
pub(super) fn decisions(
    connection: &Connection,
    namespace: &str,
    cronjob: &str,
    limit: usize,
) -> Result<Vec<Decision>, Fault> {
    let mut statement = connection.prepare_cached(SELECT_DECISIONS)?;
    let mut rows = statement.query(params![namespace, cronjob, limit])?;
    let mut decisions = Vec::new();
    while let Some(row) = rows.next()? {
        decisions.push(read_decision(row)?);
    }
    Ok(decisions)
}

/// The latest runs of a CronJob, newest first.
pub(super) fn runs(
    connection: &Connection,
    namespace: &str,
    cronjob: &str,
    limit: usize,
) -> Result<Vec<Run>, Fault> {
    let mut statement = connection.prepare_cached(SELECT_RUNS)?;
    let mut rows = statement.query(params![namespace, cronjob, limit])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(read_run(row)?);
    }
    Ok(runs)
}

fn read_decision(row: &Row<'_>) -> Result<Decision, Fault> {
    Ok(Decision {
        at: required_time(row, 0)?,
        namespace: row.get(1)?,
        cronjob: row.get(2)?,
        cronjob_uid: row.get(3)?,
        scheduled: time(row, 4)?,
        reason: reason(&row.get::<_, String>(5)?)?,
        message: row.get(6)?,
        job: row.get(7)?,
    })
}

fn read_run(row: &Row<'_>) -> Result<Run, Fault> {
    let containers: Vec<ContainerExit> = serde_json::from_str(&row.get::<_, String>(8)?)
        .map_err(|error| Fault::Content(format!("containers of a run: {error}")))?;
    Ok(Run {
        job_uid: row.get(0)?,
        namespace: row.get(1)?,
        job: row.get(2)?,
        cronjob: row.get(3)?,
        scheduled: time(row, 4)?,
        created: required_time(row, 5)?,
        finished: time(row, 6)?,
        outcome: row.get(7)?,
        containers,
    })
}

fn reason(code: &str) -> Result<Reason, Fault> {
    Reason::deserialize(StrDeserializer::<serde::de::value::Error>::new(code))
        .map_err(|error| Fault::Content(format!("reason of a decision: {error}")))
}

fn text(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn time(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Fault> {
    row.get::<_, Option<String>>(column)?
        .map(|text| text.parse().map_err(|error| Fault::Content(format!("time {text:?}: {error}"))))
        .transpose()
}

fn required_time(row: &Row<'_>, column: usize) -> Result<Timestamp, Fault> {
    time(row, column)?.ok_or_else(|| Fault::Content("a ledger entry without its time".into()))
}

/// Removes what is too much or too old. Entries are numbered in the order of their arrival, so the oldest have the
/// smallest numbers, and both rules look at the beginning of the table alone. Age is counted back from the newest
/// entry: the store has no clock.
pub(super) fn prune(connection: &Connection) -> Result<(), Fault> {
    prune_table(connection, "decisions", "at", LEDGER_DECISIONS_MAX)?;
    prune_table(connection, "runs", "created", LEDGER_RUNS_MAX)
}

pub(super) fn prune_table(
    connection: &Connection,
    table: &str,
    time_column: &str,
    rows_max: u32,
) -> Result<(), Fault> {
    let newest = format!("SELECT id, {time_column} FROM {table} ORDER BY id DESC LIMIT 1");
    let mut statement = connection.prepare_cached(&newest)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let last_id: i64 = row.get(0)?;
    let oldest = required_time(row, 1)?
        .checked_sub(SignedDuration::from_hours(24 * LEDGER_AGE_DAYS_MAX))
        .unwrap_or(Timestamp::MIN);
    let delete = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {LEDGER_PRUNE_ROWS_MAX})
         AND (id <= ?1 OR {time_column} < ?2)"
    );
    connection.prepare_cached(&delete)?.execute(params![last_id - i64::from(rows_max), text(oldest)])?;
    Ok(())
}
