//! `cronlet version`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::print;

/// The Kubernetes minor version whose behaviour is served; announced to clients.
pub const KUBERNETES_MINOR: u32 = 36;

/// Print the version.
#[derive(Args)]
pub struct Version {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Prints the program's version and that of the API it serves.
pub fn run(arguments: &Version) -> anyhow::Result<ExitCode> {
    let (version, api) = (env!("CARGO_PKG_VERSION"), format!("v1.{KUBERNETES_MINOR}"));
    let line = match arguments.output {
        Format::Text => format!("cronlet {version} (serves batch/v1 of Kubernetes {api})\n"),
        Format::Json => format!("{}\n", serde_json::json!({"version": version, "kubernetes": api})),
    };
    print::out(&line)?;
    Ok(ExitCode::SUCCESS)
}
