//! Many one-pod Jobs created at once: how many reach Complete in a second, and how soon each starts.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Row, median, percentile};
use crate::{
    client::{self, Client},
    node::Node,
};

const JOBS: usize = 2_000;
const ROUNDS: usize = 3;
/// Jobs created one by one, each after the one before is complete.
const JOBS_ALONE: usize = 50;

/// Runs the Jobs on a fresh node, several times.
///
/// # Errors
/// If a node does not start, refuses a Job or loses the watch.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let (mut rates, mut burst, mut stream, mut alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut directories = Vec::new();
    for _ in 0..ROUNDS {
        let node = Node::start(&["--runtime", "process"])?;
        directories.push(node.directory());
        let client = Client::new(&node)?;
        let mut single = Vec::new();
        for i in 0..JOBS_ALONE {
            single.push(run(&node, &client, &format!("alone-{i}"), 1, 1)?.1);
        }
        alone.push(median(&mut single));
        stream.push(run(&node, &client, "stream", JOBS, 1)?.1);
        let (rate, start) = run(&node, &client, "burst", JOBS, client::CONCURRENCY)?;
        rates.push(rate);
        burst.push(start);
    }
    let p50 = |how: &str, values: &mut [f64]| {
        Row::new("jobs", format!("create to exec, {how}, p50"), median(values), "ms")
    };
    Ok(vec![
        Row::new("jobs", format!("{JOBS} Jobs of `true` to Complete"), median(&mut rates), "Jobs/s")
            .with_target("≥ 300"),
        p50("each after the one before", &mut alone).with_target("≤ 30"),
        p50(&format!("{JOBS} by one client"), &mut stream).with_target("≤ 30"),
        p50(&format!("{JOBS} by {} clients", client::CONCURRENCY), &mut burst),
    ])
}

/// Creates Jobs, so many at a time, and waits until all are complete: Jobs per second, and the median time from a
/// Job's request to its process in ms.
fn run(
    node: &Node,
    client: &Client,
    prefix: &str,
    jobs: usize,
    concurrency: usize,
) -> anyhow::Result<(f64, f64)> {
    let mut complete = HashSet::new();
    let before = client::now();
    let (sent, seen) = client.watch(
        "/apis/batch/v1/namespaces/default/jobs",
        || client.create((0..jobs).map(|i| client::job(&format!("{prefix}-{i}"))), concurrency),
        |seen| {
            let job = seen.object_with("\"type\":\"Complete\"").unwrap_or_default();
            let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            if conditions.any(|c| c["type"] == "Complete" && c["status"] == "True") {
                complete.insert(job["metadata"]["name"].to_string());
            }
            complete.len() == jobs
        },
    )?;
    let last = seen.last().map_or(before, |seen| seen.arrived);
    let sent: HashMap<String, i128> = sent.into_iter().collect();
    let mut delays: Vec<f64> = process_starts(node, client, (jobs == 1).then_some(prefix))?
        .into_iter()
        .filter_map(|(job, started)| Some((started - sent.get(&job)?) as f64 / 1e6))
        .collect();
    anyhow::ensure!(delays.len() == jobs, "{} of {jobs} starts are on record", delays.len());
    Ok((jobs as f64 / ((last - before) as f64 / 1e9), percentile(&mut delays, 50.0)))
}

/// When the process of each Job's pod was started, by the shims' own journals; of the one Job `{alone}-0`, or of all.
fn process_starts(node: &Node, client: &Client, alone: Option<&str>) -> anyhow::Result<Vec<(String, i128)>> {
    let selector = alone.map(|prefix| format!("?labelSelector=batch.kubernetes.io%2Fjob-name%3D{prefix}-0"));
    let selector = selector.unwrap_or_default();
    let pods: Value =
        serde_json::from_str(&client.get(&format!("/api/v1/namespaces/default/pods{selector}"))?)?;
    let mut starts = Vec::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
        let job =
            pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].as_str().unwrap_or_default().to_owned();
        if let Some(started) = node.recorded_at(&text("uid"), "started", "c") {
            starts.push((job, started));
        }
    }
    Ok(starts)
}
