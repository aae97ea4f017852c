//! Kills the server at random moments while pods run and CronJobs fire, then compares what the pods wrote themselves
//! with what the node knows: every pod taken back, one Job per scheduled time, no exit code and no log line lost. The
//! pods are processes or containers; in between, the whole machine may lose its power.

mod check;
mod load;

use std::{collections::BTreeMap, thread, time::Duration};

use clap::{Args, Parser, ValueEnum};

use crate::{
    client::{self, Client},
    image::BusyboxImage,
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
    /// What the pods run as
    #[arg(long, value_enum, default_value_t = Runtime::Process)]
    runtime: Runtime,
    /// How many of the kills take the whole machine along: every process ends, and the boot is another one; as root
    #[arg(long, default_value_t = 0)]
    reboots: u32,
}

/// What the pods run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// Processes of this machine
    Process,
    /// Containers of an image made of Debian's busybox; some exceed their memory limit if the user is root
    Oci,
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
    let mut node = start(arguments)?;
    let load = load::Load::new(node.directory().path(), arguments.seconds, arguments.runtime)?;
    let began = client::now();
    Client::new(&node)?
        .create_all(load.cronjobs(arguments.cronjobs).chain(load.jobs(arguments.pods, &mut random)))?;
    for (number, (at, reboot)) in (1..).zip(kills(arguments, &mut random)) {
        pause_until(began + at);
        let running = running(&node);
        if reboot {
            node.reboot()?;
        } else {
            node.crash_and_restart()?;
            let lost = running.iter().filter(|(uid, pid)| !node_knows(&node, uid, **pid)).count();
            let of = running.len();
            anyhow::ensure!(lost == 0, "{lost} of {of} running pods were not taken back after kill {number}");
        }
        println!(
            "torture: {} {number:2} at {:5.1} s, {} pods {}, ready after {:.0} ms",
            if reboot { "reboot" } else { "kill" },
            at as f64 / 1e9,
            running.len(),
            if reboot { "lost" } else { "taken back" },
            node.ready_after.as_secs_f64() * 1e3
        );
    }
    pause_until(began + i128::from(arguments.seconds) * 1_000_000_000);
    let client = Client::new(&node)?;
    let report = check::compare(&client, &load, began, arguments.reboots > 0)?;
    println!("torture: {report}");
    Ok(())
}

fn start(arguments: &Arguments) -> anyhow::Result<Node> {
    let runtime = match arguments.runtime {
        Runtime::Process => ["--runtime", "process"],
        Runtime::Oci => ["--runtime", "oci"],
    };
    let node = if arguments.reboots > 0 { Node::start_rebootable(&runtime)? } else { Node::start(&runtime)? };
    if arguments.runtime == Runtime::Oci {
        let files = node.directory().path().join("image");
        BusyboxImage::make(&files, &[])?.import_into(&node)?;
    }
    Ok(node)
}

/// When to kill, in nanoseconds from the beginning, and which kills take the machine along: random, in order.
fn kills(arguments: &Arguments, random: &mut fastrand::Rng) -> Vec<(i128, bool)> {
    let span = u64::from(arguments.seconds) * 1_000_000_000;
    let mut times: Vec<i128> =
        (0..arguments.kills).map(|_| i128::from(random.u64(span / 50..span - span / 50))).collect();
    times.sort_unstable();
    let mut reboots: Vec<bool> = (0..arguments.kills).map(|number| number < arguments.reboots).collect();
    random.shuffle(&mut reboots);
    times.into_iter().zip(reboots).collect()
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
