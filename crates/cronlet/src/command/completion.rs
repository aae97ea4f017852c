//! `cronlet completion`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;

/// Print a shell completion script.
#[derive(Args)]
pub struct Completion {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script on standard output.
pub fn run(arguments: &Completion) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "cronlet", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
