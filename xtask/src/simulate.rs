//! Seeded runs of the simulation: fresh seeds each time, all that must hold held after every step.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Instant,
};

use anyhow::bail;
use clap::{Args, Parser};
use cronlet_controller::Controller;
use cronlet_simulate::{Course, Outcome};

/// How many runs, and of which seeds.
#[derive(Args)]
pub struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 5_000)]
    seeds: u64,
    /// The first seed; the others follow it [default: drawn and printed]
    #[arg(long)]
    from: Option<u64>,
}

/// Runs the simulation as the command line would with these arguments.
///
/// # Errors
/// As [`run`].
pub fn run_with(arguments: &[&str]) -> anyhow::Result<()> {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }
    run(&Line::try_parse_from([&["simulate"], arguments].concat())?.arguments)
}

/// Runs the seeds on all cores.
///
/// # Errors
/// If something that must hold does not; the message tells the seed and the shortest course that breaks it.
#[expect(clippy::disallowed_methods, reason = "it tells a person how long it took")]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let from = arguments.from.unwrap_or_else(|| fastrand::u64(..1 << 48));
    println!("simulate: {} seeds from {from}", arguments.seeds);
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut sum = Outcome::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= arguments.seeds || failed.load(Ordering::Relaxed) {
                return Ok(sum);
            }
            match Course::draw(from.wrapping_add(number)).prove(Controller::reconcile) {
                Ok(outcome) => sum += outcome,
                Err(failure) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("runs do not panic")).collect()
    });
    let mut sum = Outcome::default();
    for result in results {
        match result {
            Ok(outcome) => sum += outcome,
            Err(failure) => bail!("{failure}"),
        }
    }
    let Outcome { steps, jobs, pods, crashes } = sum;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "simulate: {steps} steps, {jobs} Jobs, {pods} pods, {crashes} crashes; all held ({seconds:.0} s)"
    );
    Ok(())
}
