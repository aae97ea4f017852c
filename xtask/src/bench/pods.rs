//! Containers through the API beside what others take to run one: starts, ends, memory, logs, unpacking.

mod peers;

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Row, median, percentile};
use crate::{
    client::{Client, Seen},
    image::{self, BusyboxImage},
    node::{Node, shim_pid},
};

const PODS: &str = "/api/v1/namespaces/default/pods";
/// How many pods are on their way at once, and how many run in all.
const LOADS: [(usize, usize); 3] = [(1, 200), (2, 300), (8, 600)];
/// Pods that run while their shims' memory is measured.
const RESTING: usize = 20;
/// The lines that are logged: one file, written out so often.
const LINES_BYTES: usize = 16 << 20;
const LINES_TIMES: usize = 32;

/// Runs pods on a node, and containers with the peers that are installed.
///
/// # Errors
/// If busybox or root is missing, a node does not start, or a pod fails.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let image = BusyboxImage::make(directory.path(), &[("lines", &lines())])?;
    let node = Node::start(&["--runtime", "oci"])?;
    image.import_into(&node)?;
    let client = Client::new(&node)?;
    let mut rows = Vec::new();
    for (at_once, count) in LOADS {
        let mut ours = lives(&node, &client, count, at_once)?;
        rows.extend(ours.rows(at_once));
        for mut peer in peers::run(&image, count / 2, at_once)? {
            let figure = format!("start to exit, {at_once} at once, {}, p50", peer.name);
            rows.push(Row::new("pods", figure, median(&mut peer.took), "ms"));
            if peer.name == "crun" && at_once == 1 {
                let ratio = median(&mut ours.ends) / median(&mut peer.took);
                rows.push(Row::new("pods", "start to exit beside crun run", ratio, "x").with_target("≤ 1"));
            }
        }
    }
    rows.extend(logs(&node, &client)?);
    rows.extend(resting(&node, &client)?);
    rows.extend(peers::unpack(directory.path(), &node)?);
    Ok(rows)
}

/// Lines as programs write them, 100 bytes each.
fn lines() -> Vec<u8> {
    let line =
        |number: usize| format!("{number:08} {:<90}\n", "a request was answered with status 200 in 13 ms");
    (0..LINES_BYTES / 100).flat_map(|number| line(number).into_bytes()).collect()
}

fn pod(name: &str, containers: &[(&str, &[&str])]) -> Value {
    let container = |(name, command): &(&str, &[&str])| json!({"name": name, "image": image::NAME, "imagePullPolicy": "Never", "command": command});
    let containers: Vec<Value> = containers.iter().map(container).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": containers},
    })
}

/// How long pods of `true` took, in ms.
struct Lives {
    /// From the request to the execution of the program.
    starts: Vec<f64>,
    /// From the request until a watch shows that the pod has succeeded.
    ends: Vec<f64>,
    per_second: f64,
}

impl Lives {
    fn rows(&mut self, at_once: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        for (what, values) in [("create to exec", &mut self.starts), ("start to exit", &mut self.ends)] {
            for percent in [50.0, 99.0] {
                let figure = format!("{what}, {at_once} at once, p{percent}");
                rows.push(Row::new("pods", figure, percentile(values, percent), "ms"));
            }
        }
        let rate = Row::new("pods", format!("pods, {at_once} at once"), self.per_second, "pods/s");
        rows.push(if at_once == 8 { rate.with_target("≥ 100") } else { rate });
        rows
    }
}

/// Runs `count` pods of `true`, the next as soon as one has succeeded.
fn lives(node: &Node, client: &Client, count: usize, at_once: usize) -> anyhow::Result<Lives> {
    let next_pod = |number: usize| pod(&format!("true-{at_once}-{number}"), &[("c", &["true"])]);
    let mut later = Vec::new();
    let mut ended: HashMap<String, (i128, String)> = HashMap::new();
    let (sent, _) = client.watch(
        PODS,
        || client.create((0..at_once).map(next_pod), at_once),
        |seen| {
            let Some((name, uid)) = succeeded(seen) else { return false };
            ended.entry(name).or_insert_with(|| {
                let number = at_once + later.len();
                if number < count {
                    later.push(client.create([next_pod(number)], 1));
                }
                (seen.arrived, uid)
            });
            ended.len() == count || later.last().is_some_and(Result::is_err)
        },
    )?;
    let later: Vec<_> = later.into_iter().collect::<Result<_, _>>()?;
    let sent: HashMap<String, i128> = sent.into_iter().chain(later.into_iter().flatten()).collect();
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for (name, (end, uid)) in &ended {
        let sent = sent.get(name).context("every pod was asked for")?;
        let start = node
            .recorded_at(uid, "started", "c")
            .with_context(|| format!("{name} has no start on record"))?;
        starts.push((start - sent) as f64 / 1e6);
        ends.push((end - sent) as f64 / 1e6);
    }
    let first = sent.values().min().context("pods were created")?;
    let last = ended.values().map(|(end, _)| *end).max().context("pods have ended")?;
    Ok(Lives { starts, ends, per_second: count as f64 / ((last - first) as f64 / 1e9) })
}

/// Name and UID of the pod that a line of a watch shows to have succeeded.
fn succeeded(seen: &Seen) -> Option<(String, String)> {
    let pod = seen.object_with("\"phase\":\"Succeeded\"")?;
    let text = |field: &str| pod["metadata"][field].as_str().map(str::to_owned);
    Some((text("name")?, text("uid")?))
}

/// The UID of a pod.
fn uid(client: &Client, name: &str) -> anyhow::Result<String> {
    let pod: Value = serde_json::from_str(&client.get(&format!("{PODS}/{name}"))?)?;
    Ok(pod["metadata"]["uid"].as_str().context("a pod has a UID")?.to_owned())
}

/// How fast what a container writes gets into its log, and what that costs the shim. Another container keeps the shim
/// alive to be asked.
fn logs(node: &Node, client: &Client) -> anyhow::Result<Vec<Row>> {
    let write = [&["cat"][..], &vec!["/lines"; LINES_TIMES]].concat();
    let talker = pod("talker", &[("c", &write), ("rest", &["sleep", "1000"])]);
    client.watch(
        PODS,
        || client.create([talker], 1),
        |seen| seen.object_with("\"terminated\":{").is_some_and(|pod| pod["metadata"]["name"] == "talker"),
    )?;
    let uid = uid(client, "talker")?;
    let (start, end) = (node.recorded_at(&uid, "started", "c"), node.recorded_at(&uid, "exited", "c"));
    let seconds = (end.context("it has ended")? - start.context("it was started")?) as f64 / 1e9;
    let written = (LINES_BYTES / 100 * 100 * LINES_TIMES) as f64;
    let records = node.journal(&uid);
    let exit = records.iter().find(|record| record["event"]["exited"].is_object());
    let logged = exit.and_then(|record| record["event"]["exited"]["exit"]["usage"]["logBytes"].as_f64());
    ensure!(logged == Some(written), "{written} bytes were written, {logged:?} logged");
    let megabytes = written / 1e6;
    let shim = shim_pid(&node.data_dir().join("pods").join(&uid)).context("the shim runs")?;
    Ok(vec![
        Row::new("pods", "log, one container to its file", megabytes / seconds, "MB/s").with_target("≥ 300"),
        Row::new("pods", "log, the shim's CPU time", cpu_ms(shim)? / megabytes, "ms/MB"),
    ])
}

/// The CPU time that a process has used, in ms. The kernel counts it in hundredths of a second.
fn cpu_ms(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("stat names the program")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 * 10.0)
}

/// The memory of shims whose containers run.
fn resting(node: &Node, client: &Client) -> anyhow::Result<Vec<Row>> {
    let name = |number| format!("rest-{number}");
    let mut running = HashSet::new();
    let pods = (0..RESTING).map(|number| pod(&name(number), &[("c", &["sleep", "1000"])]));
    client.watch(
        PODS,
        || client.create(pods, 1),
        |seen| {
            if let Some(pod) = seen.object_with("\"phase\":\"Running\"") {
                running.insert(pod["metadata"]["name"].to_string());
            }
            running.iter().filter(|name| name.contains("rest-")).count() == RESTING
        },
    )?;
    let (mut proportional, mut private) = (Vec::new(), Vec::new());
    for number in 0..RESTING {
        let uid = uid(client, &name(number))?;
        let shim = shim_pid(&node.data_dir().join("pods").join(&uid)).context("the shim runs")?;
        let rollup = fs::read_to_string(format!("/proc/{shim}/smaps_rollup"))?;
        let kib = |field: &str| -> f64 {
            let lines = rollup.lines().filter_map(|line| line.strip_prefix(field)?.split_whitespace().next());
            lines.filter_map(|kib| kib.parse::<f64>().ok()).sum()
        };
        proportional.push(kib("Pss:") / 1024.0);
        private.push((kib("Private_Clean:") + kib("Private_Dirty:")) / 1024.0);
    }
    Ok(vec![
        Row::new(
            "pods",
            format!("shim of a running pod, PSS, {RESTING} run"),
            median(&mut proportional),
            "MiB",
        )
        .with_target("≤ 1"),
        Row::new("pods", "shim of a running pod, private memory", median(&mut private), "MiB"),
    ])
}
