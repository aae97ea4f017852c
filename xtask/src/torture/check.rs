//! The comparison after the torture: the pods' own records against what the node says.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::load::Load;
use crate::client::Client;

const NANOSECONDS_PER_MINUTE: i128 = 60_000_000_000;

/// Compares everything and says in one line what was compared.
///
/// # Errors
/// If anything differs.
pub fn compare(client: &Client, load: &Load, began: i128) -> anyhow::Result<String> {
    let pods = items(client, "/api/v1/namespaces/default/pods")?;
    let (mut finished, mut lines) = (0, 0);
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
        let statuses =
            pod["status"]["containerStatuses"].as_array().context("a pod has container statuses")?;
        ensure!(statuses.iter().all(|s| s["restartCount"] == 0), "pod {name} was restarted");
        let record = fs::read_to_string(load.records().join(format!("{name}.log"))).unwrap_or_default();
        let exit = fs::read_to_string(load.records().join(format!("{name}.exit"))).unwrap_or_default();
        let log = client.get(&format!("/api/v1/namespaces/default/pods/{name}/log"))?;
        if let Ok(exit) = exit.trim().parse::<i64>() {
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            if phase == "Running" {
                continue;
            }
            let known = &statuses[0]["state"]["terminated"]["exitCode"];
            ensure!(*known == exit, "pod {name} exited with {exit}; the node says {known} ({phase})");
            ensure!(
                log == record,
                "pod {name}: {} lines written, {} in the log",
                count(&record),
                count(&log)
            );
            finished += 1;
            lines += count(&log);
        } else {
            ensure!(
                log.len().abs_diff(record.len()) <= 64,
                "pod {name} runs, and its log lags behind its record"
            );
        }
    }
    let ticks = ticks(&items(client, "/apis/batch/v1/namespaces/default/jobs")?, began)?;
    Ok(format!(
        "{finished} finished pods with {lines} log lines and {ticks} scheduled Jobs are all accounted for"
    ))
}

fn count(text: &str) -> usize {
    text.lines().count()
}

fn items(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut list: Value = serde_json::from_str(&client.get(path)?)?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// Every minute from the first full one on has exactly one Job of each CronJob.
fn ticks(jobs: &[Value], began: i128) -> anyhow::Result<usize> {
    let mut minutes: BTreeMap<&str, Vec<i128>> = BTreeMap::new();
    for job in jobs {
        let owner = job["metadata"]["ownerReferences"][0]["name"].as_str();
        let at = job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"].as_str();
        if let (Some(owner), Some(at)) = (owner, at) {
            let at = at.parse::<jiff::Timestamp>().context("the scheduled time is RFC 3339")?.as_nanosecond();
            minutes.entry(owner).or_default().push(at / NANOSECONDS_PER_MINUTE);
        }
    }
    let first = began / NANOSECONDS_PER_MINUTE + 1;
    let last = minutes.values().flatten().max().copied().unwrap_or(first - 1);
    for (cronjob, mut minutes) in minutes.clone() {
        minutes.sort_unstable();
        let expected: Vec<i128> = (first..=last).collect();
        ensure!(minutes == expected, "cronjob {cronjob} ran for minutes {minutes:?}, expected {expected:?}");
    }
    Ok(minutes.values().map(Vec::len).sum())
}
