//! The comparison after the torture: the pods' own records against what the node says.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::load::Load;
use crate::client::Client;

const NANOSECONDS_PER_MINUTE: i128 = 60_000_000_000;

/// What became of the pods.
#[derive(Default)]
struct Tally {
    finished: usize,
    lines: usize,
    greedy: usize,
    lost: usize,
}

/// Compares everything and says in one line what was compared. `rebooted` says whether pods may have been lost with the
/// machine.
///
/// # Errors
/// If anything differs.
pub fn compare(client: &Client, load: &Load, began: i128, rebooted: bool) -> anyhow::Result<String> {
    let pods = items(client, "/api/v1/namespaces/default/pods")?;
    let mut tally = Tally::default();
    for pod in &pods {
        compare_pod(client, load, pod, rebooted, &mut tally)?;
    }
    let ticks = ticks(&items(client, "/apis/batch/v1/namespaces/default/jobs")?, began)?;
    let Tally { finished, lines, greedy, lost } = tally;
    Ok(format!(
        "{finished} finished pods with {lines} log lines, {greedy} ended for want of memory, {lost} lost with the \
         machine, and {ticks} scheduled Jobs are all accounted for"
    ))
}

fn compare_pod(
    client: &Client,
    load: &Load,
    pod: &Value,
    rebooted: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if phase == "Pending" {
        return Ok(());
    }
    let statuses = pod["status"]["containerStatuses"].as_array().context("a pod has container statuses")?;
    // One whose end nobody saw counts as restarted, as under a kubelet.
    let is_lost = |s: &Value| s["state"]["terminated"]["reason"] == "ContainerStatusUnknown";
    let is_new = |s: &Value| s["restartCount"] == i64::from(is_lost(s));
    ensure!(statuses.iter().all(is_new), "pod {name} was restarted");
    let record = fs::read_to_string(load.records().join(format!("{name}.log"))).unwrap_or_default();
    let exit = fs::read_to_string(load.records().join(format!("{name}.exit"))).unwrap_or_default();
    let log = client.get(&format!("/api/v1/namespaces/default/pods/{name}/log"))?;
    let ended = &statuses[0]["state"]["terminated"];
    if rebooted && ended["reason"] == "ContainerStatusUnknown" {
        // What was on its way when the machine stopped is gone; what is there is as it was written.
        ensure!(record.starts_with(&log), "pod {name} was lost, and its log is not what it wrote");
        ensure!(
            ended["exitCode"] == 137 && phase == "Failed",
            "pod {name} was lost, and is {phase}: {ended}"
        );
        tally.lost += 1;
        return Ok(());
    }
    let Ok(exit) = exit.trim().parse::<i64>() else {
        ensure!(phase == "Running", "pod {name} did not come to its end, and is {phase}: {ended}");
        ensure!(
            log.len().abs_diff(record.len()) <= 64,
            "pod {name} runs, and its log lags behind its record"
        );
        return Ok(());
    };
    if phase == "Running" {
        return Ok(());
    }
    let known = &ended["exitCode"];
    ensure!(*known == exit, "pod {name} exited with {exit}; the node says {known} ({phase})");
    ensure!(log == record, "pod {name}: {} lines written, {} in the log", count(&record), count(&log));
    if name.starts_with("greedy-") {
        ensure!(ended["reason"] == "OOMKilled", "pod {name} wanted too much memory: {ended}");
        tally.greedy += 1;
    }
    tally.finished += 1;
    tally.lines += count(&log);
    Ok(())
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
