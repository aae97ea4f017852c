//! From exec to `ready`, and memory at rest.

use std::{thread, time::Duration};

use super::{Row, median};
use crate::{
    client::{self, Client},
    node::Node,
};

const ROUNDS: usize = 7;
/// A node gives back what only its start needed when it has been ready for five seconds.
const UNTIL_REST: Duration = Duration::from_secs(7);
const CRONJOBS: usize = 1_000;
const CRONJOBS_MANY: usize = 100_000;

/// Starts a node several times, and fills one with CronJobs that do not fire.
///
/// # Errors
/// If a node does not start or refuses an object.
#[expect(clippy::disallowed_methods, reason = "what is measured is what time brings about")]
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let mut ready = Vec::new();
    let mut fresh = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..ROUNDS {
        let node = Node::start(&[])?;
        ready.push(node.ready_after.as_secs_f64() * 1e3);
        let client = Client::new(&node)?;
        client.get("/readyz")?;
        fresh.push(node.resident_mib()?);
        nodes.push(node);
    }
    thread::sleep(UNTIL_REST);
    let mut idle = nodes.iter().map(Node::resident_mib).collect::<anyhow::Result<Vec<_>>>()?;
    drop(nodes);
    let node = Node::start(&[])?;
    let client = Client::new(&node)?;
    client.create_all((0..CRONJOBS).map(|i| client::cronjob(&format!("idle-{i}"), "0 0 1 1 *", true)))?;
    let loaded = node.resident_mib()?;
    Ok(vec![
        Row::new("start", "exec to ready", median(&mut ready), "ms").with_target("≤ 100"),
        Row::new("memory", "just started, resident", median(&mut fresh), "MiB"),
        Row::new("memory", "at rest, resident", median(&mut idle), "MiB").with_target("≤ 25"),
        Row::new("memory", format!("{CRONJOBS} CronJobs, resident"), loaded, "MiB"),
    ])
}

/// Fills a node with very many CronJobs that do not fire.
///
/// # Errors
/// If the node does not start or refuses an object.
pub fn measure_scale() -> anyhow::Result<Vec<Row>> {
    let node = Node::start(&["--runtime", "none"])?;
    let client = Client::new(&node)?;
    client
        .create_all((0..CRONJOBS_MANY).map(|i| client::cronjob(&format!("idle-{i}"), "0 0 1 1 *", false)))?;
    let figure = format!("{CRONJOBS_MANY} CronJobs, resident");
    Ok(vec![Row::new("memory", figure, node.resident_mib()?, "MiB").with_target("≤ 600")])
}
