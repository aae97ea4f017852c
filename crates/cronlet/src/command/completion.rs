//! `cronlet completion`.

use std::{io, process::ExitCode};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a shell completion script.
#[derive(Args)]
pub struct Completion {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script on standard output.
pub fn run(arguments: &Completion) -> anyhow::Result<ExitCode> {
    clap_complete::generate(arguments.shell, &mut crate::arguments::Arguments::command(), "cronlet", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}
