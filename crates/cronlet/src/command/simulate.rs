//! `cronlet simulate`: plays scenario files on a simulated node, in no time.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use cronlet_simulate::script;

use crate::print;

/// Play scenario files on a simulated node.
#[derive(Args)]
pub struct Simulate {
    /// Scenario files; docs/simulation.md describes them
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Write what comes of each command into the files instead of printing it
    #[arg(long)]
    rewrite: bool,
}

/// Prints each scenario as it comes out. Exits with 1 if a file says otherwise.
pub fn run(arguments: &Simulate) -> anyhow::Result<ExitCode> {
    let mut differs = false;
    for file in &arguments.scenarios {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        let played = script::play(&text).with_context(|| name.to_string())?;
        if arguments.rewrite {
            fs::write(file, &played).with_context(|| format!("cannot write {name}"))?;
            continue;
        }
        print::out(&played)?;
        if played != text {
            differs = true;
            eprintln!("{name} says otherwise; --rewrite brings it up to date");
        }
    }
    Ok(ExitCode::from(u8::from(differs)))
}
