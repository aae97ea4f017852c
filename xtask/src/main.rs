//! The project's own tool. `cargo xtask --help` lists what it does.

mod bench;
mod ci;
mod client;
mod image;
mod node;
mod simulate;
mod tidy;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tool.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must pass before a change lands: format, lints, style rules, tests.
    Ci,
    /// The style rules alone: crate edges, file and function length, names.
    Tidy,
    /// Kill the server at random moments and compare what pods wrote with what the node knows of them.
    Torture(torture::Arguments),
    /// Seeded runs of the simulated node, with faults, held against all that must hold.
    Simulate(simulate::Arguments),
    /// Named workloads, medians of several runs, as a table and JSON.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
        Command::Torture(arguments) => torture::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Without a backtrace: what failed is to stand at the end of a log, not above it.
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
