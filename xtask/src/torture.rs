//! Kills the server at random moments while pods run and CronJobs fire, then compares what the pods wrote themselves
//! with what the node knows: every pod taken back, one Job per scheduled time, no exit code and no log line lost.

mod check;
mod load;

use std::{collections::BTreeMap, thread, time::Duration};

use clap::{Args, Parser};

use crate::{
    client::{self, Client},
    node::{self, Node},
};

/// How hard, how long, and which random choices.
#[derive(Args)]
pub struct Arguments {
    /// Determines every random choice [default: drawn and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How often the server is killed
    #[arg(long, default_value_t = 30)]
    kills: u32,
    /// Over how long, in seconds
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// How many pods run at any moment
    #[arg(long, default_value_t = 50)]
    pods: u32,
    /// How many CronJobs fire every minute
    #[arg(long, default_value_t = 20)]
    cronjobs: u32,
}

/// Runs the torture as the command line would with these arguments.
///
/// # Errors
/// As [`run`].
pub fn run_with(arguments: &[&str]) -> anyhow::Result<()> {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }
    run(&Line::try_parse_from([&["torture"], arguments].concat())?.arguments)
}

/// Runs the torture and the comparison.
///
/// # Errors
/// If anything was lost; the message says what, and the seed.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("torture: seed {seed}");
    torture(arguments, seed).map_err(|error| error.context(format!("torture failed with --seed {seed}")))
}

fn torture(arguments: &Arguments, seed: u64) -> anyhow::Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut node = Node::start(&["--runtime", "process"])?;
    let load = load::Load::new(node.directory().path(), arguments.seconds)?;
    let began = client::now();
    Client::new(&node)?
        .create_all(load.cronjobs(arguments.cronjobs).chain(load.jobs(arguments.pods, &mut random)))?;
    let mut kills = kill_times(arguments, &mut random);
    for (index, at) in kills.drain(..).enumerate() {
        pause_until(began + at);
        let before = running(&node);
        node.crash_and_restart()?;
        let lost = before.iter().filter(|(uid, pid)| !node_knows(&node, uid, **pid)).count();
        anyhow::ensure!(
            lost == 0,
            "{lost} of {} running pods were not taken back after kill {}",
            before.len(),
            index + 1
        );
        println!(
            "torture: kill {:2} at {:5.1} s, {} pods taken back, ready after {:.0} ms",
            index + 1,
            at as f64 / 1e9,
            before.len(),
            node.ready_after.as_secs_f64() * 1e3
        );
    }
    pause_until(began + i128::from(arguments.seconds) * 1_000_000_000);
    let client = Client::new(&node)?;
    let report = check::compare(&client, &load, began)?;
    println!("torture: {report}");
    Ok(())
}

/// When to kill, in nanoseconds from the beginning: random, in order.
fn kill_times(arguments: &Arguments, random: &mut fastrand::Rng) -> Vec<i128> {
    let span = u64::from(arguments.seconds) * 1_000_000_000;
    let mut times: Vec<i128> =
        (0..arguments.kills).map(|_| i128::from(random.u64(span / 50..span - span / 50))).collect();
    times.sort_unstable();
    times
}

// Real time must pass: what is tortured are real processes.
#[allow(clippy::disallowed_methods)]
fn pause_until(at: i128) {
    let left = u64::try_from(at - client::now()).unwrap_or_default();
    thread::sleep(Duration::from_nanos(left));
}

/// The pods that run now: UID and process id of the shim.
fn running(node: &Node) -> BTreeMap<String, u32> {
    let entries = std::fs::read_dir(node.data_dir().join("pods")).into_iter().flatten().flatten();
    let pods = entries.filter_map(|entry| {
        let pid = node::shim_pid(&entry.path())?;
        Some((entry.file_name().to_string_lossy().into_owned(), pid))
    });
    pods.collect()
}

/// Whether the pod is as alive as before: the same shim still runs, or it has ended and left its journal.
fn node_knows(node: &Node, uid: &str, pid: u32) -> bool {
    let directory = node.data_dir().join("pods").join(uid);
    match node::shim_pid(&directory) {
        Some(now) => now == pid,
        None => directory.join("journal").exists() || !directory.exists(),
    }
}
