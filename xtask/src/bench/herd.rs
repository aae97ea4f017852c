//! Many CronJobs due at the same minute: how long until each has its Job.

use super::{Row, median, percentile};
use crate::{
    client::{self, Client, Seen},
    node::Node,
};

const ROUNDS: usize = 3;
const MINUTE_NS: i128 = 60_000_000_000;
/// Creating the herd must be over this long before the minute, or it would still be arriving when it is due.
const SETTLE_NS: i128 = 10_000_000_000;

/// Creates the herd once and watches several minutes' Jobs appear.
///
/// # Errors
/// If the node does not start, refuses an object or loses the watch.
pub fn measure(cronjobs: usize, p99_target: &str) -> anyhow::Result<Vec<Row>> {
    let node = Node::start(&["--runtime", "none"])?;
    let client = Client::new(&node)?;
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let (_, seen) = client.watch(
        jobs,
        || {
            client
                .create_all((0..cronjobs).map(|i| client::cronjob(&format!("herd-{i}"), "* * * * *", false)))
        },
        {
            // The first minute may hit the middle of the creation: it is not counted.
            let mut minutes = std::collections::BTreeMap::new();
            let created = client::now();
            move |seen| {
                if seen.is_added() && seen.arrived > created + SETTLE_NS {
                    *minutes.entry(seen.arrived / MINUTE_NS).or_insert(0_usize) += 1;
                }
                minutes.values().filter(|count| **count == cronjobs).count() == ROUNDS
            }
        },
    )?;
    let mut by_minute = std::collections::BTreeMap::<i128, Vec<f64>>::new();
    for Seen { arrived, .. } in seen.iter().filter(|seen| seen.is_added()) {
        by_minute.entry(arrived / MINUTE_NS).or_default().push((arrived % MINUTE_NS) as f64 / 1e6);
    }
    let mut rounds: Vec<Vec<f64>> =
        by_minute.into_values().filter(|delays| delays.len() == cronjobs).collect();
    let mut row = |figure: &str, percent: f64| {
        let mut values: Vec<f64> = rounds.iter_mut().map(|delays| percentile(delays, percent)).collect();
        Row::new("herd", format!("{cronjobs} CronJobs, minute to Job, {figure}"), median(&mut values), "ms")
    };
    Ok(vec![row("p50", 50.0), row("p99", 99.0).with_target(p99_target), row("max", 100.0)])
}
